/**
 * Recovering all queues of a store, in steps (P5, P9, P10): scanned and judged, refused if that is wished, mended; then tails, moves between queues,
 * tombstones and footers are applied. Nothing is written before all queues are judged.
 *
 * A named queue that was closed cleanly and that nobody asks for is left as it is.
 */
import { throwIfAborted } from '../abortable.js';
import { isNoSpace } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { highestGiven, nextIdBehind } from '../ids.js';
import { requireQueues } from '../layout/queue-names.js';
import type { QueueRegister } from '../layout/queue-register.js';
import { mendStore, queueDir, type StoreIdentity } from '../layout/store-file.js';
import { BlockingLooks } from '../log/blocking-looks.js';
import { type Damage, storeDamage, strangerDamage } from '../log/damage.js';
import { type LoadedQueue, loadQueue } from '../log/log-load.js';
import { idFloor } from '../log/queue-evidence.js';
import { startGeneration } from '../queue/generation-start.js';
import { settleIntake } from '../queue/intake-recovery.js';
import { OpeningReserve } from '../queue/opening-reserve.js';
import { makeEvidence } from '../queue/queue-evidence.js';
import {
  type RecoveryEnvironment,
  removeLeftovers,
  reusable,
  sealFound,
  settleTails,
  type TornTail,
} from '../queue/queue-recovery.js';
import { timeOf } from '../vfs/host.js';
import { damageRefusal } from './damage-refusal.js';
import { type DormantQueue, newDormant } from './dormant-queue.js';
import type { OpenStoreOptions } from './open-options.js';
import { QueueRegistrar } from './queue-registrar.js';
import type { QueueRecovery, RecoveryReport } from './recovery-report.js';
import { SegmentIds } from './segment-ids.js';
import { sideBySide } from './side-by-side.js';
import type { Ground } from './store-ground.js';

export class StoreRecovery {
  readonly env: RecoveryEnvironment;
  readonly ids: SegmentIds = new SegmentIds();
  readonly dormant: Map<string, DormantQueue> = new Map();
  readonly #options: OpenStoreOptions;
  readonly #identity: StoreIdentity;
  readonly #ground: Ground;
  #registrar: QueueRegistrar;
  readonly #damage: Damage[] = [];
  readonly #torn: TornTail[] = [];
  #movesCompleted = 0;
  #mayMiss = false;
  readonly #recoveries: QueueRecovery[] = [];

  constructor(options: OpenStoreOptions, identity: StoreIdentity, failStop: FailStop, ground: Ground) {
    const { vfs, host } = options;
    this.#options = options;
    this.#identity = identity;
    this.#ground = ground;
    this.#registrar = new QueueRegistrar({ ...options, failStop, identity });
    this.env = {
      vfs,
      host,
      storeUuid: identity.uuid,
      failStop,
      allocateId: () => this.ids.allocate(),
      reserve: new OpeningReserve(vfs, () => [...this.dormant.values()].map(({ loaded }) => loaded)),
    };
  }

  /** There have been queues of which nothing is known any more. */
  get hasForgotten(): boolean {
    return this.#mayMiss || this.#identity.register.hasForgotten;
  }

  get registrar(): QueueRegistrar {
    return this.#registrar;
  }

