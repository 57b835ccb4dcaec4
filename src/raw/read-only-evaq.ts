/**
 * A store, for reading only: takes no lock, creates nothing, changes nothing (P11), works while another process writes, on a
 * store whose writer was killed, and on a read-only file system.
 *
 * It shows what is *written*. What was acknowledged in the durability mode 'sync' is all there; the last commit may not be
 * synced yet, and after a power cut may turn out never to have been, in which case its IDs can go to other records.
 */
import { throwIfAborted, untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions, requirePorts, requireSignal } from '../arguments.js';
import { EvaqError, reported } from '../errors.js';
import { describe } from '../ids.js';
import {
  forgottenQueueError,
  listQueues,
  lostQueueError,
  missingQueues,
  type QueueNames,
} from '../layout/queue-names.js';
import {
  DEAD_LETTERS_QUEUE,
  queueDir,
  readStore,
  requireQueueName,
  type StoreIdentity,
  WAL_QUEUE,
} from '../layout/store-file.js';
import { storePathOf } from '../layout/store-path.js';
import { mayMissQueues } from '../log/queue-evidence.js';
import type { EvaqReader } from '../log/queue-reader.js';
import { BudgetedVfs } from '../vfs/budgeted-vfs.js';
import { descriptorsOf } from '../vfs/descriptor-budget.js';
import type { Host } from '../vfs/host.js';
import { nodeHost } from '../vfs/node-host.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs } from '../vfs/vfs.js';
import type { Timer } from './folder-watch.js';
import { closedError } from './fresh-picture.js';
import { ReadOnlyQueue } from './read-only-queue.js';
import { ReadOnlyVfs } from './read-only-vfs.js';

export interface ReadOnlyOptions {
  /**
   * What reading does at records that are lost to damage: `'fail'` (the default) rejects with EVAQ_CORRUPT, `'quarantine'` passes over them and
   * mentions the damage in `stats()`. Opening never fails for damage to a queue.
   */
  readonly onCorruption?: 'fail' | 'quarantine';
  /** As that of `Evaq.open`, and together with it. */
  readonly descriptorsMax?: number;
  /** Aborted: opening rejects with its reason. */
  readonly signal?: AbortSignal;
  /** File system and host; default the real ones. */
  readonly ports?: { readonly vfs: Vfs; readonly host: Host };
}

const NAMES = optionNames('onCorruption', 'descriptorsMax', 'signal', 'ports');

/** What the queues of a reader share. */
interface ReaderOptions {
  readonly onCorruption: 'fail' | 'quarantine';
  readonly timer: Timer;
  readonly host: Host;
}

/** Unlike the host's timers, one that keeps the process alive: a program may have nothing to do but follow a queue. */
function holdingTimer(host: Host): Timer {
  return (ms, action) => {
    const release = host.hold?.();
    const cancel = host.after(ms, action);
    return () => {
      cancel();
      release?.();
    };
  };
}

/** Made by `ReadOnlyEvaq.open` or `Evaq.openReadOnly`. */
export class ReadOnlyEvaq implements EvaqReader {
  /** Where the store is. */
  readonly path: string;
  readonly wal: ReadOnlyQueue;
  readonly deadLetters: ReadOnlyQueue;
  readonly #descriptors: BudgetedVfs;
  readonly #vfs: Vfs;
  readonly #identity: StoreIdentity;
  readonly #options: ReaderOptions;
  readonly #queues = new Map<string, ReadOnlyQueue>();
  #closed = false;

  private constructor(path: string, descriptors: BudgetedVfs, identity: StoreIdentity, options: ReaderOptions) {
    if (typeof identity !== 'object') {
      throw new TypeError('a store is opened for reading by Evaq.openReadOnly(path), which resolves with it');
    }
    this.path = path;
    this.#descriptors = descriptors;
    this.#vfs = new ReadOnlyVfs(descriptors);
    this.#identity = identity;
    this.#options = options;
    this.wal = this.#queueOf(WAL_QUEUE);
    this.deadLetters = this.#queueOf(DEAD_LETTERS_QUEUE);
  }

