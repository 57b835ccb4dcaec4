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
import { assert } from '../assert.js';
import { commitIsIntact } from './commit-check.js';
import {
  COMMIT_HEADER_BYTES,
  COMMIT_MAGIC_BYTES,
  type CommitHeader,
  decodeCommitHeader,
  newCommitHeader,
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
  #buffer: Buffer = Buffer.alloc(0);
  /** The file range held: [#from, #from + #held). */
  #from = 0;
  #held = 0;

  constructor(source: ScanSource, seed: number, from: number, limit: number, policy: 'resync' | 'wait') {
    this.#source = source;
    this.#seed = seed;
    this.#policy = policy;
    this.offset = from;
    this.#next = from;
    this.#limit = limit;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Lets a follower see what was written since: the file is now `limit` bytes long. */
  extend(limit: number): void {
    this.#limit = limit;
    // What was read beyond the last good commit may have been incomplete.
    this.#held = Math.min(this.#held, Math.max(0, this.#next - this.#from));
  }

  async next(): Promise<ScanOutcome> {
    const start = this.#next;
    this.offset = start;
    if (start >= this.#limit) return 'end';
    await this.#fill(start, Math.min(COMMIT_HEADER_BYTES, this.#limit - start));
    const at = start - this.#from;
    if (
      this.#held - at < COMMIT_HEADER_BYTES ||
      !decodeCommitHeader(this.#buffer, at, this.#seed, start, this.header)
    ) {
      return this.#policy === 'wait' ? 'end' : this.#resync(start);
    }
    const end = start + COMMIT_HEADER_BYTES + this.header.bodyBytes;
    const available = Math.min(end, this.#limit);
    await this.#fill(start, available - start);
    this.bodyAt = start - this.#from + COMMIT_HEADER_BYTES;
    this.bodyHeld = Math.min(this.header.bodyBytes, this.#held - this.bodyAt);
    if (this.bodyHeld === this.header.bodyBytes) {
      if (commitIsIntact(this.#buffer, this.bodyAt, this.header, this.#seed, start)) {
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
    let from = start;
    let allZero = true;
    for (;;) {
      await this.#fill(from, Math.min(CHUNK_BYTES, this.#limit - from));
      const held = this.#buffer.subarray(0, this.#held);
      let at = from - this.#from;
      if (allZero) {
        const nonZero = firstNonZero(held, at);
        allZero = nonZero === held.length;
        at = nonZero;
      }
      // A zero byte starts no commit, so skipping the zeros skips no header.
      for (at = held.indexOf(COMMIT_MAGIC_BYTES, at); at >= 0; at = held.indexOf(COMMIT_MAGIC_BYTES, at + 1)) {
        if (at + COMMIT_HEADER_BYTES > held.length) break;
        const offset = this.#from + at;
        if (offset === start) continue;
        if (!decodeCommitHeader(this.#buffer, at, this.#seed, offset, this.header)) continue;
        return this.#skipped(start, offset, false);
      }
      const heldEnd = this.#from + this.#held;
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
    if (offset >= this.#from && offset + bytes <= this.#from + this.#held) return;
    const wanted = Math.max(bytes, Math.min(CHUNK_BYTES, this.#limit - offset));
    let kept = 0;
    if (offset >= this.#from && offset < this.#from + this.#held) {
      kept = this.#from + this.#held - offset;
      const source = this.#buffer.subarray(offset - this.#from, this.#held);
      if (wanted > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(wanted);
      this.#buffer.set(source, 0);
    } else if (wanted > this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafeSlow(wanted);
    }
    this.#from = offset;
    this.#held = kept;
    if (kept < wanted) {
      this.#held += await this.#source.readAt(this.#buffer, kept, wanted - kept, offset + kept);
    }
    assert(this.#held <= this.#buffer.length, 'a scanner holds no more than its buffer');
    // The file may be shorter than the caller's limit, if it was cut meanwhile.
    if (this.#held < wanted) this.#limit = Math.min(this.#limit, offset + this.#held);
  }
}

function firstNonZero(bytes: Uint8Array, from: number): number {
  for (let i = from; i < bytes.length; i++) if (bytes[i] !== 0) return i;
  return bytes.length;
}
