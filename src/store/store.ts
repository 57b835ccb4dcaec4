/**
 * An open store, without the convenience of `Evaq`: its name, its lock, its ground and its queues, until it is closed.
 */
import type { FailStop } from '../fail-stop.js';
import { uuidText } from '../ids.js';
import type { QueueCore } from '../queue/queue-core.js';
import type { ResolvedQueueOptions } from '../queue/queue-options.js';
import type { BudgetedVfs } from '../vfs/budgeted-vfs.js';
import type { Vfs, VfsLock } from '../vfs/vfs.js';
import type { OpenStoreOptions } from './open-options.js';
import type { RecoveryReport } from './recovery-report.js';
import type { Ground } from './store-ground.js';
import { releaseLock } from './store-lock.js';
import { StoreQueues } from './store-queues.js';
import type { StoreRecovery } from './store-recovery.js';

export interface StoreParts {
  readonly options: OpenStoreOptions;
  readonly recovery: StoreRecovery;
  readonly report: RecoveryReport;
  readonly lock: VfsLock;
  readonly ground: Ground;
  readonly descriptors: BudgetedVfs;
}

export class Store {
  readonly path: string;
  readonly options: OpenStoreOptions;
  readonly failStop: FailStop;
  readonly recovery: RecoveryReport;
  /** Its name as 16 bytes. */
  readonly uuid: Buffer;
  readonly #lock: VfsLock;
  readonly #descriptors: BudgetedVfs;
  readonly #ground: Ground;
  readonly #queues: StoreQueues;

  constructor({ options, recovery, report, lock, ground, descriptors }: StoreParts) {
    const { env, ids, registrar, dormant } = recovery;
    this.path = options.path;
    this.options = options;
    this.failStop = env.failStop;
    this.recovery = report;
    this.uuid = env.storeUuid;
    this.#lock = lock;
    this.#descriptors = descriptors;
    this.#ground = ground;
    this.#queues = new StoreQueues(options, { storeId: this.storeId, env, ids, ground, registrar, dormant });
  }

  /** The store's name for good. */
  get storeId(): string {
    return uuidText(this.uuid);
  }

  /** The file system as the store uses it. */
  get vfs(): Vfs {
    return this.options.vfs;
  }

  /** The names of all queues, open or not. */
  get queueNames(): string[] {
    return this.#queues.names;
  }

  get cores(): readonly QueueCore[] {
    return this.#queues.cores;
  }

  /** The queue of that name if it is open. */
  openQueue(name: string): QueueCore | undefined {
    return this.#queues.started(name);
  }

  /** The queue of that name, made if there is none. `options` count at the first call. */
  queue(name: string, options: ResolvedQueueOptions): Promise<QueueCore> {
    return this.#queues.queue(name, options);
  }

  async close(): Promise<void> {
    // Queues are closed one after the other, and whoever awaits this wants it to come to an end.
    const release = this.options.host.hold?.();
    try {
      await this.#close();
    } finally {
      this.options.space?.close();
      release?.();
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#queues.close();
      // Before the lock is released: after that LOCK may be anybody's.
      this.#ground.checkBlocking(this.path);
    } finally {
      // Whatever failed: nobody is to be kept out by a store that is given up.
      await releaseLock(this.path, this.#lock).finally(() => this.#descriptors.leave());
    }
    // Also where it showed before: nothing can be vouched for.
    if (this.#ground.changed !== undefined) throw this.#ground.changed;
    this.failStop.throwIfFailed();
  }
}