  /**
   * Resolves when the store is known to be one; its queues are looked at when they are read.
   * @throws EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO; EVAQ_CORRUPT if both copies of the store's header are damaged
   */
  static async open(path: string | URL, options: ReadOnlyOptions = {}): Promise<ReadOnlyEvaq> {
    requireNoMore(arguments.length, 2, 'openReadOnly');
    const store = storePathOf(path);
    requireOptions(options, 'openReadOnly', NAMES);
    requirePorts(options.ports);
    const { signal } = options;
    requireSignal(signal, 'openReadOnly');
    return untilAborted(signal, () => ReadOnlyEvaq.#open(store, options));
  }

  static async #open(store: string, options: ReadOnlyOptions): Promise<ReadOnlyEvaq> {
    const onCorruption: unknown = options.onCorruption ?? 'fail';
    if (onCorruption !== 'fail' && onCorruption !== 'quarantine') {
      throw new TypeError(`onCorruption must be 'fail' or 'quarantine', got ${describe(onCorruption)}`);
    }
    const host = options.ports?.host ?? nodeHost;
    const after: Host['after'] = (ms, action) => host.after(ms, action);
    const descriptors = new BudgetedVfs(options.ports?.vfs ?? nodeVfs, descriptorsOf(options.descriptorsMax), after);
    const vfs = new ReadOnlyVfs(descriptors);
    let identity: StoreIdentity | undefined;
    try {
      identity = await readStore(vfs, store, 'read');
    } catch (error) {
      descriptors.leave();
      throw reported(error, `opening ${store}`, { path: store });
    }
    if (identity === undefined) {
      descriptors.leave();
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${store}`, {
        details: { path: store },
        hint: 'Look at the path: reading makes no store.',
      });
    }
    return new ReadOnlyEvaq(store, descriptors, identity, {
      onCorruption,
      timer: holdingTimer(host),
      host,
    });
  }

  /** The store's UUID, as 32 hex digits with hyphens. */
  get uuid(): string {
    return this.#identity.uuid.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }

  /** When the store was made, in ms since the epoch. */
  get createdMs(): number {
    return this.#identity.createdMs;
  }

  /** The names of the queues that are there now. @throws EVAQ_IO, EVAQ_CLOSED */
  async queueNames(options?: WaitOptions): Promise<string[]> {
    const signal = waitOf(arguments.length, 1, options, 'queueNames');
    this.#requireOpen();
    return untilAborted(signal, async () => {
      const listed = await this.#list();
      return [...listed.names, ...missingQueues(listed, this.#identity.register.names)].sort();
    });
  }

  /**
   * The queue of that name.
   * @throws EVAQ_QUEUE_NAME if there is none (none is made) or the name cannot be one's; EVAQ_IO, EVAQ_CLOSED
   */
  async queue(name: string, options?: WaitOptions): Promise<ReadOnlyQueue> {
    const signal = waitOf(arguments.length, 2, options, 'queue');
    this.#requireOpen();
    requireQueueName(name);
    return untilAborted(signal, () => this.#queue(name));
  }

  async #queue(name: string): Promise<ReadOnlyQueue> {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const { names, strangers } = await this.#list();
    const stranger = strangers.find((one) => one.name === name);
    if (stranger?.kind === 'lost') throw lostQueueError(stranger);
    const { register } = this.#identity;
    if (!names.includes(name) && !register.names.has(name)) {
      if (await mayMissQueues(this.#vfs, this.path, register)) throw forgottenQueueError(this.path);
      throw new EvaqError('EVAQ_QUEUE_NAME', `${this.path} has no queue '${name}'`, {
        details: { path: this.path, queue: name },
        hint: `It has: ${names.join(', ')}.`,
      });
    }
    return this.#queues.get(name) ?? this.#queueOf(name);
  }

  /** Bytes that may still be written to the store's file system. */
  async freeBytes(options?: WaitOptions): Promise<number> {
    const signal = waitOf(arguments.length, 1, options, 'freeBytes');
    this.#requireOpen();
    try {
      return await untilAborted(signal, () => this.#vfs.freeBytes(this.path));
    } catch (error) {
      throwIfAborted(signal);
      throw reported(error, `looking at ${this.path}`, { path: this.path });
    }
  }

  /** Resolves when reads under way are done and no file is open any more. Idempotent; afterwards every call rejects with EVAQ_CLOSED. */
  async close(options?: WaitOptions): Promise<void> {
    return untilAborted(waitOf(arguments.length, 1, options, 'close'), () => this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    this.#descriptors.leave();
  }

  async #list(): Promise<QueueNames> {
    try {
      return await listQueues(this.#vfs, this.path);
    } catch (error) {
      throw reported(error, `reading ${this.path}`, { path: this.path });
    }
  }

  #queueOf(name: string): ReadOnlyQueue {
    const place = {
      vfs: this.#vfs,
      host: this.#options.host,
      dir: queueDir(this.path, name),
      queue: name,
      storeUuid: this.#identity.uuid,
      isRegistered: this.#identity.register.names.has(name),
    };
    const movedAway = (): Promise<readonly (readonly number[])[]> => this.#movedFrom(name);
    const queue = new ReadOnlyQueue({ place, movedAway, ...this.#options });
    this.#queues.set(name, queue);
    return queue;
  }

  /** What has left the queue of that name for another one: where it has arrived says so first. */
  async #movedFrom(name: string): Promise<readonly (readonly number[])[]> {
    const moved: (readonly number[])[] = [];
    for (const other of (await this.#list()).names) {
      if (other === name) continue;
      try {
        const queue = this.#queues.get(other) ?? this.#queueOf(other);
        moved.push(await queue.arrivalsFrom(name));
      } catch (error) {
        // Of which nothing can be made is told by those who read that queue.
        if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
      }
    }
    return moved;
  }

  #requireOpen(): void {
    if (this.#closed) throw closedError(this.path);
  }
}
