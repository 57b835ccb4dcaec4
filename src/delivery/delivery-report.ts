/**
 * What a delivery says of itself.
 */
import type { BreakerState } from './breaker.js';

/** What a delivery came to. */
export interface DeliveryReport {
  /** Handed out, arrived, and removed. */
  readonly delivered: number;
  /** Tries that failed and count. */
  readonly failed: number;
  /** Tries that failed, and after which the record stayed. */
  readonly retried: number;
  readonly deadLettered: number;
  /** Classified as not wanted by anybody, and removed. */
  readonly dropped: number;
  /** Tries that count as none: destination down, not now, or a stop. */
  readonly released: number;
}

export interface DeliveryStats extends DeliveryReport {
  readonly state: 'running' | 'paused' | 'stopping' | 'stopped';
  /** Records in handlers. */
  readonly inFlight: number;
  /** Handlers that go on past their time. */
  readonly overdue: number;
  /** Of the queue: waiting for their time, or for an earlier one of their key. */
  readonly waiting: number;
  readonly breaker: BreakerState['kind'];
  /** Counts of attempts could not be read or written: they may be too low. */
  readonly stateLost: boolean;
}

export interface StopOptions {
  /** How long handlers may go on before their signals are aborted, in ms. Default 5000. */
  readonly graceMs?: number;
}

/** A report that is being written. */
export type DeliveryCounts = { -readonly [Name in keyof DeliveryReport]: number };

export function newCounts(): DeliveryCounts {
  return { delivered: 0, failed: 0, retried: 0, deadLettered: 0, dropped: 0, released: 0 };
}
