/**
 * Opening a store for writing: the composition root. Locks, loads every queue (scan and judge), refuses or sets aside what is damaged,
 * settles moves between queues, and applies the rest (P5, P9, P10). Nothing is written before all queues are judged.
 *
 * A named queue that was closed cleanly and that nobody asks for is left as it is.
 */
import { throwIfAborted } from '../abortable.js';
import { allOver } from '../all-over.js';
import { isDeliveryFile } from '../delivery/delivery-log-name.js';
import { EvaqError, isNoSpace, messageOf, reported } from '../errors.js';
import { FailStop } from '../fail-stop.js';
import { highestGiven, nextIdBehind, type SegmentId, segmentId, uuidText } from '../ids.js';
import { listQueues, missingHint, missingQueueError, missingQueues, requireQueues } from '../layout/queue-names.js';
import {
  createStore,
  DEAD_LETTERS_QUEUE,
  makeDirs,
  mendStore,
  parentOf,
  QUEUES_DIR,
  queueDir,
  readStore,
  requireNewQueueName,
  requireQueueName,
  STORE_FILE,
  type StoreIdentity,
  WAL_QUEUE,
} from '../layout/store-file.js';
import { type Damage, storeDamage, strangerDamage } from '../log/damage.js';
import { tellDamage } from '../log/damage-event.js';
import { type LoadedQueue, loadQueue } from '../log/log-load.js';
import { idFloor } from '../log/queue-evidence.js';
import type { ActiveSegment } from '../queue/active-segment.js';
import type { FreeSpace } from '../queue/free-space.js';
import { startGeneration } from '../queue/generation-start.js';
import { settleIntake } from '../queue/intake-recovery.js';
import { findKept, OpeningReserve } from '../queue/opening-reserve.js';
import { QueueCore, type QueueEnvironment } from '../queue/queue-core.js';
import { makeEvidence, removeEvidence } from '../queue/queue-evidence.js';
import type { ResolvedQueueOptions } from '../queue/queue-options.js';
import {
  closeDormant,
  closeUnsealed,
  makeOpeningFile,
  openUnsealed,
  type RecoveryEnvironment,
  removeLeftovers,
  reusable,
  sealFound,
  settleTails,
  startActive,
  type TornTail,
} from '../queue/queue-recovery.js';
import type { LeftSegment } from '../queue/segment-sealer.js';
import { SegmentSupply } from '../segment/segment-supply.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import { BudgetedVfs } from '../vfs/budgeted-vfs.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs, VfsLock } from '../vfs/vfs.js';
import { GroundedVfs } from './grounded-vfs.js';
import { QueueRegistrar } from './queue-registrar.js';
import { sideBySide } from './side-by-side.js';
import { Ground } from './store-ground.js';
import { type LockNote, lockAlso, lockStore, releaseLock } from './store-lock.js';

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
  readonly lockTimeoutMs: number;
  readonly create: boolean;
  readonly descriptorsMax: number;
  readonly onCorruption: 'fail' | 'quarantine';
  readonly queueDefaults: ResolvedQueueOptions;
  readonly onProgress: ((progress: RecoveryProgress) => void) | undefined;
  /** Whether the call under way is made by the handler that has that record. */
  readonly ownsLease: (queue: string, id: number) => boolean;
  /** Where some of the file system is to stay free. */
  readonly space?: FreeSpace | undefined;
  /** Aborted: the opening ends at its next step, and rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A queue that is recovered, and not started yet. */
interface DormantQueue {
  readonly loaded: LoadedQueue;
  /** Undefined while the queue is as its last writer left it. */
  tombstones: TombstoneLog | undefined;
  /** An empty segment that stands for the queue until it has another. */
  evidence: string | undefined;
  /** Of its last run: what no open needs is still there. */
  hasLeftovers: boolean;
  /** Made by a start that did not get further. */
  active: ActiveSegment | undefined;
}

/** An open store, without the convenience of `Evaq`. */
export class Store {
  readonly path: string;
  readonly options: OpenStoreOptions;
  readonly failStop: FailStop;
  readonly recovery: RecoveryReport;
  readonly #lock: VfsLock;
  readonly #descriptors: BudgetedVfs;
  readonly #ground: Ground;
  readonly #uuid: Buffer;
  readonly #dormant: Map<string, DormantQueue>;
  readonly #starting = new Map<string, Promise<QueueCore>>();
  readonly #cores = new Map<string, QueueCore>();
  readonly #ids: SegmentIds;
  readonly #reserve: OpeningReserve;
  readonly #registrar: QueueRegistrar;

