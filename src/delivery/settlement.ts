/**
 * What becomes of records whose handlers have ended: removed, back in place, to the dead letters, or given back.
 *
 * Invariant: a record stays leased until what became of it is written: removed, moved, or noted in the delivery log.
 */
import { assert } from '../assert.js';
import { TIME_MS_MAX } from '../times.js';
import { timeOf } from '../vfs/host.js';
import { backoffMs } from './backoff.js';
import { randomOf } from './chance.js';
import type { FailureClass } from './classify.js';
import { attemptOf } from './delivery-context.js';
import { isDeadLetterError, isRetryLater, isStopDelivery, type StopDelivery } from './delivery-errors.js';
import type { DeliveryParts, Work } from './delivery-parts.js';
import { type DeliveryCounts, newCounts } from './delivery-report.js';
import { attemptsBefore, type Lease } from './lease.js';
import type { Pace } from './pace.js';
import type { RetryEntry } from './retry-table.js';

export interface SettlementEvents {
  /** The queue fails: nothing can be settled any more. */
  readonly onFailure: (error: unknown) => void;
  /** A handler said that nothing can be delivered until somebody has stepped in. */
  readonly onStopped: (error: StopDelivery) => void;
  /** Records have left the queue, and their leases have ended. */
  readonly onLeft: () => void;
  /** Something that was being written is. */
  readonly onWritten: () => void;
}

/** Records whose handlers have succeeded and whose removal is not durable yet, at most. */
const REMOVING_MAX = 65_536;
/** Of a record whose tries are used up and that stays: never due by itself. */
const NEVER_MS = TIME_MS_MAX;

export class Settlement {
  readonly counts: DeliveryCounts = newCounts();
  readonly #parts: DeliveryParts;
  readonly #pace: Pace;
  readonly #events: SettlementEvents;
  #begun: Work | undefined;
  readonly #removing: Lease[] = [];
  #removalsUnderWay = 0;
  #outcomesUnderWay = 0;
  #flushScheduled = false;

  constructor(parts: DeliveryParts, pace: Pace, events: SettlementEvents) {
    this.#parts = parts;
    this.#pace = pace;
    this.#events = events;
  }

  begin(work: Work): void {
    this.#begun = work;
  }

  /** Something is to be written yet. */
  get isUnderWay(): boolean {
    return this.#removalsUnderWay + this.#removing.length + this.#outcomesUnderWay > 0;
  }

  /** So much is to be removed that nothing more is to be handed out. */
  get isFull(): boolean {
    return this.#removalsUnderWay + this.#removing.length >= REMOVING_MAX;
  }

  arrived(lease: Lease): void {
    this.#pace.arrived();
    this.counts.delivered++;
    this.#remove(lease);
  }

  failed(lease: Lease, error: unknown, timedOut: boolean): void {
    if (isDeadLetterError(error)) {
      this.#pace.saidNothing();
      this.counts.failed++;
      this.over(lease, error.reason, error, attemptsBefore(lease) + 1);
      return;
    }
    if (isRetryLater(error)) {
      this.#pace.saidNothing();
      this.#notNow(lease, error.delayMs, error.countAttempt);
      if (error.scope === 'all') this.#pace.pauseFor(error.delayMs);
      return;
    }
    if (isStopDelivery(error)) {
      this.release(lease);
      this.#events.onStopped(error);
      return;
    }
    const verdict = this.classOf(error, lease);
    if (verdict === 'drop') {
      this.#pace.saidNothing();
      this.counts.dropped++;
      this.#remove(lease);
      return;
    }
    if (verdict === 'dead') {
      this.#pace.saidNothing();
      this.counts.failed++;
      this.over(lease, 'dead', error, attemptsBefore(lease) + 1);
      return;
    }
    this.#tryAgain(lease, error, verdict === 'unavailable', timedOut);
  }

  /** Its handler's thread died. It comes again first, and alone; or is over. */
  crashed(lease: Lease): void {
    const { retry } = this.#parts;
    this.#pace.saidNothing();
    const attempts = attemptsBefore(lease) + 1;
    const crashes = lease.crashes + 1;
    this.counts.failed++;
    if (crashes >= retry.maxCrashes || attempts >= retry.maxAttempts) {
      this.over({ ...lease, crashes }, 'crashed', undefined, attempts);
      return;
    }
    this.counts.retried++;
    this.#work.dispatcher.suspect(lease.id);
    this.#putBack(lease, { ...this.#entry(lease, attempts, 0), crashes });
  }

  /** As if it had not been tried. */
  release(lease: Lease): void {
    this.#pace.saidNothing();
    this.counts.released++;
    this.#work.dispatcher.giveBack(lease);
  }

  /** The same for records that no handler has had: they were in line in a batch. */
  giveBack(leases: readonly Lease[]): void {
    for (const lease of leases) this.#work.dispatcher.giveBack(lease);
  }

