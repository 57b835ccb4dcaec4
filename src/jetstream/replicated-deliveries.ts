/**
 * The deliveries of a replicated store that run in this process.
 */
import {
  type BatchOptions,
  type DeliveryOptions,
  type ResolvedDelivery,
  resolveDelivery,
} from '../delivery/delivery-options.js';
import { type BatchHandler, batchInvocation, type Handler, singleInvocation } from '../delivery/invocation.js';
import type { Invocation } from '../delivery/outcome.js';
import { EvaqError } from '../errors.js';
import { describe } from '../ids.js';
import { holdsDeadLetters } from '../store/dead-letters.js';
import { JetStreamDelivery } from './jetstream-delivery.js';
import type { JetStreamHealthReason } from './jetstream-health.js';
import type { JetStreamQueue } from './jetstream-queue.js';
import type { MoveEnd } from './moves.js';
import type { Tries } from './tries.js';

export interface ReplicatedDeliveriesOptions {
  readonly storeId: string;
  readonly leaseMs: number;
  readonly replicas: number;
  readonly tries: Tries;
  readonly isOpen: () => boolean;
  readonly lettersOf: (queue: JetStreamQueue) => Promise<MoveEnd>;
}

/** How long handlers may go on when the store is closed. */
const CLOSE_GRACE_MS = 5000;

export class ReplicatedDeliveries {
  readonly #options: ReplicatedDeliveriesOptions;
  readonly #running = new Map<JetStreamDelivery, string>();

  constructor(options: ReplicatedDeliveriesOptions) {
    this.#options = options;
  }

  process(queue: JetStreamQueue, handler: Handler, options: DeliveryOptions | undefined): JetStreamDelivery {
    requireHandler(handler);
    const resolved = resolveDelivery(options, false);
    const address = { storeId: this.#options.storeId, queue: queue.name };
    return this.#begin(
      queue,
      resolved,
      singleInvocation(address, handler, (_leases, body) => body()),
    );
  }

  processBatch(queue: JetStreamQueue, handler: BatchHandler, options: BatchOptions | undefined): JetStreamDelivery {
    requireHandler(handler);
    const resolved = resolveDelivery(options, true);
    const address = { storeId: this.#options.storeId, queue: queue.name };
    return this.#begin(
      queue,
      resolved,
      batchInvocation(address, handler, (_leases, body) => body()),
    );
  }

  /** Those of health. */
  reasons(): JetStreamHealthReason[] {
    const reasons: JetStreamHealthReason[] = [];
    for (const [delivery, queue] of this.#running) {
      const { breaker, stateLost } = delivery.stats();
      if (breaker !== 'closed')
        reasons.push({ code: 'destination-down', queue, message: `the destination of '${queue}' is down` });
      if (stateLost)
        reasons.push({ code: 'attempts-lost', queue, message: `counts of attempts of '${queue}' may be too low` });
    }
    return reasons;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((delivery) => delivery.stop({ graceMs: CLOSE_GRACE_MS })));
  }

  #begin(queue: JetStreamQueue, options: ResolvedDelivery, invocation: Invocation): JetStreamDelivery {
    if (typeof options.order === 'function')
      throw new EvaqError('EVAQ_UNSUPPORTED', 'a replicated queue keeps no order by key', {
        hint: "Use order 'fifo', or a queue for each line.",
      });
    if (options.deadLettersRetry !== undefined)
      throw new EvaqError('EVAQ_UNSUPPORTED', 'a delivery of a replicated queue does not try its dead letters again', {
        hint: 'Deliver the queue that holds them by a delivery of its own.',
      });
    const { storeId, leaseMs, replicas, tries, isOpen, lettersOf } = this.#options;
    const delivery: JetStreamDelivery = new JetStreamDelivery({
      from: queue.end,
      letters: holdsDeadLetters(queue.name) ? undefined : () => lettersOf(queue),
      tries,
      storeId,
      leaseMs,
      replicas,
      options,
      retry: options.retry,
      invocation,
      isOpen,
      onEnded: () => this.#running.delete(delivery),
    });
    this.#running.set(delivery, queue.name);
    return delivery;
  }
}

function requireHandler(handler: unknown): void {
  if (typeof handler !== 'function') throw new TypeError(`handler must be a function, got ${describe(handler)}`);
}
