/**
 * How a handler is called, for one record or for many, and what its end says of them.
 */
import type { HandlerSignal } from './delivery-context.js';
import type { Lease } from './lease.js';

export interface Invocation {
  /** Whether its handler is one for batches. */
  readonly takesMany: boolean;
  /** May throw, or return anything. */
  call(leases: readonly Lease[], signal: HandlerSignal): unknown;
  /** What a call that ended says of its records: an outcome for each that is named. `threw`: it threw, or rejected. */
  outcomes(
    leases: readonly Lease[],
    signal: HandlerSignal,
    ended: Ended,
  ): ReadonlyMap<number, Outcome> | 'all delivered' | 'nobody named';
}

export type Ended =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: unknown };

export type Outcome =
  | { readonly kind: 'delivered' | 'acknowledged' }
  | { readonly kind: 'failed'; readonly error: unknown };
