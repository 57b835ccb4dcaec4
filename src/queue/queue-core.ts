/**
 * One queue, open for writing: puts the pipelines, the log, the reader and GC together, and seals what the commit pipeline leaves.
 * Arguments are checked by `Queue`, moves between queues are made by the store.
 *
 * States of a record in memory: live -> claimed (`claims.ts`) -> removed.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { assert } from '../assert.js';
import { EvaqError, isSystemError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { backgroundLimits, compactLimits, openingLimits, reserveBytes } from '../gc/gc-limits.js';
import { type GcCounters, GcRunner } from '../gc/gc-runner.js';
import { GcScheduler } from '../gc/gc-scheduler.js';
import type { IdRange, SegmentId } from '../ids.js';
import { tellDamage } from '../log/damage-event.js';
import { FileCache } from '../log/file-cache.js';
import { LiveBytes } from '../log/live-bytes.js';
import type { Damage, LoadedQueue } from '../log/log-load.js';
import { LogReader, type ReadLimits } from '../log/log-reader.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { accountOf } from './account.js';
import type { ActiveSegment } from './active-segment.js';
import { BlockingBudget } from './blocking-budget.js';
import { Claims } from './claims.js';
import { CommitPipeline } from './commit-pipeline.js';
import type { FreeSpace } from './free-space.js';
import { Intake } from './intake.js';
import { LiveReads } from './live-reads.js';
import { type Following, LiveRecords, type LiveRecordsOptions } from './live-records.js';
import { SPARE_SEGMENTS_MIN } from './log-end.js';
import { PushReserve } from './push-reserve.js';
import { QueueLimits } from './queue-limits.js';
import type { ResolvedQueueOptions } from './queue-options.js';
import type { RoundContext } from './removal-log.js';
import { RemovalPipeline } from './removal-pipeline.js';
import { Removing } from './removing.js';
import { type LeftSegment, SegmentSealer } from './segment-sealer.js';
import { Waiters } from './waiters.js';

/** What an iteration reads at a time. */
const BATCH: ReadLimits = { maxBytes: 1024 * 1024, maxRecords: 8192 };

export interface QueueEnvironment {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly storeUuid: Buffer;
  /** The same as a text. */
  readonly storeId: string;
  readonly failStop: FailStop;
  readonly segmentIdMax: () => SegmentId;
  /** Whether the call under way is made by the handler that has that record. */
  readonly ownsLease: (queue: string, id: number) => boolean;
  readonly onCorruption: 'fail' | 'quarantine';
  /** Where the store leaves some of the file system free. */
  readonly space?: FreeSpace | undefined;
  /** Makes sure that the queue's folder and files are where they were. Rejects with, and throws, EVAQ_FAILED: the store has stopped then. */
  readonly ground: { check(): Promise<void>; checkBlocking(): void };
}

export interface QueueParts {
  readonly loaded: LoadedQueue;
  readonly options: ResolvedQueueOptions;
  readonly supply: SegmentSupply;
  readonly tombstones: TombstoneLog;
  readonly active: ActiveSegment;
  /** Found without a footer, for which there was no space. */
  readonly unsealed: readonly LeftSegment[];
}

export class QueueCore {
  readonly name: string;
  readonly dir: string;
  readonly options: ResolvedQueueOptions;
  readonly log: SegmentLog;
  readonly commits: CommitPipeline;
  readonly removals: RemovalPipeline;
  readonly limits: QueueLimits;
  readonly intake: Intake;
  readonly supply: SegmentSupply;
  readonly gc: GcRunner;
  readonly scheduler: GcScheduler;
  /** Made with the first sync: it has some hundred KiB. */
  syncTimes: RecordableHistogram | undefined;
  /** Damage that was met since the store was opened. */
  readonly damage: Damage[] = [];
  readonly #env: QueueEnvironment;
  readonly #files: FileCache;
  readonly #sealer: SegmentSealer;
  readonly #reserve: PushReserve;
  readonly claims: Claims;
  readonly removing: Removing;
  readonly reads: LiveReads;
  /** Records became visible, a claim was given back, or the queue closes. */
  readonly news: Waiters = new Waiters();
  /** Records left, durably. */
  readonly departures: Waiters = new Waiters();
  #calls = 0;
  /** Lets go of the process, which is held while there are calls. */
  #release: () => void = () => undefined;
  #callsDone: (() => void)[] = [];
  #state: 'open' | 'closing' | 'closed' = 'open';
  #begun: Promise<void> = Promise.resolve();
  #collected: Promise<void> = Promise.resolve();
  #cancelInterval: (() => void) | undefined;

