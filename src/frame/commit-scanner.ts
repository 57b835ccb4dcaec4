/**
 * The one scanner: walks the commits of a file from an offset on, checking every one, and says what stands where. It never writes and
 * never judges. At a bad frame it does one of two things, the caller's policy:
 * - 'resync': reports the bad range and goes on at the next place where a valid header stands (recovery, verify, repair);
 * - 'wait': reports the end and stays in front of it, since a writer may be about to complete the frame (followers).
 *
 * A valid header's length is trusted, so a rotten body costs that body only. Otherwise every later occurrence of the magic is tried:
 * since checksums are tied to file and offset, no payload can pass for a commit.
 *
 * `header` and `buffer` are reused: valid until the next call of `next`. Not for concurrent use.
 */
import { ReadWindow } from '../vfs/read-window.js';
import { commitIsIntact } from './commit-check.js';
import {
  COMMIT_HEADER_BYTES,
  COMMIT_MAGIC_BYTES,
  type CommitHeader,
  decodeCommitHeader,
  newCommitHeader,
  placedBodyCrc,
} from './commit-header.js';

/** What a scanner reads from: the part of a `VfsFile` that it needs. */
export interface ScanSource {
  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number>;
}

export type ScanOutcome =
  /** A valid commit: see `header`, `offset`, `buffer`, `bodyAt`. */
  | 'commit'
  /** A range without a valid commit: see `bad`. Only under the policy 'resync'. */
  | 'bad'
  /** Nothing more before the limit. `offset` is where the next commit would start. */
  | 'end';

export interface BadRange {
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  /** True if the header was intact and only the body is not: then `header` tells which records it held. */
  readonly headerIntact: boolean;
  /** True if nothing but zeros follows up to the limit. A hole of zeros in front of a valid commit is not: cutting there would lose bytes. */
  readonly allZero: boolean;
}

const CHUNK_BYTES = 1024 * 1024;
/** Commits up to about this size are read ahead as a whole. */
const AHEAD_BYTES_MAX = 4 * 1024 * 1024;
/** So large may a commit be that begins in one chunk and is read on in the next; larger ones are read by themselves. */
const CARRY_BYTES_MAX = 1024 * 1024;

export class CommitScanner {
  readonly header: CommitHeader = newCommitHeader();
  /** File offset of the header of the current commit; after 'end', of where the next one would start. */
  offset: number;
  bad: BadRange = { offset: 0, end: 0, headerIntact: false, allZero: true };
  /** Index of the body within `buffer`. After 'bad' with an intact header too, as far as the file went. */
  bodyAt = 0;
  /** Bytes of the body that are in `buffer`: all of them, but for a commit cut by the end of the file. */
  bodyHeld = 0;

  readonly #source: ScanSource;
  readonly #seed: number;
  readonly #policy: 'resync' | 'wait';
  #limit: number;
  #next: number;
  readonly #readsAhead: boolean;
  readonly #window: ReadWindow = new ReadWindow({ carryBytesMax: CARRY_BYTES_MAX, reuse: true });

  /** `readsAhead`: for those who go through the whole file; they wait for `settled` before they close it. */
  constructor(
    source: ScanSource,
    seed: number,
    from: number,
    limit: number,
    policy: 'resync' | 'wait',
    readsAhead = false,
  ) {
    this.#source = source;
    this.#seed = seed;
    this.#policy = policy;
    this.#readsAhead = readsAhead;
    this.offset = from;
    this.#next = from;
    this.#limit = limit;
  }

  get buffer(): Buffer {
    return this.#window.chunk;
  }

