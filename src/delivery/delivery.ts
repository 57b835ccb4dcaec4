/**
 * A delivery: hands the records of a queue to a handler, and sees to what becomes of each.
 *
 *     handed out --+-- arrived ------------------------> removed
 *                  +-- failed, tries left -------------> back in place, due later
 *                  +-- failed, tries used up, or dead -> dead letters
 *                  +-- nobody wants it ----------------> removed
 *                  +-- destination down, not now, stop -> back in place, as if it had not been tried
 *
 * At least once: a record may be handed out again whose handler had succeeded, if the process dies before its removal is written.
 *
 * Invariants
 * - Before a handler runs its record is noted as in flight, on disk.
 * - `done` rejects only where the queue itself fails.
 *
 * Rooms: how many may begin (`pace.ts`), who is running (`jobs.ts`), what the end of a handler says (`judge.ts`), what becomes of a record
 * (`settlement.ts`). Here is its life, and the handing out.
 */
import { onceAborted } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions } from '../arguments.js';
import { assert } from '../assert.js';
import { EvaqError } from '../errors.js';
import { requireCount } from '../ids.js';
import type { Addressing } from './delivery-context.js';
import type { StopDelivery } from './delivery-errors.js';
import type { DeliveryParts, Work } from './delivery-parts.js';
import type { DeliveryReport, DeliveryStats, StopOptions } from './delivery-report.js';
import { type Job, Jobs } from './jobs.js';
import { Judge } from './judge.js';
import type { Lease } from './lease.js';
import { Pace } from './pace.js';
import { Settlement } from './settlement.js';

const STOP_NAMES = optionNames('graceMs');
const GRACE_MS = 5000;
/** After the signals were aborted handlers have so long to end. */
const ABORTED_MS = 1000;

type State =
  | { readonly kind: 'running' | 'paused' }
  | { readonly kind: 'stopping'; readonly reason: unknown }
  | { readonly kind: 'stopped' };

const NO_LEASES: readonly Lease[] = [];

export class Delivery implements AsyncDisposable {
  /** Resolves when it has stopped. Rejects where the queue cannot be read or written any more. */
  readonly done: Promise<DeliveryReport>;
  readonly #parts: DeliveryParts;
  readonly #address: Addressing;
  readonly #pace: Pace;
  readonly #jobs: Jobs;
  readonly #settlement: Settlement;
  readonly #judge: Judge;
  #begun: Work | undefined;
  #state: State = { kind: 'running' };
  #pumpScheduled = false;
  readonly #timers = new Map<'pump' | 'batch', () => void>();
  #waitsForBatchSince: number | undefined;
  #draining: { readonly upTo: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #idle: (() => void)[] = [];
  readonly #undo: (() => void)[] = [];
  #cancelNews: () => void = () => undefined;
  #resolveDone: (report: DeliveryReport) => void = () => undefined;
  #rejectDone: (error: unknown) => void = () => undefined;
  #ending: Promise<void> | undefined;
  /** Why it has stopped, if a handler said so. */
  #refusal: StopDelivery | undefined;