  /** Its tries are used up, or it is dead. `attempts`: of this life. */
  over(lease: Lease, reason: string, error: unknown, attempts: number): void {
    const { source, onExhausted } = this.#parts;
    const { dispatcher } = this.#work;
    const entry = this.#entry(lease, attempts, 0);
    if (onExhausted === 'park') {
      this.#putBack(lease, { ...entry, dueMs: NEVER_MS });
      return;
    }
    const now = timeOf(source.host);
    const facts = {
      reason,
      error,
      attempts: (lease.record.attempts ?? 0) + attempts,
      firstFailureMs: entry.firstFailureMs,
      lastFailureMs: now,
    };
    this.#outcomesUnderWay++;
    void source.deadLetter(lease.id, facts).then(
      (moved) => {
        this.#outcomesUnderWay--;
        if (!moved && (source.isLive(lease.id) || source.claimEnd(lease.id) !== undefined)) {
          // Whoever has it, or is about to remove it, may give it back.
          this.#putBack(lease, { ...entry, dueMs: now + this.#laterMs() });
          return;
        }
        if (moved) this.counts.deadLettered++;
        dispatcher.left([lease]);
        this.#events.onLeft();
      },
      (failure: unknown) => {
        this.#outcomesUnderWay--;
        if (source.failure() !== undefined || !source.isOpen()) {
          dispatcher.giveBack(lease);
          this.#events.onFailure(source.failure() ?? failure);
        } else {
          // No room, say: later.
          this.#putBack(lease, { ...entry, dueMs: now + this.#laterMs() });
        }
        this.#events.onWritten();
      },
    );
  }

  classOf(error: unknown, lease: Lease): FailureClass {
    try {
      const verdict = this.#parts.retry.classify(error, lease.record, attemptOf(lease));
      if (verdict === 'unavailable' || verdict === 'dead' || verdict === 'drop') return verdict;
    } catch {
      // Who cannot judge blames the record, as for any error that says nothing.
    }
    return 'retry';
  }

  /** There once the delivery has begun: nothing is handed out before. */
  get #work(): Work {
    assert(this.#begun !== undefined, 'nothing is handed out before a delivery has begun');
    return this.#begun;
  }

  #tryAgain(lease: Lease, error: unknown, isUnavailable: boolean, timedOut: boolean): void {
    const { source, retry } = this.#parts;
    const { counts, forgiven } = this.#pace.failed(lease.id, isUnavailable);
    // The last one of its own is not counted yet, if it was to be.
    if (forgiven !== undefined) this.#forgive(forgiven, lease.id, isUnavailable ? 0 : 1);
    if (!counts) {
      const delay = backoffMs(retry.backoff, this.#pace.downStreak, () => randomOf(source.host));
      this.#notNow(lease, delay, false);
      return;
    }
    const attempts = attemptsBefore(lease) + 1;
    this.counts.failed++;
    if (attempts >= retry.maxAttempts) {
      this.over(lease, timedOut ? 'timeout' : 'attempts', error, attempts);
      return;
    }
    this.counts.retried++;
    const delay = backoffMs(retry.backoff, attempts, () => randomOf(source.host));
    this.#putBack(lease, this.#entry(lease, attempts, delay));
  }

  /** The destination was down: what its failures had cost is given back. */
  #forgive(forgiven: ReadonlyMap<number, number>, own: number, uncounted: number): void {
    const { dispatcher, log } = this.#work;
    for (const [id, count] of forgiven) {
      const entry = dispatcher.forgive(id, id === own ? count - uncounted : count);
      if (entry !== undefined) void log.note(id, entry);
    }
  }

  #notNow(lease: Lease, delayMs: number, counts: boolean): void {
    const attempts = attemptsBefore(lease) + (counts ? 1 : 0);
    if (counts) this.counts.failed++;
    else this.counts.released++;
    if (counts && attempts >= this.#parts.retry.maxAttempts) {
      this.over(lease, 'attempts', undefined, attempts);
      return;
    }
    this.#putBack(lease, this.#entry(lease, attempts, delayMs));
  }

  #entry(lease: Lease, attempts: number, delayMs: number): RetryEntry {
    const now = timeOf(this.#parts.source.host);
    const firstFailureMs = lease.firstFailureMs > 0 ? lease.firstFailureMs : now;
    return { attempts, crashes: lease.crashes, dueMs: Math.min(NEVER_MS, now + delayMs), firstFailureMs };
  }

  /** Before another try to move a record. */
  #laterMs(): number {
    return backoffMs(this.#parts.retry.backoff, 5, () => 1);
  }

  /** Back in place, when that is noted. */
  #putBack(lease: Lease, entry: RetryEntry): void {
    this.#outcomesUnderWay++;
    const { dispatcher, log } = this.#work;
    dispatcher.settle(lease, entry);
    void log.note(lease.id, entry).then(() => {
      this.#outcomesUnderWay--;
      dispatcher.putBack(lease);
      this.#events.onWritten();
    });
  }

  #remove(lease: Lease): void {
    this.#removing.push(lease);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#parts.source.host.soon(() => {
      this.#flushScheduled = false;
      void this.#flush();
    });
  }

  /** What succeeded in one turn goes in one round of removals. */
  async #flush(): Promise<void> {
    const { source } = this.#parts;
    const { dispatcher } = this.#work;
    const leases = this.#removing.splice(0);
    this.#removalsUnderWay += leases.length;
    try {
      await source.remove(leases.map(({ id }) => id));
    } catch (error) {
      // For want of space it is owed, and hidden; where the store has stopped there is nothing to be done.
      if (source.failure() !== undefined || !source.isOpen()) this.#events.onFailure(source.failure() ?? error);
    }
    this.#removalsUnderWay -= leases.length;
    dispatcher.left(leases);
    this.#events.onLeft();
  }
}
