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
import {
  type ActivePlan,
  type GcLimits,
  type GcStep,
  planActive,
  planGc,
  planMerges,
  type SegmentStats,
} from './gc-plan.js';
import type { GcCounters, GcRunner } from './gc-runner.js';
import { traceGc } from './gc-trace.js';

/** What kept the active segment from being left. */
export interface LeaveFailure {
  readonly error: unknown;
}

export interface GcSchedulerOptions {
  /** The store's name, for whoever observes it. */
  readonly storeId: string;
  readonly queue: string;
  readonly host: Host;
  readonly log: SegmentLog;
  readonly runner: GcRunner;
  readonly limits: GcLimits;
  readonly liveBytes: LiveBytes;
  /** Leaves the active segment for a new one, so that its space can come back. Resolves when that is done, or with what it failed by. */
  readonly rollActive: () => Promise<LeaveFailure | undefined>;
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
  /** The active segment is worth leaving, and could not be left. */
  #leaveError: EvaqError | undefined;

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

  /** Leaves the active segment if that is worth it by these limits; resolves when it is left, or with what that failed by. */
  async rollIfWorth(limits: GcLimits): Promise<LeaveFailure | undefined> {
    return (await this.#planActive(limits)).kind === 'roll' ? this.#options.rollActive() : undefined;
  }

  /**
   * One cycle, as soon as those asked for before are over, with other limits; for `compact()` and tests. `prepare` comes right before it, and resolves
   * with what went wrong in it, if anything. Resolves with what was done; rejects with what went wrong, when the rest is done.
   */
  runOnce(limits: GcLimits, prepare?: () => Promise<unknown>): Promise<GcCounters> {
    return this.exclusively(async () => {
      const { queue, runner } = this.#options;
      const before = { ...runner.counters };
      try {
        let failure: unknown;
        for (let tries = 1; !this.#isStopped(); tries++) {
          failure = await prepare?.();
          await this.#runCycle(limits, true);
          // On a full disk what was given back may be what was missing.
          if (failure === undefined || tries === 2) break;
        }
        if (this.#isStopped()) throw closedError(queue);
        if (failure !== undefined) throw ioError(failure, `compacting queue '${queue}'`, { queue });
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

  /**
   * Puts small segments together, up to `limits.segmentBytes` in all, where there may be any that are due; at no rate, since it is waited for. Rejects with
   * EVAQ_FAILED alone: what else goes wrong is done again by and by.
   */
  mergeSmall(limits: GcLimits): Promise<void> {
    if (this.#options.log.segments.length <= (limits.merge?.countMin ?? Infinity)) return Promise.resolve();
    return this.exclusively(async () => {
      try {
        await this.#mergeSmall(limits);
      } catch (error) {
        if (!isForNow(error)) throw error;
        this.lastError = ioError(error, 'collecting garbage');
        this.#lookIn(this.#backOff());
      }
    });
  }

  async #mergeSmall(limits: GcLimits): Promise<void> {
    const segments = [...this.#options.log.segments];
    const stats = await this.#stats(segments, limits);
    const bytesAt = new Map(stats.map(({ position, liveBytes }) => [position, liveBytes]));
    let bytes = 0;
    for (const step of planMerges(stats, limits).steps) {
      bytes += step.positions.reduce((sum, position) => sum + (bytesAt.get(position) ?? 0), 0);
      if (bytes > limits.segmentBytes) return;
      await this.#carryOut(step, segments, false);
    }
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

  /** Resolves when the cycle under way is over, which gives up at its next step, `runOnce` with EVAQ_CLOSED. No further one starts. */
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
        this.lastError = this.#leaveError;
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
      if (active.kind === 'roll') void rollActive().then((failure) => this.#noteLeft(failure));
      else this.#leaveError = undefined;
      const segments = [...log.segments];
      const plan = planGc(await this.#stats(segments, limits), limits);
      let progress = false;
      for (const step of plan.steps) {
        if (this.#isStopped()) return undefined;
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

  /** The next cycle tries it again. */
  #noteLeft(failure: LeaveFailure | undefined): void {
    if (failure === undefined) return;
    const { queue } = this.#options;
    this.#leaveError = ioError(failure.error, `leaving a segment of queue '${queue}'`, { queue });
    this.lastError = this.#leaveError;
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

  async #carryOut(step: GcStep, segments: readonly LogSegment[], isPaced = true): Promise<boolean> {
    const { runner, log, queue, storeId, host } = this.#options;
    const chosen: LogSegment[] = [];
    for (const position of step.positions) {
      const segment = segments[position];
      if (segment !== undefined && segment.phase === 'sealed') chosen.push(segment);
    }
    const [first] = chosen;
    if (first === undefined) return false;
    const tracing = { storeId, queue, host, counters: runner.counters };
    if (step.kind === 'drop') {
      return (await traceGc(tracing, 'drop', chosen.length, () => runner.drop(chosen))) > 0;
    }
    // What stood between them may not have gone after all.
    const at = log.positionOf(first);
    if (chosen.some((segment, i) => log.segments[at + i] !== segment)) return false;
    const how = { usesPool: step.kind === 'rewrite', isPaced };
    return traceGc(tracing, step.kind, chosen.length, () => runner.rewrite(chosen, how));
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
      const isQuiet = now - segment.lastRemovalMs >= limits.quietMsMin;
      // Where nothing sparse is rewritten an estimate will do.
      if (isQuiet && limits.liveShareMax > 0 && !this.#isStopped()) await liveBytes.measure(segment);
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

function closedError(queue: string): EvaqError {
  return new EvaqError('EVAQ_CLOSED', `'${queue}' is being closed: collecting was given up`, {
    hint: 'What it had done by then is done. Open the store again to go on.',
  });
}

/** Whether GC can go on with other steps, and try again later. */
function isForNow(error: unknown): boolean {
  return !(error instanceof EvaqError && (error.code === 'EVAQ_FAILED' || error.code === 'EVAQ_CLOSED'));
}
