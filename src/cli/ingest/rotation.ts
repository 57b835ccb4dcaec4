/**
 * What a rotation has made of the files that had a name before: which of them was read last, and which one comes after it.
 *
 * A file is the one of a position by its inode and by when it was made; the bytes before the place tell whether it was truncated since. Bytes alone prove
 * little: many logs begin with the same line. They stand for a copy only where there are enough of them, or where more speaks for it.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { type FilePosition, MARK_BYTES } from './file-position.js';
import { type FileState, fileState, LogFile } from './log-file.js';

/** A file as it was seen under that name. */
export interface Seen extends FileState {
  readonly name: string;
}

/** Looks in a row that must agree: a rotation in the middle of one moves names. */
const LOOKS_MAX = 20;
/** Of what comes after a place, to tell a copy of a file from one that only begins as it does. */
const COMPARED_BYTES = 64 * 1024;
/** Of a date, or of seconds since the epoch. A number with fewer behind a dash may be a worker's, or a port. */
const DATE_DIGITS = 8;
/** Of a rotation that counts. */
const COUNT_DIGITS = 3;

/** Names that a rotation gives: `x.log.1`, `x.log-20261127`, `x.log.2026-11-27`, `x-20261127.log`, `x.1.log`. What is packed cannot be read. */
export function isRotatedName(one: string, name: string): boolean {
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  return isNumbered(one, name, '') || (extension !== '' && isNumbered(one, stem, extension));
}

function isNumbered(name: string, before: string, behind: string): boolean {
  if (name.length <= before.length + behind.length || !name.startsWith(before) || !name.endsWith(behind)) return false;
  const number = name.slice(before.length, name.length - behind.length);
  if (!/^[.\-_]\d[\d.\-_T:]*$/.test(number)) return false;
  if (number.replace(/\D/g, '').length >= DATE_DIGITS) return true;
  return number.startsWith('.') && /^\d+$/.test(number.slice(1)) && number.length - 1 <= COUNT_DIGITS;
}

interface Look {
  /** What has the name now. */
  readonly current: Seen | undefined;
  readonly kin: readonly Seen[];
}

/** @throws Refused for a path that is no regular file */
async function lookAround(path: string): Promise<Look> {
  let before: string | undefined;
  for (let looks = 0; ; looks++) {
    const look = await lookOnce(path);
    const names = [look.current, ...look.kin].map((one) => `${one?.inode} ${one?.name}`).join('\n');
    if (names === before || looks === LOOKS_MAX) return look;
    before = names;
  }
}

async function lookOnce(path: string): Promise<Look> {
  const name = basename(path);
  const current = await seen(path);
  const kin: Seen[] = [];
  for (const one of await readdir(dirname(path))) {
    if (!isRotatedName(one, name)) continue;
    const file = await seen(join(dirname(path), one));
    if (file !== undefined && file.inode !== current?.inode) kin.push(file);
  }
  return { current, kin };
}

async function seen(name: string): Promise<Seen | undefined> {
  const state = await fileState(name);
  return state === undefined ? undefined : { name, ...state };
}

/** `undefined`: the name is another file's by now. */
async function openSeen({ name, inode }: Seen): Promise<LogFile | undefined> {
  const file = await LogFile.open(name);
  if (file === undefined || file.inode === inode) return file;
  await file.close();
  return undefined;
}

/** An inode is used again; a time that is not known tells nothing. */
function isSame(file: FileState, { inode, bornMs }: FilePosition): boolean {
  return file.inode === inode && (file.bornMs === bornMs || file.bornMs === 0 || bornMs === 0);
}