  /** Plain CRC-32 of the body of the current commit (of its heads, if it is summed by them), whatever its place. */
  get bodySum(): number {
    return placedBodyCrc(this.header.bodyCrc, this.header.bodyBytes, this.#seed, this.offset);
  }

  /** Lets a follower see what was written since: the file is now `limit` bytes long. */
  extend(limit: number): void {
    this.#limit = limit;
    // What was read beyond the last good commit may have been incomplete.
    this.#window.keepTo(this.#next);
  }

  /** Resolves when no read of the file is under way any more. */
  settled(): Promise<void> {
    return this.#window.settled();
  }

  async next(): Promise<ScanOutcome> {
    const start = this.#next;
    this.offset = start;
    if (start >= this.#limit) return 'end';
    await this.#fill(start, Math.min(COMMIT_HEADER_BYTES, this.#limit - start));
    if (start >= this.#limit) return 'end';
    const window = this.#window;
    if (
      !window.holds(start, COMMIT_HEADER_BYTES) ||
      !decodeCommitHeader(window.chunk, start - window.from, this.#seed, start, this.header)
    ) {
      return this.#policy === 'wait' ? 'end' : this.#resync(start);
    }
    const end = start + COMMIT_HEADER_BYTES + this.header.bodyBytes;
    await this.#fill(start, Math.min(end, this.#limit) - start);
    const available = Math.min(end, this.#limit);
    this.bodyAt = start - window.from + COMMIT_HEADER_BYTES;
    this.bodyHeld = Math.min(this.header.bodyBytes, window.bytes - this.bodyAt);
    if (this.bodyHeld === this.header.bodyBytes) {
      if (commitIsIntact(window.chunk, this.bodyAt, this.header, this.#seed, start)) {
        this.#next = end;
        return 'commit';
      }
    }
    if (this.#policy === 'wait') return 'end';
    this.bad = { offset: start, end: available, headerIntact: true, allZero: false };
    this.#next = available;
    return 'bad';
  }

  /** Looks for the next valid header after the bad one at `start`. */
  async #resync(start: number): Promise<ScanOutcome> {
    const window = this.#window;
    let from = start;
    let allZero = true;
    for (;;) {
      await this.#fill(from, Math.min(CHUNK_BYTES, this.#limit - from));
      const held = window.chunk.subarray(0, window.bytes);
      let at = from - window.from;
      if (allZero) {
        const nonZero = firstNonZero(held, at);
        allZero = nonZero === held.length;
        at = nonZero;
      }
      // A zero byte starts no commit, so skipping the zeros skips no header.
      for (at = held.indexOf(COMMIT_MAGIC_BYTES, at); at >= 0; at = held.indexOf(COMMIT_MAGIC_BYTES, at + 1)) {
        if (at + COMMIT_HEADER_BYTES > held.length) break;
        const offset = window.from + at;
        if (offset === start) continue;
        if (!decodeCommitHeader(held, at, this.#seed, offset, this.header)) continue;
        return this.#skipped(start, offset, false);
      }
      const heldEnd = window.from + window.bytes;
      if (heldEnd >= this.#limit) return this.#skipped(start, this.#limit, allZero);
      // Keep the bytes in which a header could have begun.
      from = Math.max(from + 1, heldEnd - COMMIT_HEADER_BYTES + 1);
    }
  }

  #skipped(start: number, end: number, allZero: boolean): ScanOutcome {
    this.bad = { offset: start, end, headerIntact: false, allZero };
    this.bodyHeld = 0;
    this.#next = end;
    return 'bad';
  }

  /** Makes [offset, offset + bytes) available in the buffer, as far as the file goes. */
  async #fill(offset: number, bytes: number): Promise<void> {
    const window = this.#window;
    if (window.holds(offset, bytes)) return;
    const readAt: ScanSource['readAt'] = (...read) => this.#source.readAt(...read);
    const size = Math.max(bytes, Math.min(CHUNK_BYTES, this.#limit - offset));
    await window.fill(readAt, offset, bytes, size);
    // The file may be shorter than the caller's limit, if it was cut meanwhile.
    if (window.bytes < bytes) this.#limit = Math.min(this.#limit, offset + window.bytes);
    if (this.#readsAhead) window.readAhead(readAt, Math.min(size, AHEAD_BYTES_MAX), this.#limit);
  }
}

function firstNonZero(bytes: Uint8Array, from: number): number {
  for (let i = from; i < bytes.length; i++) if (bytes[i] !== 0) return i;
  return bytes.length;
}
