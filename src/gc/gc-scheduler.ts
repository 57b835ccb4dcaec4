/**
 * When GC runs: after removals, never by polling. One cycle at a time; each plans from the numbers as they are then. It never throws
 * and never logs: what went wrong is in `lastError`, which `stats()` shows, and is done again with a back-off.
 *
 * A cycle is bounded, however many calls go on beside it: it waits for nobody to pause, and makes so many passes over the segments at most. A
 * plan costs a look at every segment, so cycles keep a distance that grows with their number (P12).
 */
import { EvaqError, ioError } from '../errors.js';
import type { LiveBytes } from '../log/live-bytes.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Host } from '../vfs/host.js';
import { type ActivePlan, type GcLimits, type GcStep, planActive, planGc, type SegmentStats } from './gc-plan.js';
import type { GcCounters, GcRunner } from './gc-runner.js';

export interface GcSchedulerOptions {
  readonly host: Host;
  readonly log: SegmentLog;
  readonly runner: GcRunner;
  readonly limits: GcLimits;
  readonly liveBytes: LiveBytes;
  /** Leaves the active segment for a new one, so that its space can come back. Resolves when that is done, or has failed. */
  readonly rollActive: () => Promise<void>;
  /** There is nothing to collect, and no record was removed for a while. Never rejects. */
  readonly atRest: () => Promise<void>;
  /** The last push found no space. */
  readonly isDiskFull: () => boolean;
}

/** After a failure: so long until the next try, twice as long after each further one, up to the bound. */
const RETRY_MS = 5_000;
const RETRY_MS_MAX = 60_000;
/** So often a cycle plans anew because it got something done: what it finds then died, or was sealed, meanwhile. */
const PASSES_MAX = 3;
/** The distance between cycles, for each segment: a thousandth of the time, about, is spent on planning. */
const DISTANCE_MS = 0.02;
/** How long planning may hold the event loop at a time. */
const SLICE_MS = 1.5;

export class GcScheduler {
  readonly #options: GcSchedulerOptions;
  #state: 'idle' | 'scheduled' | 'running' | 'stopped' = 'idle';
  #again = false;
  #lastRemovalMs = -Infinity;
  #timer: { readonly dueMs: number; readonly cancel: () => void } | undefined;
  /** How far the active segment was written when it was looked at last, and since when it has been like that. */
  #watched: { readonly segment: LogSegment; readonly end: number; readonly sinceMs: number } | undefined;
  #cycle: Promise<void> = Promise.resolve();
  /** No cycle before. */
  #planDueMs = -Infinity;
  /** Failures in a row, and when what is left by them is tried again. */
  #failures = 0;
  #retryDueMs = -Infinity;
  lastError: EvaqError | undefined;

  constructor(options: GcSchedulerOptions) {
    this.#options = options;
  }