  private constructor(opening: Opening, recovery: RecoveryReport, descriptors: BudgetedVfs) {
    this.#descriptors = descriptors;
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
    this.#registrar = opening.registrar;
  }

  static async open(options: OpenStoreOptions): Promise<Store> {
    const vfs = new BudgetedVfs(options.vfs, options.descriptorsMax);
    try {
      return await Store.#open({ ...options, vfs }, vfs);
    } catch (error) {
      vfs.leave();
      throw reported(error, `opening ${options.path}`, { path: options.path });
    }
  }

  static async #open(options: OpenStoreOptions, vfs: BudgetedVfs): Promise<Store> {
    const { host, path } = options;
    const started = host.elapsed();
    // Said before anything is made, so that a folder that is something else stays untouched.
    const before = await readStore(vfs, path);
    throwIfAborted(options.signal);
    if (before === undefined && !options.create) {
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${path}`, {
        details: { path },
        hint: 'Leave out create: false to make one.',
      });
    }
    if (before === undefined) await makeDirs(vfs, path);
    const note = options.lockNote;
    const lock = await lockStore(path, { vfs, host, note, timeoutMs: options.lockTimeoutMs, signal: options.signal });
    let opening: Opening | undefined;
    try {
      const take = (file: string): void => lockAlso(path, file, lock, note);
      const identity = (await readStore(vfs, path)) ?? (await createStore(vfs, host, path, take));
      // It may not have been there when LOCK was locked.
      take(`${path}/${STORE_FILE}`);
      const missing = missingQueues(await listQueues(vfs, path), identity.register.names);
      const [first] = missing;
      if (first !== undefined && options.onCorruption === 'fail') throw missingQueueError(first, path);
      const queues = `${path}/${QUEUES_DIR}`;
      await vfs.makeDir(queues);
      const names = new Set([WAL_QUEUE, DEAD_LETTERS_QUEUE, ...missing]);
      await allOver([...names].map((name) => vfs.makeDir(queueDir(path, name))));
      // A folder that is there may have been made by a process that died before it could sync the name.
      await allOver([parentOf(path), path, queues].map((dir) => vfs.syncDir(dir)));

      const failStop = new FailStop();
      const ground = new Ground({ path, identities: vfs.identities, host, failStop });
      vfs.guard({
        check: (file) => ground.checkBlocking(file),
        replaced: (file, found) => ground.lost(file, found),
        // Losing a delivery log costs counts, and never the store.
        syncFailed: (cause, file) =>
          isDeliveryFile(file)
            ? new Error(`${file}: ${messageOf(cause)}`, { cause })
            : failStop.fail(cause, 'a sync', file),
      });
      ground.noteStore(lock);
      ground.checkBlocking(path);
      opening = new Opening({ ...options, vfs: new GroundedVfs(vfs, host, ground) }, lock, identity, failStop, ground);
      throwIfAborted(options.signal);
      await opening.load();
      opening.damage.push(...storeDamage(path, identity));
      throwIfAborted(options.signal);
      opening.refuseDamage();
      await opening.mend();
      await opening.recover();
      const report = opening.report(before === undefined, host.elapsed() - started);
      const store = new Store(opening, report, vfs);
      for (const damage of report.damage) tellDamage(host, store.storeId, damage);
      return store;
    } catch (error) {
      for (const { tombstones } of opening?.dormant.values() ?? []) await tombstones?.close().catch(() => undefined);
      await releaseLock(path, lock).catch(() => undefined);
      throw error;
    }
  }

  /** The store's name for good. */
  get storeId(): string {
    return uuidText(this.#uuid);
  }

  /** The same as 16 bytes. */
  get uuid(): Buffer {
    return this.#uuid;
  }

  /** The file system as the store uses it. */
  get vfs(): Vfs {
    return this.options.vfs;
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
      await this.#closeQueues();
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

  /** Lets no call in, at any queue, before it waits for those that are under way: some of them go from one queue to another, or open one. */
  async #endCalls(): Promise<void> {
    for (;;) {
      for (const core of this.#cores.values()) core.beginClose();
      await Promise.allSettled(this.#starting.values());
      const cores = [...this.#cores.values()];
      for (const core of cores) core.beginClose();
      if (!cores.some((core) => core.hasCalls)) return;
      for (const core of cores) await core.callsOver();
    }
  }

  async #closeQueues(): Promise<void> {
    await this.#endCalls();
    const failures: unknown[] = [];
    const cores = [...this.#cores.values()];
    await sideBySide(cores, (core) => core.settle());
    // The last part of a move may have begun with that.
    await this.#endCalls();
    await sideBySide(cores, (core) => core.close().catch((error: unknown) => failures.push(error)));
    const env = recoveryEnvironment(this.options, this.#uuid, this.failStop, this.#ids, this.#reserve);
    await sideBySide([...this.#dormant.values()], async ({ loaded, tombstones, active }) => {
      if (tombstones === undefined) return;
      if (active !== undefined) {
        // It did not come to be used: its empty segment has no footer, so nothing may say that all are sealed. The next open recovers the queue.
        await Promise.all([active.file.close().catch(() => undefined), tombstones.close().catch(() => undefined)]);
        return;
      }
      // Should it fail, the next open recovers the queue once more.
      await closeDormant(env, loaded, tombstones).catch(() => tombstones.close().catch(() => undefined));
    });
    if (failures.length > 0) throw failures[0];
  }

  async #start(name: string, options: ResolvedQueueOptions): Promise<QueueCore> {
    this.failStop.throwIfFailed();
    const { vfs, host } = this.options;
    let unsealed: readonly LeftSegment[] = [];
    try {
      const begun = this.#cores.get(name);
      if (begun !== undefined) {
        await begun.begin();
        return begun;
      }
      const dormant = this.#dormant.get(name) ?? (await this.#make(name));
      const env = recoveryEnvironment(this.options, this.#uuid, this.failStop, this.#ids, this.#reserve);
      const { loaded } = dormant;
      const tombstones = dormant.tombstones ?? (await startGeneration(env, loaded));
      dormant.tombstones = tombstones;
      const supply = new SegmentSupply({
        vfs,
        host,
        dir: loaded.dir,
        storeUuid: this.#uuid,
        allocateId: () => this.#ids.allocate(),
        poolMax: options.recycleSegments,
      });
      supply.adopt(loaded.pool.filter((path) => !this.#reserve.released.has(path)));
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
      const queueEnv: QueueEnvironment = {
        vfs,
        host,
        storeUuid: this.#uuid,
        storeId: this.storeId,
        failStop: this.failStop,
        segmentIdMax: () => this.#ids.last,
        ownsLease: this.options.ownsLease,
        onCorruption: this.options.onCorruption,
        space: this.options.space,
        ground: {
          check: () => this.#ground.check(loaded.dir),
          checkBlocking: () => this.#ground.checkBlocking(loaded.dir),
        },
      };
      const core = new QueueCore(queueEnv, { loaded, options, supply, tombstones, active, unsealed });
      this.#cores.set(name, core);
      this.#dormant.delete(name);
      await core.begin();
      return core;
    } catch (error) {
      if (!this.#cores.has(name)) await closeUnsealed(unsealed);
      throw reported(error, `opening queue '${name}'`, { queue: name });
    }
  }

  /** A queue that was there before goes on where the disk is too full for the entry: the next open makes up for it. */
  async #register({ queue, tombstoneLogs }: LoadedQueue): Promise<void> {
    try {
      await this.#registrar.enter(queue);
    } catch (error) {
      if (!isNoSpace(error) || tombstoneLogs.length === 0) throw error;
    }
  }

  async #make(name: string): Promise<DormantQueue> {
    const { vfs, host, path, queueDefaults } = this.options;
    requireNewQueueName(name, new Set([...this.queueNames, ...this.#starting.keys()]));
    const dir = queueDir(path, name);
    await vfs.makeDir(dir);
    await vfs.syncDir(`${path}/${QUEUES_DIR}`);
    this.#ground.noteQueue(dir);
    const loaded = await loadQueue(vfs, dir, name, this.#uuid, {
      indexIntervalBytes: queueDefaults.indexIntervalBytes,
      pause: () => host.yield(),
      intakeMs: timeOf(host),
    });
    const dormant: DormantQueue = {
      loaded,
      tombstones: undefined,
      evidence: undefined,
      hasLeftovers: true,
      active: undefined,
    };
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

  /** @throws EVAQ_QUEUE_FULL at the end of the safe integers */
  allocate(): SegmentId {
    if (this.last === Number.MAX_SAFE_INTEGER) {
      throw new EvaqError('EVAQ_QUEUE_FULL', 'the store has given out all its segment IDs', {
        details: { limit: Number.MAX_SAFE_INTEGER },
        hint: 'Its records can be read, with openReadOnly too. Push to a new store.',
      });
    }
    this.last = segmentId(this.last + 1);
    return this.last;
  }
}

/** The steps of opening, with what they hand on. */
class Opening {
  readonly options: OpenStoreOptions;
  readonly lock: VfsLock;
  readonly uuid: Buffer;
  readonly identity: StoreIdentity;
  readonly failStop: FailStop;
  readonly ground: Ground;
  registrar: QueueRegistrar;
  readonly ids: SegmentIds = new SegmentIds();
  readonly dormant: Map<string, DormantQueue> = new Map();
  readonly damage: Damage[] = [];
  readonly torn: TornTail[] = [];
  movesCompleted = 0;
  readonly reserve: OpeningReserve;
  #recoveries: QueueRecovery[] = [];

  constructor(options: OpenStoreOptions, lock: VfsLock, identity: StoreIdentity, failStop: FailStop, ground: Ground) {
    this.options = options;
    this.lock = lock;
    this.uuid = identity.uuid;
    this.identity = identity;
    this.registrar = new QueueRegistrar({ ...options, failStop, identity });
    this.failStop = failStop;
    this.ground = ground;
    this.reserve = new OpeningReserve(options.vfs, () => [...this.dormant.values()].map(({ loaded }) => loaded));
  }

  /** Scans and judges every queue. */
  async load(): Promise<void> {
    const { vfs, host, path, queueDefaults, onProgress, signal } = this.options;
    const { names, strangers } = await requireQueues(vfs, path);
    this.damage.push(...strangers.map(strangerDamage));
    const load = (name: string): Promise<LoadedQueue> => {
      throwIfAborted(signal);
      let bytes = 0;
      const dir = queueDir(path, name);
      this.ground.noteQueue(dir);
      return loadQueue(vfs, dir, name, this.uuid, {
        indexIntervalBytes: queueDefaults.indexIntervalBytes,
        pause: () => host.yield(),
        intakeMs: timeOf(host),
        isRegistered: this.registrar.has(name),
        idFloor: idFloor(this.identity.createdMs, timeOf(host)),
        progress: (more) => {
          bytes += more;
          onProgress?.({ kind: 'scan', queue: name, bytes });
        },
      });
    };
    const named: number[] = [];
    for (const loaded of await sideBySide(names, async (name) => load(name))) {
      this.dormant.set(loaded.queue, {
        loaded,
        tombstones: undefined,
        evidence: undefined,
        hasLeftovers: true,
        active: undefined,
      });
      this.ids.seen(loaded.segmentIdMax);
      named.push(...loaded.segmentIds);
      this.damage.push(...loaded.damage);
    }
    this.ids.seen(highestGiven(this.ids.last, named));
  }

  /** With `onCorruption: 'fail'` damage that costs anything is told before a byte is changed. */
  refuseDamage(): void {
    const losing = this.damage.filter(({ lossless }) => !lossless);
    const [first] = losing;
    if (first === undefined || this.options.onCorruption === 'quarantine') return;
    const more = losing.length > 1 ? ` (and ${losing.length - 1} more)` : '';
    const isMissing = first.bytes === 0 && first.file === queueDir(this.options.path, first.queue);
    const where = isMissing ? first.file : `${first.file} is damaged at offset ${first.offset}`;
    throw new EvaqError('EVAQ_CORRUPT', `${where}: ${first.what}${more}`, {
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
      hint: isMissing
        ? missingHint(this.options.path)
        : `See all of it with 'evaq verify ${this.options.path}'; open with onCorruption: 'quarantine' to set it aside and go on with the rest.`,
    });
  }

  /** What is damaged in STORE is written anew, and those are entered that are there. On a full disk it is left for another time. */
  async mend(): Promise<void> {
    const { options, identity, failStop } = this;
    const { vfs, host, path } = options;
    if (!identity.damaged && !identity.register.damaged) return;
    const there = [...this.dormant.values()].filter(({ loaded }) => loaded.found.length > 0 && loaded.generation > 0);
    const names = new Set([...identity.register.names, ...there.map(({ loaded }) => loaded.queue)]);
    try {
      const register = await mendStore(vfs, path, identity, names, timeOf(host));
      this.registrar = new QueueRegistrar({ ...options, failStop, identity: { ...identity, register } });
    } catch (error) {
      if (!isNoSpace(error)) throw error;
    }
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
    const dormants = [...this.dormant.values()];
    this.torn.push(...(await sideBySide(dormants, ({ loaded }) => settleTails(env, loaded))).flat());
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
      if (!hasSegment && this.registrar.has(loaded.queue)) dormant.evidence = await makeEvidence(env, loaded);
    });
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
            source.nextId = nextIdBehind(origin.id + 1);
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
        (this.damage.every(({ lossless }) => lossless) &&
          [...this.dormant.values()].every(
            ({ loaded }) => loaded.clean || (loaded.found.length === 0 && loaded.nextId === 1),
          )),
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
