/**
 * What can be read of a queue and of a store, whoever reads: the process that writes, one beside it, another thread, or a client of a replicated engine.
 * A function that takes these serves all of them.
 */
import type { WaitOptions } from '../abortable.js';
import type { QueueRecord } from './queue-record.js';
import type { ReadOptions, RecordsOptions } from './read-options.js';

/** The numbers of a queue that every engine has. */
export interface QueueFigures {
  readonly queue: string;
  readonly live: number;
  /** The ID that the next record gets, or a later one. */
  readonly nextId: number;
  /** Bytes that it takes where it is kept, by that engine's own count. */
  readonly bytes: number;
  readonly oldestId: number | undefined;
}

/** Reading a queue. What it promises is said by each of those that there are: `Queue`, `ReadOnlyQueue`, `LinkedQueue`, `JetStreamQueue`. */
export interface QueueReader {
  readonly name: string;
  /** The number of live records: to be awaited. */
  readonly size: number | Promise<number>;
  /** The live record `id`, or `undefined`. */
  get(id: number, options?: WaitOptions): Promise<QueueRecord | undefined>;
  /** Live records in ID order, within the limits; empty if there is none. */
  read(options?: ReadOptions): Promise<QueueRecord[]>;
  /** Live records in ID order, each once, up to those there are when the iteration gets there. */
  records(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined>;
  /** As `records`, and then those that come. */
  tail(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined>;
  /** To be awaited. */
  stats(): QueueFigures | Promise<QueueFigures>;
}

/** Reading a store: `Evaq`, `ReadOnlyEvaq`, `LinkedEvaq`, `JetStreamEvaq`. */
export interface EvaqReader extends AsyncDisposable {
  readonly wal: QueueReader;
  readonly deadLetters: QueueReader;
  /** The names of all queues: to be awaited. */
  queueNames(): readonly string[] | Promise<readonly string[]>;
  queue(name: string, options?: WaitOptions): Promise<QueueReader>;
  close(): Promise<void>;
}
