/**
 * What a delivery is made of, and what the deliveries of a queue share.
 */

import type { StopDelivery } from './delivery-errors.js';
import type { DeliveryLog } from './delivery-log.js';
import type { ResolvedDelivery, ResolvedRetry } from './delivery-options.js';
import type { DeliverySource } from './delivery-source.js';
import type { Dispatcher } from './dispatcher.js';
import type { InFlight } from './in-flight.js';
import type { Invocation } from './outcome.js';

/** What the deliveries of a queue share, once what is remembered of it has been read. */
export interface Work {
  readonly dispatcher: Dispatcher;
  readonly log: DeliveryLog;
  readonly inFlight: InFlight;
  /** Whether the destination was down when the last process ended. */
  readonly startsDoubtful: boolean;
  /** How long to wait before the first record, after deaths in a row. */
  readonly startDelayMs: number;
}

export interface DeliveryParts {
  readonly source: DeliverySource;
  readonly work: Promise<Work>;
  readonly options: ResolvedDelivery;
  readonly retry: ResolvedRetry;
  /** What becomes of a record whose tries are used up: to the dead letters, or it stays where it is for a human. */
  readonly onExhausted: 'dead-letter' | 'park';
  readonly invocation: Invocation;
  /** How often in a row the destination was found down: for the next process. */
  readonly noteStreak: (streak: number) => void;
  /** It has ended, and uses nothing any more. */
  /** `refusal`: why, where a handler said that nothing can be delivered. */
  readonly onEnded: (refusal: StopDelivery | undefined) => Promise<void>;
}
