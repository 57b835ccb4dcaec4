/**
 * `Evaq`: a store that is open for writing, with its two everyday queues and any number of named ones.
 */
import { resolve } from 'node:path';
import { describe, requireCount, requireRecordId } from '../ids.js';
import { DEAD_LETTERS_QUEUE, WAL_QUEUE } from '../layout/store-file.js';
import type { QueueRecord } from '../log/queue-record.js';
import {
  type DeadLetterOptions,
  type DeadLetterSelection,
  notFound,
  type Payload,
  type PushOptions,
  Queue,
  type QueueHost,
} from '../queue/queue.js';
import { closedError, type QueueCore } from '../queue/queue-core.js';
import { type QueueOptions, resolveQueueOptions } from '../queue/queue-options.js';
import { ReadOnlyEvaq, type ReadOnlyOptions } from '../raw/read-only-evaq.js';
import { nodeHost } from '../vfs/node-host.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import { DeadLetters } from './dead-letters.js';
import { type EvaqOptions, type Ports, resolveEvaqOptions } from './evaq-options.js';
import { type RecoveryReport, Store } from './open-store.js';
import { ownLockNote } from './store-lock.js';

/**
 * A store, open for writing by this process alone. Made by `Evaq.open`. In TypeScript, and in JavaScript from Node 24 on,
 * `await using evaq = await Evaq.open(path)` closes it at the end of the block.
 */
export class Evaq implements AsyncDisposable {
  /** Where records wait until their destination has them. */
  readonly wal: Queue;
  /** Where records go that could not be delivered. */
  readonly deadLetters: Queue;
  readonly #store: Store;
  readonly #queues = new Map<string, Promise<Queue>>();
  readonly #queueHost: QueueHost;
  #closing: Promise<void> | undefined;

