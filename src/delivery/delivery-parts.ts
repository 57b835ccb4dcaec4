/**
 * What a delivery is made of, and what the deliveries of a queue share.
 */

import type { StopDelivery } from './delivery-errors.js';
import type { ResolvedDelivery, ResolvedRetry } from './delivery-options.js';
import type { DeliverySource } from './delivery-source.js';
import type { Lease } from './lease.js';
import type { Invocation } from './outcome.js';
import type { RetryEntry } from './retry-table.js';

/** Who hands records out, each to one: `Dispatcher`, of a queue on this disk; a replicated queue has its own. */
export interface Handout {
  /** Why no more can be found. */
  readonly failure: unknown;
  readonly leased: Iterable<number>;
  /** Records waiting for their time or for the head of their key. */
  readonly waiting: number;
  /** How many could be taken now, about. */
  readonly readyCount: number;
  /** Calls `wake` whenever there may be something to take. The result ends that. */
  listen(wake: () => void): () => void;
  /** Up to so many records, each for a handler of its own; fewer, or none, if there are not more at the moment. */
  take(maxRecords: number): Lease[];
  /** The same for one handler: of at least one record and at most so many bytes. */
  takeBatch(maxRecords: number, maxBytes: number): Lease[];
  /** The records are gone, wherever they went. */
  left(leases: readonly Lease[]): void;
  /** It is to be tried again, not before its entry says (as a date). `putBack` follows. */
  settle(lease: Lease, entry: RetryEntry): void;
  /** What was settled is written. */
  putBack(lease: Lease): void;
  /** As if it had never been taken: it comes again at once. */
  giveBack(lease: Lease): void;
  /** A leased record may have killed the thread that had it. */
  suspect(id: number): void;
  /** Gives back attempts of a record. Returns what is to be remembered of it now, or nothing where whoever has it will say so. */
  forgive(id: number, count: number): RetryEntry | undefined;
}

/** Where it is written what became of records that were not delivered: `DeliveryLog`. */
export interface OutcomeLog {
  /** Something could not be read or written: counts of attempts may be too low. */
  readonly lost: boolean;
  /** Resolves when it is written, or cannot be. */
  note(id: number, entry: RetryEntry): Promise<void>;
}

/** Where it is noted which records are in a handler, before they are: `InFlight`. */
export interface FlightNotes {
  add(owner: object, leases: readonly Lease[]): void;
  delete(owner: object): void;
  note(): void;
}

/** What the deliveries of a queue share, once what is remembered of it has been read. */
export interface Work {
  readonly dispatcher: Handout;
  readonly log: OutcomeLog;
  readonly inFlight: FlightNotes;
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
