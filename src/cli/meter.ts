/** Progress of what has no known end, on a terminal: how many so far, and how many a second; from the first second on. */
const EVERY_MS = 500;
/** The time is not asked at each one. */
const LOOK_EVERY = 256;

export class Meter {
  readonly #what: string;
  readonly #isShown: boolean = process.stderr.isTTY;
  readonly #startedMs: number = performance.now();
  #shownMs: number = performance.now();
  #count = 0;
  #untilLook = LOOK_EVERY;
  #isThere = false;

  constructor(what: string) {
    this.#what = what;
  }

  add(count: number): void {
    this.#count += count;
    if (!this.#isShown || --this.#untilLook > 0) return;
    this.#untilLook = LOOK_EVERY;
    const nowMs = performance.now();
    if (nowMs - this.#shownMs < EVERY_MS) return;
    this.#shownMs = nowMs;
    const rate = Math.round((this.#count * 1000) / Math.max(1, nowMs - this.#startedMs));
    process.stderr.write(`\r\u001b[K${this.#what} ${this.#count}, ${rate} a second`);
    this.#isThere = true;
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isThere) process.stderr.write('\r\u001b[K');
    this.#isThere = false;
  }
}