  /** Removals became durable: there may be something to do. Cheap; to be called after every round. */
  poke(touched: Iterable<LogSegment>): void {
    if (this.#state === 'stopped') return;
    const { host, limits, isDiskFull } = this.#options;
    let isWorth = false;
    let isLater = false;
    for (const { heir: segment } of touched) {
      this.#lastRemovalMs = host.elapsed();
      segment.lastRemovalMs = this.#lastRemovalMs;
      if (segment.live.liveCount < segment.count) isLater = true;
      const isSparse = segment.isDead || segment.live.liveCount < segment.count * limits.liveShareMax;
      if (segment.phase === 'active') {
        this.#watch(segment);
        if (isSparse && isDiskFull()) isWorth = true;
      } else if (isSparse) {
        isWorth = true;
      }
    }
    if (isWorth) this.#schedule();
    // What is sparse by bytes only, or has to be quiet first: not worth a look at every round.
    else if (isLater) this.#lookIn(limits.quietMsMin);
  }

  /** A segment was sealed: from now on it can be collected. */
  noteSealed(segment: LogSegment): void {
    if (this.#state !== 'stopped' && segment.live.liveCount < segment.count) this.#schedule();
  }

  /** Leaves the active segment if that is worth it by these limits; resolves when it is left. */
  async rollIfWorth(limits: GcLimits): Promise<void> {
    if ((await this.#planActive(limits)).kind === 'roll') await this.#options.rollActive();
  }

  /**
   * One cycle, as soon as those asked for before are over, with other limits; for `compact()` and tests. Resolves with what it did; rejects with what
   * went wrong.
   */
  runOnce(limits: GcLimits): Promise<GcCounters> {
    return this.exclusively(async () => {
      const { runner } = this.#options;
      const before = { ...runner.counters };
      try {
        await this.#runCycle(limits, true);
      } catch (error) {
        if (isForNow(error)) this.#lookIn(this.#backOff());
        throw error;
      }
      const { counters } = runner;
      return {
        droppedSegments: counters.droppedSegments - before.droppedSegments,
        rewrittenSegments: counters.rewrittenSegments - before.rewrittenSegments,
        copiedRecords: counters.copiedRecords - before.copiedRecords,
        copiedBytes: counters.copiedBytes - before.copiedBytes,
        reclaimedBytes: counters.reclaimedBytes - before.reclaimedBytes,
        recycledBytes: counters.recycledBytes - before.recycledBytes,
      };
    });
  }

  /** Runs `work` when the cycles asked for before are over; none starts until it is done. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    // Chained in the same turn: of two callers that waited for one cycle both would start when it ends.
    const cycle = this.#cycle.then(work);
    this.#cycle = cycle.then(
      () => undefined,
      () => undefined,
    );
    return cycle;
  }

  /** The queue is being closed: what is under way no longer keeps to a rate. */
  hasten(): void {
    this.#options.runner.hasten();
  }

  /** Resolves when the cycle under way is over, which gives up at its next step. No further one starts. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#options.runner.stop();
    this.#cancelTimer();
    await this.#cycle;
  }

  #schedule(): void {
    if (this.#state === 'running') {
      this.#again = true;
      return;
    }
    if (this.#state !== 'idle') return;
    const early = this.#planDueMs - this.#options.host.elapsed();
    if (early >= 1) {
      this.#lookIn(early);
      return;
    }
    this.#state = 'scheduled';
    this.#cycle = this.#cycle.then(() => this.#run());
  }

  async #run(): Promise<void> {
    // Removals come in bursts: let this one pass first.
    await this.#options.host.yield();
    if (this.#state === 'stopped') return;
    this.#state = 'running';
    this.#again = false;
    this.#cancelTimer();
    const againInMs = await this.#runAndRest();
    // A removal round may have asked for another cycle, or stop() may have come, while this one ran.
    if (this.#isStopped()) return;
    this.#state = 'idle';
    this.#planDueMs = this.#options.host.elapsed() + this.#options.log.segments.length * DISTANCE_MS;
    if (this.#again) this.#schedule();
    // What the last one failed to do is due whatever asked for this one.
    else if (againInMs !== undefined) this.#lookIn(againInMs);
    if (!this.#options.runner.isTidy) this.#lookIn(Math.max(0, this.#retryDueMs - this.#options.host.elapsed()));
  }

  /** Resolves with when to look again. Never rejects. */
  async #runAndRest(): Promise<number | undefined> {
    const { runner, limits } = this.#options;
    try {
      const againInMs = (await this.#runCycle(limits, false)) ?? (await this.#rest());
      if (runner.isTidy) {
        this.lastError = undefined;
        this.#failures = 0;
      }
      return againInMs;
    } catch (error) {
      if (this.#isStopped()) return undefined;
      this.lastError = ioError(error, 'collecting garbage');
      return isForNow(error) ? this.#backOff() : undefined;
    }
  }

  /** How long to wait after one more failure. */
  #backOff(): number {
    const ms = Math.min(RETRY_MS * 2 ** this.#failures, RETRY_MS_MAX);
    this.#failures++;
    this.#retryDueMs = this.#options.host.elapsed() + ms;
    return ms;
  }

  /** Resolves with when to look again, if it is too early. */
  async #rest(): Promise<number | undefined> {
    const { host, limits, atRest } = this.#options;
    const restsInMs = this.#lastRemovalMs + limits.quietMsMin - host.elapsed();
    if (restsInMs > 0) return restsInMs;
    if (!this.#isStopped()) await atRest();
    return undefined;
  }

  /** Sees to it that there is a cycle in `ms` at the latest. */
  #lookIn(ms: number): void {
    if (this.#state === 'scheduled' || this.#state === 'stopped') return;
    const { host } = this.#options;
    const dueMs = host.elapsed() + ms;
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    this.#cancelTimer();
    const cancel = host.after(ms, () => {
      this.#timer = undefined;
      this.#schedule();
    });
    this.#timer = { dueMs, cancel };
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  /**
   * Plans and runs until a plan has no steps, a few times at most. Resolves with when to look again. Of steps that fail for now the first is rejected
   * with, when the others are done. `isEager`: what failed before is done again without waiting until it is due.
   */
  async #runCycle(limits: GcLimits, isEager: boolean): Promise<number | undefined> {
    const { log, host, runner, rollActive } = this.#options;
    const failures: unknown[] = [];
    const attempt = async (step: () => Promise<boolean>): Promise<boolean> => {
      try {
        return await step();
      } catch (error) {
        if (!isForNow(error)) throw error;
        failures.push(error);
        return false;
      }
    };
    if (!runner.isTidy && (isEager || host.elapsed() >= this.#retryDueMs)) {
      await attempt(async () => {
        await runner.tidy();
        return true;
      });
    }
    for (let pass = 1; !this.#isStopped(); pass++) {
      const active = await this.#planActive(limits);
      if (active.kind === 'roll') void rollActive();
      const segments = [...log.segments];
      const plan = planGc(await this.#stats(segments, limits), limits);
      let progress = false;
      for (const step of plan.steps) {
        if (await attempt(() => this.#carryOut(step, segments))) progress = true;
      }
      if (failures.length > 0) throw failures[0];
      if (progress && pass < PASSES_MAX) continue;
      if (plan.steps.length > 0) return progress ? 0 : RETRY_MS;
      // When it is left, its sealing asks for the next cycle; this one is for the case that it could not be.
      const activeInMs = active.kind === 'roll' ? RETRY_MS : active.kind === 'wait' ? active.ms : Infinity;
      const againInMs = Math.min(plan.againInMs ?? Infinity, activeInMs);
      return againInMs === Infinity ? undefined : againInMs;
    }
    return undefined;
  }

  async #planActive(limits: GcLimits): Promise<ActivePlan> {
    const { log, host, liveBytes, isDiskFull } = this.#options;
    const segment = log.newest;
    if (segment === undefined || segment.phase !== 'active') return { kind: 'leave' };
    // While it is being drained, or grows, it is left alone anyway.
    const restedMs = host.elapsed() - Math.max(this.#watch(segment), segment.lastRemovalMs);
    if (restedMs >= limits.quietMsMin || isDiskFull()) await liveBytes.measure(segment);
    const { count, live, pendingRemovals, fileBytes, end } = segment;
    const sinceMs = Math.max(this.#watch(segment), segment.lastRemovalMs);
    return planActive(
      {
        bytes: fileBytes,
        records: count,
        liveRecords: live.liveCount + pendingRemovals,
        // The estimate is a share of the file; here the file is more than what is written.
        liveBytes: (liveBytes.of(segment) * end) / fileBytes,
        quietMs: host.elapsed() - sinceMs,
        held: pendingRemovals > 0,
        isUrgent: isDiskFull(),
      },
      limits,
    );
  }

  /** Since when nothing has been pushed to the active segment, as far as that was looked at. */
  #watch(segment: LogSegment): number {
    if (this.#watched?.segment !== segment || this.#watched.end !== segment.end) {
      this.#watched = { segment, end: segment.end, sinceMs: this.#options.host.elapsed() };
    }
    return this.#watched.sinceMs;
  }

  async #carryOut(step: GcStep, segments: readonly LogSegment[]): Promise<boolean> {
    const { runner, log } = this.#options;
    const chosen: LogSegment[] = [];
    for (const position of step.positions) {
      const segment = segments[position];
      if (segment !== undefined && segment.phase === 'sealed') chosen.push(segment);
    }
    const [first] = chosen;
    if (first === undefined) return false;
    if (step.kind === 'drop') {
      return (await runner.drop(chosen)) > 0;
    }
    // What stood between them may not have gone after all.
    const at = log.positionOf(first);
    if (chosen.some((segment, i) => log.segments[at + i] !== segment)) return false;
    return runner.rewrite(chosen);
  }

  /** The numbers may be a little old where there are many segments: every step looks again. */
  async #stats(segments: readonly LogSegment[], limits: GcLimits): Promise<SegmentStats[]> {
    const { host, runner, liveBytes } = this.#options;
    let now = host.elapsed();
    const stats: SegmentStats[] = [];
    for (const [position, segment] of segments.entries()) {
      if (segment.phase !== 'sealed') continue;
      if (host.elapsed() - now > SLICE_MS) {
        await host.yield();
        now = host.elapsed();
      }
      // One that is being drained is measured when it has been left alone: until then it is not rewritten.
      if (now - segment.lastRemovalMs >= limits.quietMsMin && !this.#isStopped()) await liveBytes.measure(segment);
      // It may be gone by now.
      if (segment.phase !== 'sealed') continue;
      stats.push({
        position,
        bytes: segment.fileBytes,
        records: segment.count,
        liveRecords: segment.live.liveCount + segment.pendingRemovals,
        liveBytes: liveBytes.of(segment),
        quietMs: now - segment.lastRemovalMs,
        held: segment.pendingRemovals > 0 || runner.isBound(segment),
      });
    }
    return stats;
  }
}

/** Whether GC can go on with other steps, and try again later. */
function isForNow(error: unknown): boolean {
  return !(error instanceof EvaqError && (error.code === 'EVAQ_FAILED' || error.code === 'EVAQ_CLOSED'));
}
