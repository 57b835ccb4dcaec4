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
  /** Told of each, once it is settled. */
  readonly onSettled: (record: QueueRecord, failed: FailedRecord | undefined) => void;
  readonly signal: AbortSignal;
}

const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 5000;
/** One record that is tried again and again does not let the others run ahead without an end. */
const AHEAD_MAX = 4096;

export class Replayer {
  readonly #options: ReplayerOptions;
  readonly #under = new Set<Promise<void>>();
  #refused: unknown;

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  /** Whether it goes on: it does not when it was asked to stop, or the destination lets nobody in. */
  get goesOn(): boolean {
    return !this.#options.signal.aborted && this.#refused === undefined;
  }

  /** Begins with a record when it is due and there is room. */
  async take(record: QueueRecord): Promise<void> {
    const { clock, concurrency, window, signal } = this.#options;
    while (this.goesOn && this.#under.size > 0 && (this.#under.size >= concurrency || window.length >= AHEAD_MAX)) {
      await Promise.race(this.#under);
    }
    if (!this.goesOn) return;
    const waitMs = clock.waitMs(record.timestamp, performance.now());
    if (waitMs > 0) await pause(waitMs, signal);
    if (!this.goesOn) return;
    window.begin(record.id);
    const sent = this.#send(record);
    this.#under.add(sent);
    void sent.finally(() => this.#under.delete(sent));
  }

  /** Resolves when nothing is under way; rejects where the destination lets nobody in. */
  async finish(): Promise<void> {
    await Promise.all(this.#under);
    if (this.#refused !== undefined) throw this.#refused;
  }

  /** Never rejects. What is not settled when it resolves was given up for now: asked to stop, or not let in. */
  async #send(record: QueueRecord): Promise<void> {
    const { target, queue, deliveryId, attempts, window, onSettled, signal } = this.#options;
    const name = deliveryId(record);
    for (let attempt = 1; ; attempt++) {
      try {
        await target.send({ record, queue, deliveryId: name, attempt }, NEVER);
        window.settle(record.id);
        onSettled(record, undefined);
        return;
      } catch (error) {
        if (isUnauthorized(error)) this.#refused ??= error;
        if (!this.goesOn) return;
        if (attempt >= attempts || isFinal(error)) {
          window.settle(record.id);
          onSettled(record, { id: record.id, error: messageOf(error) });
          return;
        }
        await pause(waitFor(error, attempt), signal);
        if (!this.goesOn) return;
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
