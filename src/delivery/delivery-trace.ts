/**
 * What is told of deliveries: `evaq:deliver`, each call of a handler, and `evaq:breaker`, each change of a breaker.
 *
 * A handler runs within the publishing of its start: stores that are bound to that event hold in it, and a subscriber may give a function to run it in
 * (`within`), for contexts that are not stores of Node's.
 */
import type { QueueRecord } from '../log/queue-record.js';
import { Telling, type Traced, Tracing } from '../tracing.js';
import type { Host } from '../vfs/host.js';
import type { BreakerState } from './breaker.js';
import { type Addressing, attemptOf, deliveryIdOf } from './delivery-context.js';
import type { Lease } from './lease.js';
import type { Ended, Outcome } from './outcome.js';

/** A record that a handler has. */
export interface DeliveredRecord {
  readonly record: QueueRecord;
  /** As in `DeliveryContext`. */
  readonly deliveryId: string;
  readonly attempt: number;
  readonly crashes: number;
}

/** Of the tracing channel `evaq:deliver`: one call of a handler, from its begin until it has ended, also past its time. */
export interface DeliverTrace extends Traced {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  /** A handler for batches. */
  readonly batch: boolean;
  readonly records: readonly DeliveredRecord[];
  /**
   * For subscribers of `start` to set: what the handler is run in. It has to call `body` once, before it returns. What was set before is to be called,
   * too, around `body` or within it.
   */
  within?: (body: () => void) => void;
  /** Those that did not arrive, with what they failed by; there when it is over. The handler may have said so of each, or thrown. */
  failed?: readonly { readonly id: number; readonly error: unknown }[];
  /** There when it is over. */
  durationMs?: number;
}

/** A message of the channel `evaq:breaker`. */
export interface BreakerEvent {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  /** 'open': nothing is delivered; 'half-open': one delivery, or the probe, is tried next; 'closed': all goes on. */
  readonly state: BreakerState['kind'];
  /** Until one is tried; where it is open. */
  readonly retryInMs: number | undefined;
  /** How often in a row it opened, this time included; 0 when it closes. */
  readonly streak: number;
}

export const DELIVERIES: Tracing<DeliverTrace> = new Tracing('evaq:deliver');
const BREAKERS: Telling<BreakerEvent> = new Telling('evaq:breaker');

/** Of one handler that runs. */
export interface HandlerTrace {
  readonly trace: DeliverTrace;
  readonly startedMs: number;
}

export function isDeliverObserved(): boolean {
  return DELIVERIES.isObserved;
}

export function newHandlerTrace(
  address: Addressing,
  leases: readonly Lease[],
  batch: boolean,
  startedMs: number,
): HandlerTrace {
  const records = leases.map((lease) => ({
    record: lease.record,
    deliveryId: deliveryIdOf(address, lease),
    attempt: attemptOf(lease),
    crashes: lease.crashes,
  }));
  return { trace: { batch, records, ...address }, startedMs };
}

/** Calls a handler. What it returns or throws is what comes of it, whatever subscribers do. */
export function runTraced({ trace }: HandlerTrace, handler: () => unknown): unknown {
  return DELIVERIES.run(trace, () => {
    const { within } = trace;
    if (within === undefined) return handler();
    let ended: Ended | undefined;
    const once = (): void => {
      if (ended !== undefined) return;
      // So that it is called once, also by who calls this from within.
      ended = { kind: 'returned', value: undefined };
      try {
        ended = { kind: 'returned', value: handler() };
      } catch (error) {
        ended = { kind: 'threw', error };
      }
    };
    try {
      within(once);
    } catch {
      // The subscriber's own failure: the record is not to suffer from it.
    }
    once();
    if (ended?.kind === 'threw') throw ended.error;
    return ended?.value;
  });
}

/** A handler has ended. `named`: what is said of its records; undefined where all of them share how it ended. */
export function endTrace(
  { trace, startedMs }: HandlerTrace,
  ended: Ended,
  named: ReadonlyMap<number, Outcome> | undefined,
  host: Host,
): void {
  trace.durationMs = host.elapsed() - startedMs;
  const failed: { readonly id: number; readonly error: unknown }[] = [];
  for (const { record } of trace.records) {
    const outcome = named?.get(record.id);
    if (outcome?.kind === 'failed') failed.push({ id: record.id, error: outcome.error });
    else if (named === undefined && ended.kind === 'threw') failed.push({ id: record.id, error: ended.error });
  }
  trace.failed = failed;
  if (ended.kind === 'threw') DELIVERIES.failed(trace, ended.error);
  else DELIVERIES.over(trace);
}

/** Told at the end of this turn: the breaker is in the middle of a step. */
export function tellBreaker(
  { storeId, queue }: Addressing,
  host: Host,
  { state, streak }: { readonly state: BreakerState; readonly streak: number },
): void {
  if (!BREAKERS.isObserved) return;
  const retryInMs = state.kind === 'open' ? Math.max(0, state.untilMs - host.elapsed()) : undefined;
  host.soon(() => BREAKERS.tell({ storeId, queue, state: state.kind, retryInMs, streak }));
}
