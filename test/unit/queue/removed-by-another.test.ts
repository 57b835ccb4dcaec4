/** P2, P7: what another call is removing is not said to be gone where the store stops before that is durable. */
import { expect, it } from 'vitest';
import type { Queue } from '../../../src/evaq.js';
import { newDisk, openSim, rejection } from '../store/store-fixture.js';

const CALLS: readonly (readonly [name: string, call: (queue: Queue) => Promise<unknown>])[] = [
  ['remove', (queue) => queue.remove(1)],
  ['removeMany', (queue) => queue.removeMany([1])],
  ['removeThrough', (queue) => queue.removeThrough(1)],
  ['pop', (queue) => queue.pop(1)],
  ['deadLetter', (queue) => queue.deadLetter(1, { reason: 'none' })],
];

it.each(CALLS)('P2: %s of a record that another call is removing, when a sync fails', async (_, call) => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const queue = await evaq.queue('a');
  await queue.pushMany(['x', 'y']);
  disk.fault({ on: 'sync', path: '/a/' });
  const first = queue.removeThrough(1);
  const second = call(queue);
  await rejection(first, 'EVAQ_FAILED');
  await rejection(second, 'EVAQ_FAILED');
  await evaq.close().catch(() => undefined);
});

/** Calls that take out both records as soon as the first is not claimed any more. */
const WAITING: readonly (readonly [name: string, call: (queue: Queue) => Promise<number>])[] = [
  ['removeMany', (queue) => queue.removeMany([1, 2])],
  ['removeThrough', (queue) => queue.removeThrough(2)],
];

it.each(WAITING)(
  'P2: a record that a %s takes out when a claim has ended is said to be gone when that is durable',
  async (_, call) => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const queue = await evaq.queue('a');
    await queue.pushMany(['x', 'y']);
    const controller = new AbortController();
    const popped = queue.pop(1, { signal: controller.signal }).catch((error: unknown) => error);
    const removed = call(queue);
    controller.abort();
    let isAsked = false;
    const answer = await new Promise<boolean>((resolve) => {
      // As soon as it is not there any more, between whatever follows that in the same turn of the loop.
      const ask = async (): Promise<void> => {
        for (let i = 0; i < 100; i++) {
          if (isAsked) return;
          if (queue.size === 0) {
            isAsked = true;
            return resolve(queue.remove(2));
          }
          await Promise.resolve();
        }
      };
      disk.observe(() => void ask());
    });
    expect(answer).toBe(false);
    const after = disk.crash(disk.nothingSurvives());
    const reopened = await openSim(after);
    expect((await reopened.queue('a')).size).toBe(0);
    await reopened.close();
    expect(await popped).toBe(controller.signal.reason);
    expect(await removed).toBe(2);
    await evaq.close();
  },
);
