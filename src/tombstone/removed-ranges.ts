/**
 * Ranges of removed IDs as a tombstone log tells them: in no order, with repetitions, and a million of them if removed and live records
 * alternate. So they are kept as numbers and not as objects.
 */
import type { IdRange } from '../ids.js';
import { mergeRanges } from './id-ranges.js';

export class RemovedRanges {
  readonly firsts: number[] = [];
  readonly lasts: number[] = [];
  /** The highest ID in any of them; 0 if there is none. */
  last = 0;

  get count(): number {
    return this.firsts.length;
  }

  add(first: number, last: number): void {
    this.firsts.push(first);
    this.lasts.push(last);
    if (last > this.last) this.last = last;
  }

  /** Those that reach into [first, last], merged. */
  within(first: number, last: number): IdRange[] {
    const ranges: IdRange[] = [];
    for (let i = 0; i < this.firsts.length; i++) {
      const range = { first: this.firsts[i] ?? 0, last: this.lasts[i] ?? 0 };
      if (range.first <= last && range.last >= first) ranges.push(range);
    }
    return mergeRanges(ranges);
  }
}
