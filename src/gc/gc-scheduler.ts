/**
 * When GC runs: after removals, never by polling. One cycle at a time; each plans from the numbers as they are then. It never throws
 * and never logs: what went wrong is in `lastError`, which `stats()` shows.
 */
import type { EvaqError } from '../errors.js';
import { ioError } from '../errors.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Host } from '../vfs/host.js';
import { type ActivePlan, type GcLimits, type GcStep, planActive, planGc, type SegmentStats } from './gc-plan.js';
import { type GcRunner, isPassing } from './gc-runner.js';

export interface GcSchedulerOptions {
  readonly host: Host;
  readonly log: SegmentLog;
  readonly runner: GcRunner;
  readonly limits: GcLimits;
  /** Live bytes of a segment, at least as exact as an average. */
  readonly liveBytes: (segment: LogSegment) => number;
  /** Leaves the active segment for a new one, so that its space can come back; done some time later, or not at all if that fails. */
  readonly rollActive: () => void;
  /** There is nothing to collect, and no record was removed for a while. Never rejects. */
  readonly atRest: () => Promise<void>;
  /** The last push found no space. */
  readonly isDiskFull: () => boolean;
}

/** After a failure: so long until the next try. */
const RETRY_MS = 5_000;
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

  /** Leaves the active segment if that is worth it by these limits. */
  rollIfWorth(limits: GcLimits): void {
    if (this.#planActive(limits).kind === 'roll') this.#options.rollActive();
  }

  /** One cycle, as soon as those asked for before are over, with other limits; for `compact()` and tests. Rejects with what went wrong. */
  runOnce(limits: GcLimits): Promise<void> {
    return this.exclusively(async () => {
      await this.#runCycle(limits);
    });
  }

  /** Runs `work` when the cycles asked for before are over; none starts until it is done. */
  exclusively(work: () => Promise<void>): Promise<void> {
    // Chained in the same turn: of two callers that waited for one cycle both would start when it ends.
    const cycle = this.#cycle.then(work);
    this.#cycle = cycle.catch(() => undefined);
    return cycle;
  }

  /** Resolves when the cycle under way is over. No further one starts. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#cancelTimer();
    await this.#cycle;
  }

  #schedule(): void {
    if (this.#state === 'running') {
      this.#again = true;
      return;
    }
    if (this.#state !== 'idle') return;
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
    let againInMs: number | undefined;
    try {
      againInMs = (await this.#runCycle(this.#options.limits)) ?? (await this.#rest());
      this.lastError = undefined;
    } catch (error) {
      this.lastError = ioError(error, 'collecting garbage');
      againInMs = isPassing(error) ? RETRY_MS : undefined;
    }
    // A removal round may have asked for another cycle, or stop() may have come, while this one ran.
    if (this.#isStopped()) return;
    this.#state = 'idle';
    if (this.#again) this.#schedule();
    else if (againInMs !== undefined) this.#lookIn(againInMs);
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
    if (this.#state === 'scheduled') return;
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

  /** Plans and runs until a plan has no steps. Resolves with when to look again. */
  async #runCycle(limits: GcLimits): Promise<number | undefined> {
    const { log, rollActive } = this.#options;
    for (;;) {
      const active = this.#planActive(limits);
      if (active.kind === 'roll') rollActive();
      const segments = [...log.segments];
      const plan = planGc(await this.#stats(segments), limits);
      let progress = false;
      for (const step of plan.steps) {
        if (await this.#carryOut(step, segments)) progress = true;
      }
      if (progress) continue;
      if (plan.steps.length > 0) return RETRY_MS;
      // When it is left, its sealing asks for the next cycle; this one is for the case that it could not be.
      const activeInMs = active.kind === 'roll' ? RETRY_MS : active.kind === 'wait' ? active.ms : Infinity;
      const againInMs = Math.min(plan.againInMs ?? Infinity, activeInMs);
      return againInMs === Infinity ? undefined : againInMs;
    }
  }

  #planActive(limits: GcLimits): ActivePlan {
    const { log, host, liveBytes, isDiskFull } = this.#options;
    const segment = log.newest;
    if (segment === undefined || segment.phase !== 'active') return { kind: 'leave' };
    const { count, live, pendingRemovals, fileBytes, end } = segment;
    const sinceMs = Math.max(this.#watch(segment), segment.lastRemovalMs);
    return planActive(
      {
        bytes: fileBytes,
        records: count,
        liveRecords: live.liveCount + pendingRemovals,
        // The estimate is a share of the file; here the file is more than what is written.
        liveBytes: (liveBytes(segment) * end) / fileBytes,
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
      await runner.drop(chosen);
      return true;
    }
    // What stood between them may not have gone after all.
    const at = log.segments.indexOf(first);
    if (chosen.some((segment, i) => log.segments[at + i] !== segment)) return false;
    return runner.rewrite(chosen);
  }

  /** The numbers may be a little old where there are many segments: every step looks again. */
  async #stats(segments: readonly LogSegment[]): Promise<SegmentStats[]> {
    const { host } = this.#options;
    let now = host.elapsed();
    const stats: SegmentStats[] = [];
    for (const [position, segment] of segments.entries()) {
      if (segment.phase !== 'sealed') continue;
      if (host.elapsed() - now > SLICE_MS) {
        await host.yield();
        now = host.elapsed();
      }
      stats.push({
        position,
        bytes: segment.fileBytes,
        records: segment.count,
        liveRecords: segment.live.liveCount + segment.pendingRemovals,
        liveBytes: this.#options.liveBytes(segment),
        quietMs: now - segment.lastRemovalMs,
        held: segment.pendingRemovals > 0,
      });
    }
    return stats;
  }
}
