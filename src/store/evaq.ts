/**
 * `Evaq`: a store that is open for writing, with its two everyday queues and any number of named ones.
 */

import type { MessagePort } from 'node:worker_threads';
import { throwIfAborted, untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { noMoreError, optionNames, requireNoMore, requireOptions, requireSignal } from '../arguments.js';
import { Callback } from '../callback.js';
import type { Delivery } from '../delivery/delivery.js';
import type { DeliveryOptions } from '../delivery/delivery-options.js';
import type { Handler } from '../delivery/invocation.js';
import { EvaqError } from '../errors.js';
import { describe, requireCount, requireRecordId } from '../ids.js';
import { DEAD_LETTERS_QUEUE, STORE_FILE, WAL_QUEUE } from '../layout/store-file.js';
import { storePathOf } from '../layout/store-path.js';
import type { LinkedEvaq } from '../link/linked-evaq.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeadLetterOptions, DeadLetterSelection } from '../queue/dead-letter-options.js';
import { FreeSpace } from '../queue/free-space.js';
import { type MoveOptions, type MoveResult, resolveMove } from '../queue/move-options.js';
import type { Payload, PushOptions } from '../queue/push-entry.js';
import { Queue } from '../queue/queue.js';
import { closedError, type QueueCore } from '../queue/queue-core.js';
import type { QueueHost } from '../queue/queue-host.js';
import type { EvaqLike } from '../queue/queue-like.js';
import {
  QUEUE_OPTION_NAMES,
  type QueueOptions,
  type ResolvedQueueOptions,
  requireSameOptions,
  resolveQueueOptions,
} from '../queue/queue-options.js';
import { notFound } from '../queue/record-not-found.js';
import { type RecordSelection, selectionOf } from '../queue/record-selection.js';
import { ReadOnlyEvaq, type ReadOnlyOptions } from '../raw/read-only-evaq.js';
import { type Host, timeOf } from '../vfs/host.js';
import { nodeVfsFor } from '../vfs/node-access.js';
import { nodeHost } from '../vfs/node-host.js';
import type { Vfs } from '../vfs/vfs.js';
import { DeadLetters, holdsDeadLetters } from './dead-letters.js';
import { Deliveries } from './deliveries.js';
import { type EvaqOptions, type Ports, type ResolvedEvaqOptions, resolveEvaqOptions } from './evaq-options.js';
import { HandlerScope } from './handler-scope.js';
import { type Health, type HealthOptions, healthBounds } from './health.js';
import { deadLettersOf } from './letter-calls.js';
import { attachTo, Links } from './links.js';
import { moveBetween } from './move-between.js';
import { openStore } from './open-store.js';
import type { RecoveryProgress, RecoveryReport } from './recovery-report.js';
import { traceRecovery } from './recovery-trace.js';
import type { Store } from './store.js';
import { StoreHealth } from './store-health.js';
import { ownLockNote } from './store-lock.js';
import type { StoreStats } from './store-stats.js';

const QUEUE_NAMES = optionNames('signal', ...QUEUE_OPTION_NAMES);

/**
 * A store, open for writing by this process alone. Made by `Evaq.open`. In TypeScript, and in JavaScript from Node 24 on,
 * `await using evaq = await Evaq.open(path)` closes it at the end of the block.
 */
export class Evaq implements EvaqLike {
  /** Where records wait until their destination has them. */
  readonly wal: Queue;
  /** The queue where records of the WAL queue go that could not be delivered; to look into it, and back: `wal.deadLetters`. */
  readonly deadLetters: Queue;
  /** The store's name for good, a UUID: part of every `deliveryId`. */
  readonly storeId: string;
  readonly #store: Store;
  /** Made for the first of them. */
  #deliveries: Deliveries | undefined;
  readonly #queues = new Map<string, Promise<Queue>>();
  readonly #queueHost: QueueHost;
  readonly #host: Host;
  /** Made for the first of them. */
  #links: Links | undefined;
  readonly #health: StoreHealth;
  #closing: Promise<void> | undefined;

  private constructor(store: Store, ports: Ports, scope: HandlerScope, wal: QueueCore, dead: QueueCore) {
    if (typeof store !== 'object' || ports === undefined) {
      throw new TypeError('a store is opened by Evaq.open(path), which resolves with it');
    }
    this.#store = store;
    this.#host = ports.host;
    this.storeId = store.storeId;
    const letterCalls = {
      host: ports.host,
      storeId: this.storeId,
      core: (name: string) => store.openQueue(name) ?? store.queue(name, defaultsOf(name, store.options.queueDefaults)),
      exists: (name: string) => store.queueNames.includes(name),
      requireOpen: () => wal.requireOpen(),
    };
    const letters = new DeadLetters(letterCalls);
    this.#queueHost = {
      deadLettersOf: ({ name }) => deadLettersOf(name, letterCalls),
      storeId: this.storeId,
      elapsed: () => ports.host.elapsed(),
      timeMs: () => timeOf(ports.host),
      failure: () => store.failStop.error,
      deadLetter: (source, id, options) => letters.add(source, id, options),
      redrive: (source, which, signal) => letters.redrive(source, which, signal),
      process: (source, handler, options) => deliveries().process(source, handler, options),
      processBatch: (source, handler, options) => deliveries().processBatch(source, handler, options),
    };
    const makeDeliveries = (): Deliveries =>
      new Deliveries({
        vfs: store.vfs,
        host: ports.host,
        storeUuid: store.uuid,
        storeId: this.storeId,
        scope,
        failure: () => store.failStop.error,
        deadLetter: (source, id, facts) => letters.addLeased(source, id, facts),
        deadLettersOf: (source) => letters.queueFor(source),
      });
    const deliveries = (): Deliveries => {
      this.#deliveries ??= makeDeliveries();
      return this.#deliveries;
    };
    this.#health = new StoreHealth({
      store,
      host: ports.host,
      queues: () => store.cores.map((core) => new Queue(core, this.#queueHost).stats()),
      deliveries: () => this.#deliveries?.totals() ?? [],
    });
    this.wal = new Queue(wal, this.#queueHost);
    this.deadLetters = new Queue(dead, this.#queueHost);
    this.#queues.set(WAL_QUEUE, Promise.resolve(this.wal));
    this.#queues.set(DEAD_LETTERS_QUEUE, Promise.resolve(this.deadLetters));
  }

  /**
   * Opens a store for writing, makes it if there is none, and recovers it if its last writer died. When it resolves every acknowledged record is
   * there and durable. When it rejects, also for a signal that was aborted meanwhile, the lock is free.
   * @throws EVAQ_LOCKED, EVAQ_NOT_A_STORE, EVAQ_NOT_OWNER, EVAQ_CORRUPT, EVAQ_UNSUPPORTED_VERSION, EVAQ_NATIVE_UNAVAILABLE, EVAQ_IO, EVAQ_NO_SPACE
   */
  static async open(path: string | URL, options: EvaqOptions = {}): Promise<Evaq> {
    requireNoMore(arguments.length, 2, 'open');
    const store = storePathOf(path);
    const resolved = resolveEvaqOptions(options);
    const { signal, ports } = options;
    throwIfAborted(signal);
    const progress = new Callback(resolved.onProgress);
    const onProgress = (event: RecoveryProgress): void => {
      progress.tell(event);
      throwIfAborted(signal);
    };
    let evaq: Evaq;
    try {
      const { vfs, host } = ports ?? { vfs: await nodeVfsOf(store, resolved.mode), host: nodeHost };
      evaq = await Evaq.#open(store, { ...resolved, onProgress }, { vfs, host }, signal);
    } catch (error) {
      progress.throwIfFailed();
      throwIfAborted(signal);
      throw error;
    }
    try {
      progress.throwIfFailed();
      throwIfAborted(signal);
      return evaq;
    } catch (error) {
      await evaq.close().catch(() => undefined);
      throw error;
    }
  }

  static async #open(
    path: string,
    resolved: ResolvedEvaqOptions,
    ports: Ports,
    signal: AbortSignal | undefined,
  ): Promise<Evaq> {
    const scope = new HandlerScope();
    const { minFreeBytes } = resolved;
    const space = minFreeBytes === undefined ? undefined : new FreeSpace({ ...ports, path, minFreeBytes });
    const lockNote = ownLockNote(timeOf(ports.host), ports.host);
    const ownsLease = (queue: string, id: number): boolean => scope.owns(queue, id);
    const store = await traceRecovery(path, () =>
      openStore({ ...resolved, ownsLease, space, ...ports, signal, path, lockNote }),
    );
    try {
      await space?.look();
      // One after the other: on a full disk the second may need the space that the first gave back.
      const wal = await store.queue(WAL_QUEUE, resolved.queueDefaults);
      throwIfAborted(signal);
      const dead = await store.queue(DEAD_LETTERS_QUEUE, defaultsOf(DEAD_LETTERS_QUEUE, resolved.queueDefaults));
      return new Evaq(store, ports, scope, wal, dead);
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
  static async openReadOnly(path: string | URL, options?: ReadOnlyOptions): Promise<ReadOnlyEvaq> {
    requireNoMore(arguments.length, 2, 'openReadOnly');
    return ReadOnlyEvaq.open(path, options);
  }

  /**
   * A store that another thread of this process has open, by the port that its `connect` gave and that was transferred to this thread. Its queues keep the
   * same promises, with the same errors.
   * @throws TypeError for what is no such port (another process cannot have one); EVAQ_CLOSED; EVAQ_UNSUPPORTED_VERSION for another version of evaq
   */
  static async attach(port: MessagePort): Promise<LinkedEvaq> {
    requireNoMore(arguments.length, 1, 'attach');
    return attachTo(port);
  }

  /**
   * A port for another thread, to be transferred to it (`new Worker(file, { workerData: { port }, transferList: [port] })`), where `Evaq.attach(port)` makes
   * of it what works as this store. One for each thread. It holds nobody; a thread that dies gives back what it had. Throws EVAQ_CLOSED.
   */
  connect(): MessagePort {
    requireNoMore(arguments.length, 0, 'connect');
    if (this.#closing !== undefined) throw closedError(this.path);
    this.#links ??= new Links(this);
    return this.#links.connect();
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
  queueNames(): string[] {
    requireNoMore(arguments.length, 0, 'queueNames');
    return this.#store.queueNames;
  }

  /**
   * The queue of that name, made if there is none. `options` override those of the store, and count at the first call for a name: later ones may
   * repeat them, or leave them out. Of a queue that is open without such a call, the two that every store has and one that took dead letters, those of
   * the store count.
   * @throws EVAQ_QUEUE_NAME, EVAQ_CLOSED, and as `open`; TypeError for options other than those that the queue is open with
   */
  async queue(name: string, options: QueueOptions & WaitOptions = {}): Promise<Queue> {
    if (this.#closing !== undefined) throw closedError(this.path);
    requireNoMore(arguments.length, 2, 'queue');
    requireOptions(options, 'queue', QUEUE_NAMES);
    const { signal } = options;
    requireSignal(signal, 'queue');
    const resolved = resolveQueueOptions(options, defaultsOf(name, this.#store.options.queueDefaults));
    return untilAborted(signal, async () => {
      const known = this.#queues.get(name);
      if (known === undefined) return this.#openQueue(name, resolved);
      const queue = await known;
      const core = this.#store.openQueue(name);
      if (core !== undefined) requireSameOptions(name, options, core.options);
      return queue;
    });
  }

  #openQueue(name: string, options: ResolvedQueueOptions): Promise<Queue> {
    const opening = this.#store.queue(name, options).then((core) => new Queue(core, this.#queueHost));
    this.#queues.set(name, opening);
    opening.catch(() => this.#queues.delete(name));
    return opening;
  }

  /** `wal.push`. */
  pushWal(payload: Payload, options?: PushOptions): Promise<number> {
    if (arguments.length > 2) return Promise.reject(noMoreError(arguments.length, 2, 'pushWal'));
    return this.wal.push(payload, options);
  }

  /** Removes a record of the WAL queue. @throws EVAQ_RECORD_NOT_FOUND, and as `Queue.remove` */
  async removeWal(id: number, options?: WaitOptions): Promise<void> {
    requireNoMore(arguments.length, 2, 'removeWal');
    if (!(await this.wal.remove(id, options))) throw notFound(WAL_QUEUE, id);
  }

  /** `wal.pop`. */
  async popWal(id: number, options?: WaitOptions): Promise<QueueRecord> {
    requireNoMore(arguments.length, 2, 'popWal');
    return this.wal.pop(id, options);
  }

  /** `deadLetters.push`: a record that never was in the WAL queue. */
  pushRetryItem(payload: Payload, options?: PushOptions): Promise<number> {
    if (arguments.length > 2) return Promise.reject(noMoreError(arguments.length, 2, 'pushRetryItem'));
    return this.deadLetters.push(payload, options);
  }

  /** `deadLetters.pop`. */
  async popRetryItem(id: number, options?: WaitOptions): Promise<QueueRecord> {
    requireNoMore(arguments.length, 2, 'popRetryItem');
    return this.deadLetters.pop(id, options);
  }

  /**
   * Removes dead letters that are done, in one atomic step. IDs that are not there are ignored. Resolves with the last element of `ids`, or
   * `undefined` for an empty list.
   */
  async doneRetryItems(ids: readonly number[], options?: WaitOptions): Promise<number | undefined> {
    requireNoMore(arguments.length, 2, 'doneRetryItems');
    if (!Array.isArray(ids)) throw new TypeError(`ids must be an array of record IDs, got ${describe(ids)}`);
    // The list is the caller's, who may change it meanwhile.
    const last: unknown = ids.at(-1);
    await this.deadLetters.removeMany(ids, options);
    return typeof last === 'number' ? last : undefined;
  }

  /** Dead letters from `fromId` on with at most `maxBytes` of payload together; at least one if there is any. */
  async firstNBytesFromDeadLetterQueue(
    fromId: number,
    maxBytes: number,
    options?: WaitOptions,
  ): Promise<QueueRecord[]> {
    const signal = waitOf(arguments.length, 3, options, 'firstNBytesFromDeadLetterQueue');
    requireRecordId(fromId, 'fromId');
    requireCount(maxBytes, 'maxBytes', 0);
    return this.deadLetters.read({ from: fromId, maxBytes, ...(signal === undefined ? {} : { signal }) });
  }

  /**
   * Moves a record from the WAL queue to the dead letters, once (P10): after any crash it is live in exactly one of them. Resolves with its new ID.
   * Whatever `error` is, it does not keep the record from moving. For a record of another queue see `Queue.deadLetter`.
   * @throws EVAQ_RECORD_NOT_FOUND, and as `push` (then the record stays)
   */
  async deadLetter(id: number, options: DeadLetterOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'deadLetter');
    return this.wal.deadLetter(id, options);
  }

  /**
   * Moves dead letters of the WAL queue back to it: those of the given IDs, or, of those that there are at the call, all that `filter` accepts. IDs that
   * are not live there are ignored. Each move is atomic
   * (P10), the whole is not. Resolves with the new IDs, in the order given, which the records keep. What moves keeps its headers and counts the redrive.
   * Where one cannot be moved no further one is begun; the error's `details.moved` says which have moved, and under which IDs. A filter that throws
   * or rejects makes it reject before anything is moved.
   * @throws as `push` to the WAL queue, and as reading dead letters
   */
  async redrive(which: DeadLetterSelection, options?: WaitOptions): Promise<number[]> {
    requireNoMore(arguments.length, 2, 'redrive');
    return this.wal.redrive(which, options);
  }

  /**
   * Moves records from one queue of this store to another: each once (P10), the whole is not atomic. Of what is selected, that which there is at the
   * call. Records keep their order, payload, headers and history; they get new IDs, and have no `messageId` any more. Queues, or names of queues that
   * there are. An aborted signal ends the wait; the batch under way is finished.
   * @throws EVAQ_QUEUE_NAME: there is no queue of that name. As `push` to the one, and as reading the other; EVAQ_CLOSED where the store closes between
   * two batches. No further one is moved then, and `details.done` says how many have been
   */
  async move(
    from: Queue | string,
    selection: RecordSelection,
    to: Queue | string,
    options?: MoveOptions,
  ): Promise<MoveResult> {
    requireNoMore(arguments.length, 4, 'move');
    const resolved = resolveMove(options);
    const chosen = selectionOf<QueueRecord>(selection, 'move');
    if (this.#closing !== undefined) throw closedError(this.path);
    return untilAborted(resolved.signal, async () => {
      const parts = { from: await this.#coreOf(from, 'from'), to: await this.#coreOf(to, 'to') };
      return moveBetween({ ...parts, host: this.#host, selection: chosen, options: resolved });
    });
  }

  /** The queue that a caller means. */
  async #coreOf(queue: Queue | string, argument: string): Promise<QueueCore> {
    const name = typeof queue === 'string' ? queue : typeof queue === 'object' ? queue?.name : undefined;
    if (typeof name !== 'string' || (typeof queue !== 'string' && (await this.#queues.get(name)) !== queue))
      throw new TypeError(`move: ${argument} must be a queue of this store, or its name, got ${describe(queue)}`);
    if (!this.#store.queueNames.includes(name)) {
      throw new EvaqError('EVAQ_QUEUE_NAME', `there is no queue '${name}'`, {
        details: { queue: name },
        hint: `Make it first: evaq.queue('${name}').`,
      });
    }
    return this.#store.openQueue(name) ?? this.#store.queue(name, this.#store.options.queueDefaults);
  }

  /**
   * Delivers the records of the WAL queue: `wal.process`. Success removes a record; one that fails is tried again in place, and moves to the dead
   * letters when its tries are used up.
   */
  evacuate(handler: Handler, options?: DeliveryOptions): Delivery {
    requireNoMore(arguments.length, 2, 'evacuate');
    return this.wal.process(handler, options);
  }

  /** The store in numbers, as of the call: of all queues that are open, and of their deliveries. Also when it is closed: then as it was at the end. */
  stats(): StoreStats {
    requireNoMore(arguments.length, 0, 'stats');
    return this.#health.stats();
  }

  /**
   * What is wrong with the store, by reasons: a sync that failed, damage, garbage collection that stands still, removals that are owed, a disk that is
   * nearly full, records that are too old, a destination that is down. Looks at numbers, and asks for the free bytes; reads and writes nothing.
   * `status` is 'ok' where there is no reason.
   * @throws TypeError, RangeError for wrong options; EVAQ_CLOSED
   */
  async health(options?: HealthOptions): Promise<Health> {
    requireNoMore(arguments.length, 1, 'health');
    const bounds = healthBounds(options, this.#store.options.space?.minFreeBytes);
    if (this.#closing !== undefined) throw closedError(this.path);
    return untilAborted(options?.signal, () => this.#health.health(bounds));
  }

  /**
   * Resolves when calls under way are finished and everything that was acknowledged is on disk. Idempotent; from then on every call rejects with
   * EVAQ_CLOSED. Where it rejects the store is closed all the same, and its lock is free. A signal that is aborted before the call leaves the store
   * open; one that is aborted later ends the wait, and the closing goes on.
   * @throws EVAQ_FAILED: a sync failed, or the store's folder was taken away, now or earlier; EVAQ_IO: it could not be looked at
   */
  close(options?: WaitOptions): Promise<void> {
    return this.#close(arguments.length, options, 'close');
  }

  /** The same as `close`. */
  shutdown(options?: WaitOptions): Promise<void> {
    return this.#close(arguments.length, options, 'shutdown');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close(0, undefined, 'close');
  }

  #close(given: number, options: WaitOptions | undefined, how: string): Promise<void> {
    try {
      const signal = waitOf(given, 1, options, how);
      return untilAborted(signal, () => {
        this.#closing ??= this.#ended();
        return this.#closing;
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #ended(): Promise<void> {
    // Without any delivery nothing is let in from this very call on.
    const deliveries = this.#deliveries;
    const closed =
      deliveries?.areRunning === true ? deliveries.stop().then(() => this.#store.close()) : this.#store.close();
    return this.#links?.endAfter(closed) ?? closed;
  }
}

/** What the store's options say for a queue of that name. Dead letters are never dropped or refused unless that is said of their queue. */
function defaultsOf(name: unknown, defaults: ResolvedQueueOptions): ResolvedQueueOptions {
  return typeof name === 'string' && holdsDeadLetters(name) ? { ...defaults, limits: undefined } : defaults;
}

function nodeVfsOf(path: string, mode: number | undefined): Promise<Vfs> {
  return nodeVfsFor({ path, mode, like: `${path}/${STORE_FILE}` });
}
