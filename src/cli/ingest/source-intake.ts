/**
 * Pushes what comes from a source together with how far that is: both are committed together, so that after a kill the source is read on from where its
 * records end. One push at a time: a later one that succeeds beside one that fails would speak for what is not there.
 */
import { setTimeout as passTime } from 'node:timers/promises';
import { codeOf } from '../../errors.js';
import type { Payload, PushEntry, Queue } from '../../evaq.js';

/** Between tries while the queue is full. */
const FULL_MS = 200;

export class SourceIntake {
  readonly #queue: Pick<Queue, 'pushMany' | 'checkpoint'>;
  readonly #warn: (text: string) => void;
  #records = 0;
  #isFull = false;

  constructor(queue: Pick<Queue, 'pushMany' | 'checkpoint'>, warn: (text: string) => void) {
    this.#queue = queue;
    this.#warn = warn;
  }

  /** What is durable. */
  get records(): number {
    return this.#records;
  }

  position(source: string): Promise<string | number | undefined> {
    return this.#queue.checkpoint(source);
  }

  /** Waits while the queue has no room. */
  async push(
    records: readonly (Payload | PushEntry)[],
    checkpoint: { readonly source: string; readonly position: string | number },
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      try {
        await this.#queue.pushMany(records, { checkpoint });
        break;
      } catch (error) {
        if (codeOf(error) !== 'EVAQ_QUEUE_FULL') throw error;
        if (!this.#isFull) this.#warn('the queue is full; it is waited for room');
        this.#isFull = true;
        await passTime(FULL_MS, undefined, { signal });
      }
    }
    this.#isFull = false;
    this.#records += records.length;
  }
}