  /** Deliveries are made by `evacuate` and `process`. */
  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    const { source, options } = parts;
    this.#address = { storeId: source.storeId, queue: source.queue };
    this.done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Whoever does not look at it is not killed by it: the failure shows at every other call, too.
    this.done.catch(() => undefined);
    this.#pace = new Pace(parts, this.#address, (inMs) => this.#lookAgain('pump', inMs));
    this.#settlement = new Settlement(parts, this.#pace, {
      onFailure: (error) => this.#fail(error),
      onStopped: (error) => this.#refused(error),
      onLeft: () => this.#left(),
      onWritten: () => this.#tellIdle(),
    });
    this.#judge = new Judge(parts, this.#settlement, {
      state: () => this.#state.kind,
      start: (leases, rest) => this.#startNext(leases, rest),
    });
    this.#jobs = new Jobs(parts, this.#address, (job, ended) => {
      this.#work.inFlight.delete(job);
      const named = this.#judge.judge(job, ended);
      if (this.#state.kind === 'stopping') this.#tellIdle();
      else this.#schedule();
      return named;
    });
    this.#watchNews();
    if (options.hold) this.#undo.push(source.hold());
    this.#watchSignal(options.signal);
    parts.work.then(
      (work) => this.#begin(work),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Resolves when all that was in the queue at the call has left it, whatever comes meanwhile. @throws what `done` rejects with; EVAQ_CLOSED if it is stopped first */
  drained(): Promise<void> {
    requireNoMore(arguments.length, 0, 'drained');
    if (this.#state.kind === 'stopped') return Promise.reject(stoppedError(this.#address.queue));
    const upTo = this.#parts.source.lastVisibleId();
    const drained = new Promise<void>((resolve, reject) => this.#draining.push({ upTo, resolve, reject }));
    this.#checkDrained();
    return drained;
  }

  /** Hands out nothing more until `resume`; what is in handlers goes on. */
  pause(): void {
    requireNoMore(arguments.length, 0, 'pause');
    if (this.#state.kind === 'running') this.#state = { kind: 'paused' };
  }

  resume(): void {
    requireNoMore(arguments.length, 0, 'resume');
    if (this.#state.kind !== 'paused') return;
    this.#state = { kind: 'running' };
    this.#schedule();
  }

  stats(): DeliveryStats {
    requireNoMore(arguments.length, 0, 'stats');
    return {
      ...this.#settlement.counts,
      state: this.#state.kind,
      inFlight: this.#jobs.records,
      overdue: this.#jobs.overdue,
      waiting: this.#begun?.dispatcher.waiting ?? 0,
      breaker: this.#pace.breaker,
      stateLost: this.#begun?.log.lost ?? false,
    };
  }

  /**
   * Hands out nothing more. Handlers may go on for `graceMs`, then their signals are aborted; a second later this resolves whatever they do. What has
   * not arrived by then is as if it had not been tried. Idempotent.
   */
  async stop(options?: StopOptions): Promise<void> {
    requireNoMore(arguments.length, 1, 'stop');
    requireOptions(options, 'stop', STOP_NAMES);
    const { graceMs = GRACE_MS } = options ?? {};
    requireCount(graceMs, 'graceMs', 0);
    this.#stop(stoppedError(this.#address.queue), graceMs);
    await this.#ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #begin(work: Work): void {
    this.#begun = work;
    this.#settlement.begin(work);
    this.#pace.begin(work.startsDoubtful, work.startDelayMs);
    this.#undo.push(
      work.dispatcher.listen(() => {
        // Another delivery may have had the last one.
        this.#checkDrained();
        this.#schedule();
      }),
    );
    this.#schedule();
  }

  /** There once it has begun: nothing is handed out before. */
  get #work(): Work {
    assert(this.#begun !== undefined, 'nothing is handed out before a delivery has begun');
    return this.#begun;
  }

  /** Waits in line with others for the end of this turn. */
  #schedule(): void {
    if (this.#pumpScheduled || this.#state.kind !== 'running') return;
    this.#pumpScheduled = true;
    this.#parts.source.host.soon(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  /** Hands out as much as may be handed out now. */
  #pump(): void {
    if (this.#state.kind !== 'running' || this.#begun === undefined) return;
    const { source } = this.#parts;
    const { dispatcher, inFlight } = this.#begun;
    const failure = source.failure() ?? dispatcher.failure;
    if (failure !== undefined) {
      this.#fail(failure);
      return;
    }
    const started: Job[] = [];
    for (;;) {
      const room = this.#settlement.isFull ? 0 : this.#pace.room(this.#jobs.size);
      if (room === 0) break;
      const batches = this.#take(room);
      if (batches.length === 0) break;
      for (const leases of batches) {
        const job = this.#jobs.add(leases, NO_LEASES);
        inFlight.add(job, leases);
        started.push(job);
      }
    }
    // One write for all that begin together.
    inFlight.note();
    for (const job of started) this.#jobs.run(job);
  }

  /** What handlers are to have that begin now, each its own. */
  #take(room: number): (readonly Lease[])[] {
    const { options, retry } = this.#parts;
    const { dispatcher } = this.#work;
    const { maxRecords, maxBytes, maxWaitMs } = options.batch;
    const { tokens } = this.#pace;
    const isSingle = maxRecords === 1;
    if (!isSingle && maxWaitMs > 0 && this.#isWaitingForMore(Math.min(maxRecords, tokens))) return [];
    const leases = isSingle
      ? dispatcher.take(Math.min(room, tokens))
      : dispatcher.takeBatch(Math.min(maxRecords, tokens), maxBytes);
    if (leases.length === 0) return [];
    this.#waitsForBatchSince = undefined;
    this.#pace.took(leases.length);
    const batches: (readonly Lease[])[] = [];
    const together: Lease[] = [];
    for (const lease of leases) {
      if (lease.keyError !== undefined) {
        this.#settlement.failed(lease, lease.keyError.error, false);
      } else if (lease.crashes >= retry.maxCrashes) {
        this.#settlement.over(lease, 'crashed', undefined, lease.attempts);
      } else if (lease.attempts >= retry.maxAttempts) {
        this.#settlement.over(lease, 'attempts', undefined, lease.attempts);
      } else if (isSingle) {
        batches.push([lease]);
      } else {
        together.push(lease);
      }
    }
    if (together.length > 0) batches.push(together);
    if (batches.length > 0) this.#pace.began();
    return batches;
  }

  /** Whether a batch is to wait for more records. */
  #isWaitingForMore(wanted: number): boolean {
    const { options, source } = this.#parts;
    const now = source.host.elapsed();
    const ready = this.#work.dispatcher.readyCount;
    if (ready === 0 || ready >= wanted) return false;
    this.#waitsForBatchSince ??= now;
    const left = this.#waitsForBatchSince + options.batch.maxWaitMs - now;
    if (left <= 0) return false;
    this.#lookAgain('batch', left);
    return true;
  }

  /** A part of a batch, in the place of the whole. */
  #startNext(leases: readonly Lease[], rest: readonly Lease[]): void {
    const { inFlight } = this.#work;
    const job = this.#jobs.add(leases, rest);
    inFlight.add(job, leases);
    inFlight.note();
    this.#jobs.run(job);
  }

  #left(): void {
    this.#checkDrained();
    this.#tellIdle();
    this.#schedule();
  }

  #checkDrained(): void {
    if (this.#draining.length === 0) return;
    const { source } = this.#parts;
    // What a pop or a move has may be given back.
    const first = Math.min(source.firstLive(0) ?? Infinity, source.firstClaimed() ?? Infinity);
    const leased = this.#begun?.dispatcher.leased ?? [];
    this.#draining = this.#draining.filter(({ upTo, resolve }) => {
      if (first <= upTo) return true;
      for (const id of leased) if (id <= upTo) return true;
      resolve();
      return false;
    });
  }

  #lookAgain(name: 'pump' | 'batch', inMs: number): void {
    this.#timers.get(name)?.();
    this.#timers.set(
      name,
      this.#parts.source.host.after(inMs, () => {
        this.#timers.delete(name);
        this.#schedule();
      }),
    );
  }

  #watchNews(): void {
    this.#cancelNews = this.#parts.source.onNews(() => {
      if (this.#state.kind === 'stopped') return;
      this.#watchNews();
      this.#checkDrained();
      this.#schedule();
    });
  }

  #watchSignal(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    if (signal.aborted) this.#stop(signal.reason, GRACE_MS);
    else this.#undo.push(onceAborted(signal, (reason) => this.#stop(reason, GRACE_MS)));
  }

  #stop(reason: unknown, graceMs: number): void {
    if (this.#ending !== undefined) return;
    this.#state = { kind: 'stopping', reason };
    this.#ending = this.#end(graceMs);
  }

  async #end(graceMs: number): Promise<void> {
    const { source } = this.#parts;
    await this.#settledWithin(graceMs);
    if (this.#jobs.size > 0) {
      const reason = this.#state.kind === 'stopping' ? this.#state.reason : undefined;
      this.#jobs.abort(reason);
      await this.#settledWithin(ABORTED_MS);
    }
    // Who still runs keeps his record until he ends; whoever opens the store next begins anew.
    this.#begun?.inFlight.note();
    const failure = source.failure() ?? this.#refusal;
    this.#finish(this.#refusal);
    await this.#parts.onEnded(this.#refusal);
    if (failure === undefined) this.#resolveDone({ ...this.#settlement.counts });
    else this.#rejectDone(failure);
  }

  /** Resolves when all handlers have ended and what became of their records is written, or the time is over. */
  async #settledWithin(ms: number): Promise<void> {
    if (this.#isSettled()) return;
    const { host } = this.#parts.source;
    await new Promise<void>((resolve) => {
      const cancel = host.after(ms, resolve);
      this.#idle.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #isSettled(): boolean {
    return this.#jobs.size === 0 && !this.#settlement.isUnderWay;
  }

  #tellIdle(): void {
    if (this.#idle.length === 0 || !this.#isSettled()) return;
    for (const tell of this.#idle.splice(0)) tell();
  }

  /** What is in other handlers has its time to end. */
  #refused(error: StopDelivery): void {
    if (this.#state.kind === 'stopped') return;
    // Also of what was on its way when it was stopped: it says what has to be seen to.
    this.#refusal ??= error;
    this.#stop(error, GRACE_MS);
  }

  /** The queue fails: nothing can be delivered any more. */
  #fail(error: unknown): void {
    if (this.#ending !== undefined) return;
    this.#state = { kind: 'stopping', reason: error };
    this.#jobs.abort(error);
    this.#finish(error);
    this.#ending = this.#parts.onEnded(undefined);
    this.#rejectDone(error);
  }

  #finish(error?: unknown): void {
    this.#state = { kind: 'stopped' };
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#jobs.stop();
    this.#cancelNews();
    for (const undo of this.#undo.splice(0)) undo();
    const reason = error ?? stoppedError(this.#address.queue);
    for (const { reject } of this.#draining.splice(0)) reject(reason);
  }
}

function stoppedError(queue: string): EvaqError {
  return new EvaqError('EVAQ_CLOSED', `the delivery of '${queue}' was stopped`);
}
