/**
 * One queue, open for writing: puts the pipelines, the log, the reader and GC together, and seals what the commit pipeline leaves.
 * Arguments are checked by `Queue`, moves between queues are made by the store.
 *
 * States of a record in memory: live -> claimed (a pop or move is under way; may turn back) -> removed. A claim counts as dead for readers, as
 * live for GC, and is never in a snapshot.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { assert } from '../assert.js';
import { EvaqError, ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { GcRunner } from '../gc/gc-runner.js';
import { GcScheduler } from '../gc/gc-scheduler.js';
import type { IdRange, SegmentId } from '../ids.js';
import { FileCache } from '../log/file-cache.js';
import { estimateLiveBytes } from '../log/live-bytes.js';
import type { Damage, LoadedQueue } from '../log/log-load.js';
import { LogReader, type ReadLimits } from '../log/log-reader.js';
import type { LogSegment } from '../log/log-segment.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { ActiveSegment } from './active-segment.js';
import { BlockingBudget } from './blocking-budget.js';
import { CommitPipeline, SPARE_SEGMENTS_MIN } from './commit-pipeline.js';
import type { ResolvedQueueOptions } from './queue-options.js';
import { deadRangesOf } from './queue-recovery.js';
import { RemovalPipeline, type RoundContext } from './removal-pipeline.js';
import { SegmentSealer } from './segment-sealer.js';

/** How long a segment is to be left alone before it is rewritten. */
const QUIET_MS = 2_000;
const GAIN_BYTES_MIN = 64 * 1024;
/**
 * In reserve for rewrites on a full disk: up to this part of a queue's size while there is space for many segments, since it has to be written; a
 * whole segment where there is not.
 */
const SPARE_SHARE = 1 / 20;
const AMPLE_SEGMENTS = 16;

const NOT_REMOVED: Promise<boolean> = Promise.resolve(false);

export interface QueueEnvironment {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly storeUuid: Buffer;
  readonly failStop: FailStop;
  readonly segmentIdMax: () => SegmentId;
  readonly onCorruption: 'fail' | 'quarantine';
  /** Makes sure that the queue's folder and files are where they were. Rejects with, and throws, EVAQ_FAILED: the store has stopped then. */
  readonly ground: { check(): Promise<void>; checkBlocking(): void };
}

export interface QueueParts {
  readonly loaded: LoadedQueue;
  readonly options: ResolvedQueueOptions;
  readonly supply: SegmentSupply;
  readonly tombstones: TombstoneLog;
  readonly active: ActiveSegment;
}

export class QueueCore {
  readonly name: string;
  readonly dir: string;
  readonly options: ResolvedQueueOptions;
  readonly log: SegmentLog;
  readonly commits: CommitPipeline;
  readonly removals: RemovalPipeline;
  readonly supply: SegmentSupply;
  readonly gc: GcRunner;
  readonly scheduler: GcScheduler;
  readonly syncTimes: RecordableHistogram = createHistogram();
  /** Damage that was met since the store was opened. */
  readonly damage: Damage[] = [];
  readonly #env: QueueEnvironment;
  readonly #reader: LogReader;
  readonly #files: FileCache;
  readonly #claims = new Set<number>();
  readonly #sealer: SegmentSealer;
  #tailWaiters: (() => void)[] = [];
  #calls = 0;
  #callsDone: (() => void)[] = [];
  #state: 'open' | 'closing' | 'closed' = 'open';
  #cancelInterval: (() => void) | undefined;

