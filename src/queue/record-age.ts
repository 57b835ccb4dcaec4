/**
 * How old records are, by clocks that may jump: for their expiry, which must not come too early, and not much too late.
 *
 * Of what was pushed since the queue was opened a clock that never goes back tells: at each *mark* it is noted up to which ID there are records, and those
 * are as old as the mark at least. Of what was there before dates tell, as they stood when the queue was opened: from then on the same clock counts.
 * A date that goes back later makes nobody older; one that goes ahead is believed when it has stayed there for a while.
 */
import type { TimeSpan } from '../segment/segment-times.js';

/** More marks are thinned out: then some records are older than is known. */
const MARKS_MAX = 16_384;
/** So long a date has to be ahead until it is believed, or as long as records may get old, if that is less. */
const BELIEVED_MS = 10 * 60_000;

/** Ages by marks. */
export class AgeMarks {
  #marks: { readonly id: number; readonly atMs: number }[] = [];

  get isEmpty(): boolean {
    return this.#marks.length === 0;
  }

  /** All up to `id` are there at `atMs`, which never goes back. */
  note(id: number, atMs: number): void {
    if (id <= (this.#marks.at(-1)?.id ?? 0)) return;
    this.#marks.push({ id, atMs });
    // The later of two stays: it makes nobody older.
    if (this.#marks.length > MARKS_MAX) this.#marks = this.#marks.filter((_, i) => i % 2 === 1);
  }

  /** The highest ID whose mark is of that time or before; 0: none is. What is answered is not asked again. */
  takeThrough(atMs: number): number {
    let taken = 0;
    while ((this.#marks[taken]?.atMs ?? Infinity) <= atMs) taken++;
    const id = this.#marks[taken - 1]?.id ?? 0;
    if (taken > 0) this.#marks.splice(0, taken);
    return id;
  }
}

/** A date that goes as the other clock does, and follows the host's in so far as that is to be believed. */
export class SteadyDate {
  readonly #believedMs: number;
  #dateMs: number;
  #elapsedMs: number;
  /** Since when the host's has been ahead, and by how much at least. */
  #ahead: { readonly sinceMs: number; readonly leastMs: number } | undefined;

  constructor(dateMs: number, elapsedMs: number, ageMs: number) {
    this.#dateMs = dateMs;
    this.#elapsedMs = elapsedMs;
    this.#believedMs = Math.min(ageMs, BELIEVED_MS);
  }

  /** What it is, as the two clocks say this. */
  advance(dateMs: number, elapsedMs: number): number {
    this.#dateMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
    const aheadMs = dateMs - this.#dateMs;
    if (aheadMs <= 0) {
      this.#ahead = undefined;
      this.#dateMs = dateMs;
      return dateMs;
    }
    const { sinceMs, leastMs } = this.#ahead ?? { sinceMs: elapsedMs, leastMs: aheadMs };
    this.#ahead = { sinceMs, leastMs: Math.min(leastMs, aheadMs) };
    if (elapsedMs - sinceMs < this.#believedMs) return this.#dateMs;
    this.#dateMs += this.#ahead.leastMs;
    this.#ahead = undefined;
    return this.#dateMs;
  }
}

/** The date that counts of records of a span: no earlier than that of those before, no later than when the queue was opened. */
export function countedSpan(
  spans: readonly TimeSpan[],
  span: TimeSpan,
  openedMs: number,
): (timestamp: number) => number {
  let floor = 0;
  for (const before of spans) {
    if (before === span) break;
    if (before.maxMs <= openedMs) floor = Math.max(floor, before.maxMs);
  }
  return (timestamp) => Math.min(openedMs, Math.max(floor, timestamp));
}