  /** Scans and judges every queue. */
  async load(): Promise<void> {
    const { vfs, host, path, queueDefaults, onProgress, signal } = this.#options;
    const { names, strangers } = await requireQueues(vfs, path);
    this.#damage.push(...strangers.map(strangerDamage));
    const floor = idFloor(this.#identity.createdMs, timeOf(host));
    const look = new BlockingLooks(vfs, host);
    const load = async (name: string): Promise<LoadedQueue> => {
      throwIfAborted(signal);
      let bytes = 0;
      const dir = queueDir(path, name);
      this.#ground.noteQueue(dir);
      const loaded = await loadQueue(vfs, dir, name, this.#identity.uuid, {
        indexIntervalBytes: queueDefaults.indexIntervalBytes,
        pause: () => host.yield(),
        look,
        intakeMs: timeOf(host),
        isRegistered: this.#registrar.has(name),
        idFloor: floor,
        progress: (more) => {
          bytes += more;
          onProgress?.({ kind: 'scan', queue: name, bytes });
        },
      });
      // A segment may be gone that nothing names: its IDs must not be given out again. Readers have no use for it, who may have read a round too early.
      if (loaded.tombstones.isLastLost) loaded.nextId = Math.max(loaded.nextId, floor);
      return loaded;
    };
    const named: number[] = [];
    for (const loaded of await sideBySide(names, async (name) => load(name))) {
      this.dormant.set(loaded.queue, newDormant(loaded));
      this.ids.seen(loaded.segmentIdMax);
      named.push(...loaded.segmentIds);
      this.#damage.push(...loaded.damage);
    }
    this.ids.seen(highestGiven(this.ids.last, named));
    const told = await storeDamage(vfs, path, this.#identity);
    this.#mayMiss = told.some(({ lossless }) => !lossless);
    this.#damage.push(...told);
    if (!this.hasForgotten) return;
    // Those that are made anew may be the ones.
    for (const { loaded } of this.dormant.values())
      if (loaded.found.length === 0 && loaded.generation === 0) loaded.nextId = Math.max(loaded.nextId, floor);
  }

  /** With `onCorruption: 'fail'` damage that costs anything is told before a byte is changed. */
  refuseDamage(): void {
    if (this.#options.onCorruption === 'quarantine') return;
    const refusal = damageRefusal(this.#options.path, this.#damage);
    if (refusal !== undefined) throw refusal;
  }

  /** What is damaged in STORE is written anew, and those are entered that are there; what a crash has cut off is completed. On a full disk it is left for another time. */
  async mend(): Promise<void> {
    const { damaged, register } = this.#identity;
    try {
      if (damaged || register.damaged) await this.#mendStore();
      else await this.#registrar.complete();
    } catch (error) {
      if (!isNoSpace(error)) throw error;
    }
  }

  async #mendStore(): Promise<void> {
    const identity = this.#identity;
    const { failStop } = this.env;
    const { vfs, host, path } = this.#options;
    const there = [...this.dormant.values()].filter(({ loaded }) => loaded.found.length > 0 && loaded.generation > 0);
    const names = new Set([...identity.register.names, ...there.map(({ loaded }) => loaded.queue)]);
    const { hasForgotten } = this;
    // Also where it cannot be written: a queue that is made then may be one of those.
    let register: QueueRegister = { ...identity.register, hasForgotten };
    try {
      register = await mendStore(vfs, path, identity, { names, hasForgotten }, timeOf(host));
    } finally {
      this.#registrar = new QueueRegistrar({ ...this.#options, failStop, identity: { ...identity, register } });
    }
  }

  /** Applies: tails, moves, tombstones, footers. */
  async apply(): Promise<void> {
    const { env } = this;
    const dormants = [...this.dormant.values()];
    this.#recoveries.push(...dormants.map(({ loaded }) => recoveryOf(loaded)));
    this.#torn.push(...(await sideBySide(dormants, ({ loaded }) => settleTails(env, loaded))).flat());
    const touched = this.#completeMoves();
    const unclean = dormants.filter(({ loaded }) => !loaded.clean || touched.has(loaded.queue));
    await sideBySide(unclean, async (dormant) => {
      dormant.tombstones = await startGeneration(env, dormant.loaded);
    });
    // The tails are sealed only now: their moves are durable at both ends.
    await sideBySide(dormants, async (dormant) => {
      const { loaded } = dormant;
      if (await settleIntake(env, loaded)) await sealFound(env, loaded, loaded.tombstones.round + 1);
      if (dormant.tombstones === undefined) return;
      dormant.evidence = await removeLeftovers(env, loaded);
      dormant.hasLeftovers = false;
      // On a full disk there may be no block for another than the one that is kept to be gone on with.
      const hasSegment =
        loaded.log.segments.length > 0 || dormant.evidence !== undefined || reusable(loaded) !== undefined;
      if (!hasSegment && this.#registrar.has(loaded.queue)) dormant.evidence = await makeEvidence(env, loaded);
    });
  }

  report(created: boolean, durationMs: number): RecoveryReport {
    return {
      clean:
        created ||
        (this.#damage.every(({ lossless }) => lossless) &&
          [...this.dormant.values()].every(
            ({ loaded }) => loaded.clean || (loaded.found.length === 0 && loaded.nextId === 1),
          )),
      created,
      durationMs,
      queues: this.#recoveries,
      torn: this.#torn,
      damage: this.#damage,
      movesCompleted: this.#movesCompleted,
    };
  }

  /** Given up: nothing of it goes on. */
  async close(): Promise<void> {
    for (const { tombstones } of this.dormant.values()) await tombstones?.close().catch(() => undefined);
  }

  /** A record in an unsealed tail that names an origin is the one that counts. */
  #completeMoves(): Set<string> {
    const touched = new Set<string>();
    for (const { loaded } of this.dormant.values()) {
      for (const { scan } of loaded.found) {
        for (const { origin } of scan?.moved ?? []) {
          const source = this.dormant.get(origin.queue)?.loaded;
          if (source === undefined) continue;
          if (source.log.kill(origin.id)) {
            this.#movesCompleted++;
            touched.add(origin.queue);
          }
          if (origin.id >= source.nextId) {
            source.nextId = nextIdBehind(origin.id + 1);
            touched.add(origin.queue);
          }
        }
      }
    }
    return touched;
  }
}

/** As it was found. */
function recoveryOf({ queue, log, found, nextId }: LoadedQueue): QueueRecovery {
  return {
    queue,
    liveRecords: log.liveCount,
    segments: found.length,
    scannedSegments: found.filter(({ scan, segment }) => scan !== undefined && !segment.isEmpty).length,
    nextId,
  };
}
