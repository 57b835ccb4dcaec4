/**
 * Iterations that are gone through from the other end of a link, a record at a time: each is live when it is handed over.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordsOptions } from '../log/read-options.js';
import type { Queue } from '../queue/queue.js';
import type { DeadLetterListOptions } from '../queue/queue-dead-letters.js';

type Records = AsyncGenerator<QueueRecord, void, undefined>;

export class StoreIterations {
  readonly #open = new Map<number, Records>();

  /** The next record, or `undefined` at the end. The first call begins it. */
  async next(
    number: number,
    queue: Queue,
    how: unknown,
    options: (RecordsOptions & DeadLetterListOptions) | undefined,
  ): Promise<unknown> {
    let records = this.#open.get(number);
    if (records === undefined) {
      if (how === 'letters') records = queue.deadLetters.list(options);
      else records = how === 'tail' ? queue.tail(options) : queue.records(options);
      this.#open.set(number, records);
    }
    try {
      const { done, value } = await records.next();
      if (done === true) this.#open.delete(number);
      return value;
    } catch (error) {
      this.#open.delete(number);
      throw error;
    }
  }

  /** Resolves when nothing of it is under way any more. */
  async end(number: number): Promise<void> {
    const records = this.#open.get(number);
    this.#open.delete(number);
    await records?.return();
  }

  endAll(): void {
    for (const number of this.#open.keys()) void this.end(number);
  }
}
