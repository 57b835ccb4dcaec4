/**
 * So many a second, evenly: what was late is not caught up, so that no second has more. Times are those of a clock that never goes back.
 */

/** Batches of a tenth of a second, as far as that is a record. */
const BATCHES_PER_SECOND = 10;

export class Pace {
  readonly #perSecond: number;
  #dueMs = -Infinity;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** So many may go together. */
  get batch(): number {
    return Math.max(1, Math.floor(this.#perSecond / BATCHES_PER_SECOND));
  }

  /** Until the next ones may go. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#dueMs - nowMs);
  }

  /** So many begin to go now. */
  went(count: number, nowMs: number): void {
    this.#dueMs = Math.max(this.#dueMs, nowMs) + (count * 1000) / this.#perSecond;
  }
}
