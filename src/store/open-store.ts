/**
 * Opening a store for writing: the composition root. Locks, loads every queue (scan and judge), refuses or sets aside what is damaged,
 * settles moves between queues, and applies the rest (P5, P9, P10). Nothing is written before all queues are judged.
 *
 * A named queue that was closed cleanly and that nobody asks for is left as it is.
 */
import { EvaqError, ioError } from '../errors.js';
import { FailStop } from '../fail-stop.js';
import { type SegmentId, segmentId } from '../ids.js';
import { requireQueues } from '../layout/queue-names.js';
import {
  createStore,
  DEAD_LETTERS_QUEUE,
  makeDirs,
  mendStore,
  parentOf,
  QUEUES_DIR,
  queueDir,
  readStore,
  requireQueueName,
  WAL_QUEUE,
} from '../layout/store-file.js';
import { type Damage, strangerDamage } from '../log/damage.js';
import { type LoadedQueue, loadQueue } from '../log/log-load.js';
import { QueueCore, type QueueEnvironment } from '../queue/queue-core.js';
import type { ResolvedQueueOptions } from '../queue/queue-options.js';
import {
  closeDormant,
  OpeningReserve,
  type RecoveryEnvironment,
  removeLeftovers,
  sealFound,
  settleTails,
  startActive,
  startGeneration,
  type TornTail,
} from '../queue/queue-recovery.js';
import { SegmentSupply } from '../segment/segment-supply.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';
import type { Vfs, VfsLock } from '../vfs/vfs.js';
import { GroundedVfs } from './grounded-vfs.js';
import { Ground } from './store-ground.js';
import { type LockNote, lockStore } from './store-lock.js';

/** What opening found and did. */
export interface RecoveryReport {
  /** The last writer had closed the store: nothing had to be recovered. */
  readonly clean: boolean;
  /** The store was made by this open. */
  readonly created: boolean;
  readonly durationMs: number;
  readonly queues: readonly QueueRecovery[];
  /** Torn tails that were cut: normal after a crash, nothing acknowledged was in them. */
  readonly torn: readonly TornTail[];
  /** Damage to synced bytes, which no crash explains. */
  readonly damage: readonly Damage[];
  /** Records whose move to another queue was completed. */
  readonly movesCompleted: number;
}

export interface QueueRecovery {
  readonly queue: string;
  readonly liveRecords: number;
  readonly segments: number;
  /** Segments that had no footer and were read from end to end. */
  readonly scannedSegments: number;
  readonly nextId: number;
}

export interface RecoveryProgress {
  readonly kind: 'scan';
  readonly queue: string;
  /** Bytes scanned so far. */
  readonly bytes: number;
}

export interface OpenStoreOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly path: string;
  readonly lockNote: LockNote;
  readonly create: boolean;
  readonly onCorruption: 'fail' | 'quarantine';
  readonly queueDefaults: ResolvedQueueOptions;
  readonly onProgress: ((progress: RecoveryProgress) => void) | undefined;
}

/** A queue that is recovered, and not started yet. */
interface DormantQueue {
  readonly loaded: LoadedQueue;
  /** Undefined while the queue is as its last writer left it. */
  tombstones: TombstoneLog | undefined;
}

/** An open store, without the convenience of `Evaq`. */
export class Store {
  readonly path: string;
  readonly options: OpenStoreOptions;
  readonly failStop: FailStop;
  readonly recovery: RecoveryReport;
  readonly #lock: VfsLock;
  readonly #ground: Ground;
  readonly #uuid: Buffer;
  readonly #dormant: Map<string, DormantQueue>;
  readonly #starting = new Map<string, Promise<QueueCore>>();
  readonly #cores = new Map<string, QueueCore>();
  readonly #ids: SegmentIds;
  readonly #reserve: OpeningReserve;

