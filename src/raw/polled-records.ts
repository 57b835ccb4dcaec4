/**
 * The records of a queue that another process may be writing, one after the other: the source of a reader's `records()` and `tail()`.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordSource } from '../log/record-iterator.js';

export interface PolledRecordsOptions {
  /** False once the reader is closed: then nothing of what is in hand is handed out any more. */
  readonly isOpen: () => boolean;
  /** The next live records from `from` to `to`; empty if there is none. `undefined`: the reader was closed, which ends a tail. */
  readonly read: (from: number, to: number) => Promise<readonly QueueRecord[] | undefined>;
  /** Of a tail: calls `wake` when it is time to look again. The result cancels. `undefined` ends the iteration at the last record. */
  readonly wait: ((wake: () => void) => () => void) | undefined;
  /** Whether `read` is to be asked once more behind the last that is wanted: it has something to tell of all that came. No, if not given. */
  readonly isInDoubt?: () => boolean;
  /** Called when the iteration has ended, however that was; maybe more than once. */
  readonly end?: () => void;
}

export class PolledRecords implements RecordSource {
  readonly #options: PolledRecordsOptions;
  readonly #to: number;
  readonly #isEmpty: boolean;
  #from: number;
  #batch: readonly QueueRecord[] = [];
  #at = 0;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(options: PolledRecordsOptions, from: number, to: number) {
    this.#options = options;
    this.#from = from;
    this.#to = to;
    this.#isEmpty = from > to;
  }

  readonly inHand = (): QueueRecord | undefined => {
    const record = this.#options.isOpen() ? this.#batch[this.#at] : undefined;
    if (record !== undefined) this.#at++;
    return record;
  };

  readonly next = async (): Promise<QueueRecord | undefined> => {
    const { read, wait, isOpen, isInDoubt } = this.#options;
    for (;;) {
      const record = this.inHand();
      if (record !== undefined) return record;
      // Of a closed reader `read` says so, also where all that was wanted is in hand.
      const isOver = this.#from > this.#to && isOpen();
      if (this.#stopped || (isOver && (this.#isEmpty || isInDoubt?.() !== true))) return undefined;
      const batch = await read(this.#from, this.#to);
      const last = batch?.at(-1);
      if (batch !== undefined && last !== undefined) {
        if (this.#stopped) return undefined;
        this.#batch = batch;
        this.#at = 1;
        this.#from = last.id + 1;
        // Also where the reader was closed meanwhile: who asked before gets what was read for him.
        return batch[0];
      } else if (batch === undefined || wait === undefined || isOver) {
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
    this.#options.end?.();
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
