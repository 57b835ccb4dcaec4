/**
 * A bound on deliveries per time: a bucket that holds `burst` tokens, and fills by `limit` tokens per `perMs`.
 * Times are those of a clock that never goes back.
 */
export interface RateOptions {
  /** Deliveries (records) in `perMs`. */
  readonly limit: number;
  readonly perMs: number;
  /** As many at once at most, after a pause. Default `limit`. */
  readonly burst?: number;
}

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor({ limit, perMs, burst = limit }: RateOptions, nowMs: number) {
    this.#perMs = limit / perMs;
    this.#burst = Math.max(1, burst);
    this.#tokens = this.#burst;
    this.#atMs = nowMs;
  }

  /** Tokens that are there, whole. */
  available(nowMs: number): number {
    this.#fill(nowMs);
    // Some sums of fractions are a hair below the whole they stand for.
    return Math.floor(this.#tokens + 1e-9);
  }

  take(count: number): void {
    this.#tokens -= count;
  }

  /** Until one token is there. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - this.#tokens) / this.#perMs));
  }

  #fill(nowMs: number): void {
    const passed = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + passed * this.#perMs);
  }
}
