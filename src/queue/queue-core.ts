/**
 * One queue, open for writing: puts the pipelines, the log, the reader and GC together, and seals what the commit pipeline leaves.
 * Arguments are checked by `Queue`, moves between queues are made by the store.
 *
 * States of a record in memory: live -> claimed (`claims.ts`) -> removed.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { EvaqError, ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { backgroundLimits, compactLimits, reserveBytes } from '../gc/gc-limits.js';
import { type GcCounters, GcRunner } from '../gc/gc-runner.js';
import { GcScheduler } from '../gc/gc-scheduler.js';
import type { IdRange, SegmentId } from '../ids.js';
import { FileCache } from '../log/file-cache.js';
import { LiveBytes } from '../log/live-bytes.js';
import type { Damage, LoadedQueue } from '../log/log-load.js';
import { LogReader, type ReadLimits, type ReadOutcome } from '../log/log-reader.js';
import type { LogSegment } from '../log/log-segment.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { ActiveSegment } from './active-segment.js';
import { BlockingBudget } from './blocking-budget.js';
import { type Claim, Claims } from './claims.js';
import { CommitPipeline, SPARE_SEGMENTS_MIN } from './commit-pipeline.js';
import { type Following, LiveRecords } from './live-records.js';
import type { ResolvedQueueOptions } from './queue-options.js';
import { deadRangesOf } from './queue-recovery.js';
import { RemovalPipeline, type RoundContext } from './removal-pipeline.js';
import { Removing } from './removing.js';
import { SegmentSealer } from './segment-sealer.js';
import { Waiters } from './waiters.js';

/** What an iteration reads at a time. */
const BATCH: ReadLimits = { maxBytes: 1024 * 1024, maxRecords: 8192 };
/** So often a read waits for records that are claimed; then it hands those out whose claims are still under way. */
const CLAIM_WAITS_MAX = 3;

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
  readonly #sealer: SegmentSealer;
  readonly claims: Claims;
  readonly removing: Removing;
  /** Records became visible, a claim was given back, or the queue closes. */
  readonly news: Waiters = new Waiters();
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
        syncRemovalsBlocking: () => this.removals.syncBlocking(),
        onVisible: () => this.news.wakeAll(),
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
      removalsWritten: () => this.removalsDurable(),
      tombstonesDurable: () => (durability === 'sync' ? Promise.resolve() : this.removals.syncNow()),
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
        onSettled: (touched) => this.#removed(touched.keys()),
      },
      tombstones,
      loaded.tombstones.round + 1,
    );
    this.claims = new Claims({
      log: this.log,
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
    this.scheduler = new GcScheduler({
      host,
      log: this.log,
      runner: this.gc,
      limits: backgroundLimits(options.gcAutomatic ? options.gcLiveShareMax : 0, segmentBytes),
      liveBytes: new LiveBytes({ log: this.log, files: this.#files, host }),
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
    return this.finishing(body);
  }

  /** The same for the end of a call that was let in before. */
  async finishing<T>(body: () => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await body();
    } finally {
      this.#calls--;
      if (this.#calls === 0) for (const done of this.#callsDone.splice(0)) done();
    }
  }

  /**
   * A gapless prefix of the live records from `from` to `to`, at one moment between call and resolution. A record that is claimed is waited for; if
   * others claim what is in the range time after time, it is handed out while the claim is under way.
   */
  async read(from: number, to: number, limits: ReadLimits): Promise<ReadOutcome> {
    for (let waits = 0; ; waits++) {
      const outcome = await this.#reader.read(from, to, limits);
      const claims = this.claims.within(from, outcome.coveredTo);
      if (claims.length === 0) return outcome;
      if (waits >= CLAIM_WAITS_MAX) return this.#withClaimed(outcome, claims);
      for (const claim of claims) await claim.outcome;
    }
  }

  /** As of the call: what is claimed is live as long as its claim has not ended. */
  async #withClaimed(outcome: ReadOutcome, claims: readonly Claim[]): Promise<ReadOutcome> {
    const records = [...outcome.records];
    for (const { id } of claims) {
      const record = await this.#reader.get(id);
      // Its segment went: then the claim had ended by removing it.
      if (record !== undefined) records.push(record);
    }
    return { ...outcome, records: records.sort((a, b) => a.id - b.id) };
  }

  /** The record `id` if it is live; if it is not, no removal of it is under way any more. */
  async get(id: number): Promise<QueueRecord | undefined> {
    for (;;) {
      const claim = this.claims.at(id);
      if (claim !== undefined) {
        await claim.outcome;
        continue;
      }
      if (!this.log.isLive(id)) break;
      const record = await this.#reader.get(id);
      if (this.log.isLive(id)) return record;
    }
    await this.removing.settled(this.log.find(id));
    return undefined;
  }

  /** The claimed record. Rejects with EVAQ_CORRUPT or EVAQ_IO if it cannot be read; the claim stands. */
  async readClaimed({ id }: Claim): Promise<QueueRecord> {
    const record = await this.#reader.get(id);
    if (record === undefined) {
      throw new EvaqError('EVAQ_CORRUPT', `queue '${this.name}': record ${id} cannot be read`, {
        details: { queue: this.name, id },
        hint: "Run 'evaq verify' on the store to see what is damaged.",
      });
    }
    return record;
  }

  /** The live records one after the other; `follows`: and those that come. */
  records(from: number, to: number, follows: boolean): LiveRecords {
    const { log, claims } = this;
    const read = (first: number, last: number): Promise<ReadOutcome> => this.call(() => this.read(first, last, BATCH));
    const following: Following = { news: this.news, isOpen: () => this.isOpen, hold: () => this.#hold() };
    return new LiveRecords({ log, claims, read }, from, to, follows ? following : undefined);
  }

  /** Registers a move into this queue before its record is appended; to be called back when the source is durably removed. */
  beginMove(): () => void {
    return this.#sealer.beginMove();
  }

  /** Resolves when what was pushed and removed up to the call is durable, whatever comes meanwhile. */
  async flush(): Promise<void> {
    await this.commits.flush();
    await this.removals.join();
    this.#env.failStop.throwIfFailed();
    // Data before tombstones.
    if (this.options.durability !== 'sync') await this.removals.syncNow();
    await this.#env.ground.check();
  }

  /** Rewrites and drops all that is worth it, now. */
  async compact(): Promise<GcCounters> {
    const limits = compactLimits(this.options.segmentBytes);
    if (this.log.liveCount === 0) await this.commits.roll();
    else await this.scheduler.rollIfWorth(limits);
    await this.commits.committed();
    await this.#sealer.hurry();
    const done = await this.scheduler.runOnce(limits);
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

  /** Calls under way finish; then footers, the last word of the tombstone log, and the files are closed. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.news.wakeAll();
    this.#cancelInterval?.();
    this.scheduler.hasten();
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

  #removed(touched: Iterable<LogSegment>): void {
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
    if (this.options.durability !== 'sync') {
      await this.commits.syncNow();
      await this.removals.syncNow();
    }
  }

  #roundContext(): RoundContext {
    const { segmentId, offset } = this.commits.durablePosition();
    // Higher IDs belong to segments that are made ahead of time, or were sealed when they got their names.
    const sealedBelow = Math.min(segmentId + 1, this.log.lowestUnsealedId, this.supply.lowestGivenUpId);
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
    return deadRangesOf(segments, this.claims);
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

  #hold(): () => void {
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
