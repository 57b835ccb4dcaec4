/**
 * When GC runs: after removals, never by polling. One cycle at a time; each plans from the numbers as they are then. It never throws
 * and never logs: what went wrong is in `lastError`, which `stats()` shows.
 */
import type { EvaqError } from '../errors.js';
import { ioError } from '../errors.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Host } from '../vfs/host.js';
import { type GcLimits, type GcStep, planGc, type SegmentStats } from './gc-plan.js';
import { type GcRunner, isPassing } from './gc-runner.js';

export interface GcSchedulerOptions {
  readonly host: Host;
  readonly log: SegmentLog;
  readonly runner: GcRunner;
  readonly limits: GcLimits;
  /** Live bytes of a segment, at least as exact as an average. */
  readonly liveBytes: (segment: LogSegment) => number;
  /** The active segment holds only dead records: leave it, so that it can go. */
  readonly rollDeadActive: () => void;
}

/** After a failure: so long until the next try. */
const RETRY_MS = 5_000;

export class GcScheduler {
  readonly #options: GcSchedulerOptions;
  #state: 'idle' | 'scheduled' | 'running' | 'stopped' = 'idle';
  #again = false;
  #cancelTimer: (() => void) | undefined;
  #cycle: Promise<void> = Promise.resolve();
  lastError: EvaqError | undefined;

  constructor(options: GcSchedulerOptions) {
    this.#options = options;
  }

  /** Removals became durable: there may be something to do. Cheap; to be called after every round. */
  poke(touched: Iterable<LogSegment>): void {
    if (this.#state === 'stopped') return;
    const { host, limits } = this.#options;
    let worth = false;
    for (const { heir: segment } of touched) {
      segment.lastRemovalMs = host.elapsed();
      if (segment.live.liveCount < segment.count * limits.liveShareMax || segment.live.liveCount === 0) worth = true;
    }
    if (worth) this.#schedule();
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
    this.#cancelTimer?.();
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
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    let againInMs: number | undefined;
    try {
      againInMs = await this.#runCycle(this.#options.limits);
      this.lastError = undefined;
    } catch (error) {
      this.lastError = ioError(error, 'collecting garbage');
      againInMs = isPassing(error) ? RETRY_MS : undefined;
    }
    // A removal round may have asked for another cycle, or stop() may have come, while this one ran.
    if (this.#isStopped()) return;
    this.#state = 'idle';
    if (this.#again) this.#schedule();
    else if (againInMs !== undefined) this.#cancelTimer = this.#options.host.after(againInMs, () => this.#schedule());
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Plans and runs until a plan has no steps. Resolves with when to look again. */
  async #runCycle(limits: GcLimits): Promise<number | undefined> {
    const { log, rollDeadActive } = this.#options;
    for (;;) {
      const newest = log.newest;
      if (newest !== undefined && newest.phase === 'active' && newest.count > 0 && newest.isDead) rollDeadActive();
      const segments = [...log.segments];
      const plan = planGc(this.#stats(segments), limits);
      let progress = false;
      for (const step of plan.steps) {
        if (await this.#carryOut(step, segments)) progress = true;
      }
      if (!progress) return plan.steps.length > 0 ? RETRY_MS : plan.againInMs;
    }
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

  #stats(segments: readonly LogSegment[]): SegmentStats[] {
    const now = this.#options.host.elapsed();
    const stats: SegmentStats[] = [];
    for (const [position, segment] of segments.entries()) {
      if (segment.phase !== 'sealed') continue;
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