  private constructor(store: Store, ports: Ports, wal: QueueCore, dead: QueueCore) {
    this.#store = store;
    const letters = new DeadLetters({
      host: ports.host,
      core: (name) => store.openQueue(name) ?? store.queue(name, store.options.queueDefaults),
    });
    this.#queueHost = {
      now: () => ports.host.now(),
      failure: () => store.failStop.error,
      deadLetter: (source, id, options) => letters.add(source, id, options),
      redrive: (source, which) => letters.redrive(source, which),
    };
    this.wal = new Queue(wal, this.#queueHost);
    this.deadLetters = new Queue(dead, this.#queueHost);
    this.#queues.set(WAL_QUEUE, Promise.resolve(this.wal));
    this.#queues.set(DEAD_LETTERS_QUEUE, Promise.resolve(this.deadLetters));
  }

  /**
   * Opens a store for writing, makes it if there is none, and recovers it if its last writer died. When it resolves every acknowledged record is
   * there and durable.
   * @throws EVAQ_LOCKED, EVAQ_NOT_A_STORE, EVAQ_CORRUPT, EVAQ_UNSUPPORTED_VERSION, EVAQ_NATIVE_UNAVAILABLE, EVAQ_IO, EVAQ_NO_SPACE
   */
  static async open(path: string, options: EvaqOptions = {}): Promise<Evaq> {
    if (typeof path !== 'string' || path === '')
      throw new TypeError(`path must be a non-empty string, got ${describe(path)}`);
    const resolved = resolveEvaqOptions(options);
    const ports = options.ports ?? { vfs: nodeVfs, host: nodeHost };
    const store = await Store.open({
      ...resolved,
      ...ports,
      path: resolve(path),
      lockNote: ownLockNote(ports.host.now()),
    });
    try {
      // One after the other: on a full disk the second may need the space that the first gave back.
      const wal = await store.queue(WAL_QUEUE, resolved.queueDefaults);
      const dead = await store.queue(DEAD_LETTERS_QUEUE, resolved.queueDefaults);
      return new Evaq(store, ports, wal, dead);
    } catch (error) {
      await store.close().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Opens a store for reading only: takes no lock, makes and changes nothing (P11), and follows a process that has it open for writing. Shows what
   * is written, the last of which may not be synced yet.
   * @throws EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO; EVAQ_CORRUPT if both copies of the store's header are damaged
   */
  static openReadOnly(path: string, options: ReadOnlyOptions = {}): Promise<ReadOnlyEvaq> {
    return ReadOnlyEvaq.open(path, options);
  }

  /** Where the store is. */
  get path(): string {
    return this.#store.path;
  }

  /** What opening found and did. */
  get recovery(): RecoveryReport {
    return this.#store.recovery;
  }

  /** The names of all queues. */
  get queueNames(): string[] {
    return this.#store.queueNames;
  }

  /**
   * The queue of that name, made if there is none. `options` override those of the store, and count at the first call for a name.
   * @throws EVAQ_QUEUE_NAME, EVAQ_CLOSED, and as `open`
   */
  async queue(name: string, options: QueueOptions = {}): Promise<Queue> {
    if (this.#closing !== undefined) throw closedError(this.path);
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const resolved = resolveQueueOptions(options, this.#store.options.queueDefaults);
    const opening = this.#store.queue(name, resolved).then((core) => new Queue(core, this.#queueHost));
    this.#queues.set(name, opening);
    opening.catch(() => this.#queues.delete(name));
    return opening;
  }

  /** `wal.push`. */
  pushWal(payload: Payload, options?: PushOptions): Promise<number> {
    return this.wal.push(payload, options);
  }

  /** Removes a record of the WAL queue. @throws EVAQ_RECORD_NOT_FOUND, and as `Queue.remove` */
  async removeWal(id: number): Promise<void> {
    if (!(await this.wal.remove(id))) throw notFound(WAL_QUEUE, id);
  }

  /** `wal.pop`. */
  popWal(id: number): Promise<QueueRecord> {
    return this.wal.pop(id);
  }

  /** `deadLetters.push`: a record that never was in the WAL queue. */
  pushRetryItem(payload: Payload, options?: PushOptions): Promise<number> {
    return this.deadLetters.push(payload, options);
  }

  /** `deadLetters.pop`. */
  popRetryItem(id: number): Promise<QueueRecord> {
    return this.deadLetters.pop(id);
  }

  /**
   * Removes dead letters that are done, in one atomic step. IDs that are not there are ignored. Resolves with the last element of `ids`, or
   * `undefined` for an empty list.
   */
  async doneRetryItems(ids: readonly number[]): Promise<number | undefined> {
    if (!Array.isArray(ids)) throw new TypeError(`ids must be an array of record IDs, got ${describe(ids)}`);
    await this.deadLetters.removeMany(ids);
    const last: unknown = ids.at(-1);
    return typeof last === 'number' ? last : undefined;
  }

  /** Dead letters from `fromId` on with at most `maxBytes` of payload together; at least one if there is any. */
  async firstNBytesFromDeadLetterQueue(fromId: number, maxBytes: number): Promise<QueueRecord[]> {
    requireRecordId(fromId, 'fromId');
    requireCount(maxBytes, 'maxBytes', 0);
    return this.deadLetters.read({ from: fromId, maxBytes });
  }

  /**
   * Moves a record from the WAL queue to the dead letters, once (P10): after any crash it is live in exactly one of them. Resolves with its new ID.
   * Whatever `error` is, it does not keep the record from moving. For a record of another queue see `Queue.deadLetter`.
   * @throws EVAQ_RECORD_NOT_FOUND, and as `push` (then the record stays)
   */
  deadLetter(id: number, options: DeadLetterOptions): Promise<number> {
    return this.wal.deadLetter(id, options);
  }

  /**
   * Moves dead letters of the WAL queue back to it: those of the given IDs, or all that `filter` accepts. Unknown IDs are ignored. Each move is atomic
   * (P10), the whole is not. Resolves with the new IDs, in the order given, which the records keep. What moves keeps its headers and counts the redrive.
   * Where one cannot be moved no further one is begun; the error's `details.moved` says which have moved, and under which IDs. A filter that throws
   * or rejects makes it reject before anything is moved.
   * @throws as `push` to the WAL queue, and as reading dead letters
   */
  redrive(which: DeadLetterSelection): Promise<number[]> {
    return this.wal.redrive(which);
  }

  /** Resolves when calls under way are finished and everything is on disk. Idempotent; afterwards every call rejects with EVAQ_CLOSED. */
  close(): Promise<void> {
    this.#closing ??= this.#store.close();
    return this.#closing;
  }

  /** The same as `close`. */
  shutdown(): Promise<void> {
    return this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
