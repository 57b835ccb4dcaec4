/**
 * The queues of an open store: each is dormant until somebody asks for it, then it is started, once; and all of them are closed together.
 */
import { isNoSpace, reported } from '../errors.js';
import { QUEUES_DIR, queueDir, requireNewQueueName, requireQueueName } from '../layout/store-file.js';
import { type LoadedQueue, loadQueue } from '../log/log-load.js';
import { startGeneration } from '../queue/generation-start.js';
import { findKept } from '../queue/opening-reserve.js';
import { QueueCore, type QueueEnvironment } from '../queue/queue-core.js';
import { removeEvidence } from '../queue/queue-evidence.js';
import type { ResolvedQueueOptions } from '../queue/queue-options.js';
import {
  closeDormant,
  closeUnsealed,
  makeOpeningFile,
  openUnsealed,
  type RecoveryEnvironment,
  removeLeftovers,
  startActive,
} from '../queue/queue-recovery.js';
import type { LeftSegment } from '../queue/segment-sealer.js';
import { SegmentSupply } from '../segment/segment-supply.js';
import { timeOf } from '../vfs/host.js';
import { type DormantQueue, newDormant } from './dormant-queue.js';
import type { OpenStoreOptions } from './open-options.js';
import type { QueueRegistrar } from './queue-registrar.js';
import type { SegmentIds } from './segment-ids.js';
import { sideBySide } from './side-by-side.js';
import type { Ground } from './store-ground.js';

export interface StoreQueuesParts {
  readonly storeId: string;
  readonly env: RecoveryEnvironment;
  readonly ids: SegmentIds;
  readonly ground: Ground;
  readonly registrar: QueueRegistrar;
  /** Recovered. Those that are started leave it. */
  readonly dormant: Map<string, DormantQueue>;
}

export class StoreQueues {
  readonly #options: OpenStoreOptions;
  readonly #parts: StoreQueuesParts;
  readonly #dormant: Map<string, DormantQueue>;
  readonly #starting = new Map<string, Promise<QueueCore>>();
  readonly #cores = new Map<string, QueueCore>();

  constructor(options: OpenStoreOptions, parts: StoreQueuesParts) {
    this.#options = options;
    this.#parts = parts;
    this.#dormant = parts.dormant;
  }

