/**
 * An order whose keys are known by somebody who answers later: whoever has the function is in another thread. Records get their keys as they are read, before
 * anybody looks at their order; from then on it is an order like any other.
 */
import { assert } from '../assert.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeliverySource } from './delivery-source.js';
import type { Order } from './key-order.js';

/** What was found for a record: its key, or why there is none. */
export type FoundKey = { readonly key: string | undefined } | { readonly error: unknown };

/** Resolves with one for each. */
export type AskKeys = (records: readonly QueueRecord[]) => Promise<readonly FoundKey[]>;

interface Asked {
  readonly ask: AskKeys;
  readonly found: WeakMap<QueueRecord, FoundKey>;
}

const askedOrders = new WeakMap<object, Asked>();

/** An order that `readAsking` asks for. */
export function askedOrder(ask: AskKeys): Exclude<Order, string> {
  const found = new WeakMap<QueueRecord, FoundKey>();
  const order = (record: QueueRecord): string | undefined => {
    const one = found.get(record);
    assert(one !== undefined, 'what is read has been asked about');
    if ('key' in one) return one.key;
    throw one.error;
  };
  askedOrders.set(order, { ask, found });
  return order;
}

export interface AskingSource {
  readonly source: DeliverySource;
  /** Nobody is asked any more: reads that wait for an answer reject. */
  readonly stop: () => void;
}

/** The source, which asks for the keys of what it reads where the order is one that has to be asked for. */
export function readAsking(source: DeliverySource, order: Order): AskingSource {
  const asked = typeof order === 'function' ? askedOrders.get(order) : undefined;
  if (asked === undefined) return { source, stop: () => undefined };
  const waiting = new Set<(reason: unknown) => void>();
  const withKeys = async (records: readonly QueueRecord[]): Promise<void> => {
    if (records.length === 0) return;
    const answer = asked.ask(records);
    let giveUp: (reason: unknown) => void = () => undefined;
    const keys = await new Promise<readonly FoundKey[]>((resolve, reject) => {
      giveUp = reject;
      waiting.add(giveUp);
      answer.then(resolve, reject);
    }).finally(() => waiting.delete(giveUp));
    for (const [i, record] of records.entries()) {
      const found = keys[i];
      if (found !== undefined) asked.found.set(record, found);
    }
  };
  return {
    source: {
      ...source,
      read: async (from, maxRecords, maxBytes) => {
        const records = await source.read(from, maxRecords, maxBytes);
        await withKeys(records);
        return records;
      },
      get: async (id) => {
        const record = await source.get(id);
        if (record !== undefined) await withKeys([record]);
        return record;
      },
    },
    stop: () => {
      for (const giveUp of waiting) giveUp(new Error('nobody is asked any more'));
    },
  };
}
