/**
 * A record that somebody delivers, from being handed out until what became of it is written.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { RetryEntry } from './retry-table.js';

export interface Lease {
  readonly id: number;
  readonly record: QueueRecord;
  readonly key: string | undefined;
  /** What its key could not be told for. */
  readonly keyError: { readonly error: unknown } | undefined;
  /** As it was handed out. */
  readonly attempts: number;
  readonly crashes: number;
  readonly firstFailureMs: number;
  /** It was in a handler when the process died: it is alone. */
  readonly isSuspect: boolean;
  /** Of its attempts, those that were given back since, because the destination was down. */
  readonly forgiven: number;
  readonly isOver: boolean;
}

/** As the dispatcher has it. */
export type HeldLease = Lease & {
  forgiven: number;
  isOver: boolean;
  /** What is to be remembered of it: it is being written. */
  entry: RetryEntry | undefined;
};

/** Attempts that count, without the one under way. */
export function attemptsBefore({ attempts, forgiven }: Lease): number {
  return Math.max(0, attempts - forgiven);
}