  /** Of all, started or not. */
  get names(): string[] {
    return [...new Set([...this.#dormant.keys(), ...this.#cores.keys()])].sort();
  }

  get cores(): readonly QueueCore[] {
    return [...this.#cores.values()];
  }

  /** The queue of that name if it is started. */
  started(name: string): QueueCore | undefined {
    return this.#cores.get(name);
  }

  /** The queue of that name, made if there is none. `options` count at the first call. */
  queue(name: string, options: ResolvedQueueOptions): Promise<QueueCore> {
    requireQueueName(name);
    const starting = this.#starting.get(name);
    if (starting !== undefined) return starting;
    const start = this.#start(name, options);
    this.#starting.set(name, start);
    start.catch(() => this.#starting.delete(name));
    return start;
  }

  /** Rejects with the first failure when all are closed. */
  async close(): Promise<void> {
    await this.#endCalls();
    const failures: unknown[] = [];
    const { cores } = this;
    await sideBySide(cores, (core) => core.settle());
    // The last part of a move may have begun with that.
    await this.#endCalls();
    await sideBySide(cores, (core) => core.close().catch((error: unknown) => failures.push(error)));
    await sideBySide([...this.#dormant.values()], async ({ loaded, tombstones, active }) => {
      if (tombstones === undefined) return;
      if (active !== undefined) {
        // It did not come to be used: its empty segment has no footer, so nothing may say that all are sealed. The next open recovers the queue.
        await Promise.all([active.file.close().catch(() => undefined), tombstones.close().catch(() => undefined)]);
        return;
      }
      // Should it fail, the next open recovers the queue once more.
      await closeDormant(this.#parts.env, loaded, tombstones).catch(() => tombstones.close().catch(() => undefined));
    });
    if (failures.length > 0) throw failures[0];
  }

  /** Lets no call in, at any queue, before it waits for those that are under way: some of them go from one queue to another, or open one. */
  async #endCalls(): Promise<void> {
    for (;;) {
      for (const core of this.#cores.values()) core.beginClose();
      await Promise.allSettled(this.#starting.values());
      const { cores } = this;
      for (const core of cores) core.beginClose();
      if (!cores.some((core) => core.hasCalls)) return;
      for (const core of cores) await core.callsOver();
    }
  }

  async #start(name: string, options: ResolvedQueueOptions): Promise<QueueCore> {
    const { env } = this.#parts;
    const { vfs } = env;
    env.failStop.throwIfFailed();
    let unsealed: readonly LeftSegment[] = [];
    try {
      const begun = this.#cores.get(name);
      if (begun !== undefined) {
        await begun.begin();
        return begun;
      }
      const dormant = this.#dormant.get(name) ?? (await this.#make(name));
      const { loaded } = dormant;
      const tombstones = dormant.tombstones ?? (await startGeneration(env, loaded));
      dormant.tombstones = tombstones;
      const supply = this.#supplyOf(loaded, options);
      const { openingFile } = await findKept(vfs, loaded);
      if (openingFile !== undefined) supply.openingFile.adopt(openingFile);
      else await makeOpeningFile(env, supply);
      unsealed = await openUnsealed(env, loaded);
      dormant.active ??= await startActive(env, loaded, supply, options.durability !== 'sync');
      const { active } = dormant;
      if (dormant.hasLeftovers) await removeLeftovers(env, loaded);
      dormant.hasLeftovers = false;
      if (dormant.evidence !== undefined) await removeEvidence(env, loaded, dormant.evidence);
      dormant.evidence = undefined;
      await this.#register(loaded);
      const core = new QueueCore(this.#environmentOf(loaded), {
        loaded,
        options,
        supply,
        tombstones,
        active,
        unsealed,
      });
      this.#cores.set(name, core);
      this.#dormant.delete(name);
      await core.begin();
      return core;
    } catch (error) {
      if (!this.#cores.has(name)) await closeUnsealed(unsealed);
      throw reported(error, `opening queue '${name}'`, { queue: name });
    }
  }

  #supplyOf(loaded: LoadedQueue, options: ResolvedQueueOptions): SegmentSupply {
    const { vfs, host, storeUuid, allocateId, reserve } = this.#parts.env;
    const supply = new SegmentSupply({
      vfs,
      host,
      dir: loaded.dir,
      storeUuid,
      allocateId,
      poolMax: options.recycleSegments,
    });
    supply.adopt(loaded.pool.filter((path) => !reserve.released.has(path)));
    return supply;
  }

  #environmentOf({ dir }: LoadedQueue): QueueEnvironment {
    const { ownsLease, onCorruption, space } = this.#options;
    const { storeId, env, ids, ground } = this.#parts;
    return {
      vfs: env.vfs,
      host: env.host,
      storeUuid: env.storeUuid,
      storeId,
      failStop: env.failStop,
      segmentIdMax: () => ids.last,
      ownsLease,
      onCorruption,
      space,
      ground: { check: () => ground.check(dir), checkBlocking: () => ground.checkBlocking(dir) },
    };
  }

  /** A queue that was there before goes on where the disk is too full for the entry: the next open makes up for it. */
  async #register({ queue, tombstoneLogs }: LoadedQueue): Promise<void> {
    try {
      await this.#parts.registrar.enter(queue);
    } catch (error) {
      if (!isNoSpace(error) || tombstoneLogs.length === 0) throw error;
    }
  }

  async #make(name: string): Promise<DormantQueue> {
    const { path, queueDefaults } = this.#options;
    const { vfs, host, storeUuid } = this.#parts.env;
    requireNewQueueName(name, new Set([...this.names, ...this.#starting.keys()]));
    const dir = queueDir(path, name);
    await vfs.makeDir(dir);
    await vfs.syncDir(`${path}/${QUEUES_DIR}`);
    this.#parts.ground.noteQueue(dir);
    const loaded = await loadQueue(vfs, dir, name, storeUuid, {
      indexIntervalBytes: queueDefaults.indexIntervalBytes,
      pause: () => host.yield(),
      intakeMs: timeOf(host),
    });
    loaded.nextId = Math.max(loaded.nextId, this.#parts.registrar.idFloor);
    const dormant = newDormant(loaded);
    this.#dormant.set(name, dormant);
    return dormant;
  }
}
