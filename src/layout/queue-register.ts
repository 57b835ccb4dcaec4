/**
 * The register of queues: which queues there have been, in the file STORE, behind its header. It is evidence: a queue that is in it had a log of
 * removals and a segment, both durable, and never is without them again. So where its folder is gone, or empty, it was taken away (a disk that is not
 * mounted, half a restore): that is damage, and no new queue.
 *
 *     header, twice (128 bytes) | entry 1 | its twin | entry 2 | its twin | ... | zeros, or nothing
 *
 * An entry is a commit of its own kind with the name as its body, written before the queue is used for the first time. An entry that is valid is true,
 * whenever it was written, since what it says was durable before. And one that is lost is missed, also the last one:
 *
 * - the first twin is synced before the second is begun, so what a crash leaves behind the last entry that is valid is never longer than a twin can be;
 * - behind the last entry there are zeros, so that it takes up more than that, however short the name;
 * - each twin names the place of the first one, so entries that are lost leave a gap between those that are not.
 */
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  encodeCommitHeader,
  KIND_QUEUE,
  newCommitHeader,
} from '../frame/commit-header.js';
import { CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';

/** The longest name: 64 characters and `.dead`. */
const TWIN_BYTES_MAX = COMMIT_HEADER_BYTES + 69;

/** In place of a name: entries were lost, and of which queues is not known. No queue has it. */
const FORGOTTEN = '?';

/** What a register says. */
export interface Registered {
  /** As they stand there: whether they can be names is not looked at. */
  readonly names: ReadonlySet<string>;
  /** There have been others, too, and which is not known. */
  readonly hasForgotten: boolean;
}

export interface LostEntries {
  readonly offset: number;
  readonly bytes: number;
}

export interface QueueRegister extends Registered {
  /** Where the next entry goes. */
  readonly end: number;
  /** Bytes that no crash explains are no entry. */
  readonly damaged: boolean;
  /** Where entries stood of which neither twin is valid. */
  readonly lost: readonly LostEntries[];
  /** The last entry, where a crash may have left it without its second twin, which is to be written. */
  readonly torn?: { readonly name: string; readonly at: number };
}

export const EMPTY_REGISTER: QueueRegister = {
  names: new Set(),
  hasForgotten: false,
  end: FILE_HEADER_BYTES,
  damaged: false,
  lost: [],
};

/** Bytes of one of the two. */
export function twinBytes(name: string): number {
  return COMMIT_HEADER_BYTES + name.length;
}

/** Where a register ends that says this, and the next entry goes. */
export function registerEnd(registered: Registered): number {
  let end = FILE_HEADER_BYTES;
  for (const name of entriesOf(registered)) end += 2 * twinBytes(name);
  return end;
}

function entriesOf({ names, hasForgotten }: Registered): string[] {
  return hasForgotten ? [...names, FORGOTTEN] : [...names];
}

/**
 * The entry of one queue with its twin, and the zeros behind a last one, for offset `at`; all below it is durable. What is behind the first twin must not
 * be written before that is durable.
 */
export function encodeRegistration(name: string, seed: number, at: number, nowMs: number): Buffer {
  const body = Buffer.from(name, 'ascii');
  const entryBytes = twinBytes(name);
  const bytes = Buffer.alloc(Math.max(2 * entryBytes, TWIN_BYTES_MAX + 1));
  const header = newCommitHeader();
  header.kind = KIND_QUEUE;
  header.bodyBytes = body.length;
  header.durableOffset = at;
  header.timestamp = nowMs;
  for (const twin of [0, entryBytes]) {
    header.bodyCrc = commitBodyCrc(body, seed, at + twin);
    encodeCommitHeader(bytes, twin, seed, at + twin, header);
    body.copy(bytes, twin + COMMIT_HEADER_BYTES);
  }
  return bytes;
}

/** A register, for a file that gets its name when all of it is durable. */
export function encodeRegister(registered: Registered, seed: number, nowMs: number): Buffer {
  const entries: Buffer[] = [];
  let at = FILE_HEADER_BYTES;
  let zeros = 0;
  for (const name of entriesOf(registered)) {
    const entry = encodeRegistration(name, seed, at, nowMs);
    const bytes = 2 * twinBytes(name);
    entries.push(entry.subarray(0, bytes));
    zeros = entry.length - bytes;
    at += bytes;
  }
  return Buffer.concat([...entries, Buffer.alloc(zeros)]);
}

/** Reads the register of a file of `bytes` bytes. Rejects with the system error. */
export async function readRegister(file: ScanSource, seed: number, bytes: number): Promise<QueueRegister> {
  const names = new Set<string>();
  const bad: number[] = [];
  const spans: Span[] = [];
  const scanner = new CommitScanner(file, seed, FILE_HEADER_BYTES, bytes, 'resync');
  for (;;) {
    const outcome = await scanner.next();
    if (outcome === 'end') break;
    if (outcome === 'bad') {
      bad.push(scanner.bad.offset);
      continue;
    }
    const { header, buffer, bodyAt } = scanner;
    const name = buffer.toString('latin1', bodyAt, bodyAt + header.bodyBytes);
    if (header.kind === KIND_QUEUE) names.add(name);
    spans.push(spanOf(scanner, name));
  }
  const hasForgotten = names.delete(FORGOTTEN);
  return { names, hasForgotten, ...judge(spans, bad, bytes) };
}

/** What a valid commit says of: an entry with both of its twins. */
interface Span {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** Where the second twin is, or goes, if this is the first. */
  readonly twinAt: number | undefined;
}

function spanOf({ header, offset }: CommitScanner, name: string): Span {
  const { kind, bodyBytes, durableOffset } = header;
  const end = offset + COMMIT_HEADER_BYTES + bodyBytes;
  const isFirst = kind === KIND_QUEUE && offset === durableOffset;
  if (isFirst) return { name, start: offset, end: 2 * end - offset, twinAt: end };
  // The first twin ends where the second begins.
  const isSecond = kind === KIND_QUEUE && durableOffset === 2 * offset - end;
  return { name, start: isSecond ? durableOffset : offset, end, twinAt: undefined };
}

function judge(spans: readonly Span[], bad: readonly number[], bytes: number): Omit<QueueRegister, keyof Registered> {
  const lost: LostEntries[] = [];
  let end = FILE_HEADER_BYTES;
  let last: Span | undefined;
  for (const span of spans) {
    if (span.start > end) lost.push({ offset: end, bytes: span.start - end });
    if (span.end >= end) last = span;
    end = Math.max(end, span.end);
  }
  // Its second twin comes behind it where that is valid, and is the last one then.
  const { twinAt, name = '', start: at = 0 } = last ?? {};
  const damaged = bad.some((offset) => offset < (twinAt ?? end));
  if (bytes - end > TWIN_BYTES_MAX) {
    lost.push({ offset: end, bytes: bytes - end });
    end = bytes;
  }
  const judged = { end, damaged: damaged || lost.length > 0, lost };
  return twinAt === undefined ? judged : { ...judged, torn: { name, at } };
}

/**
 * Whether a queue may be missing of which nothing tells, by the queues that are `there`: those of them that are not entered do not take up what is lost.
 */
export function missesQueues({ names, end, lost }: QueueRegister, there: Iterable<string>): boolean {
  const bytes = lost.reduce((sum, one) => sum + one.bytes, 0);
  const last = lost.at(-1);
  const isLast = last !== undefined && last.offset + last.bytes === end;
  // Behind the last entry there may be zeros, and what a crash has left of the next one.
  const more = isLast ? TWIN_BYTES_MAX : 0;
  const counts = new Map<number, number>();
  for (const name of there) {
    const twin = twinBytes(name);
    if (!names.has(name)) counts.set(twin, (counts.get(twin) ?? 0) + 1);
  }
  return !haveSum(counts, Math.ceil((bytes - more) / 2), Math.floor(bytes / 2));
}

/** Whether some of the sizes, each so often as `counts` says, have a sum from `least` to `most`. Takes a step for each different size and each sum. */
function haveSum(counts: ReadonlyMap<number, number>, least: number, most: number): boolean {
  /** Of each sum: how many of the size at hand it takes at least, or that it cannot be had. */
  const taken = new Int32Array(most + 1).fill(NEVER);
  taken[0] = 0;
  for (const [size, count] of counts) {
    for (let sum = 0; sum <= most; sum++) {
      if (taken[sum] !== NEVER) taken[sum] = 0;
      else if (sum >= size && (taken[sum - size] ?? NEVER) < count) taken[sum] = (taken[sum - size] ?? 0) + 1;
    }
  }
  return taken.subarray(Math.max(0, least)).some((one) => one !== NEVER);
}

const NEVER = 2 ** 31 - 1;
