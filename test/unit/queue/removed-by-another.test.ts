/** P2, P7: what another call is removing is not said to be gone where the store stops before that is durable. */
import { it } from 'vitest';
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
