/**
 * One segment file, looked at by itself: no store, no queue, no tombstones. For files that are damaged, copied away, or in
 * use. It tells every commit and every record with its place and whether its checksum holds; which records were removed only
 * the tombstone log of the queue knows.
 *
 * Nothing is written and no lock taken. Iterations are independent of each other and may run concurrently.
 */
import { signalOf, throwIfAborted, type WaitOptions, waitOf } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions, requireVfs } from '../arguments.js';
import { reported } from '../errors.js';
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  KIND_FOOTER,
  KIND_LINK,
  KIND_RECORDS,
} from '../frame/commit-header.js';
import { CommitScanner } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES, type FileHeader, HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import { decodeMeta } from '../frame/metadata.js';
import { type FrameView, newFrameView, viewFrame } from '../frame/record-frame.js';
import { storePathOf } from '../layout/store-path.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type Footer, readFooter, readFooterIndex, type SegmentSummary } from '../segment/segment-footer.js';
import type { SegmentIndex } from '../segment/segment-index.js';
import { salvageBad } from '../segment/segment-salvage.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { newViewBuffer } from '../vfs/view-buffer.js';
import { badOf, type RawBad } from './raw-bad.js';
import { openRawFile } from './raw-file.js';

/** A range of the file, from its header on. `offset` and `bytes` cover the commit with its header. */
export type RawCommit =
  | {
      readonly kind: 'records';
      readonly offset: number;
      readonly bytes: number;
      readonly firstId: number;
      readonly count: number;
      /** When its first record was pushed, in ms since the epoch; sparse: no later than any of its records was. */
      readonly timestamp: number;
      /** Every byte of this file below it had been synced when this commit was written. */
      readonly durableOffset: number;
      /** The frames carry their own IDs and times: the segment was made by rewriting others. */
      readonly sparse: boolean;
    }
  /** The front of a segment that follows another one. */
  | {
      readonly kind: 'link';
      readonly offset: number;
      readonly bytes: number;
      readonly segmentId: number;
      readonly durableOffset: number;
    }
  /** The end of a sealed segment. */
  | { readonly kind: 'footer'; readonly offset: number; readonly bytes: number }
  /** Intact, and of a kind that this version does not know. */
  | { readonly kind: 'unknown'; readonly offset: number; readonly bytes: number; readonly code: number }
  | RawBad;

/** A record with its place. `offset` is that of its frame. */
export interface RawRecord extends QueueRecord {
  readonly offset: number;
  /** Of the whole frame. */
  readonly bytes: number;
}

/** Records in file order, and in their places the ranges in which none can be read. */
export type RawEntry =
  | { readonly valid: true; readonly record: RawRecord }
  | { readonly valid: false; readonly damage: Extract<RawCommit, { kind: 'bad' }> };

/** The record `id` stands in the commit whose header is at `offset`; or, in the middle of one, its frame does. */
export interface RawIndexEntry {
  readonly id: number;
  readonly offset: number;
  readonly mid: boolean;
}

export interface RawSegmentOptions {
  /** Default the real file system. */
  readonly vfs?: Vfs;
  /** Aborted: opening rejects with its reason. */
  readonly signal?: AbortSignal;
}

const NAMES = optionNames('vfs', 'signal');

/** Made by `RawSegment.open`. Holds a descriptor until `close`. */
export class RawSegment implements AsyncDisposable {
  readonly path: string;
  readonly header: FileHeader;
  /** One of the two copies of the header is damaged. */
  readonly headerDamaged: boolean;
  /** What the segment says of itself at its end, if it was sealed and that is intact. */
  readonly footer: SegmentSummary | undefined;
  /** Of the file, when it was opened: as far as the iterations go. */
  readonly size: number;
  readonly #file: VfsFile;
  readonly #seed: number;
  readonly #footer: Footer | undefined;
  /** Read when it is needed, for what is damaged. */
  #index: SegmentIndex | undefined;

