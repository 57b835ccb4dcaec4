/**
 * Lets so many reads run at a time; the others wait, first come first served. Twenty thousand asked for at once would otherwise be begun in one
 * turn of the event loop, each with a chunk in memory.
 *
 * Whoever has a turn never waits for another one, so none waits for ever.
 */

/** A disk is kept busy by fewer. */
const TURNS_MAX = 64;
/** Places of those that had their turn are given back when they are so many, and more than half. */
const SPENT_MAX = 1024;

export class ReadTurns {
  #running = 0;
  /** In order, from `#next` on. */
  #waiting: (() => void)[] = [];
  #next = 0;

  async run<T>(use: () => Promise<T>): Promise<T> {
    // The turn of one that ends goes to the first that waits, so nobody overtakes it.
    if (this.#running >= TURNS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await use();
    } finally {
      this.#pass();
    }
  }

  #pass(): void {
    const resolve = this.#waiting[this.#next];
    if (resolve === undefined) {
      this.#running--;
      return;
    }
    this.#next++;
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    } else if (this.#next >= SPENT_MAX && 2 * this.#next > this.#waiting.length) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    resolve();
  }
}
