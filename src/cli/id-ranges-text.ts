/** IDs for people: as merged ranges, and no more of them than one reads. */
import type { IdRange } from '../ids.js';
import { mergeRanges } from '../tombstone/id-ranges.js';

const SHOWN_MAX = 8;

/** `291 to 312, 480 to 502 and 40 more ranges`. */
export function describeRanges(ranges: readonly IdRange[], shownMax: number = SHOWN_MAX): string {
  const merged = mergeRanges(ranges);
  return rangesText(merged.slice(0, shownMax + 1), merged.length, shownMax);
}

/** The same of single IDs. */
export function describeIds(ids: readonly number[], shownMax?: number): string {
  return describeRanges(
    ids.map((id) => ({ first: id, last: id })),
    shownMax,
  );
}

/** The same of IDs that ascend, as they come: however many they are, it keeps no more of them than it tells. */
export class IdTally {
  readonly #shown: { first: number; last: number }[] = [];
  #lastId = -1;
  #ranges = 0;
  count = 0;

  add(id: number): void {
    this.count++;
    const last = this.#shown.at(-1);
    if (id !== this.#lastId + 1 || this.#ranges === 0) {
      this.#ranges++;
      if (this.#shown.length <= SHOWN_MAX) this.#shown.push({ first: id, last: id });
    } else if (last !== undefined && this.#ranges === this.#shown.length) {
      last.last = id;
    }
    this.#lastId = id;
  }

  describe(): string {
    return rangesText(this.#shown, this.#ranges, SHOWN_MAX);
  }
}

/** `first`: the first `shownMax` + 1 of `count`. */
function rangesText(first: readonly IdRange[], count: number, shownMax: number): string {
  // One more is said as shortly as that there is one more.
  const shown = count <= shownMax + 1 ? first : first.slice(0, shownMax);
  const texts = shown.map(({ first: from, last }) => (from === last ? `${from}` : `${from} to ${last}`)).join(', ');
  const more = count - shown.length;
  return more === 0 ? texts : `${texts} and ${more} more ranges`;
}