  private constructor(
    file: VfsFile,
    decoding: { readonly header: FileHeader; readonly seed: number; readonly damaged: boolean },
    size: number,
    footer: Footer | undefined,
  ) {
    if (typeof decoding !== 'object') {
      throw new TypeError('a segment is opened by RawSegment.open(path), which resolves with it');
    }
    this.path = file.path;
    this.header = decoding.header;
    this.headerDamaged = decoding.damaged;
    this.footer = footer?.summary;
    this.#footer = footer;
    this.size = size;
    this.#file = file;
    this.#seed = decoding.seed;
  }

  /**
   * Reads header and footer.
   * @throws EVAQ_NOT_A_STORE if it is no segment (or a new one that is still blank), EVAQ_UNSUPPORTED_VERSION, EVAQ_IO;
   *   EVAQ_CORRUPT if both copies of the header are damaged
   */
  static async open(path: string | URL, options: RawSegmentOptions = {}): Promise<RawSegment> {
    requireNoMore(arguments.length, 2, 'open');
    const at = storePathOf(path);
    requireOptions(options, 'open', NAMES);
    requireVfs(options.vfs);
    const signal = signalOf(options, 'open');
    throwIfAborted(signal);
    const segment = await RawSegment.#open(at, options.vfs ?? nodeVfs);
    if (signal?.aborted !== true) return segment;
    await segment.close().catch(() => undefined);
    throw signal.reason;
  }