  private constructor(opening: Opening, recovery: RecoveryReport) {
    this.path = opening.options.path;
    this.options = opening.options;
    this.failStop = opening.failStop;
    this.recovery = recovery;
    this.#lock = opening.lock;
    this.#ground = opening.ground;
    this.#uuid = opening.uuid;
    this.#dormant = opening.dormant;
    this.#ids = opening.ids;
    this.#reserve = opening.reserve;
  }

  static async open(options: OpenStoreOptions): Promise<Store> {
    try {
      return await Store.#open(options);
    } catch (error) {
      throw ioError(error, `opening ${options.path}`, { path: options.path });
    }
  }

  static async #open(options: OpenStoreOptions): Promise<Store> {
    const { vfs, host, path } = options;
    const started = host.elapsed();
    // Said before anything is made, so that a folder that is something else stays untouched.
    const before = await readStore(vfs, path);
    if (before === undefined && !options.create) {
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${path}`, {
        details: { path },
        hint: 'Leave out create: false to make one.',
      });
    }
    if (before === undefined) await makeDirs(vfs, path);
    const lock = await lockStore(vfs, path, options.lockNote);
    let opening: Opening | undefined;
    try {
      const identity = (await readStore(vfs, path)) ?? (await createStore(vfs, host, path));
      const queues = `${path}/${QUEUES_DIR}`;
      await vfs.makeDir(queues);
      await Promise.all([WAL_QUEUE, DEAD_LETTERS_QUEUE].map((name) => vfs.makeDir(queueDir(path, name))));
      // A folder that is there may have been made by a process that died before it could sync the name.
      await Promise.all([parentOf(path), path, queues].map((dir) => vfs.syncDir(dir)));

      const failStop = new FailStop();
      const ground = new Ground({ path, identities: vfs.identities, host, failStop });
      ground.noteStore(lock);
      ground.checkBlocking(path);
      opening = new Opening(
        { ...options, vfs: new GroundedVfs(vfs, host, ground) },
        lock,
        identity.uuid,
        failStop,
        ground,
      );
      await opening.load();
      if (identity.damaged) {
        opening.damage.push({
          queue: '',
          file: `${path}/STORE`,
          offset: 0,
          bytes: 128,
          what: 'one copy of the header is damaged; the other is intact',
          lossless: true,
        });
      }
      opening.refuseDamage();
      if (identity.damaged) await mendStore(opening.options.vfs, path, identity);
      await opening.recover();
      const report = opening.report(before === undefined, host.elapsed() - started);
      return new Store(opening, report);
    } catch (error) {
      for (const { tombstones } of opening?.dormant.values() ?? []) await tombstones?.close().catch(() => undefined);
      await lock.release();
      throw error;
    }
  }

  /** The names of all queues, open or not. */
  get queueNames(): string[] {
    return [...new Set([...this.#dormant.keys(), ...this.#cores.keys()])].sort();
  }

  get cores(): readonly QueueCore[] {
    return [...this.#cores.values()];
  }

  /** The queue of that name if it is open. */
  openQueue(name: string): QueueCore | undefined {
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

  async close(): Promise<void> {
    try {
      await this.#closeQueues();
      // Before the lock is released: after that LOCK may be anybody's.
      this.#ground.checkBlocking(this.path);
    } finally {
      // Whatever failed: nobody is to be kept out by a store that is given up.
      await this.#lock.release();
    }
    // Also where it showed before: nothing can be vouched for.
    if (this.#ground.changed !== undefined) throw this.#ground.changed;
  }

  async #closeQueues(): Promise<void> {
    await Promise.allSettled(this.#starting.values());
    const failures: unknown[] = [];
    for (const core of this.#cores.values()) await core.close().catch((error: unknown) => failures.push(error));
    const env = recoveryEnvironment(this.options, this.#uuid, this.failStop, this.#ids, this.#reserve);
    for (const { loaded, tombstones } of this.#dormant.values()) {
      if (tombstones === undefined) continue;
      // Should it fail, the next open recovers the queue once more.
      await closeDormant(env, loaded, tombstones).catch(() => tombstones.close().catch(() => undefined));
    }
    if (failures.length > 0) throw failures[0];
  }

  async #start(name: string, options: ResolvedQueueOptions): Promise<QueueCore> {
    this.failStop.throwIfFailed();
    const { vfs, host } = this.options;
    try {
      const dormant = this.#dormant.get(name) ?? (await this.#make(name));
      const env = recoveryEnvironment(this.options, this.#uuid, this.failStop, this.#ids, this.#reserve);
      const { loaded } = dormant;
      const recovered = dormant.tombstones;
      const tombstones = recovered ?? (await startGeneration(env, loaded));
      dormant.tombstones = tombstones;
      if (recovered === undefined) await removeLeftovers(env, loaded);
      const supply = new SegmentSupply({
        vfs,
        host,
        dir: loaded.dir,
        storeUuid: this.#uuid,
        allocateId: () => this.#ids.allocate(),
        poolMax: options.recycleSegments,
      });
      supply.adopt(loaded.pool.filter((path) => !this.#reserve.released.has(path)));
      const active = await startActive(env, loaded, supply, options.durability !== 'sync');
      const queueEnv: QueueEnvironment = {
        vfs,
        host,
        storeUuid: this.#uuid,
        failStop: this.failStop,
        segmentIdMax: () => this.#ids.last,
        onCorruption: this.options.onCorruption,
        ground: {
          check: () => this.#ground.check(loaded.dir),
          checkBlocking: () => this.#ground.checkBlocking(loaded.dir),
        },
      };
      const core = new QueueCore(queueEnv, { loaded, options, supply, tombstones, active });
      this.#cores.set(name, core);
      this.#dormant.delete(name);
      return core;
    } catch (error) {
      throw ioError(error, `opening queue '${name}'`, { queue: name });
    }
  }

  async #make(name: string): Promise<DormantQueue> {
    const { vfs, host, path, queueDefaults } = this.options;
    const dir = queueDir(path, name);
    await vfs.makeDir(dir);
    await vfs.syncDir(`${path}/${QUEUES_DIR}`);
    this.#ground.noteQueue(dir);
    const loaded = await loadQueue(vfs, dir, name, this.#uuid, {
      indexIntervalBytes: queueDefaults.indexIntervalBytes,
      pause: () => host.yield(),
    });
    const dormant: DormantQueue = { loaded, tombstones: undefined };
    this.#dormant.set(name, dormant);
    return dormant;
  }
}

/** Segment IDs of a store: from above all that were ever seen. */
class SegmentIds {
  last: SegmentId = segmentId(0);

  seen(id: number): void {
    if (id > this.last) this.last = segmentId(id);
  }

  allocate(): SegmentId {
    this.last = segmentId(this.last + 1);
    return this.last;
  }
}

/** The steps of opening, with what they hand on. */
class Opening {
  readonly options: OpenStoreOptions;
  readonly lock: VfsLock;
  readonly uuid: Buffer;
  readonly failStop: FailStop;
  readonly ground: Ground;
  readonly ids: SegmentIds = new SegmentIds();
  readonly dormant: Map<string, DormantQueue> = new Map();
  readonly damage: Damage[] = [];
  readonly torn: TornTail[] = [];
  movesCompleted = 0;
  readonly reserve: OpeningReserve;
  #recoveries: QueueRecovery[] = [];

  constructor(options: OpenStoreOptions, lock: VfsLock, uuid: Buffer, failStop: FailStop, ground: Ground) {
    this.options = options;
    this.lock = lock;
    this.uuid = uuid;
    this.failStop = failStop;
    this.ground = ground;
    this.reserve = new OpeningReserve(options.vfs, () => [...this.dormant.values()].map(({ loaded }) => loaded));
  }

  /** Scans and judges every queue. */
  async load(): Promise<void> {
    const { vfs, host, path, queueDefaults, onProgress } = this.options;
    const { names, strangers } = await requireQueues(vfs, path);
    this.damage.push(...strangers.map(strangerDamage));
    for (const name of names) {
      let bytes = 0;
      const dir = queueDir(path, name);
      this.ground.noteQueue(dir);
      const loaded = await loadQueue(vfs, dir, name, this.uuid, {
        indexIntervalBytes: queueDefaults.indexIntervalBytes,
        pause: () => host.yield(),
        progress: (more) => {
          bytes += more;
          onProgress?.({ kind: 'scan', queue: name, bytes });
        },
      });
      this.dormant.set(name, { loaded, tombstones: undefined });
      this.ids.seen(loaded.segmentIdMax);
      this.damage.push(...loaded.damage);
    }
  }

  /** With `onCorruption: 'fail'` damage that costs anything is told before a byte is changed. */
  refuseDamage(): void {
    const losing = this.damage.filter(({ lossless }) => !lossless);
    const [first] = losing;
    if (first === undefined || this.options.onCorruption === 'quarantine') return;
    const more = losing.length > 1 ? ` (and ${losing.length - 1} more)` : '';
    throw new EvaqError('EVAQ_CORRUPT', `${first.file} is damaged at offset ${first.offset}: ${first.what}${more}`, {
      details: {
        path: first.file,
        queue: first.queue,
        offset: first.offset,
        bytes: first.bytes,
        ...(first.firstId === undefined ? {} : { id: first.firstId }),
        ...(first.lastId === undefined ? {} : { lastId: first.lastId }),
        ...(first.fromMs === undefined ? {} : { fromMs: first.fromMs }),
        ...(first.toMs === undefined ? {} : { toMs: first.toMs }),
      },
      hint: `See all of it with 'evaq verify ${this.options.path}'; open with onCorruption: 'quarantine' to set it aside and go on with the rest.`,
    });
  }

  /** Applies: tails, moves, tombstones, footers. */
  async recover(): Promise<void> {
    const env = recoveryEnvironment(this.options, this.uuid, this.failStop, this.ids, this.reserve);
    for (const { loaded } of this.dormant.values()) {
      this.#recoveries.push({
        queue: loaded.queue,
        liveRecords: loaded.log.liveCount,
        segments: loaded.found.length,
        scannedSegments: loaded.found.filter(({ scan, segment }) => scan !== undefined && !segment.isEmpty).length,
        nextId: loaded.nextId,
      });
    }
    for (const { loaded } of this.dormant.values()) this.torn.push(...(await settleTails(env, loaded)));
    const touched = this.#completeMoves();
    for (const dormant of this.dormant.values()) {
      if (dormant.loaded.clean && !touched.has(dormant.loaded.queue)) continue;
      dormant.tombstones = await startGeneration(env, dormant.loaded);
    }
    // The tails are sealed only now: their moves are durable at both ends.
    for (const { loaded, tombstones } of this.dormant.values()) {
      await sealFound(env, loaded, loaded.tombstones.round + 1);
      if (tombstones !== undefined) await removeLeftovers(env, loaded);
    }
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
            this.movesCompleted++;
            touched.add(origin.queue);
          }
          if (origin.id >= source.nextId) {
            source.nextId = origin.id + 1;
            touched.add(origin.queue);
          }
        }
      }
    }
    return touched;
  }

  report(created: boolean, durationMs: number): RecoveryReport {
    return {
      clean:
        created ||
        [...this.dormant.values()].every(
          ({ loaded }) => loaded.clean || (loaded.found.length === 0 && loaded.nextId === 1),
        ),
      created,
      durationMs,
      queues: this.#recoveries,
      torn: this.torn,
      damage: this.damage,
      movesCompleted: this.movesCompleted,
    };
  }
}

function recoveryEnvironment(
  options: OpenStoreOptions,
  storeUuid: Buffer,
  failStop: FailStop,
  ids: SegmentIds,
  reserve: OpeningReserve,
): RecoveryEnvironment {
  return { vfs: options.vfs, host: options.host, storeUuid, failStop, allocateId: () => ids.allocate(), reserve };
}
