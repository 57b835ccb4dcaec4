/** What a queue with limits holds, by what its callers did: dumber than the engine, and asked when nothing is under way. */
import type { WhenFull } from '../../../src/evaq.js';

export const FRAME_BYTES = 8;

export interface Held {
  readonly bytes: number;
  /** The push was called and had resolved at these times, on the clock that never goes back. */
  readonly calledMs: number;
  readonly doneMs: number;
}

export interface Bounds {
  readonly records: number | undefined;
  readonly bytes: number | undefined;
  readonly whenFull: WhenFull;
}

export type Fate = 'in' | 'waits' | 'refused' | 'too large';

/** Sizes of records that are pushed together. */
export type Batch = readonly number[];

export class LimitsModel {
  readonly bounds: Bounds;
  /** By ID, ascending. */
  readonly live: Map<number, Held> = new Map();
  /** In a handler. */
  readonly handled: Set<number> = new Set();
  readonly waiting: Batch[] = [];
  /** Since the queue was opened. */
  dropped = 0;

  constructor(bounds: Bounds) {
    this.bounds = bounds;
  }

  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.live.values()) sum += bytes;
    return sum;
  }

  /** What becomes of a push that comes now. Where it comes in, what it drops is gone; itself it is not there yet. */
  push(batch: Batch): Fate {
    const { whenFull, records = Infinity, bytes = Infinity } = this.bounds;
    if (batch.length > records || bytesOf(batch) > bytes) return 'too large';
    if (whenFull === 'wait') {
      if (this.waiting.length === 0 && this.#fits(batch)) return 'in';
      this.waiting.push(batch);
      return 'waits';
    }
    if (this.#fits(batch)) return 'in';
    return whenFull === 'drop-oldest' && this.#drop(batch) ? 'in' : 'refused';
  }

  /** The batch that comes in next of those that wait, if any does. */
  next(): Batch | undefined {
    const [first] = this.waiting;
    if (first === undefined || !this.#fits(first)) return undefined;
    this.waiting.shift();
    return first;
  }

  /** It waits no longer, wherever it stood. */
  withdraw(batch: Batch): void {
    const at = this.waiting.indexOf(batch);
    if (at >= 0) this.waiting.splice(at, 1);
  }

  #fits(batch: Batch): boolean {
    const { records = Infinity, bytes = Infinity } = this.bounds;
    return this.live.size + batch.length <= records && this.bytes + bytesOf(batch) <= bytes;
  }

  #drop(batch: Batch): boolean {
    const before = new Map(this.live);
    for (const id of before.keys()) {
      if (this.handled.has(id)) continue;
      this.live.delete(id);
      this.dropped++;
      if (this.#fits(batch)) return true;
    }
    this.dropped -= before.size - this.live.size;
    this.live.clear();
    for (const [id, held] of before) this.live.set(id, held);
    return false;
  }
}

export function bytesOf(batch: Batch): number {
  return batch.reduce((sum, size) => sum + size + FRAME_BYTES, 0);
}
