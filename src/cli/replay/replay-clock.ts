/**
 * When the next record is due: so many a second at most, or as far behind the first one as it was when they were pushed, faster or slower. Times are those
 * of a clock that never goes back; the records' own may.
 */
export interface ReplayPace {
  /** Records a second; `undefined`: no bound. */
  readonly rate: number | undefined;
  /** 1 is as they were pushed, 10 ten times as fast; `undefined`: without waiting. */
  readonly speed: number | undefined;
}

export class ReplayClock {
  readonly #pace: ReplayPace;
  #first: { readonly timestamp: number; readonly nowMs: number } | undefined;
  /** Before this no record goes. */
  #nextMs = -Infinity;

  constructor(pace: ReplayPace) {
    this.#pace = pace;
  }

  /** How long to wait with a record of that time, which is the next one. What was late is not caught up. */
  waitMs(timestamp: number, nowMs: number): number {
    const { rate, speed } = this.#pace;
    let dueMs = this.#nextMs;
    if (speed !== undefined) {
      this.#first ??= { timestamp, nowMs };
      dueMs = Math.max(dueMs, this.#first.nowMs + (timestamp - this.#first.timestamp) / speed);
    }
    if (rate !== undefined) this.#nextMs = Math.max(dueMs, nowMs) + 1000 / rate;
    return Math.max(0, dueMs - nowMs);
  }
}