  constructor(env: QueueEnvironment, parts: QueueParts) {
    const { loaded, options, supply, tombstones, active, unsealed } = parts;
    const { vfs, host, storeUuid, storeId, failStop } = env;
    this.#env = env;
    this.name = loaded.queue;
    this.dir = loaded.dir;
    this.options = options;
    this.log = loaded.log;
    this.supply = supply;
    this.#files = new FileCache(vfs);
    const { durability, indexIntervalBytes, segmentBytes } = options;
    const blocking = new BlockingBudget(host, durability === 'sync');
    const reader = new LogReader(this.log, this.#files, {
      queue: this.name,
      onDamage: env.onCorruption === 'fail' ? 'fail' : 'skip',
      keepsPlace: true,
      noteDamage: ({ segment, offset, bytes, firstId, lastId }) =>
        this.#noteDamage(segment, offset, bytes, firstId, lastId),
    });
    this.commits = new CommitPipeline(
      {
        storeId,
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
        reserve: () => this.#reserve,
        removalRound: () => this.removals.durableRound,
        syncRemovalsBlocking: () => this.removals.syncBlocking(),
        onVisible: () => this.news.wakeAll(),
        onRolled: (rolled) => {
          loaded.intake.leave(rolled.segment.lastId);
          this.#sealer.seal(rolled);
        },
        onSync: (ms) => {
          this.syncTimes ??= createHistogram();
          this.syncTimes.record(Math.max(1, Math.round(ms * 1000)));
        },
      },
      active,
    );
    this.limits = new QueueLimits({
      storeId,
      queue: this.name,
      dir: this.dir,
      limits: options.limits,
      space: env.space,
      host,
      failStop,
      log: this.log,
      nextId: loaded.nextId,
      commits: this.commits,
      claims: () => this.claims,
      removing: () => this.removing,
      removals: () => this.removals,
      reads: () => this.reads,
      news: this.news,
      departures: this.departures,
      isOpen: () => this.isOpen,
      closed: () => closedError(this.name),
      finishing: (body) => this.finishing(body),
      hold: () => this.hold(),
    });
    this.intake = new Intake(
      {
        queue: this.name,
        dir: this.dir,
        vfs,
        host,
        storeUuid,
        failStop,
        dedupe: options.dedupe,
        commits: this.limits.pushes,
        finishing: (body) => this.finishing(body),
      },
      loaded.intake,
    );
    this.#sealer = new SegmentSealer({
      queue: this.name,
      host,
      failStop,
      patient: durability === 'os',
      removalRound: () => this.removals.durableRound,
      owes: ({ segment }) => this.intake.log.owes(segment.lastId),
      keep: (left) => {
        // A clean close seals the segment that is appended to.
        if (left === this.commits.active) loaded.intake.leave(left.segment.lastId);
        return this.intake.log.keep(left.segment.lastId);
      },
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
      removalsWritten: () => this.removalsDurable(),
      tombstonesDurable: () => (durability === 'sync' ? Promise.resolve() : this.removals.syncNow()),
      account: (lost) => this.#account(lost),
      onDamage: (segment, offset, bytes, firstId, lastId) => this.#noteDamage(segment, offset, bytes, firstId, lastId),
    });
    this.removals = new RemovalPipeline(
      {
        storeId,
        queue: this.name,
        dir: this.dir,
        vfs,
        host,
        storeUuid,
        failStop,
        synced: durability === 'sync',
        blocking,
        context: () => this.#roundContext(),
        deadRanges: (below) => this.#deadRanges(below),
        freeSpace: () => supply.drain(),
        onSettled: (touched) => this.#removed(touched.keys()),
      },
      tombstones,
      loaded.tombstones.round + 1,
    );
    const { openingFile } = supply;
    const { dying } = this.gc;
    this.#reserve = new PushReserve({
      log: this.log,
      dying,
      openingFile,
      removals: this.removals,
      failStop,
      nextId: loaded.nextId,
    });
    this.claims = new Claims({
      log: this.log,
      onFreed: (id) => this.limits.freed(id),
      ownsLease: (id) => env.ownsLease(this.name, id),
      onEnded: (segment, outcome) => {
        // Sealing and GC left it alone while it was claimed.
        this.#removed([segment]);
        if (outcome === 'given back') this.news.wakeAll();
      },
    });
    this.removing = new Removing({
      host,
      log: this.log,
      failStop,
      claims: this.claims,
      rounds: this.removals,
      exactly: durability !== 'sync',
    });
    const { claims, log, name: queue, removing } = this;
    this.reads = new LiveReads({ queue, log, reader, claims, removing });
    this.scheduler = new GcScheduler({
      storeId,
      queue: this.name,
      host,
      log: this.log,
      runner: this.gc,
      limits: backgroundLimits(options.gcAutomatic ? options.gcLiveShareMax : 0, segmentBytes),
      liveBytes: new LiveBytes({ log: this.log, files: this.#files, host }),
      rollActive: () => this.commits.roll(),
      atRest: async () => {
        await this.removals.shrink();
        await this.#reserve.giveBack(this.commits.nextId);
      },
      isDiskFull: () => this.commits.foundNoSpace,
    });
    this.#sealer.adopt(unsealed);
    failStop.onStop(() => this.news.wakeAll());
    if (typeof durability === 'object') this.#startInterval(durability.intervalMs);
  }

  /** What opening is to wait for: that there are not more files than the records are worth. Rejects with EVAQ_FAILED. */
  async begin(): Promise<void> {
    const { gcAutomatic, segmentBytes } = this.options;
    if (gcAutomatic) {
      const merged = this.scheduler.mergeSmall(openingLimits(segmentBytes));
      this.#begun = merged.catch(() => undefined);
      await merged;
    }
    // What was found dead is collected without waiting for another removal.
    this.scheduler.poke(this.log.segments.filter((segment) => segment.phase === 'sealed'));
    this.limits.start();
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
    return this.finishing(body);
  }

  /**
   * The same for the end of a call that was let in before. Whatever it waits for, a timer of ours, say, that would let the process end: somebody
   * awaits it.
   */
  async finishing<T>(body: () => Promise<T>): Promise<T> {
    if (this.#calls++ === 0) this.#release = this.hold();
    try {
      return await body();
    } finally {
      this.#calls--;
      if (this.#calls === 0) {
        this.#release();
        for (const done of this.#callsDone.splice(0)) done();
      }
    }
  }

  /**
   * The live records one after the other. 'tail': and those that come. 'within a call': for a call that was let in before, and goes on while the queue
   * closes.
   */
  records(from: number, to: number, how: 'records' | 'tail' | 'within a call', batch: ReadLimits = BATCH): LiveRecords {
    const options: LiveRecordsOptions = {
      log: this.log,
      claims: this.claims,
      read: (first, last) => this.finishing(() => this.reads.read(first, last, batch)),
      isOpen: how === 'within a call' ? () => true : () => this.isOpen,
      closed: () => closedError(this.name),
      finishing: (body) => this.finishing(body),
    };
    const following: Following = {
      news: this.news,
      failure: () => this.#env.failStop.error,
      settledBelow: () => this.commits.settledBelow,
      hold: () => this.hold(),
    };
    return new LiveRecords(options, from, to, how === 'tail' ? following : undefined);
  }

  /** Registers a move into this queue before its record is appended; to be called back when the source is durably removed. */
  beginMove(): () => void {
    return this.#sealer.beginMove();
  }

  /** Resolves when what was pushed and removed up to the call is durable, whatever comes meanwhile. */
  async flush(): Promise<void> {
    const claimsOver = this.removing.claimsOver();
    await this.commits.flush();
    await claimsOver;
    await this.removals.join();
    this.#env.failStop.throwIfFailed();
    // Once more: data before tombstones, of what was removed meanwhile, too.
    await this.#syncAll();
    await this.#env.ground.check();
  }

  /** Rewrites and drops all that is worth it, now. */
  async compact(): Promise<GcCounters> {
    const limits = compactLimits(this.options.segmentBytes);
    // Leaving a segment and collecting it are one piece of work: if a cycle came in between, what it gave back would be told to nobody.
    const done = await this.scheduler.runOnce(limits, async () => {
      const left = this.log.liveCount === 0 ? await this.commits.roll() : await this.scheduler.rollIfWorth(limits);
      await this.commits.committed();
      const unsealed = await this.#sealer.hurry();
      return left?.error ?? unsealed;
    });
    await this.removals.shrink();
    return done;
  }

  /** Rewrites each of these segments, however many of its records are live, and sets it aside if it is damaged: for repairs. */
  async rewrite(paths: ReadonlySet<string>): Promise<void> {
    await this.commits.committed();
    await this.#sealer.hurry();
    await this.scheduler.exclusively(async () => {
      for (const segment of this.log.segments.filter(({ path, phase }) => phase === 'sealed' && paths.has(path))) {
        await this.gc.rewrite([segment]);
      }
    });
  }

  /** The first step of closing: lets no call in any more. Calls under way go on, and what they ask of other queues is a part of them. */
  beginClose(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.limits.close();
    this.claims.refuseWaits(() => closedError(this.name));
    this.news.wakeAll();
    this.#cancelInterval?.();
    // Not behind the calls: one of them may be one that collects. But what an open waits for is brought to its end.
    this.#collected = this.#begun.then(() => this.scheduler.stop());
  }

  get hasCalls(): boolean {
    return this.#calls > 0;
  }

  /** Resolves when no call is under way. */
  callsOver(): Promise<void> {
    return this.#calls === 0 ? Promise.resolve() : new Promise((resolve) => this.#callsDone.push(resolve));
  }

  /**
   * The second step, when calls are over: resolves when what they have pushed and removed is settled, and nothing is tried again by itself. What is owed
   * is tried once more, which may end moves, and so begin the last part of calls. Never rejects: what a failed sync threw is the switch.
   */
  async settle(): Promise<void> {
    await this.commits.settled();
    // What was acknowledged comes first, whatever becomes of the rest.
    await this.#syncAll().catch(() => undefined);
    // Whose removal is owed has been told so already.
    await this.removals.join().catch(() => undefined);
    await this.removals.settled();
  }

  /**
   * The last step, when all queues of the store have come so far: what was acknowledged is made durable; then footers, the last word of the tombstone
   * log, and the files are closed. Rejects with EVAQ_FAILED where a sync failed, with EVAQ_IO where the ground cannot be looked at.
   */
  async close(): Promise<void> {
    assert(this.#state === 'closing', 'a queue is closed once, in three steps');
    await this.#collected;
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
    await this.#syncAll();
    if (!this.#sealer.hasMoves) await this.#leaveClean();
    await this.#env.ground.check();
  }

  /** In the weaker modes: makes durable what was acknowledged, data before tombstones. Rejects with EVAQ_FAILED. */
  async #syncAll(): Promise<void> {
    if (this.options.durability === 'sync') return;
    await this.commits.syncNow();
    await this.removals.syncNow();
  }

  /** Where a footer or the last word cannot be written the next open scans instead of trusting them, and loses nothing. */
  async #leaveClean(): Promise<void> {
    const { active } = this.commits;
    try {
      await this.#sealer.sealAll(active);
      await this.removals.writeClose(
        active.segment.id,
        active.segment.isEmpty ? active.durableEnd : active.segment.fileBytes,
      );
    } catch (cause) {
      this.#env.failStop.throwIfFailed();
      if (!(cause instanceof EvaqError) && !isSystemError(cause)) throw cause;
    }
  }

  #removed(touched: Iterable<LogSegment>): void {
    this.departures.wakeAll();
    this.#sealer.retry();
    this.scheduler.poke(touched);
  }

  async #sealed({ segment }: ActiveSegment): Promise<void> {
    this.scheduler.noteSealed(segment);
    const { segments } = this.log;
    if (segments.length < SPARE_SEGMENTS_MIN || this.#state !== 'open') return;
    const free = await this.#env.vfs.freeBytes(this.dir).catch(() => Infinity);
    const queueBytes = segments.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
    const bytes = reserveBytes(this.options.segmentBytes, queueBytes, free);
    await this.supply.ensureSpare(bytes).catch((cause: unknown) => {
      this.#env.failStop.fail(cause, 'making a reserve', this.dir);
    });
  }

  /**
   * Resolves when the removals asked for up to now are durable or were rejected, whatever the mode: for GC, which destroys copies, and for moves.
   */
  async removalsDurable(): Promise<void> {
    await this.removals.written();
    await this.#syncAll();
  }

  #roundContext(): RoundContext {
    const { segmentId, offset } = this.commits.durablePosition();
    // Higher IDs belong to segments that are made ahead of time, or were sealed when they got their names.
    const sealedBelow = Math.min(segmentId + 1, this.log.lowestUnsealedId, this.supply.lowestGivenUpId);
    return {
      nextId: this.commits.nextId,
      accountedBelow: this.commits.durableBelow,
      dataSegmentId: segmentId,
      dataOffset: offset,
      sealedBelow,
      segmentIdMax: this.#env.segmentIdMax(),
      hasIntake: this.intake.log.isNamed,
      liveRecords: this.log.liveCount,
    };
  }

  /** In ID order, of the segments as they are now: GC goes on while the ranges are pulled. */
  #deadRanges(below: number): Generator<IdRange> {
    const segments = [...this.log.segments, ...this.gc.dying].sort((a, b) => a.firstId - b.firstId);
    return accountOf(segments, below, this.claims);
  }

  /** Where it cannot be written now it is owed; until then whoever reads the queue is told once more. */
  async #account(lost: readonly IdRange[]): Promise<void> {
    try {
      await this.removals.submit(lost, new Map());
      await this.removalsDurable();
    } catch {
      // Where a sync failed the switch is thrown.
    }
  }

  #noteDamage(segment: LogSegment, offset: number, bytes: number, firstId: number, lastId: number): void {
    const known = this.damage.some(
      (one) => one.file === segment.path && one.offset === offset && one.firstId === firstId,
    );
    if (known) return;
    const damage: Damage = {
      queue: this.name,
      file: segment.path,
      offset,
      bytes,
      firstId,
      lastId,
      fromMs: segment.times.minMs,
      toMs: segment.times.maxMs,
      what: 'met while reading',
      lossless: false,
    };
    this.damage.push(damage);
    tellDamage(this.#env.host, this.#env.storeId, damage);
  }

  /** Keeps the process until the result is called. */
  hold(): () => void {
    return this.#env.host.hold?.() ?? ((): void => undefined);
  }

  #startInterval(intervalMs: number): void {
    const { host, failStop } = this.#env;
    const tick = (): void => {
      this.#cancelInterval = host.after(intervalMs, () => {
        if (this.#state !== 'open' || failStop.error !== undefined) return;
        // A close waits for both: the second must not begin on a file that is closed by then.
        const synced = this.finishing(() => this.commits.syncNow().then(() => this.removals.syncNow()));
        // A failure has thrown the switch already; it shows at the next call.
        const again = (): void => {
          if (this.isOpen) tick();
        };
        synced.then(again, again);
      });
    };
    tick();
  }
}

export function closedError(what: string): EvaqError {
  return new EvaqError('EVAQ_CLOSED', `'${what}' is closed`, { hint: 'Open the store again to go on.' });
}
