/**
 * The records of a queue that another process may be writing, one after the other: the source of a reader's `records()` and `tail()`.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordSource } from '../log/record-iterator.js';

export interface PolledRecordsOptions {
  /** The next live records from `from` to `to`; empty if there is none. `undefined`: the reader was closed, which ends a tail. */
  readonly read: (from: number, to: number) => Promise<readonly QueueRecord[] | undefined>;
  /** Of a tail: calls `wake` when it is time to look again. The result cancels. `undefined` ends the iteration at the last record. */
  readonly wait: ((wake: () => void) => () => void) | undefined;
}

export class PolledRecords implements RecordSource {
  readonly #options: PolledRecordsOptions;
  readonly #to: number;
  #from: number;
  #batch: readonly QueueRecord[] = [];
  #at = 0;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(options: PolledRecordsOptions, from: number, to: number) {
    this.#options = options;
    this.#from = from;
    this.#to = to;
  }

  readonly inHand = (): QueueRecord | undefined => {
    const record = this.#batch[this.#at];
    if (record !== undefined) this.#at++;
    return record;
  };

  readonly next = async (): Promise<QueueRecord | undefined> => {
    const { read, wait } = this.#options;
    for (;;) {
      const record = this.inHand();
      if (record !== undefined) return record;
      if (this.#stopped || this.#from > this.#to) return undefined;
      const batch = await read(this.#from, this.#to);
      const last = batch?.at(-1);
      if (batch !== undefined && last !== undefined) {
        this.#batch = batch;
        this.#at = 0;
        this.#from = last.id + 1;
      } else if (batch === undefined || wait === undefined) {
        return undefined;
      } else if (!this.#stopped) {
        await this.#wait(wait);
      }
    }
  };

  readonly stop = (): void => {
    this.#stopped = true;
    this.#batch = [];
    this.#wake();
  };

  readonly settled = (): Promise<void> => Promise.resolve();

  async #wait(wait: (wake: () => void) => () => void): Promise<void> {
    let cancel: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      cancel = wait(resolve);
    });
    cancel();
  }
}
