/**
 * Nothing is pushed that could not be removed again on a full disk: before a commit is placed there has to be space, already given out by the file
 * system, for removing every record of the queue in any order (`tombstone-spare.ts`), and for opening the store again (`opening-file.ts`). So what
 * removals free renews the reserve before a push can take it.
 *
 * A blocking push cannot wait for that. It is refused only where the last try found no space.
 */
import { isNoSpace } from '../errors.js';
import { type FailStop, SyncFailure } from '../fail-stop.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { OpeningFile } from '../segment/opening-file.js';
import { RESERVE_BYTES_MAX, reserveBytesFor, snapshotBytesOfRecord } from '../tombstone/tombstone-spare.js';
import { removableOf } from './opening-reserve.js';

/** It grows for so many records at least, and for this part of those that there are. */
const RECORDS_A_STEP = 1024;
const STEP_SHARE = 1 / 4;
/** In steps of what file systems give out. */
const BLOCK_BYTES = 4096;
/** It is given back where it is so many times what is needed: what comes and goes again needs it again. */
const SURPLUS = 4;

export interface PushReserveOptions {
  readonly log: SegmentLog;
  /** Dropped, but their files are still there. */
  readonly dying: Iterable<LogSegment>;
  readonly openingFile: OpeningFile;
  /** Where removals are written. */
  readonly removals: {
    readonly reserveBytes: number;
    reserve(bytes: number): Promise<void>;
    giveBack(bytes: number): Promise<void>;
  };
  readonly failStop: FailStop;
  readonly nextId: number;
}

export class PushReserve {
  readonly #options: PushReserveOptions;
  /** Below this ID records can be pushed. */
  #coveredTo = 0;
  #renewing: Promise<void> | undefined;
  /** Where the next step is made ahead of time: once. */
  #aheadAt = 0;
  #isRefused: boolean;

  constructor(options: PushReserveOptions) {
    this.#options = options;
    this.#measure(options.nextId, options.removals.reserveBytes);
    this.#isRefused = !options.openingFile.isThere || options.removals.reserveBytes === 0;
  }

  /** The last try to renew it found no space. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Whether it is there for all records below this ID. */
  covers(nextId: number): boolean {
    const { openingFile, removals } = this.#options;
    return nextId <= this.#coveredTo && openingFile.isThere && removals.reserveBytes > 0;
  }

  /** Begins to renew it where it will not do for long. Never throws. */
  lookAhead(nextId: number): void {
    if (nextId < this.#aheadAt || this.#renewing !== undefined) return;
    this.#aheadAt = Infinity;
    this.renew(nextId, 0).catch(() => undefined);
  }

  /** Sees to it that it is there for `count` records from this ID on, the next one, and some more. Rejects with a system error where there is no space for it, or with EVAQ_FAILED. */
  renew(nextId: number, count: number): Promise<void> {
    this.#renewing ??= this.#renew(nextId, count).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** For a queue that has come to rest: of many records that were there once only what those need is kept that are there. Never rejects. */
  giveBack(nextId: number): Promise<void> {
    const { removals } = this.#options;
    const wanted = this.#wanted(0);
    if (this.#renewing !== undefined || removals.reserveBytes <= SURPLUS * wanted) return Promise.resolve();
    // What is pushed meanwhile goes by what will be there.
    this.#measure(nextId, wanted);
    this.#renewing = removals.giveBack(wanted).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(nextId: number, count: number): Promise<void> {
    const { openingFile, removals, failStop } = this.#options;
    try {
      await openingFile.ensure();
      await removals.reserve(this.#wanted(count));
      this.#measure(nextId, removals.reserveBytes);
      this.#isRefused = false;
    } catch (error) {
      if (error instanceof SyncFailure) throw failStop.fail(error, 'keeping space for opening', error.path);
      this.#isRefused = isNoSpace(error);
      throw error;
    }
  }

  /** For all records that there are, and a step of them more. */
  #wanted(count: number): number {
    const { bytes, ofRecord, records } = this.#needed();
    const step = Math.ceil(Math.max(RECORDS_A_STEP, records * STEP_SHARE, count));
    return Math.min(RESERVE_BYTES_MAX, Math.ceil((bytes + step * ofRecord) / BLOCK_BYTES) * BLOCK_BYTES);
  }

  /** So much of it does for so many more records. */
  #measure(nextId: number, reserveBytes: number): void {
    const { bytes, ofRecord } = this.#needed();
    const isLargest = reserveBytes >= RESERVE_BYTES_MAX;
    const more = isLargest ? Number.MAX_SAFE_INTEGER : Math.max(0, Math.floor((reserveBytes - bytes) / ofRecord));
    this.#coveredTo = Math.min(Number.MAX_SAFE_INTEGER, nextId + more);
    this.#aheadAt = nextId + Math.floor(more / 2);
  }

  #needed(): { readonly bytes: number; readonly ofRecord: number; readonly records: number } {
    const { log, dying } = this.#options;
    const removable = removableOf([...log.segments, ...dying]);
    return {
      bytes: reserveBytesFor(removable),
      ofRecord: snapshotBytesOfRecord(removable),
      records: removable.records,
    };
  }
}
