/**
 * What is owed: removals that were asked for and could not be written. They go with the next round, which comes by itself after a while if nobody asks
 * for one, so that memory and disk agree again as soon as they can.
 */
import type { FailStop } from '../fail-stop.js';
import type { IdRange } from '../ids.js';
import type { LogSegment } from '../log/log-segment.js';
import type { Host } from '../vfs/host.js';

/** It is tried again by itself after so long, each time twice as long after another failure. */
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5_000;

/** Merged ranges, and how many records of which segments they are. */
export interface Removals {
  readonly ranges: readonly IdRange[];
  readonly touched: ReadonlyMap<LogSegment, number>;
}

export interface OwedRemovalsOptions {
  readonly host: Host;
  readonly failStop: FailStop;
}

const NOTHING: Removals = { ranges: [], touched: new Map() };

/** 'due': it is tried again after a while. 'over': it is not any more. */
type Retry = { readonly kind: 'none' | 'over' } | { readonly kind: 'due'; readonly cancel: () => void };

export class OwedRemovals {
  readonly #options: OwedRemovalsOptions;
  readonly #tryAgain: () => void;
  #owed = NOTHING;
  /** Called when nothing is owed any more. */
  #settling: (() => void)[] = [];
  #retryMs = RETRY_MS_MIN;
  #retry: Retry = { kind: 'none' };

  /** `tryAgain` asks for a round. */
  constructor(options: OwedRemovalsOptions, tryAgain: () => void) {
    this.#options = options;
    this.#tryAgain = tryAgain;
  }

  get ranges(): readonly IdRange[] {
    return this.#owed.ranges;
  }

  get isNothing(): boolean {
    return this.#owed.ranges.length === 0;
  }

  /** Whether the removal of `id` is. */
  has(id: number): boolean {
    const { ranges } = this.#owed;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle]?.last ?? Infinity) < id) low = middle + 1;
      else high = middle;
    }
    return (ranges[low]?.first ?? Infinity) <= id;
  }

  /** Whether that of any record up to `id` is. */
  hasUpTo(id: number): boolean {
    return (this.#owed.ranges[0]?.first ?? Infinity) <= id;
  }

  /** Calls `action` when nothing is owed any more: at once, or after the round that brings it to disk. */
  whenNothing(action: () => void): void {
    if (this.isNothing) action();
    else this.#settling.push(action);
  }

  /** A round takes it along. */
  take(): Removals {
    const owed = this.#owed;
    this.#owed = NOTHING;
    return owed;
  }

  /** A round could not be written: this is owed now. */
  owe(removals: Removals): void {
    this.#owed = removals;
    if (this.isNothing || this.#retry.kind !== 'none' || this.#options.failStop.error !== undefined) return;
    const cancel = this.#options.host.after(this.#retryMs, () => {
      this.#retry = { kind: 'none' };
      this.#retryMs = Math.min(RETRY_MS_MAX, 2 * this.#retryMs);
      if (!this.isNothing) this.#tryAgain();
    });
    this.#retry = { kind: 'due', cancel };
  }

  /** The round that took it along is durable in the mode in force. */
  noteSettled(): void {
    for (const settle of this.#settling.splice(0)) settle();
    this.#retryMs = RETRY_MS_MIN;
  }

  /** For `close`: nothing is tried again by itself from now on. */
  giveUpRetrying(): void {
    if (this.#retry.kind === 'due') this.#retry.cancel();
    this.#retry = { kind: 'over' };
  }
}
