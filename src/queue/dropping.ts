/**
 * Records that a queue removes by itself, to keep within its limits: which may go, the removal, which is one like any other, and the report.
 *
 * Invariants
 * - What is being handled is not dropped: what a delivery has leased, and what a pop or a move has claimed, which is not live.
 * - It is looked at and marked dead in one synchronous stretch.
 * - The oldest go first, of those that may go at the call: also one that was handled a moment ago.
 * - A report comes once for each, when its removal is durable in the mode in force.
 */
import { channel } from 'node:diagnostics_channel';
// Under this name everybody unwraps the package alike (see `position-index.ts`).
import { BTreeEx } from 'sorted-btree/extended/index.js';
import type { IdRange } from '../ids.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Claims } from './claims.js';
import { MANY_IDS, type Removing } from './removing.js';

/** 'full': there was no room for another. 'expired': it was older than `ageMs`. */
export type DropCause = 'full' | 'expired';

/** What is published on the diagnostics channel `evaq:dropped`, when records that a limit has cost are gone for good. */
export interface DroppedMessage {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  /** The folder of the queue. */
  readonly path: string;
  readonly cause: DropCause;
  readonly records: number;
  /** Their IDs, ascending. */
  readonly ranges: readonly { readonly first: number; readonly last: number }[];
}

const DROPPED = channel('evaq:dropped');
/** The last ranges of dropped IDs that `stats` shows. */
const RANGES_MAX = 16;
/** A removal of `MANY_IDS` and more lets others have their turn before anything is marked dead. */
const AT_ONCE_MAX = MANY_IDS - 1;

export interface DroppingOptions {
  readonly storeId: string;
  readonly queue: string;
  readonly dir: string;
  readonly log: Pick<SegmentLog, 'firstLive' | 'isLive'>;
  readonly claims: Pick<Claims, 'isLeased'>;
  readonly removing: Pick<Removing, 'removeMany'>;
  readonly whenNothingOwed: (action: () => void) => void;
  /** Why the store has stopped, if it has. */
  readonly failure: () => unknown;
  /** Runs what `close` is to wait for. */
  readonly finishing: <T>(body: () => Promise<T>) => Promise<T>;
}

export class Dropping {
  readonly #options: DroppingOptions;
  /** How many were dropped since the queue was opened, by cause. */
  readonly counts: Record<DropCause, number> = { full: 0, expired: 0 };
  #ranges: IdRange[] = [];
  /** Where the oldest that may be dropped is looked for. What is live in front of it was being handled when it was passed over. */
  #from = 0;
  /** In front of it, and not being handled any more. */
  readonly #freed: BTreeEx<number, undefined> = new BTreeEx<number, undefined>(undefined, (a, b) => a - b);

  constructor(options: DroppingOptions) {
    this.#options = options;
  }

  /** The last IDs that were dropped. */
  get ranges(): readonly IdRange[] {
    return this.#ranges;
  }

  /**
   * Drops the oldest until `isEnough` says so, asked with each ID that would go; false, and nothing is dropped, where there are not so many. What is leased
   * is passed over once, until `freed` tells of it: a call costs what it drops.
   */
  dropOldest(isEnough: (id: number) => boolean): boolean {
    const ids = this.#collect(isEnough);
    if (ids === undefined) {
      this.#from = 0;
      this.#freed.clear();
      return false;
    }
    this.drop(ids, 'full');
    return true;
  }

  /** The record is not leased or claimed any more. */
  freed(id: number): void {
    if (id < this.#from && this.#options.log.isLive(id)) this.#freed.set(id, undefined);
  }

  /** The store has: nothing is removed any more. */
  get hasStopped(): boolean {
    return this.#options.failure() !== undefined;
  }

  /** The live records up to `last` that nobody handles, at most so many, ascending. */
  upTo(last: number, max: number): number[] {
    const { log, claims } = this.#options;
    const ids: number[] = [];
    for (let id = log.firstLive(0); id !== undefined && id <= last && ids.length < max; id = log.firstLive(id + 1))
      if (!claims.isLeased(id)) ids.push(id);
    return ids;
  }

  /** Removes these, which are live and not leased. They are hidden when it returns, unless the store has stopped. */
  drop(ids: readonly number[], cause: DropCause): void {
    for (let at = 0; at < ids.length; at += AT_ONCE_MAX) this.#drop(ids.slice(at, at + AT_ONCE_MAX), cause);
  }

  #drop(ids: readonly number[], cause: DropCause): void {
    const { removing, finishing, whenNothingOwed, failure } = this.#options;
    // Once the store has stopped nothing is removed any more.
    if (this.hasStopped) return;
    this.counts[cause] += ids.length;
    const ranges = rangesOf(ids);
    this.#ranges = joined(this.#ranges, ranges).slice(-RANGES_MAX);
    const report = (): void => this.#report(cause, ids.length, ranges);
    // It is owed where it could not be written. Where the store has stopped nothing is said: the next open shows what is so.
    const later = (): void => {
      if (failure() === undefined) whenNothingOwed(report);
    };
    finishing(() => removing.removeMany(ids)).then(report, later);
  }

  #collect(isEnough: (id: number) => boolean): number[] | undefined {
    const { log, claims } = this.#options;
    const ids: number[] = [];
    for (let id = this.#oldest(); id !== undefined; id = this.#oldest()) {
      // It may have gone, or be handled again.
      if (claims.isLeased(id) || !log.isLive(id)) continue;
      ids.push(id);
      if (isEnough(id)) return ids;
    }
    return undefined;
  }

  /** The next to look at: what was freed stands in front of all others. */
  #oldest(): number | undefined {
    const freed = this.#freed.size === 0 ? undefined : this.#freed.minKey();
    if (freed !== undefined) {
      this.#freed.delete(freed);
      return freed;
    }
    const next = this.#options.log.firstLive(this.#from);
    if (next !== undefined) this.#from = next + 1;
    return next;
  }

  #report(cause: DropCause, records: number, ranges: readonly IdRange[]): void {
    if (!DROPPED.hasSubscribers) return;
    const { storeId, queue, dir } = this.#options;
    const message: DroppedMessage = { storeId, queue, path: dir, cause, records, ranges };
    DROPPED.publish(message);
  }
}

/** Of ascending IDs. */
function rangesOf(ids: readonly number[]): IdRange[] {
  const ranges: { first: number; last: number }[] = [];
  for (const id of ids) {
    const last = ranges.at(-1);
    if (last !== undefined && last.last + 1 === id) last.last = id;
    else ranges.push({ first: id, last: id });
  }
  return ranges;
}

/** One list behind the other, without a seam where there is none. */
function joined(some: readonly IdRange[], more: readonly IdRange[]): IdRange[] {
  const last = some.at(-1);
  const [first, ...rest] = more;
  if (last === undefined || first === undefined || last.last + 1 !== first.first) return [...some, ...more];
  return [...some.slice(0, -1), { first: last.first, last: first.last }, ...rest];
}