  constructor(env: QueueEnvironment, parts: QueueParts) {
    const { loaded, options, supply, tombstones, active } = parts;
    const { vfs, host, storeUuid, failStop } = env;
    this.#env = env;
    this.name = loaded.queue;
    this.dir = loaded.dir;
    this.options = options;
    this.log = loaded.log;
    this.supply = supply;
    this.#files = new FileCache(vfs);
    const { durability, indexIntervalBytes, segmentBytes } = options;
    const blocking = new BlockingBudget(host, durability === 'sync');
    this.#reader = new LogReader(this.log, this.#files, {
      queue: this.name,
      onDamage: env.onCorruption === 'fail' ? 'fail' : 'skip',
      keepsPlace: true,
      noteDamage: ({ segment, offset, bytes, firstId, lastId }) =>
        this.#noteDamage(segment, offset, bytes, firstId, lastId),
    });
    this.commits = new CommitPipeline(
      {
        queue: this.name,
        log: this.log,
        supply,
        host,
        failStop,
        durability: typeof durability === 'object' ? 'interval' : durability,
        blocking,
        segmentBytes,
        maxPendingBytes: options.maxPendingBytes,
        indexIntervalBytes,
        nextId: loaded.nextId,
        removalRound: () => this.removals.durableRound,
        onVisible: () => this.#wakeTails(),
        onRolled: (rolled) => this.#sealer.seal(rolled),
        onSync: (ms) => this.syncTimes.record(Math.max(1, Math.round(ms * 1000))),
      },
      active,
    );
    this.#sealer = new SegmentSealer({
      queue: this.name,
      host,
      failStop,
      patient: durability === 'os',
      removalRound: () => this.removals.durableRound,
      onSealed: (left) => this.#sealed(left),
      onError: (error) => {
        this.scheduler.lastError = error;
      },
    });
    this.gc = new GcRunner({
      queue: this.name,
      dir: this.dir,
      vfs,
      host,
      log: this.log,
      files: this.#files,
      supply,
      failStop,
      indexIntervalBytes,
      bytesPerSecond: options.gcBytesPerSecond,
      removalRound: () => this.removals.durableRound,
      removalsSettled: () => this.#removalsDurable(),
      onDamage: (segment, offset, bytes, firstId, lastId) => this.#noteDamage(segment, offset, bytes, firstId, lastId),
    });
    this.removals = new RemovalPipeline(
      {
        queue: this.name,
        dir: this.dir,
        vfs,
        host,
        storeUuid,
        failStop,
        synced: durability === 'sync',
        blocking,
        context: () => this.#roundContext(),
        deadRanges: () => this.#deadRanges(),
        freeSpace: () => supply.drain(),
        onSettled: (touched) => this.#removed(touched),
      },
      tombstones,
      loaded.tombstones.round + 1,
    );
    this.scheduler = new GcScheduler({
      host,
      log: this.log,
      runner: this.gc,
      limits: {
        liveShareMax: options.gcAutomatic ? options.gcLiveShareMax : 0,
        segmentBytes,
        gainBytesMin: GAIN_BYTES_MIN,
        quietMsMin: QUIET_MS,
      },
      liveBytes: (segment) => estimateLiveBytes(this.log, segment),
      rollActive: () => this.commits.roll(),
      atRest: () => this.removals.shrink(),
      isDiskFull: () => this.commits.foundNoSpace,
    });
    if (typeof durability === 'object') this.#startInterval(durability.intervalMs);
    // What was found dead at open is collected without waiting for another removal.
    this.scheduler.poke(this.log.segments.filter((segment) => segment.phase === 'sealed'));
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  requireOpen(): void {
    if (this.#state !== 'open') throw closedError(this.name);
  }

  /** Runs a call that `close` is to wait for. */
  async call<T>(body: () => Promise<T>): Promise<T> {
    this.requireOpen();
    this.#calls++;
    try {
      return await body();
    } finally {
      this.#calls--;
      if (this.#calls === 0) for (const done of this.#callsDone.splice(0)) done();
    }
  }

  read(from: number, to: number, limits: ReadLimits): Promise<QueueRecord[]> {
    return this.#reader.read(from, to, limits);
  }

  async get(id: number): Promise<QueueRecord | undefined> {
    if (!this.log.isLive(id)) return undefined;
    const record = await this.#reader.get(id);
    return this.log.isLive(id) ? record : undefined;
  }

  /** Marks a record as about to go: it is not delivered any more. False if it is not live. */
  claim(id: number): boolean {
    this.#env.failStop.throwIfFailed();
    const segment = this.log.find(id);
    if (segment === undefined || !this.log.kill(id)) return false;
    segment.pendingRemovals++;
    this.#claims.add(id);
    return true;
  }

  /** Takes a claim back. */
  unclaim(id: number): void {
    assert(this.#claims.delete(id), 'only what is claimed can be given back');
    this.log.revive(id);
    const segment = this.log.find(id);
    if (segment !== undefined) {
      segment.pendingRemovals--;
      // GC left it alone while it was claimed.
      this.scheduler.poke([segment]);
    }
    this.#wakeTails();
  }

  /** The claimed record. Rejects with EVAQ_CORRUPT or EVAQ_IO if it cannot be read; the claim stands. */
  async readClaimed(id: number): Promise<QueueRecord> {
    const record = await this.#reader.get(id);
    if (record === undefined) {
      throw new EvaqError('EVAQ_CORRUPT', `queue '${this.name}': record ${id} cannot be read`, {
        details: { queue: this.name, id },
        hint: "Run 'evaq verify' on the store to see what is damaged.",
      });
    }
    return record;
  }

  /** Makes a claim final: resolves when the removal is durable in the mode in force. */
  async removeClaimed(id: number): Promise<void> {
    assert(this.#claims.delete(id), 'only what is claimed can be removed for good');
    const segment = this.log.find(id);
    assert(segment !== undefined, 'a claimed record is still there');
    await this.removals.submitOne(id, segment);
  }

  remove(id: number): Promise<boolean> {
    const failure = this.#env.failStop.error;
    if (failure !== undefined) return Promise.reject(failure);
    const segment = this.log.find(id);
    if (segment !== undefined && this.log.killIn(segment, id)) {
      segment.pendingRemovals++;
      return this.removals.submitOne(id, segment);
    }
    // Asked for before, and not written for want of space: the next try is this one.
    return this.removals.owes(id) ? this.removals.submit([], new Map()) : NOT_REMOVED;
  }

  /** Removes all of `ids` that are live, in one atomic round; how many there were. */
  async removeMany(ids: readonly number[]): Promise<number> {
    this.#env.failStop.throwIfFailed();
    const ranges: IdRange[] = [];
    const touched = new Map<LogSegment, number>();
    let removed = 0;
    let owed = false;
    let first = -1;
    let last = -2;
    let segment: LogSegment | undefined;
    // In ascending order each bitmap is walked once, and the ranges come out merged.
    for (const id of Float64Array.from(ids).sort()) {
      if (segment === undefined || id > segment.lastId || id < segment.firstId) segment = this.log.find(id);
      if (segment === undefined || !this.log.killIn(segment, id)) {
        owed ||= this.removals.owes(id);
        continue;
      }
      removed++;
      segment.pendingRemovals++;
      touched.set(segment, (touched.get(segment) ?? 0) + 1);
      if (id !== last + 1) {
        if (first >= 0) ranges.push({ first, last });
        first = id;
      }
      last = id;
    }
    if (first >= 0) ranges.push({ first, last });
    // What was asked for before and not written for want of space is not removed until it is written.
    if (removed > 0 || owed) await this.removals.submit(ranges, touched);
    return removed;
  }

  /** Removes all live records up to `id`; how many there were. */
  async removeThrough(id: number): Promise<number> {
    this.#env.failStop.throwIfFailed();
    const first = this.log.firstLive(0);
    const last = Math.min(id, this.#lastVisibleId());
    if (first === undefined || first > last) {
      if (this.removals.owesUpTo(id)) await this.removals.submit([], new Map());
      return 0;
    }
    const touched = new Map<LogSegment, number>();
    const removed = this.log.killRange(first, last, (segment, killed) => {
      segment.pendingRemovals += killed;
      touched.set(segment, killed);
    });
    // One range says it all; that it spans claims under way is why those are told apart.
    await this.removals.submit(
      this.#claims.size === 0 ? [{ first, last }] : [...this.#unclaimed({ first, last })],
      touched,
    );
    return removed;
  }

  /** Registers a move into this queue before its record is appended; to be called back when the source is durably removed. */
  beginMove(): () => void {
    return this.#sealer.beginMove();
  }

  async flush(): Promise<void> {
    await this.commits.flush();
    await this.removals.settled();
    this.#env.failStop.throwIfFailed();
    // Data before tombstones.
    if (this.options.durability !== 'sync') await this.removals.syncNow();
    await this.#env.ground.check();
  }

  /** Rewrites and drops all that is worth it, now. */
  async compact(): Promise<void> {
    const limits = { liveShareMax: 1, segmentBytes: this.options.segmentBytes, gainBytesMin: 1, quietMsMin: 0 };
    if (this.log.liveCount === 0) this.commits.roll();
    else this.scheduler.rollIfWorth(limits);
    await this.commits.settled();
    await this.#sealer.hurry();
    await this.scheduler.runOnce(limits);
    await this.removals.shrink();
  }

  /** Rewrites each of these segments, however many of its records are live, and sets it aside if it is damaged: for repairs. */
  async rewrite(paths: ReadonlySet<string>): Promise<void> {
    await this.commits.settled();
    await this.#sealer.hurry();
    await this.scheduler.exclusively(async () => {
      for (const segment of this.log.segments.filter(({ path, phase }) => phase === 'sealed' && paths.has(path))) {
        await this.gc.rewrite([segment]);
      }
    });
  }

  /** Resolves when a record became visible, or a claim was given back, or the queue closes. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#tailWaiters.push(resolve));
  }

  /** Drops a waiter of `changed` early: wakes all, who look again. */
  wake(): void {
    this.#wakeTails();
  }

  /** Calls under way finish; then footers, the last word of the tombstone log, and the files are closed. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#wakeTails();
    this.#cancelInterval?.();
    if (this.#calls > 0) await new Promise<void>((resolve) => this.#callsDone.push(resolve));
    await this.commits.settled();
    await this.removals.settled();
    await this.scheduler.stop();
    await this.#sealer.stop();
    try {
      if (this.#env.failStop.error === undefined) await this.#closeCleanly();
    } finally {
      await this.commits.close();
      await this.#sealer.close();
      await this.removals.close();
      await this.#files.close();
      this.#state = 'closed';
    }
  }

  async #closeCleanly(): Promise<void> {
    if (this.options.durability !== 'sync') await this.commits.syncNow();
    if (this.#sealer.hasMoves) return;
    try {
      const { active } = this.commits;
      await this.#sealer.sealAll(active);
      await this.removals.writeClose(
        active.segment.id,
        active.segment.isEmpty ? active.durableEnd : active.segment.fileBytes,
      );
      await this.#env.ground.check();
    } catch (cause) {
      // A full disk, say: the next open scans instead of trusting footers, and loses nothing.
      const error = ioError(cause, `closing queue '${this.name}'`, { queue: this.name });
      if (error.code === 'EVAQ_NO_SPACE') return;
      throw error;
    }
  }

  #removed(touched: ReadonlyMap<LogSegment, number>): void {
    this.#sealer.retry();
    this.scheduler.poke(touched.keys());
  }

  async #sealed({ segment }: ActiveSegment): Promise<void> {
    this.scheduler.noteSealed(segment);
    const { segments } = this.log;
    if (segments.length < SPARE_SEGMENTS_MIN || this.#state !== 'open') return;
    const { segmentBytes } = this.options;
    const free = await this.#env.vfs.freeBytes(this.dir).catch(() => Infinity);
    let bytes = segmentBytes;
    if (free > AMPLE_SEGMENTS * segmentBytes) {
      const bytesMax = SPARE_SHARE * segments.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
      // In steps: each is a sync beside those of the pushes.
      while (bytes > bytesMax) bytes = Math.floor(bytes / 2);
    }
    await this.supply.ensureSpare(bytes);
  }

  /** GC destroys copies: what it relies on has to be durable whatever the mode. */
  async #removalsDurable(): Promise<void> {
    await this.removals.settled();
    if (this.options.durability !== 'sync') {
      await this.commits.syncNow();
      await this.removals.syncNow();
    }
  }

  #roundContext(): RoundContext {
    const { segmentId, offset } = this.commits.durablePosition();
    // Higher IDs belong to segments that are made ahead of time, or were sealed when they got their names.
    let sealedBelow = segmentId + 1;
    for (const segment of this.log.segments)
      if (!segment.footerDurable) sealedBelow = Math.min(sealedBelow, segment.id);
    // A dead one may be on its way out without a footer: until its file is gone nobody may miss it.
    for (const segment of this.gc.dying) if (!segment.footerDurable) sealedBelow = Math.min(sealedBelow, segment.id);
    return {
      nextId: this.commits.nextId,
      dataSegmentId: segmentId,
      dataOffset: offset,
      sealedBelow,
      segmentIdMax: this.#env.segmentIdMax(),
      liveRecords: this.log.liveCount,
    };
  }

  /** In ID order, of the segments as they are now: GC goes on while the ranges are pulled. */
  #deadRanges(): Generator<IdRange> {
    const segments = [...this.log.segments, ...this.gc.dying].sort((a, b) => a.firstId - b.firstId);
    return deadRangesOf(segments, this.#claims);
  }

  #unclaimed({ first, last }: IdRange): IdRange[] {
    const ranges: IdRange[] = [];
    let from = first;
    for (const id of [...this.#claims].sort((a, b) => a - b)) {
      if (id < from || id > last) continue;
      if (id > from) ranges.push({ first: from, last: id - 1 });
      from = id + 1;
    }
    if (from <= last) ranges.push({ first: from, last });
    return ranges;
  }

  #lastVisibleId(): number {
    const { segments } = this.log;
    for (let i = segments.length - 1; i >= 0; i--) {
      const segment = segments[i];
      if (segment !== undefined && !segment.isEmpty) return segment.lastId;
    }
    return 0;
  }

  #noteDamage(segment: LogSegment, offset: number, bytes: number, firstId: number, lastId: number): void {
    const known = this.damage.some(
      (one) => one.file === segment.path && one.offset === offset && one.firstId === firstId,
    );
    if (known) return;
    this.damage.push({
      queue: this.name,
      file: segment.path,
      offset,
      bytes,
      firstId,
      lastId,
      fromMs: segment.minTimeMs,
      toMs: segment.maxTimeMs,
      what: 'met while reading',
      lossless: false,
    });
  }

  #wakeTails(): void {
    const waiters = this.#tailWaiters;
    this.#tailWaiters = [];
    for (const wake of waiters) wake();
  }

  #startInterval(intervalMs: number): void {
    const { host, failStop } = this.#env;
    const tick = (): void => {
      this.#cancelInterval = host.after(intervalMs, () => {
        if (this.#state !== 'open' || failStop.error !== undefined) return;
        const synced = this.commits.syncNow().then(() => this.removals.syncNow());
        // A failure has thrown the switch already; it shows at the next call.
        synced.catch(() => undefined).finally(tick);
      });
    };
    tick();
  }
}

export function closedError(what: string): EvaqError {
  return new EvaqError('EVAQ_CLOSED', `'${what}' is closed`, { hint: 'Open the store again to go on.' });
}
