/**
 * The switch that a failed sync throws, for a whole store (P7): after it nothing is acknowledged by this handle any more. What was durable can
 * still be read. The cure is to close and reopen, which reads the disk anew.
 */
import { EvaqError } from './errors.js';

export class FailStop {
  #error: EvaqError | undefined;

  /** The failure, or undefined while all is well. */
  get error(): EvaqError | undefined {
    return this.#error;
  }

  /** Throws the switch (only the first cause counts) and returns the error that every waiter is to get. */
  fail(cause: unknown, doing: string, path: string): EvaqError {
    if (this.#error !== undefined) return this.#error;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return this.stop(
      new EvaqError('EVAQ_FAILED', `the store has stopped: ${doing} failed: ${reason}`, {
        cause,
        details: { path },
        hint: 'Close the store and open it again: what was acknowledged is there. Until then it can only be read.',
      }),
    );
  }

  /** Throws the switch with an error that says all (only the first cause counts), and returns the one that every waiter is to get. */
  stop(error: EvaqError): EvaqError {
    this.#error ??= error;
    return this.#error;
  }

  throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}
