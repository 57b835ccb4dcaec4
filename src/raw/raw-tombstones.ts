/**
 * One tombstone log, looked at by itself: every round of removals with its place, whether its checksum holds, and the IDs it removes. A log says of all
 * records of its queue which are gone; what is in no round of any of its logs is live, or was lost.
 *
 * Nothing is written and no lock taken. Iterations are independent of each other and may run concurrently.
 */
import { signalOf, throwIfAborted, type WaitOptions, waitOf } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions, requireVfs } from '../arguments.js';
import { reported } from '../errors.js';
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { CommitScanner } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES, type FileHeader } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import { storePathOf } from '../layout/store-path.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import { decodeRound, KIND_CLOSE, KIND_REMOVALS } from '../tombstone/tombstone-frame.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { badOf, type RawBad } from './raw-bad.js';
import { openRawFile } from './raw-file.js';

/** Each round is written twice in a row: both copies are told. `offset` and `bytes` cover the commit with its header. */
export interface RawRound {
  readonly kind: 'snapshot' | 'removals' | 'close';
  readonly offset: number;
  readonly bytes: number;
  /** Its number, from 1 on, in all logs of the queue; all parts of a snapshot have the same. */
  readonly round: number;
  /** In ms since the epoch. */
  readonly timestamp: number;
  /** Ascending. */
  readonly removed: readonly IdRange[];
  /** No ID from this on was given to a record when it was written. */
  readonly nextId: number;
  /** Every lower ID was in a segment and synced then, or is in a round. */
  readonly accountedBelow: number;
  /** Of that segment all below the offset had been synced. 0: none. */
  readonly dataSegmentId: number;
  readonly dataOffset: number;
  /** Every segment with a lower ID has a durable footer. */
  readonly sealedBelow: number;
  /** The highest segment ID that was in use. */
  readonly segmentIdMax: number;
  /** Every byte of this file below it had been synced. */
  readonly durableOffset: number;
  /** Of a close: so many records were live. */
  readonly live?: number;
  /** Of a snapshot: which part of it, from 0 on. */
  readonly part?: number;
  readonly isLastPart?: boolean;
}

export type RawTombstoneEntry =
  | RawRound
  /** Intact, and no round that this version knows. */
  | { readonly kind: 'unknown'; readonly offset: number; readonly bytes: number; readonly code: number }
  | RawBad;

export interface RawTombstonesOptions {
  /** Default the real file system. */
  readonly vfs?: Vfs;
  /** Aborted: opening rejects with its reason. */
  readonly signal?: AbortSignal;
}

const NAMES = optionNames('vfs', 'signal');

/** Made by `RawTombstones.open`. Holds a descriptor until `close`. */
export class RawTombstones implements AsyncDisposable {
  readonly path: string;
  readonly header: FileHeader;
  /** One of the two copies of the header is damaged. */
  readonly headerDamaged: boolean;
  /** Of the file, when it was opened: as far as the iterations go. */
  readonly size: number;
  readonly #file: VfsFile;
  readonly #seed: number;

  private constructor(file: VfsFile, header: FileHeader, seed: number, damaged: boolean, size: number) {
    if (typeof header !== 'object') {
      throw new TypeError('a tombstone log is opened by RawTombstones.open(path), which resolves with it');
    }
    this.path = file.path;
    this.header = header;
    this.headerDamaged = damaged;
    this.size = size;
    this.#file = file;
    this.#seed = seed;
  }

  /**
   * Reads the header.
   * @throws EVAQ_NOT_A_STORE if it is no tombstone log (or a new one that is still blank), EVAQ_UNSUPPORTED_VERSION, EVAQ_IO;
   *   EVAQ_CORRUPT if both copies of the header are damaged
   */
  static async open(path: string | URL, options: RawTombstonesOptions = {}): Promise<RawTombstones> {
    requireNoMore(arguments.length, 2, 'open');
    const at = storePathOf(path);
    requireOptions(options, 'open', NAMES);
    requireVfs(options.vfs);
    const signal = signalOf(options, 'open');
    throwIfAborted(signal);
    const { file, header, seed, damaged, size } = await openRawFile(at, 'tombstones', options.vfs ?? nodeVfs);
    if (signal?.aborted === true) {
      await file.close().catch(() => undefined);
      throw signal.reason;
    }
    return new RawTombstones(file, header, seed, damaged, size);
  }

  /** Every round, both of its copies, and every range that is none, from the front to the end of the file. @throws EVAQ_IO */
  async *rounds(options?: WaitOptions): AsyncGenerator<RawTombstoneEntry, void, undefined> {
    const signal = waitOf(arguments.length, 1, options, 'rounds');
    const scanner = new CommitScanner(this.#file, this.#seed, FILE_HEADER_BYTES, this.size, 'resync');
    for (;;) {
      throwIfAborted(signal);
      let outcome: Awaited<ReturnType<CommitScanner['next']>>;
      try {
        outcome = await scanner.next();
      } catch (error) {
        throw reported(error, `reading ${this.path}`, { path: this.path, offset: scanner.offset });
      }
      throwIfAborted(signal);
      if (outcome === 'end') return;
      yield outcome === 'bad' ? badOf(scanner) : roundOf(scanner);
    }
  }

  /** The IDs that this log removes, as ascending ranges, merged. @throws EVAQ_IO */
  async removed(options?: WaitOptions): Promise<IdRange[]> {
    const signal = waitOf(arguments.length, 1, options, 'removed');
    const all: IdRange[] = [];
    for await (const entry of this.rounds(signal === undefined ? {} : { signal })) {
      if ('removed' in entry) for (const range of entry.removed) all.push(range);
    }
    return mergeRanges(all);
  }

  async close(): Promise<void> {
    requireNoMore(arguments.length, 0, 'close');
    return this.#file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}

function roundOf({ header, offset, buffer, bodyAt }: CommitScanner): RawTombstoneEntry {
  const bytes = COMMIT_HEADER_BYTES + header.bodyBytes;
  const removed: IdRange[] = [];
  const statement = decodeRound(header, buffer, bodyAt, (first, last) => removed.push({ first, last }));
  if (statement === undefined) return { kind: 'unknown', offset, bytes, code: header.kind };
  const { kind, liveRecords, timestamp, round, nextId, accountedBelow, dataSegmentId, dataOffset } = statement;
  const { sealedBelow, segmentIdMax } = statement;
  const { durableOffset } = header;
  const told = { offset, bytes, round, timestamp, removed, nextId, accountedBelow, dataSegmentId, dataOffset };
  const more = { sealedBelow, segmentIdMax, durableOffset };
  if (kind === KIND_REMOVALS) return { kind: 'removals', ...told, ...more };
  if (kind === KIND_CLOSE) return { kind: 'close', ...told, ...more, live: liveRecords };
  const snapshot = { part: Math.floor(liveRecords / 2), isLastPart: liveRecords % 2 === 1 };
  return { kind: 'snapshot', ...told, ...more, ...snapshot };
}
