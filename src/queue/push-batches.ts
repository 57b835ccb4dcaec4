/**
 * Which commit a push goes into: the batches that are pushed and not taken yet, in the order of the pushes.
 *
 * Pushes go into the open batch. It is full, and another is opened behind it, where it would grow past a part of a segment (a commit is never split,
 * so this is what lets segments roll), and where its records would have another time. Everything is synchronous.
 */
import { type Host, timeOf } from '../vfs/host.js';
import { PushBatch } from './push-batch.js';

/** A batch of pushes grows to this part of a segment; a `pushMany` alone may be larger. */
const BATCHES_PER_SEGMENT = 4;

/** A record's time is that of the first push of its batch: one at which the clock says something else by more than this begins another batch. */
const BATCH_TIME_MS_MAX = 1000;
/** But where so many are full already nothing is gained by one more: each has memory of its own, and a clock may say anything. */
const BATCHES_BY_TIME_MAX = 8;
/** Looking at the clock costs a tenth of a small push. Behind so many in a batch one push of as many looks. */
const PUSHES_A_LOOK = 16;

export interface PushBatchesOptions {
  readonly host: Host;
  readonly segmentBytes: number;
}

export class PushBatches {
  readonly #options: PushBatchesOptions;
  #open = new PushBatch();
  /** In front of the open one. */
  readonly #full: PushBatch[] = [];
  #spare: PushBatch | undefined = new PushBatch();

  constructor(options: PushBatchesOptions) {
    this.#options = options;
  }

  /** The one that takes pushes: another one after the next call. */
  get open(): PushBatch {
    return this.#open;
  }

  /** So many are to be committed before the open one. */
  get fullCount(): number {
    return this.#full.length;
  }

  /** Of the records in all of them. */
  get count(): number {
    let { count } = this.#open;
    for (const batch of this.#full) count += batch.count;
    return count;
  }

  /** The batch of the newest push. */
  get newest(): PushBatch | undefined {
    return this.#open.count > 0 ? this.#open : this.#full.at(-1);
  }

  /** What the clock says, or has said a few pushes before. */
  timeOfPush(): number {
    const { count, timestamp } = this.#open;
    const looks = count < PUSHES_A_LOOK || count % PUSHES_A_LOOK === 0;
    return looks ? timeOf(this.#options.host) : timestamp;
  }

  /** The open batch, which can take a push of this size and time. */
  openFor(bytes: number, timestamp: number): PushBatch {
    const { segmentBytes } = this.#options;
    const open = this.#open;
    if (open.count > 0) {
      const fits = open.length + bytes <= segmentBytes / BATCHES_PER_SEGMENT;
      const isOfItsTime = Math.abs(timestamp - open.timestamp) <= BATCH_TIME_MS_MAX;
      if (fits && (isOfItsTime || this.#full.length >= BATCHES_BY_TIME_MAX)) return open;
      this.#full.push(open);
      this.#open = this.fresh();
    }
    this.#open.timestamp = timestamp;
    return this.#open;
  }

  /** An empty one, for a commit of its own. */
  fresh(): PushBatch {
    const batch = this.#spare ?? new PushBatch();
    this.#spare = undefined;
    return batch;
  }

  /** One that is settled, and of which no write is under way, may be used again. */
  giveBack(batch: PushBatch): void {
    batch.reset();
    this.#spare ??= batch;
  }

  /** Takes the next one to commit. */
  takeNext(): PushBatch | undefined {
    const full = this.#full.shift();
    if (full !== undefined) return full;
    return this.#open.count === 0 ? undefined : this.takeOpen();
  }

  takeOpen(): PushBatch {
    const batch = this.#open;
    this.#open = this.fresh();
    return batch;
  }

  /** Takes all that hold a push, in order. */
  takeAll(): PushBatch[] {
    const batches = this.#full.splice(0);
    if (this.#open.count > 0) batches.push(this.takeOpen());
    return batches;
  }

  /** Nothing is committed any more: hands each to `drop`, which settles it. */
  dropAll(drop: (batch: PushBatch) => void): void {
    const open = this.#open;
    for (const batch of [...this.#full.splice(0), open]) drop(batch);
    open.reset();
  }
}