/** The one among `path` and its kin that was read up to there, or a copy of it; the caller closes it. */
export async function findRead(path: string, position: FilePosition): Promise<LogFile | undefined> {
  const { current, kin } = await lookAround(path);
  const others = [...kin.toSorted(byTime), ...(current === undefined ? [] : [current])];
  const own = others.find((one) => isSame(one, position));
  const file = own && (await openSeen(own));
  if (file !== undefined && (await file.holds(position.offset, position.mark))) {
    const copy = await findCopy(others, position, async (one, copied) => {
      return isWeak(position) && isOfBefore(one, file, position) && !(await goOnAlike(copied, file, position.offset));
    });
    if (copy !== undefined) await file.close();
    return copy ?? file;
  }
  const isTruncated = own !== undefined;
  await file?.close();
  return findCopy(others, position, async (one) => {
    if (!isWeak(position)) return true;
    if (isTruncated) return one.writtenMs >= position.writtenMs;
    return one.size === position.offset && one.writtenMs === position.writtenMs;
  });

  /** Of `own` before it was truncated: it has been written to since, while a file that came after it would have been written later. */
  function isOfBefore(one: Seen, { inode }: LogFile, { writtenMs, offset }: FilePosition): boolean {
    if (own === undefined || one.inode === inode) return false;
    return one.size > offset && one.writtenMs > writtenMs && one.writtenMs <= own.writtenMs;
  }
}

/** Fewer bytes than a mark has may be the first line of every file. */
function isWeak({ offset }: FilePosition): boolean {
  return offset < MARK_BYTES;
}

/** The first that holds what was read and that `isCopy` agrees to. */
async function findCopy(
  files: readonly Seen[],
  position: FilePosition,
  isCopy: (one: Seen, file: LogFile) => Promise<boolean>,
): Promise<LogFile | undefined> {
  const { offset, mark } = position;
  if (offset === 0) return undefined;
  for (const one of files) {
    const file = one.size < offset || isSame(one, position) ? undefined : await openSeen(one);
    if (file === undefined) continue;
    if ((await file.holds(offset, mark)) && (await isCopy(one, file))) return file;
    await file.close();
  }
  return undefined;
}

/** As far as both go. */
async function goOnAlike(one: LogFile, other: LogFile, offset: number): Promise<boolean> {
  const [a, b] = await Promise.all([one.read(offset, COMPARED_BYTES), other.read(offset, COMPARED_BYTES)]);
  const bytes = Math.min(a.length, b.length);
  return a.subarray(0, bytes).equals(b.subarray(0, bytes));
}

export type Next =
  /** The caller closes it. */
  | { readonly kind: 'file'; readonly file: LogFile }
  /** It is written to still, or names are moving: to be asked again. */
  | { readonly kind: 'busy' }
  /** There is none yet. */
  | { readonly kind: 'none' };

/**
 * What comes after what was read up to there: of the kin that were written after it the first, or what has the name now. `judge` says of a kin whether it is
 * at rest, as one is that was rotated away, or 'foreign': none of ours.
 */
export async function findNext(
  path: string,
  position: FilePosition,
  judge: (kin: Seen) => 'at-rest' | 'busy' | 'foreign',
): Promise<Next> {
  const { current, kin } = await lookAround(path);
  for (const one of kin.filter((file) => file.size > 0 && byTime(file, position) > 0).toSorted(byTime)) {
    const file = await openSeen(one);
    if (file === undefined) return { kind: 'busy' };
    const verdict = (await isRead(one, file, position)) ? 'foreign' : judge(one);
    if (verdict === 'at-rest') return { kind: 'file', file };
    await file.close();
    if (verdict === 'busy') return { kind: 'busy' };
  }
  if (current === undefined) return { kind: 'none' };
  const file = await openSeen(current);
  return file === undefined ? { kind: 'busy' } : { kind: 'file', file };
}

/** Itself, or a copy of it that has nothing more. */
async function isRead(one: Seen, file: LogFile, position: FilePosition): Promise<boolean> {
  const { offset, mark } = position;
  if (!isSame(one, position) && (offset === 0 || one.size !== offset)) return false;
  return file.holds(offset, mark);
}

type Times = Pick<FileState, 'writtenMs' | 'bornMs'>;

function byTime(one: Times, other: Times): number {
  return one.writtenMs === other.writtenMs ? one.bornMs - other.bornMs : one.writtenMs - other.writtenMs;
}
