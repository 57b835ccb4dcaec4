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

export class LinkedRecords implements RecordSource {
  readonly #ends: IterationEnds;
  #stopped: Promise<unknown> | undefined;
  #hasBegun = false;
  #wake: (() => void) | undefined;

  constructor(ends: IterationEnds) {
    this.#ends = ends;
  }

  inHand(): undefined {
    return undefined;
  }

  async next(): Promise<QueueRecord | undefined> {
    if (this.#stopped !== undefined) return undefined;
    this.#hasBegun = true;
    const stopped = new Promise<undefined>((resolve) => {
      this.#wake = () => resolve(undefined);
    });
    const record = await Promise.race([this.#ends.next(), stopped]);
    return isRecord(record) ? record : undefined;
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

function isRecord(value: unknown): value is QueueRecord {
  return typeof value === 'object' && value !== null && 'payload' in value;
}
