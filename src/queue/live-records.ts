/**
 * The records of a queue that is open for writing, one after the other: the source of `records()` and `tail()`.
 *
 * Invariants
 * - What is handed out is live at that moment (P13): a record of the batch in hand that was removed since is left out, one that is claimed is
 *   waited for; not for ever (P14): where one claim follows the other it is handed out while one is under way.
 * - Nothing live is passed over: the next batch begins behind what the last one covered, and a read leaves nothing live out.
 * - Nothing is handed out to who asks when the queue has begun to close: by the end of that it may be another writer's.
 */
import type { ReadOutcome } from '../log/log-reader.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordSource } from '../log/record-iterator.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Claims } from './claims.js';
import { CLAIM_WAITS_MAX } from './live-reads.js';
import type { Waiters } from './waiters.js';

export interface LiveRecordsOptions {
  readonly log: SegmentLog;
  readonly claims: Claims;
  readonly read: (from: number, to: number) => Promise<ReadOutcome>;
  /** False once nobody may begin to ask any more. */
  readonly isOpen: () => boolean;
  /** What is thrown then, but by a tail, which ends. */
  readonly closed: () => Error;
  /** Runs what a close is to wait for. */
  readonly finishing: <T>(body: () => Promise<T>) => Promise<T>;
}

/** What a tail needs beside. */
export interface Following {
  /** That the queue closes is news, too, and that the store has stopped. */
  readonly news: Waiters;
  /** Why nothing can come any more, if the store has stopped. */
  readonly failure: () => Error | undefined;
  /** Every ID below it has come, or never will. */
  readonly settledBelow: () => number;
  /** Keeps the process until the result is called. */
  readonly hold: () => () => void;
}

const NOTHING: readonly QueueRecord[] = [];

export class LiveRecords implements RecordSource {
  readonly #options: LiveRecordsOptions;
  readonly #following: Following | undefined;
  readonly #to: number;
  #from: number;
  #batch: readonly QueueRecord[] = NOTHING;
  #at = 0;
  /** How often the record at hand was waited for. */
  #waits = 0;
  /** As the log counted when the batch was begun: as long as it does, all of the batch is live. */
  #changes = -1;
  #ahead: { readonly changes: number; readonly read: Promise<ReadOutcome> } | undefined;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(options: LiveRecordsOptions, from: number, to: number, following?: Following) {
    this.#options = options;
    this.#from = from;
    this.#to = to;
    this.#following = following;
  }

  readonly inHand = (): QueueRecord | undefined => (this.#options.isOpen() ? this.#take() : undefined);

  readonly next = async (): Promise<QueueRecord | undefined> => {
    const { isOpen, closed, finishing } = this.#options;
    if (this.#following !== undefined) return isOpen() ? this.#next() : undefined;
    if (!isOpen()) throw closed();
    return finishing(() => this.#next());
  };

  readonly stop = (): void => {
    this.#stopped = true;
    this.#batch = NOTHING;
    this.#wake();
  };

  readonly settled = async (): Promise<void> => {
    await this.#ahead?.read.catch(() => undefined);
  };

  #take(): QueueRecord | undefined {
    const { log, claims } = this.#options;
    for (let record = this.#batch[this.#at]; record !== undefined; record = this.#batch[this.#at]) {
      if (this.#changes === log.changes || log.isLive(record.id)) {
        this.#at++;
        this.#waits = 0;
        return record;
      }
      const isClaimed = claims.at(record.id) !== undefined;
      if (isClaimed && this.#waits < CLAIM_WAITS_MAX) return undefined;
      this.#at++;
      this.#waits = 0;
      if (isClaimed) return record;
    }
    return undefined;
  }

  async #next(): Promise<QueueRecord | undefined> {
    for (;;) {
      const record = this.#take();
      if (record !== undefined) return record;
      if (this.#stopped) return undefined;
      const waiting = this.#batch[this.#at];
      if (waiting !== undefined) {
        this.#waits++;
        await this.#outcome(waiting.id);
      } else if (!(await this.#nextBatch())) return undefined;
    }
  }

  /** False at the end. */
  async #nextBatch(): Promise<boolean> {
    const following = this.#following;
    if (this.#from > this.#to || (following !== undefined && !this.#options.isOpen())) return false;
    const seen = following?.news.version;
    this.#ahead ??= this.#begin();
    const { read, changes } = this.#ahead;
    this.#ahead = undefined;
    const { records } = await read;
    if (this.#stopped) return false;
    const last = records.at(-1);
    if (last === undefined) {
      if (following === undefined) return false;
      if (following.news.version === seen) return this.#more(following);
      return true;
    }
    this.#batch = records;
    this.#at = 0;
    this.#changes = changes;
    this.#from = last.id + 1;
    // A tail that is up to date would find nothing yet.
    if (following === undefined && this.#from <= this.#to) {
      this.#ahead = this.#begin();
      // Its failure shows when it is awaited, or not at all if nobody comes that far.
      this.#ahead.read.catch(() => undefined);
    }
    return true;
  }

  /** Waits for more where nothing is there. False if nothing can come any more; throws if that is because the store has stopped. */
  async #more(following: Following): Promise<boolean> {
    const failure = following.failure();
    if (failure !== undefined) throw failure;
    if (this.#to < following.settledBelow()) {
      // What is claimed may be given back.
      const claimed = this.#options.claims.nextClaimed(this.#from);
      if (claimed === undefined || claimed > this.#to) return false;
      await this.#outcome(claimed);
    } else {
      await this.#news(following);
    }
    return true;
  }

  #begin(): { readonly changes: number; readonly read: Promise<ReadOutcome> } {
    const { log, read } = this.#options;
    return { changes: log.changes, read: read(this.#from, this.#to) };
  }

  /** Resolves when the claim on that record has ended, or the iteration. */
  #outcome(id: number): Promise<void> {
    const claim = this.#options.claims.at(id);
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (claim === undefined) resolve();
      else void claim.outcome.then(() => resolve());
    });
  }

  /** Resolves at the next news, or when the iteration ends. The process is held meanwhile: somebody awaits the next record. */
  async #news({ news, hold }: Following): Promise<void> {
    const release = hold();
    let leave: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      leave = news.add(resolve);
    });
    leave();
    release();
  }
}
