/**
 * What a sink says of a failure: whose fault it is, in the words of the destination.
 */
import { describe } from '../ids.js';

/**
 * - 'unavailable': the destination, or the way there, is down: nobody's attempt is spent, and the breaker counts it.
 * - 'retry': this record, or this batch, was not taken now: an attempt is spent.
 * - 'rejected': the destination will never take this record: to the dead letters, with `reason`.
 * - 'unauthorized': nothing can be delivered until somebody has stepped in: forwarding stops.
 */
export type SinkErrorKind = 'unavailable' | 'retry' | 'rejected' | 'unauthorized';

const KINDS: ReadonlySet<unknown> = new Set<SinkErrorKind>(['unavailable', 'retry', 'rejected', 'unauthorized']);
const SINK_ERROR: symbol = Symbol.for('evaq.SinkError');

export interface SinkErrorOptions {
  /** Of 'rejected': what the dead letter says, in a word or two ('NO_ROUTE', 'HTTP 422'). Default 'rejected'. */
  readonly reason?: string;
  /** Of 'unavailable': not to be tried again before so many ms have passed, by the destination's own word. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

export class SinkError extends Error {
  override readonly name: string = 'SinkError';
  readonly kind: SinkErrorKind;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(kind: SinkErrorKind, message: string, options: SinkErrorOptions = {}) {
    if (!KINDS.has(kind)) throw new TypeError(`kind must be one of ${[...KINDS].join(', ')}, got ${describe(kind)}`);
    const { reason, retryAfterMs, cause } = options;
    super(message === '' ? kind : message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.reason = reason === undefined || reason === '' ? 'rejected' : reason;
    // What is no time says nothing of when.
    this.retryAfterMs =
      typeof retryAfterMs === 'number' && retryAfterMs > 0 && retryAfterMs < Infinity ? retryAfterMs : undefined;
    Object.defineProperty(this, SINK_ERROR, { value: true });
  }
}

/** By a mark, so that a second copy of the package does not make it a stranger. What is thrown may throw itself when it is looked at. */
export function isSinkError(error: unknown): error is SinkError {
  try {
    return typeof error === 'object' && error !== null && SINK_ERROR in error;
  } catch {
    return false;
  }
}
