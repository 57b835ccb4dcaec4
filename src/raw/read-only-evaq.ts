/**
 * A store, for reading only: takes no lock, creates nothing, changes nothing (P11), works while another process writes, on a
 * store whose writer was killed, and on a read-only file system.
 *
 * It shows what is *written*. What was acknowledged in the durability mode 'sync' is all there; the last commit may not be
 * synced yet, and after a power cut may turn out never to have been, in which case its IDs can go to other records.
 */
import { resolve } from 'node:path';
import { EvaqError, ioError } from '../errors.js';
import { describe } from '../ids.js';
import { listQueues, lostQueueError, type QueueNames } from '../layout/queue-names.js';
import {
  DEAD_LETTERS_QUEUE,
  queueDir,
  readStore,
  requireQueueName,
  type StoreIdentity,
  WAL_QUEUE,
} from '../layout/store-file.js';
import type { Host } from '../vfs/host.js';
import { nodeHost } from '../vfs/node-host.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs } from '../vfs/vfs.js';
import { closedError, ReadOnlyQueue, type Timer } from './read-only-queue.js';
import { ReadOnlyVfs } from './read-only-vfs.js';

export interface ReadOnlyOptions {
  /**
   * What reading does at records that are lost to damage: `'fail'` (the default) rejects with EVAQ_CORRUPT, `'quarantine'` passes over them and
   * mentions the damage in `stats()`. Opening never fails for damage to a queue.
   */
  readonly onCorruption?: 'fail' | 'quarantine';
  /** File system and host; default the real ones. */
  readonly ports?: { readonly vfs: Vfs; readonly host: Host };
}

/** What the queues of a reader share. */
interface ReaderOptions {
  readonly onCorruption: 'fail' | 'quarantine';
  readonly timer: Timer;
  readonly pause: () => Promise<void>;
}

/** Unlike the host's timers, one that keeps the process alive: a program may have nothing to do but follow a queue. */
const nodeTimer: Timer = (ms, action) => {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
};

/** Made by `ReadOnlyEvaq.open` or `Evaq.openReadOnly`. */
export class ReadOnlyEvaq implements AsyncDisposable {
  /** Where the store is. */
  readonly path: string;
  readonly wal: ReadOnlyQueue;
  readonly deadLetters: ReadOnlyQueue;
  readonly #vfs: Vfs;
  readonly #identity: StoreIdentity;
  readonly #options: ReaderOptions;
  readonly #queues = new Map<string, ReadOnlyQueue>();
  #closed = false;

  private constructor(path: string, vfs: Vfs, identity: StoreIdentity, options: ReaderOptions) {
    this.path = path;
    this.#vfs = vfs;
    this.#identity = identity;
    this.#options = options;
    this.wal = this.#queueOf(WAL_QUEUE);
    this.deadLetters = this.#queueOf(DEAD_LETTERS_QUEUE);
  }

  /**
   * Resolves when the store is known to be one; its queues are looked at when they are read.
   * @throws EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO; EVAQ_CORRUPT if both copies of the store's header are damaged
   */
  static async open(path: string, options: ReadOnlyOptions = {}): Promise<ReadOnlyEvaq> {
    if (typeof path !== 'string' || path === '')
      throw new TypeError(`path must be a non-empty string, got ${describe(path)}`);
    const onCorruption: unknown = options.onCorruption ?? 'fail';
    if (onCorruption !== 'fail' && onCorruption !== 'quarantine') {
      throw new TypeError(`onCorruption must be 'fail' or 'quarantine', got ${describe(onCorruption)}`);
    }
    const host = options.ports?.host;
    const timer: Timer = host === undefined ? nodeTimer : (ms, action) => host.after(ms, action);
    const vfs = new ReadOnlyVfs(options.ports?.vfs ?? nodeVfs);
    const store = resolve(path);
    let identity: StoreIdentity | undefined;
    try {
      identity = await readStore(vfs, store);
    } catch (error) {
      throw ioError(error, `opening ${store}`, { path: store });
    }
    if (identity === undefined) {
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${store}`, {
        details: { path: store },
        hint: 'Reading makes none; a store is made by opening it for writing.',
      });
    }
    return new ReadOnlyEvaq(store, vfs, identity, { onCorruption, timer, pause: () => (host ?? nodeHost).yield() });
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
  async queueNames(): Promise<string[]> {
    this.#requireOpen();
    return [...(await this.#list()).names];
  }

  /**
   * The queue of that name.
   * @throws EVAQ_QUEUE_NAME if there is none (none is made) or the name cannot be one's; EVAQ_IO, EVAQ_CLOSED
   */
  async queue(name: string): Promise<ReadOnlyQueue> {
    this.#requireOpen();
    requireQueueName(name);
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const { names, strangers } = await this.#list();
    const stranger = strangers.find((one) => one.name === name);
    if (stranger?.kind === 'lost') throw lostQueueError(stranger);
    if (!names.includes(name)) {
      throw new EvaqError('EVAQ_QUEUE_NAME', `${this.path} has no queue '${name}'`, {
        details: { path: this.path, queue: name },
        hint: `It has: ${names.join(', ')}.`,
      });
    }
    return this.#queues.get(name) ?? this.#queueOf(name);
  }

  /** Bytes that may still be written to the store's file system. */
  async freeBytes(): Promise<number> {
    this.#requireOpen();
    return this.#vfs.freeBytes(this.path);
  }

  /** Resolves when reads under way are done and no file is open any more. Idempotent; afterwards every call rejects with EVAQ_CLOSED. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #list(): Promise<QueueNames> {
    try {
      return await listQueues(this.#vfs, this.path);
    } catch (error) {
      throw ioError(error, `reading ${this.path}`, { path: this.path });
    }
  }

  #queueOf(name: string): ReadOnlyQueue {
    const place = {
      vfs: this.#vfs,
      pause: this.#options.pause,
      dir: queueDir(this.path, name),
      queue: name,
      storeUuid: this.#identity.uuid,
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
