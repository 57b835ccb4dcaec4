/**
 * Records of a source that are wanted, as they are to be shown. The source is opened at the first `next`; without one there is nothing.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordSource } from '../log/record-iterator.js';

export interface FilteredSourceOptions<R> {
  readonly open: () => Promise<RecordSource | undefined>;
  /** `undefined`: it is not wanted. */
  readonly shown: (record: QueueRecord) => R | undefined;
  /** So many at most. */
  readonly limit: number;
  /** Lets others have their turn. */
  readonly pause: () => Promise<void>;
}

/** So many that are not wanted are looked at in one turn. */
const LOOKS_MAX = 512;

export class FilteredSource<R> implements RecordSource<R> {
  readonly #options: FilteredSourceOptions<R>;
  #source: Promise<RecordSource | undefined> | undefined;
  #opened: RecordSource | undefined;
  #left: number;
  #stopped = false;

  constructor(options: FilteredSourceOptions<R>) {
    this.#options = options;
    this.#left = options.limit;
  }

  readonly inHand = (): R | undefined => {
    if (this.#left <= 0 || this.#stopped) return undefined;
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const record = this.#opened?.inHand();
      if (record === undefined) return undefined;
      const shown = this.#show(record);
      if (shown !== undefined) return shown;
    }
    return undefined;
  };

  readonly next = async (): Promise<R | undefined> => {
    if (this.#left <= 0) return undefined;
    this.#source ??= this.#options.open();
    this.#opened = await this.#source;
    while (!this.#stopped) {
      const inHand = this.inHand();
      if (inHand !== undefined) return inHand;
      await this.#options.pause();
      const record = await this.#opened?.next();
      if (record === undefined) return undefined;
      const shown = this.#show(record);
      if (shown !== undefined) return shown;
    }
    return undefined;
  };

  readonly stop = (): void => {
    this.#stopped = true;
    this.#opened?.stop();
  };

  readonly settled = async (): Promise<void> => {
    await this.#opened?.settled();
  };

  #show(record: QueueRecord): R | undefined {
    const shown = this.#options.shown(record);
    if (shown !== undefined) this.#left--;
    return shown;
  }
}
