/** Everything that an open store shows. */
import type { Evaq, Queue } from '../../src/evaq.js';
import type { QueueName, QueueView } from './crash-model.js';

export async function viewsOf(
  evaq: Evaq,
  keyOf: (payload: Buffer) => number,
): Promise<Readonly<Record<QueueName, QueueView>>> {
  return { wal: await viewOf(evaq.wal, keyOf), 'dead-letters': await viewOf(evaq.deadLetters, keyOf) };
}

async function viewOf(queue: Queue, keyOf: (payload: Buffer) => number): Promise<QueueView> {
  const live: [number, number][] = [];
  for await (const record of queue.records()) live.push([record.id, keyOf(record.payload)]);
  return { live, nextId: queue.stats().nextId };
}
