/**
 * Sets of record IDs as ascending, disjoint, maximal ranges: what a round of removals is made of.
 */
import type { IdRange } from '../ids.js';

/** The same set, sorted and merged. */
export function mergeRanges(ranges: readonly IdRange[]): IdRange[] {
  const merged: IdRange[] = [];
  let sorted = true;
  for (let i = 1; i < ranges.length; i++) {
    if ((ranges[i]?.first ?? 0) < (ranges[i - 1]?.first ?? 0)) {
      sorted = false;
      break;
    }
  }
  const ascending = sorted ? ranges : [...ranges].sort((a, b) => a.first - b.first);
  for (const range of ascending) {
    const last = merged.at(-1);
    if (last !== undefined && range.first <= last.last + 1) {
      if (range.last > last.last) merged[merged.length - 1] = { first: last.first, last: range.last };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

/** The union of two such sets, in one pass over both. */
export function joinRanges(some: readonly IdRange[], others: readonly IdRange[]): readonly IdRange[] {
  if (some.length === 0) return others;
  if (others.length === 0) return some;
  const joined: IdRange[] = [];
  let first = -1;
  let last = -2;
  let i = 0;
  let j = 0;
  while (i < some.length || j < others.length) {
    const a = some[i];
    const b = others[j];
    const next = b === undefined || (a !== undefined && a.first <= b.first) ? a : b;
    if (next === undefined) break;
    if (next === a) i++;
    else j++;
    if (next.first > last + 1) {
      if (first >= 0) joined.push({ first, last });
      first = next.first;
      last = next.last;
    } else if (next.last > last) {
      last = next.last;
    }
  }
  if (first >= 0) joined.push({ first, last });
  return joined;
}

/** How many IDs are in disjoint ranges. */
export function countIds(ranges: Iterable<IdRange>): number {
  let count = 0;
  for (const range of ranges) count += range.last - range.first + 1;
  return count;
}

/** Throws at the first broken invariant of a merged set. */
export function checkRanges(ranges: readonly IdRange[]): void {
  let previous = -Infinity;
  for (const { first, last } of ranges) {
    if (!(Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last)) {
      throw new Error(`evaq: not a range: ${first}..${last}`);
    }
    if (first <= previous + 1) throw new Error(`evaq: ranges overlap, touch or descend at ${first}`);
    previous = last;
  }
}
