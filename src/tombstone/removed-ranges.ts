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

  /** Parts of `ranges`, which ascend, that are in none of them. One look at each, whatever their order. */
  notIn(ranges: readonly IdRange[]): IdRange[] {
    const reaching: IdRange[] = [];
    for (let i = 0; i < this.firsts.length && ranges.length > 0; i++) {
      const first = this.firsts[i] ?? 0;
      const last = this.lasts[i] ?? 0;
      const next = ranges[lowerBound(ranges, first)];
      if (next !== undefined && next.first <= last) reaching.push({ first, last });
    }
    return without(ranges, mergeRanges(reaching));
  }
}

/** The first of ascending ranges that reaches up to `id`. */
function lowerBound(ranges: readonly IdRange[], id: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.last ?? Infinity) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Parts of the ranges that are in none of the others; both ascend. */
export function without(ranges: readonly IdRange[], others: readonly IdRange[]): IdRange[] {
  const left: IdRange[] = [];
  let at = 0;
  for (const { first, last } of ranges) {
    let next = first;
    for (let range = others[at]; range !== undefined && range.first <= last; range = others[++at]) {
      if (range.first > next) left.push({ first: next, last: range.first - 1 });
      next = Math.max(next, range.last + 1);
      // It may reach into the next one, too.
      if (range.last > last) break;
    }
    if (next <= last) left.push({ first: next, last });
  }
  return left;
}
