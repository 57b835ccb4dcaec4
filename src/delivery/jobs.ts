/**
 * The handlers of a delivery that are running, and their time.
 *
 * Invariants
 * - A handler keeps its place until it has ended, also past its time: no record is in two handlers of a process.
 * - No rejection of a handler escapes.
 */

import { type Addressing, HandlerSignal } from './delivery-context.js';
import { HandlerTimeout } from './delivery-errors.js';
import type { DeliveryParts } from './delivery-parts.js';
import { endTrace, type HandlerTrace, isDeliverObserved, newHandlerTrace, runTraced } from './delivery-trace.js';
import type { Lease } from './lease.js';
import type { Ended, Outcome } from './outcome.js';

/** One call of a handler. */
export interface Job {
  readonly leases: readonly Lease[];
  /** Behind them in a batch that is being halved: one of them fails if these do not. */
  readonly rest: readonly Lease[];
  readonly signal: HandlerSignal;
  readonly startedAt: number;
  timedOut: boolean;
  /** Where somebody listened when its handler began. */
  trace: HandlerTrace | undefined;
}

/** Told once of each job, which is not running any more. Returns what is said of single records, if anything is. */
type OnEnded = (job: Job, ended: Ended) => ReadonlyMap<number, Outcome> | undefined;

export class Jobs {
  readonly #parts: DeliveryParts;
  readonly #address: Addressing;
  readonly #onEnded: OnEnded;
  readonly #running = new Set<Job>();
  /** Of these, those whose time is not over, in the order in which it will be. */
  readonly #timed = new Set<Job>();
  #cancelTimer: (() => void) | undefined;
  #isTimed = true;

  constructor(parts: DeliveryParts, address: Addressing, onEnded: OnEnded) {
    this.#parts = parts;
    this.#address = address;
    this.#onEnded = onEnded;
  }

  get size(): number {
    return this.#running.size;
  }

  /** Handlers that go on past their time. */
  get overdue(): number {
    return this.#running.size - this.#timed.size;
  }

  /** Records in handlers. */
  get records(): number {
    let sum = 0;
    for (const { leases } of this.#running) sum += leases.length;
    return sum;
  }

  /** Its place is taken from now on; `run` follows. */
  add(leases: readonly Lease[], rest: readonly Lease[]): Job {
    const job: Job = {
      leases,
      rest,
      signal: new HandlerSignal(),
      startedAt: this.#parts.source.host.elapsed(),
      timedOut: false,
      trace: undefined,
    };
    this.#running.add(job);
    return job;
  }

  run(job: Job): void {
    this.#timed.add(job);
    this.#armTimeout();
    let value: unknown;
    let ending: Promise<unknown> | undefined;
    try {
      value = isDeliverObserved() ? this.#callTraced(job) : this.#parts.invocation.call(job.leases, job.signal);
      // What it is, it may say by throwing.
      if (isThenable(value)) ending = Promise.resolve(value);
    } catch (error) {
      this.#ended(job, { kind: 'threw', error });
      return;
    }
    if (ending !== undefined) {
      ending.then(
        (result: unknown) => this.#ended(job, { kind: 'returned', value: result }),
        (error: unknown) => this.#ended(job, { kind: 'threw', error }),
      );
    } else {
      this.#ended(job, { kind: 'returned', value });
    }
  }

  /** All are asked to end. Whoever does has not failed for want of time. */
  abort(reason: unknown): void {
    this.stop();
    for (const job of this.#running) job.signal.abort(reason);
  }

  /** No time is over any more. */
  stop(): void {
    this.#isTimed = false;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #callTraced(job: Job): unknown {
    const { invocation, source } = this.#parts;
    job.trace = newHandlerTrace(this.#address, job.leases, invocation.takesMany, source.host.elapsed());
    return runTraced(job.trace, () => invocation.call(job.leases, job.signal));
  }

  #ended(job: Job, ended: Ended): void {
    if (!this.#running.delete(job)) return;
    this.#timed.delete(job);
    const { options, source } = this.#parts;
    const counted: Ended = job.timedOut ? { kind: 'threw', error: new HandlerTimeout(options.timeoutMs) } : ended;
    const named = this.#onEnded(job, counted);
    if (job.trace !== undefined) endTrace(job.trace, counted, named, source.host);
  }

  #armTimeout(): void {
    const { options, source } = this.#parts;
    if (!this.#isTimed || options.timeoutMs === 0 || this.#cancelTimer !== undefined) return;
    const [first] = this.#timed;
    if (first === undefined) return;
    const left = first.startedAt + options.timeoutMs - source.host.elapsed();
    this.#cancelTimer = source.host.after(Math.max(1, left), () => {
      this.#cancelTimer = undefined;
      this.#timeOut();
    });
  }

  #timeOut(): void {
    const { options, source } = this.#parts;
    const now = source.host.elapsed();
    for (const job of this.#timed) {
      if (job.startedAt + options.timeoutMs > now) break;
      this.#timed.delete(job);
      job.timedOut = true;
      job.signal.abort(new HandlerTimeout(options.timeoutMs));
    }
    this.#armTimeout();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
