/**
 * Says of each record of a handler that has ended what became of it, and halves a batch that failed as a whole until one record stands alone.
 */
import { assert } from '../assert.js';
import { isHandlerDied, isRetryLater, isStopDelivery } from './delivery-errors.js';
import type { DeliveryParts } from './delivery-parts.js';
import type { Job } from './jobs.js';
import type { Lease } from './lease.js';
import type { Ended, Invocation, Outcome } from './outcome.js';
import type { Settlement } from './settlement.js';

export interface Proceeding {
  /** stopping: whoever fails was asked to end. stopped: what fails from now on is as if it had not been tried. */
  state(): 'running' | 'paused' | 'stopping' | 'stopped';
  start(leases: readonly Lease[], rest: readonly Lease[]): void;
}

const NO_LEASES: readonly Lease[] = [];

export class Judge {
  readonly #parts: DeliveryParts;
  readonly #settlement: Settlement;
  readonly #proceeding: Proceeding;

  constructor(parts: DeliveryParts, settlement: Settlement, proceeding: Proceeding) {
    this.#parts = parts;
    this.#settlement = settlement;
    this.#proceeding = proceeding;
  }

  /** Returns what is said of single records, if anything is. */
  judge(job: Job, ended: Ended): ReadonlyMap<number, Outcome> | undefined {
    const named = this.#parts.invocation.outcomes(job.leases, job.signal, ended);
    this.#judgeNamed(job, ended, named);
    return typeof named === 'string' ? undefined : named;
  }

  #judgeNamed(job: Job, ended: Ended, named: ReturnType<Invocation['outcomes']>): void {
    const { leases, rest } = job;
    const settlement = this.#settlement;
    if (ended.kind === 'threw' && isHandlerDied(ended.error)) {
      this.#judgeDeath(job, typeof named === 'string' ? undefined : named);
      return;
    }
    const state = this.#proceeding.state();
    const isFifo = this.#parts.options.order === 'fifo';
    let failedBefore = false;
    if (state === 'stopped' || (state === 'stopping' && ended.kind === 'threw' && !job.timedOut)) {
      // It was asked to end.
      for (const lease of leases) {
        const outcome = typeof named === 'string' ? undefined : named.get(lease.id);
        const isBehind = failedBefore && isFifo && outcome?.kind !== 'acknowledged';
        const arrived = outcome === undefined ? ended.kind === 'returned' : outcome.kind !== 'failed';
        failedBefore ||= !arrived;
        if (arrived && !isBehind) settlement.arrived(lease);
        else if (ended.kind === 'threw' && isStopDelivery(ended.error)) settlement.failed(lease, ended.error, false);
        else settlement.release(lease);
      }
      for (const lease of rest) settlement.release(lease);
      return;
    }
    if (named === 'nobody named') {
      assert(ended.kind === 'threw', 'whoever returns has named all');
      this.#judgeWhole(job, ended.error);
      return;
    }
    for (const lease of leases) {
      const outcome = named === 'all delivered' ? undefined : named.get(lease.id);
      if (outcome?.kind === 'failed') {
        failedBefore = true;
        settlement.failed(lease, outcome.error, job.timedOut);
      } else if (failedBefore && isFifo && outcome?.kind !== 'acknowledged') {
        // Behind one that failed, in a line of which it is a part: it must come after it.
        settlement.release(lease);
      } else {
        settlement.arrived(lease);
      }
    }
    this.#goOn(rest, !failedBefore);
  }

  /** The thread of a handler died, and nobody knows of which record: each of them costs what a death of the process would. */
  #judgeDeath({ leases, rest, timedOut }: Job, named: ReadonlyMap<number, Outcome> | undefined): void {
    const settlement = this.#settlement;
    for (const lease of leases) {
      const outcome = named?.get(lease.id);
      if (outcome?.kind === 'acknowledged') settlement.arrived(lease);
      else if (outcome?.kind === 'failed' && !isHandlerDied(outcome.error))
        settlement.failed(lease, outcome.error, timedOut);
      else settlement.crashed(lease);
    }
    settlement.giveBack(rest);
  }

  /** A handler threw, and said of nobody in particular why. */
  #judgeWhole({ leases, rest, timedOut }: Job, error: unknown): void {
    const settlement = this.#settlement;
    const [first] = leases;
    assert(first !== undefined, 'a job has records');
    if (leases.length === 1) {
      settlement.failed(first, error, timedOut);
      settlement.giveBack(rest);
      return;
    }
    const isAboutAll =
      isRetryLater(error) || isStopDelivery(error) || settlement.classOf(error, first) === 'unavailable';
    if (isAboutAll) {
      // The destination's fault: halving tells nothing.
      settlement.failed(first, error, timedOut);
      settlement.giveBack(leases.slice(1));
      settlement.giveBack(rest);
      return;
    }
    settlement.giveBack(rest);
    this.#halve(leases);
  }

  /** Finds the one that fails: its half first; if that arrives it is in the other. */
  #halve(leases: readonly Lease[]): void {
    const middle = leases.length >> 1;
    this.#startNext(leases.slice(0, middle), leases.slice(middle));
  }

  /** After the half before has ended. */
  #goOn(rest: readonly Lease[], arrived: boolean): void {
    if (rest.length === 0) return;
    if (!arrived) this.#settlement.giveBack(rest);
    else if (rest.length === 1) this.#startNext(rest, NO_LEASES);
    else this.#halve(rest);
  }

  #startNext(leases: readonly Lease[], rest: readonly Lease[]): void {
    if (this.#proceeding.state() !== 'running') {
      this.#settlement.giveBack(leases);
      this.#settlement.giveBack(rest);
      return;
    }
    // Somebody may have removed, or popped, some of them meanwhile.
    const { source } = this.#parts;
    const live = leases.filter(({ id }) => source.isLive(id));
    this.#settlement.giveBack(leases.filter(({ id }) => !source.isLive(id)));
    if (live.length > 0) this.#proceeding.start(live, rest);
    else this.#goOn(rest, true);
  }
}
