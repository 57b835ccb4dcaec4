/**
 * A function of the caller's that is called in the middle of our work. What it throws, or rejects with, is the caller's: it ends the work, and comes out
 * as itself, whatever it looks like (an error of a file of his own, say) and whoever catches it on the way.
 */
export class Callback<T> {
  readonly #callback: ((event: T) => unknown) | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(callback: ((event: T) => unknown) | undefined) {
    this.#callback = callback;
  }

  /** Throws what the function throws. What it returns is not waited for. */
  tell(event: T): void {
    this.throwIfFailed();
    if (this.#callback === undefined) return;
    try {
      const answer = this.#callback(event);
      if (isThenable(answer)) answer.then(undefined, (error: unknown) => this.#failed(error));
    } catch (error) {
      this.#failed(error);
    }
    this.throwIfFailed();
  }

  /** Throws what the function threw, if it did. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #failed(error: unknown): void {
    this.#failure ??= { error };
  }
}

interface Thenable {
  then(onResolved: undefined, onRejected: (error: unknown) => void): unknown;
}

function isThenable(value: unknown): value is Thenable {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
