/** The finder over a queue that is a list of IDs, by a clock that is set. */
import { expect, test } from 'vitest';
import type { DeliverySource } from '../../../src/delivery/delivery-source.js';
import { Finder } from '../../../src/delivery/finder.js';
import { RetryTable } from '../../../src/delivery/retry-table.js';
import type { QueueRecord } from '../../../src/log/queue-record.js';

function recordOf(id: number): QueueRecord {
  return { id, payload: Buffer.alloc(1), timestamp: 0 };
}

/** A queue of so many records, and a clock. */
function newQueue(count: number): { readonly source: DeliverySource; setTime(ms: number): void } {
  let time = 0;
  const source: DeliverySource = {
    queue: 'q',
    storeId: 's',
    host: {
      now: () => time,
      elapsed: () => time,
      after: () => () => undefined,
      soon: (action) => queueMicrotask(action),
      yield: () => Promise.resolve(),
      random: () => undefined,
    },
    isOpen: () => true,
    failure: () => undefined,
    read: (from, maxRecords) =>
      Promise.resolve(
        Array.from({ length: count }, (_, i) => recordOf(i + 1))
          .filter(({ id }) => id >= from)
          .slice(0, maxRecords),
      ),
    get: (id) => Promise.resolve(recordOf(id)),
    isLive: () => true,
    firstLive: () => 1,
    lastVisibleId: () => count,
    claimEnd: () => undefined,
    firstClaimed: () => undefined,
    lease: () => undefined,
    endLease: () => undefined,
    leases: () => new Map(),
    remove: () => Promise.resolve(0),
    deadLetter: () => Promise.resolve(false),
    onNews: () => () => undefined,
    hold: () => () => undefined,
  };
  return {
    source,
    setTime: (ms) => {
      time = ms;
    },
  };
}

test('what is due comes, however much was given back at the same moment', async () => {
  const COUNT = 1200;
  const queue = newQueue(COUNT);
  let looked: ((found: boolean) => void) | undefined;
  const finder = new Finder({
    source: queue.source,
    order: 'none',
    remembered: new RetryTable(),
    isLeased: () => false,
    isLeft: () => false,
    onLooked: (found) => looked?.(found),
  });
  const takeAll = async (): Promise<number[]> => {
    const taken: number[] = [];
    for (let found = true; found; ) {
      const look = new Promise<boolean>((resolve) => {
        looked = resolve;
      });
      finder.look();
      found = await look;
      for (let next = finder.ready.peek(); next !== undefined; next = finder.ready.peek()) {
        taken.push(next.record.id);
        finder.ready.shift();
      }
    }
    return taken.sort((a, b) => a - b);
  };
  const all = await takeAll();
  expect(all).toHaveLength(COUNT);
  finder.setBack(1, { attempts: 1, crashes: 0, dueMs: 5, firstFailureMs: 0 });
  for (const id of all.slice(1)) finder.want(id);
  queue.setTime(10);
  expect(await takeAll()).toEqual(all);
  finder.stop();
});
