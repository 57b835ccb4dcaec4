/** The looks of one tail at the folder of its queue: when they are due, and that nothing is watched when it has ended. */
import type { QueueRecord } from '../log/queue-record.js';
import { FolderWatch, type FolderWatchOptions } from './folder-watch.js';

type Read = (from: number, to: number) => Promise<readonly QueueRecord[] | undefined>;

export class TailLooks {
  readonly #watch: FolderWatch;
  readonly #folders: readonly string[];
  readonly #read: Read;
  #hasFound = false;

  /** `read`: as of `PolledRecords`. */
  constructor(options: FolderWatchOptions, dir: string, read: Read) {
    this.#watch = new FolderWatch(options);
    this.#folders = [dir];
    this.#read = read;
  }

  readonly read: Read = async (from, to) => {
    this.#watch.looking(this.#folders);
    const records = await this.#read(from, to);
    if (records !== undefined && records.length > 0) this.#hasFound = true;
    return records;
  };

  /** Calls `wake` when it is time to look again. The result cancels. */
  readonly wait = (wake: () => void): (() => void) => {
    const cancelled = new AbortController();
    const hasFound = this.#hasFound;
    this.#hasFound = false;
    void this.#watch.wait(this.#folders, hasFound, cancelled.signal).then(wake);
    return () => cancelled.abort();
  };

  /** Of the tail. */
  readonly end = (): void => {
    this.#watch.close();
  };
}
