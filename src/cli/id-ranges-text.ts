/** IDs for people: as merged ranges, and no more of them than one reads. */
import type { IdRange } from '../ids.js';
import { mergeRanges } from '../tombstone/id-ranges.js';

const SHOWN_MAX = 8;

/** `291 to 312, 480 to 502 and 40 more ranges`. */
export function describeRanges(ranges: readonly IdRange[], shownMax: number = SHOWN_MAX): string {
  const merged = mergeRanges(ranges);
  // One more is said as shortly as that there is one more.
  const shown = merged.length <= shownMax + 1 ? merged : merged.slice(0, shownMax);
  const texts = shown.map(({ first, last }) => (first === last ? `${first}` : `${first} to ${last}`)).join(', ');
  const more = merged.length - shown.length;
  return more === 0 ? texts : `${texts} and ${more} more ranges`;
}

/** The same of single IDs. */
export function describeIds(ids: readonly number[], shownMax?: number): string {
  return describeRanges(
    ids.map((id) => ({ first: id, last: id })),
    shownMax,
  );
}
