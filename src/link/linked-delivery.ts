/**
 * A delivery whose handlers are in a thread that has not the store.
 */
import { optionNames, requireNoMore, requireOptions } from '../arguments.js';
import type { DeliveryReport, DeliveryStats, StopOptions } from '../delivery/delivery-report.js';
import { EvaqError } from '../errors.js';
import { cloned } from './linked-arguments.js';

const STOP_NAMES = optionNames('graceMs');

export interface LinkedDeliveryEnds {
  readonly ask: (what: 'drained' | 'stop' | 'stats', args: readonly unknown[]) => Promise<unknown>;
  readonly steer: (how: 'pause' | 'resume') => void;
}

/** As `Delivery`; what it is asked is answered by the thread that has the store. Made by `process`, `processBatch` and `evacuate` of what `Evaq.attach` gives. */
export class LinkedDelivery implements AsyncDisposable {
  /**
   * Resolves when it has stopped. Rejects where the queue cannot be read or written any more; with a TypeError where another delivery keeps an order; with
   * EVAQ_CLOSED or EVAQ_FAILED where the link ends first.
   */
  readonly done: Promise<DeliveryReport>;
  readonly #queue: string;
  readonly #ends: LinkedDeliveryEnds;
  #ended: { readonly stats: DeliveryStats | undefined } | undefined;

  constructor(queue: string, done: Promise<DeliveryReport>, ends: LinkedDeliveryEnds) {
    this.#queue = queue;
    this.done = done;
    this.#ends = ends;
    // Whoever does not look at it is not killed by it.
    done.catch(() => undefined);
  }

  /** Resolves when all that was in the queue at the call has left it. @throws as `Delivery.drained` */
  async drained(): Promise<void> {
    requireNoMore(arguments.length, 0, 'drained');
    if (this.#ended !== undefined) {
      await this.done;
      throw new EvaqError('EVAQ_CLOSED', `the delivery of '${this.#queue}' was stopped`);
    }
    await this.#ends.ask('drained', []);
  }

  /** Hands out nothing more until `resume`, as soon as the other thread has heard of it. */
  pause(): void {
    requireNoMore(arguments.length, 0, 'pause');
    if (this.#ended === undefined) this.#ends.steer('pause');
  }

  resume(): void {
    requireNoMore(arguments.length, 0, 'resume');
    if (this.#ended === undefined) this.#ends.steer('resume');
  }

  /** As `Delivery.stats`, as of the moment when the other thread is asked. */
  async stats(): Promise<DeliveryStats> {
    requireNoMore(arguments.length, 0, 'stats');
    const known = this.#ended?.stats;
    if (known !== undefined) return known;
    if (this.#ended !== undefined) await this.done;
    const stats = await this.#ends.ask('stats', []);
    if (isStats(stats)) return stats;
    throw new TypeError('the other end gave no statistics');
  }

  /** As `Delivery.stop`. */
  async stop(options?: StopOptions): Promise<void> {
    requireNoMore(arguments.length, 1, 'stop');
    requireOptions(options, 'stop', STOP_NAMES);
    if (this.#ended !== undefined) return;
    await this.#ends.ask('stop', options === undefined ? [] : [cloned(options, 'stop')]).catch((error: unknown) => {
      // That it has ended meanwhile is what was asked for.
      if (this.#ended === undefined) throw error;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** It is over; `stats`: as they were then. */
  ended(stats: DeliveryStats | undefined): void {
    this.#ended = { stats };
  }
}

function isStats(value: unknown): value is DeliveryStats {
  return typeof value === 'object' && value !== null && 'inFlight' in value;
}
