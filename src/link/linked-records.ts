/**
 * An iteration over the records of a queue that another thread has.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordSource } from '../log/record-iterator.js';

/** How it asks. */
export interface IterationEnds {
  readonly next: () => Promise<unknown>;
  readonly end: () => Promise<unknown>;
}

let iterations = 0;

/** A number for one more. */
export function nextIteration(): number {
  return ++iterations;
}

export class LinkedRecords<R extends QueueRecord> implements RecordSource<R> {
  readonly #ends: IterationEnds;
  readonly #isOne: (value: unknown) => value is R;
  #stopped: Promise<unknown> | undefined;
  #hasBegun = false;
  #wake: (() => void) | undefined;

  constructor(ends: IterationEnds, isOne: (value: unknown) => value is R) {
    this.#ends = ends;
    this.#isOne = isOne;
  }

  inHand(): undefined {
    return undefined;
  }

  async next(): Promise<R | undefined> {
    if (this.#stopped !== undefined) return undefined;
    this.#hasBegun = true;
    const stopped = new Promise<undefined>((resolve) => {
      this.#wake = () => resolve(undefined);
    });
    const record = await Promise.race([this.#ends.next(), stopped]);
    return this.#isOne(record) ? record : undefined;
  }

  stop(): void {
    // Where the link is over, so is the iteration.
    this.#stopped = this.#hasBegun ? this.#ends.end().catch(() => undefined) : Promise.resolve();
    this.#wake?.();
  }

  async settled(): Promise<void> {
    await this.#stopped;
  }
}
