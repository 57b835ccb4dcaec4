/** Progress on a terminal: how many so far, how many a second, and how long it will take where that is known; from the first second on. */
const EVERY_MS = 500;

export class Meter {
  readonly #what: string;
  readonly #total: number | undefined;
  readonly #isShown: boolean = process.stderr.isTTY;
  readonly #startedMs: number = performance.now();
  #shownMs: number = performance.now();
  #count = 0;
  #isThere = false;

  /** `total`: of what has an end after all. */
  constructor(what: string, total?: number) {
    this.#what = what;
    this.#total = total;
  }

  add(count: number): void {
    this.#count += count;
    if (!this.#isShown) return;
    const nowMs = performance.now();
    if (nowMs - this.#shownMs < EVERY_MS) return;
    this.#shownMs = nowMs;
    const rate = (this.#count * 1000) / Math.max(1, nowMs - this.#startedMs);
    const left = this.#total === undefined ? undefined : Math.max(0, this.#total - this.#count);
    const of = this.#total === undefined ? '' : ` of ${this.#total}`;
    const eta = left === undefined ? '' : `, ${Math.ceil(left / Math.max(rate, 0.001))} s left`;
    process.stderr.write(`\r\u001b[K${this.#what} ${this.#count}${of}, ${Math.round(rate)} a second${eta}`);
    this.#isThere = true;
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isThere) process.stderr.write('\r\u001b[K');
    this.#isThere = false;
  }
}
