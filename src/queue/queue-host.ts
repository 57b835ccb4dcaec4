/**
 * What a queue asks of its store: what concerns other queues, and what its statistics and traces mention.
 */
import type { Delivery } from '../delivery/delivery.js';
import type { BatchOptions, DeliveryOptions } from '../delivery/delivery-options.js';
import type { BatchHandler, Handler } from '../delivery/invocation.js';
import type { DeadLetterOptions, DeadLetterSelection } from './dead-letter-options.js';
import type { QueueCore } from './queue-core.js';
import type { QueueDeadLetters } from './queue-dead-letters.js';
import type { StatsHost } from './queue-stats.js';

export interface QueueHost extends StatsHost {
  /** The store's name, for whoever observes it. */
  readonly storeId: string;
  /** Milliseconds, by a clock that never goes back. */
  readonly elapsed: () => number;
  readonly deadLetter: (source: QueueCore, id: number, options: DeadLetterOptions) => Promise<number>;
  readonly redrive: (
    source: QueueCore,
    which: DeadLetterSelection,
    signal: AbortSignal | undefined,
  ) => Promise<number[]>;
  readonly deadLettersOf: (source: QueueCore) => QueueDeadLetters;
  readonly process: (source: QueueCore, handler: Handler, options: DeliveryOptions | undefined) => Delivery;
  readonly processBatch: (source: QueueCore, handler: BatchHandler, options: BatchOptions | undefined) => Delivery;
}
