/**
 * A file that somebody else writes, open for reading: it stays the same one whatever becomes of its name. And its kin: what a rotation has made of those
 * that had its name before.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { codeOf } from '../../errors.js';
import { type FilePosition, MARK_BYTES, markOf } from './file-position.js';

export interface FileState {
  readonly size: number;
  readonly writtenMs: number;
  readonly bornMs: number;
}

export class LogFile {
  readonly inode: string;
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle, inode: string) {
    this.#handle = handle;
    this.inode = inode;
  }

  /** `undefined` where there is none of that name. */
  static async open(path: string): Promise<LogFile | undefined> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const stats = await handle.stat({ bigint: true });
      if (stats.isFile()) return new LogFile(handle, String(stats.ino));
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return undefined;
  }

  async state(): Promise<FileState> {
    const { size, mtimeMs, birthtimeMs } = await this.#handle.stat();
    return { size, writtenMs: mtimeMs, bornMs: birthtimeMs };
  }

  /** Up to `bytes` of them; fewer at the end. */
  async read(offset: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    let length = 0;
    while (length < bytes) {
      const { bytesRead } = await this.#handle.read(buffer, length, bytes - length, offset + length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  }

  /** Whether these bytes stand before `offset`. */
  async holds(offset: number, mark: string): Promise<boolean> {
    const bytes = Math.min(offset, MARK_BYTES);
    const before = await this.read(offset - bytes, bytes);
    return before.length === bytes && markOf(before) === mark;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** Names that a rotation gives: `x.log.1`, `x.log-20261127`, `x.log.2026-11-27`, `x-20261127.log`, `x.1.log`. What is packed cannot be read. */
export async function rotatedNames(path: string): Promise<string[]> {
  const folder = dirname(path);
  const name = basename(path);
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  const isRotated = (one: string): boolean =>
    isNumbered(one, name, '') || (extension !== '' && isNumbered(one, stem, extension));
  return (await readdir(folder)).filter(isRotated).map((one) => join(folder, one));
}

function isNumbered(name: string, before: string, behind: string): boolean {
  if (name.length <= before.length + behind.length || !name.startsWith(before) || !name.endsWith(behind)) return false;
  return /^[.\-_]\d[\d.\-_T:]*$/.test(name.slice(before.length, name.length - behind.length));
}

/** The one among `path` and its kin that was read up to there; the caller closes it. By the inode, or as a copy of it. */
export async function findRead(path: string, position: FilePosition): Promise<LogFile | undefined> {
  let copy: LogFile | undefined;
  for (const name of [path, ...(await rotatedNames(path))]) {
    const file = await LogFile.open(name);
    if (file === undefined) continue;
    const isSame = await file.holds(position.offset, position.mark);
    if (isSame && file.inode === position.inode) {
      await copy?.close();
      return file;
    }
    if (isSame && copy === undefined && position.offset > 0) copy = file;
    else await file.close();
  }
  return copy;
}

/**
 * The one that comes after what was read up to there: of the kin that were written after it the first, or what has the name now. The caller closes it;
 * `undefined`: there is none yet.
 */
export async function findNext(path: string, position: FilePosition): Promise<LogFile | undefined> {
  const current = await LogFile.open(path);
  let next: { readonly file: LogFile; readonly state: FileState } | undefined;
  for (const name of await rotatedNames(path)) {
    const file = await LogFile.open(name);
    if (file === undefined) continue;
    const state = await file.state();
    const isNext =
      file.inode !== position.inode &&
      file.inode !== current?.inode &&
      state.size > 0 &&
      isLater(state, position) &&
      (next === undefined || isLater(next.state, state)) &&
      // A copy of what has been read is none that comes after it.
      (position.offset === 0 || !(await file.holds(position.offset, position.mark)));
    await (isNext ? next?.file.close() : file.close());
    if (isNext) next = { file, state };
  }
  if (next === undefined) return current;
  await current?.close();
  return next.file;
}

type Written = Pick<FileState, 'writtenMs' | 'bornMs'>;

function isLater(one: Written, other: Written): boolean {
  return one.writtenMs === other.writtenMs ? one.bornMs > other.bornMs : one.writtenMs > other.writtenMs;
}
