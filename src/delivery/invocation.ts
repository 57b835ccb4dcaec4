/**
 * The two shapes of a handler: for one record, and for a batch.
 */
import { describe } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import {
  type Addressing,
  type BatchContext,
  type BatchResult,
  type DeliveryContext,
  type HandlerSignal,
  ManyContext,
  SingleContext,
} from './delivery-context.js';
import type { Lease } from './lease.js';
import type { Ended, Invocation, Outcome } from './outcome.js';

/** Delivers one record. It has arrived when this returns, or what it returns resolves. */
export type Handler = (record: QueueRecord, context: DeliveryContext) => unknown;

/** Delivers a batch. What is not named as failed has arrived. */
export type BatchHandler = (
  records: readonly QueueRecord[],
  context: BatchContext,
) => BatchResult | undefined | PromiseLike<BatchResult | undefined> | void | PromiseLike<void>;

/** Runs a handler in such a way that what it calls can be told from what others call. */
export type Within = <T>(leases: readonly Lease[], body: () => T) => T;

export function singleInvocation(address: Addressing, handler: Handler, within: Within): Invocation {
  return {
    takesMany: false,
    call(leases, signal) {
      const [lease] = leases;
      if (lease === undefined) return undefined;
      return within(leases, () => handler(lease.record, new SingleContext(address, lease, signal)));
    },
    outcomes: (_leases, _signal, ended) => (ended.kind === 'returned' ? 'all delivered' : 'nobody named'),
  };
}

export function batchInvocation(address: Addressing, handler: BatchHandler, within: Within): Invocation {
  const contexts = new WeakMap<HandlerSignal, ManyContext>();
  return {
    takesMany: true,
    call(leases, signal) {
      const context = new ManyContext(address, leases, signal);
      contexts.set(signal, context);
      const records = leases.map(({ record }) => record);
      return within(leases, () => handler(records, context));
    },
    outcomes(leases, signal, ended) {
      const context = contexts.get(signal);
      const words = context?.words ?? new Map<number, never>();
      const { failed, wrong } = ended.kind === 'returned' ? failedOf(ended.value, leases) : NOBODY;
      if (wrong !== undefined) return outcomesOf(leases, words, failed, { kind: 'threw', error: wrong });
      if (ended.kind === 'threw' && words.size === 0) return 'nobody named';
      if (words.size === 0 && failed.size === 0) return 'all delivered';
      return outcomesOf(leases, words, failed, ended);
    },
  };
}

function outcomesOf(
  leases: readonly Lease[],
  words: ReadonlyMap<number, { readonly kind: 'delivered' } | { readonly kind: 'failed'; readonly error: unknown }>,
  failed: ReadonlyMap<number, unknown>,
  ended: Ended,
): ReadonlyMap<number, Outcome> {
  const outcomes = new Map<number, Outcome>();
  for (const { id } of leases) {
    const word = words.get(id);
    if (word !== undefined) {
      outcomes.set(id, word.kind === 'delivered' ? { kind: 'acknowledged' } : word);
    } else if (failed.has(id)) {
      outcomes.set(id, { kind: 'failed', error: failed.get(id) });
    } else if (ended.kind === 'threw') {
      // Whatever it had not named failed with it.
      outcomes.set(id, { kind: 'failed', error: ended.error });
    }
  }
  return outcomes;
}

interface Failures {
  readonly failed: ReadonlyMap<number, unknown>;
  /** Why it is no result of a batch handler. */
  readonly wrong?: TypeError;
}

const NOBODY: Failures = { failed: new Map() };

function wrongResult(message: string): Failures {
  return { failed: NOBODY.failed, wrong: new TypeError(message) };
}

/** What a batch handler returned. */
function failedOf(value: unknown, leases: readonly Lease[]): Failures {
  const failed = new Map<number, unknown>();
  if (value === undefined || value === null) return NOBODY;
  const list: unknown = typeof value === 'object' && 'failed' in value ? value.failed : undefined;
  if (list === undefined) return NOBODY;
  if (!Array.isArray(list)) return wrongResult(`a batch handler's failed must be an array, got ${describe(list)}`);
  const ids = new Set(leases.map(({ id }) => id));
  for (const one of list) {
    const item: unknown = one;
    const id: unknown = typeof item === 'object' && item !== null && 'id' in item ? item.id : undefined;
    if (typeof id !== 'number' || !ids.has(id)) {
      return wrongResult(`a batch handler named a record that is not in its batch: ${describe(id)}`);
    }
    const error: unknown = typeof item === 'object' && item !== null && 'error' in item ? item.error : undefined;
    if (!failed.has(id)) failed.set(id, error);
  }
  return { failed };
}
