/**
 * Records to a target: so many at a time, at a pace, each tried again until it is there or it is given up. Whoever asks it to stop waits for what is under
 * way, and knows then what is settled.
 */
import { messageOf } from '../../errors.js';
import { isSinkError } from '../../forward/sink-error.js';
import type { QueueRecord } from '../../log/queue-record.js';
import { pause } from '../interrupt.js';
import type { FailedRecord } from './replay-checkpoint.js';
import type { ReplayClock } from './replay-clock.js';
import { isFinal, isUnauthorized, type ReplayTarget } from './replay-target.js';
import type { ReplayWindow } from './replay-window.js';

export interface ReplayerOptions {
  readonly target: ReplayTarget;
  readonly queue: string;
  readonly deliveryId: (record: QueueRecord) => string;
  readonly clock: ReplayClock;
  readonly concurrency: number;
  /** Tries of a record. */
  readonly attempts: number;
  readonly window: ReplayWindow;
  /** Told of each, once it is settled. Does not throw. */
  readonly onSettled: (record: TakenRecord, failed: FailedRecord | undefined) => void;
  readonly signal: AbortSignal;
}

export interface TakenRecord {
  readonly record: QueueRecord;
  /** It failed in a run before, and stands in the window of that one. */
  readonly isOwed: boolean;
}

const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 5000;
/** One record that is tried again and again does not let the others run ahead without an end. */
const AHEAD_MAX = 4096;

export class Replayer {
  readonly #options: ReplayerOptions;
  readonly #under = new Set<Promise<void>>();
  /** Why it does not go on. */
  #stopped: { readonly error: unknown } | undefined;

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  /** Whether it goes on: it does not when it was asked to stop, the destination lets nobody in, or what it has done cannot be kept. */
  get goesOn(): boolean {
    return !this.#options.signal.aborted && this.#stopped === undefined;
  }

  /** Begins with no other record. `finish` rejects with the first error of them. */
  stop(error: unknown): void {
    this.#stopped ??= { error };
  }

  /** Begins with a record when it is due and there is room. */
  async take(taken: TakenRecord): Promise<void> {
    const { clock, concurrency, window, signal } = this.#options;
    const { record, isOwed } = taken;
    while (this.goesOn && this.#under.size > 0 && (this.#under.size >= concurrency || window.length >= AHEAD_MAX)) {
      await Promise.race(this.#under);
    }
    if (!this.goesOn) return;
    const waitMs = clock.waitMs(record.timestamp, performance.now());
    if (waitMs > 0) await pause(waitMs, signal);
    if (!this.goesOn) return;
    if (!isOwed) window.begin(record.id);
    const sent = this.#settle(taken);
    this.#under.add(sent);
    void sent.finally(() => this.#under.delete(sent));
  }

  /** Resolves when nothing is under way; rejects with that for which it was stopped. */
  async finish(): Promise<void> {
    await Promise.all(this.#under);
    if (this.#stopped !== undefined) throw this.#stopped.error;
  }

  /** Never rejects. What is not settled when it resolves was given up for now. */
  async #settle(taken: TakenRecord): Promise<void> {
    const { window, onSettled } = this.#options;
    const { record, isOwed } = taken;
    const outcome = await this.#send(record);
    if (outcome === 'given up') return;
    if (!isOwed) window.settle(record.id);
    onSettled(taken, outcome === 'delivered' ? undefined : { id: record.id, error: outcome.error });
  }

  /** Given up: asked to stop, or not let in. */
  async #send(record: QueueRecord): Promise<'delivered' | 'given up' | { readonly error: string }> {
    const { target, queue, deliveryId, attempts, signal } = this.#options;
    const name = deliveryId(record);
    for (let attempt = 1; ; attempt++) {
      try {
        await target.send({ record, queue, deliveryId: name, attempt }, NEVER);
        return 'delivered';
      } catch (error) {
        if (isUnauthorized(error)) this.stop(error);
        if (!this.goesOn) return 'given up';
        if (attempt >= attempts || isFinal(error)) return { error: messageOf(error) };
        await pause(waitFor(error, attempt), signal);
        if (!this.goesOn) return 'given up';
      }
    }
  }
}

/** A request that is under way is brought to its end: what it came to is known then. */
const NEVER: AbortSignal = new AbortController().signal;

function waitFor(error: unknown, attempt: number): number {
  const asked = isSinkError(error) ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(asked, Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1)));
}