  static async #open(at: string, vfs: Vfs): Promise<RawSegment> {
    const { file, header, seed, damaged, size } = await openRawFile(at, 'segment', vfs);
    try {
      return new RawSegment(file, { header, seed, damaged }, size, await readFooter(file, size, seed));
    } catch (error) {
      await file.close().catch(() => undefined);
      throw reported(error, `reading ${at}`, { path: at });
    }
  }

  /** Every commit, and every range that is none, from the front to the end of the file. @throws EVAQ_IO */
  async *commits(options?: WaitOptions): AsyncGenerator<RawCommit, void, undefined> {
    const signal = waitOf(arguments.length, 1, options, 'commits');
    for await (const { commit } of this.#scan(signal)) yield commit;
  }

  /**
   * Every record whose checksum holds, in file order, which is ID order; removed ones included. Of a damaged commit the intact records are
   * given, then the damage. Payloads stay valid for as long as they are held. @throws EVAQ_IO
   */
  async *records(options?: WaitOptions): AsyncGenerator<RawEntry, void, undefined> {
    const signal = waitOf(arguments.length, 1, options, 'records');
    for await (const { commit, scanner } of this.#scan(signal)) {
      if (commit.kind === 'bad') {
        for (const record of await this.#salvage(scanner)) yield { valid: true, record };
        yield { valid: false, damage: commit };
        continue;
      }
      if (commit.kind !== 'records') continue;
      const { header, buffer, bodyAt, bodyHeld } = scanner;
      // The scanner uses its buffer again, and a record may be held for long.
      const body = newViewBuffer(bodyHeld);
      buffer.copy(body, 0, bodyAt, bodyAt + bodyHeld);
      const bodyOffset = commit.offset + COMMIT_HEADER_BYTES;
      const records: RawRecord[] = [];
      walkFrames(body, header, (frame, at) => records.push(recordOf(body, frame, bodyOffset + at)));
      for (const record of records) yield { valid: true, record };
    }
  }

  /**
   * The index that its footer holds: where records stand, one for every few KiB. `undefined` where there is none, or it is damaged.
   * @throws EVAQ_IO
   */
  async index(options?: WaitOptions): Promise<readonly RawIndexEntry[] | undefined> {
    const signal = waitOf(arguments.length, 1, options, 'index');
    throwIfAborted(signal);
    const footer = this.#footer;
    if (footer === undefined) return undefined;
    try {
      const index = await readFooterIndex(this.#file, footer, this.#seed);
      throwIfAborted(signal);
      return index?.ids.map((id, i) => ({ id, offset: index.offsets[i] ?? 0, mid: index.mids[i] === 1 }));
    } catch (error) {
      throw reported(error, `reading ${this.path}`, { path: this.path });
    }
  }

  /** The intact records of the bad range on which the scanner stands. */
  async #salvage(scanner: CommitScanner): Promise<RawRecord[]> {
    const records: RawRecord[] = [];
    try {
      const footer = this.#footer;
      this.#index ??= footer === undefined ? undefined : await readFooterIndex(this.#file, footer, this.#seed);
      const rewritten = (this.header.flags & HEADER_FLAG_REWRITTEN) !== 0;
      const from = { source: this.#file, seed: this.#seed, rewritten, index: this.#index };
      await salvageBad(scanner, from, (frame, buffer, at, offset) => {
        const bytes = newViewBuffer(frame.frameBytes);
        buffer.copy(bytes, 0, at, at + frame.frameBytes);
        const { payloadAt, metaAt } = frame;
        records.push(recordOf(bytes, { ...frame, payloadAt: payloadAt - at, metaAt: metaAt - at }, offset));
      });
    } catch (error) {
      throw reported(error, `reading ${this.path}`, { path: this.path, offset: scanner.offset });
    }
    return records;
  }

  async close(): Promise<void> {
    requireNoMore(arguments.length, 0, 'close');
    return this.#file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  async *#scan(
    signal: AbortSignal | undefined,
  ): AsyncGenerator<{ readonly commit: RawCommit; readonly scanner: CommitScanner }, void, undefined> {
    const scanner = new CommitScanner(this.#file, this.#seed, FILE_HEADER_BYTES, this.size, 'resync');
    for (;;) {
      let outcome: Awaited<ReturnType<CommitScanner['next']>>;
      throwIfAborted(signal);
      try {
        outcome = await scanner.next();
      } catch (error) {
        throw reported(error, `reading ${this.path}`, { path: this.path, offset: scanner.offset });
      }
      throwIfAborted(signal);
      if (outcome === 'end') return;
      yield { commit: outcome === 'bad' ? badOf(scanner) : commitOf(scanner), scanner };
    }
  }
}

function commitOf({ header, offset }: CommitScanner): RawCommit {
  const { kind, flags, bodyBytes, firstId, count, timestamp, durableOffset } = header;
  const bytes = COMMIT_HEADER_BYTES + bodyBytes;
  if (kind === KIND_LINK) return { kind: 'link', offset, bytes, segmentId: firstId, durableOffset };
  if (kind === KIND_FOOTER) return { kind: 'footer', offset, bytes };
  if (kind !== KIND_RECORDS) return { kind: 'unknown', offset, bytes, code: kind };
  const sparse = (flags & COMMIT_FLAG_SPARSE) !== 0;
  return { kind: 'records', offset, bytes, firstId, count, timestamp, durableOffset, sparse };
}

function walkFrames(body: Buffer, header: CommitHeader, take: (frame: FrameView, at: number) => void): void {
  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  const frame = newFrameView();
  let at = 0;
  for (let i = 0; i < header.count; i++) {
    if (!viewFrame(body, at, body.length, sparse, header.firstId + i, header.firstId, header.timestamp, frame)) return;
    take(frame, at);
    at += frame.frameBytes;
  }
}

function recordOf(body: Buffer, frame: FrameView, offset: number): RawRecord {
  const { id, timestamp, payloadAt, payloadBytes, metaAt, metaBytes, frameBytes } = frame;
  const payload = body.subarray(payloadAt, payloadAt + payloadBytes);
  const meta = metaBytes === 0 ? {} : decodeMeta(body.subarray(metaAt, metaAt + metaBytes));
  return { id, payload, timestamp, ...meta, offset, bytes: frameBytes };
}
