/**
 * Those who wait for news of a queue: tails. Each may leave at any time and then leaves nothing behind.
 */
export class Waiters {
  readonly #waiting = new Set<() => void>();
  #version = 0;

  /** Counts the news: who finds it as it was when it looked has missed none. */
  get version(): number {
    return this.#version;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Calls `wake` once, at the next news. The result cancels. */
  add(wake: () => void): () => void {
    // An entry of its own: two may pass the same function.
    const entry = (): void => wake();
    this.#waiting.add(entry);
    return () => this.#waiting.delete(entry);
  }

  /** There is news. */
  wakeAll(): void {
    this.#version++;
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
