/** How numbers are spread over powers of two: bounded memory, whatever they are. Bucket `i` holds what is above 2^(i-1) and at most 2^i; 0 and 1 are in the first. */

export interface HistogramBucket {
  /** The largest number that belongs to it. */
  readonly upTo: number;
  readonly count: number;
}

export interface HistogramFigures {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  /** Half are at most this, and so on: the upper end of the bucket, or the maximum. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** From the first that holds something to the last. */
  readonly buckets: readonly HistogramBucket[];
}

export class LogHistogram {
  readonly #counts: number[] = [];
  #count = 0;
  #sum = 0;
  #min = Infinity;
  #max = 0;

  add(value: number): void {
    const bucket = value <= 1 ? 0 : Math.ceil(Math.log2(value));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    this.#sum += value;
    this.#min = Math.min(this.#min, value);
    this.#max = Math.max(this.#max, value);
  }

  /** `undefined` where nothing was added. */
  figures(): HistogramFigures | undefined {
    if (this.#count === 0) return undefined;
    const first = this.#counts.findIndex((count) => count > 0);
    const buckets: HistogramBucket[] = [];
    for (let i = first; i < this.#counts.length; i++) buckets.push({ upTo: 2 ** i, count: this.#counts[i] ?? 0 });
    const [p50 = 0, p90 = 0, p99 = 0] = [0.5, 0.9, 0.99].map((share) => this.#quantile(share));
    return {
      count: this.#count,
      min: this.#min,
      mean: this.#sum / this.#count,
      max: this.#max,
      p50,
      p90,
      p99,
      buckets,
    };
  }

  #quantile(share: number): number {
    let seen = 0;
    for (const [i, count = 0] of this.#counts.entries()) {
      seen += count;
      if (seen >= share * this.#count) return Math.max(this.#min, Math.min(2 ** i, this.#max));
    }
    return this.#max;
  }
}
