/** One function serves whoever reads: the types say so, and here it is done. */
import { expect, test } from 'vitest';
import { Evaq, type EvaqLike, type EvaqReader, type QueueLike, type QueueReader } from '../../../src/evaq.js';
import { linkedReal } from '../link/link-fixture.js';

async function lookAt(queue: QueueReader): Promise<unknown> {
  const { live, oldestId, bytes } = await queue.stats();
  const iterated: number[] = [];
  for await (const { id } of queue.records({ from: 2 })) iterated.push(id);
  const read = (await queue.read({ maxRecords: 2 })).map(({ payload }) => payload.toString());
  const got = (await queue.get(3))?.payload.toString();
  return { name: queue.name, size: await queue.size, live, oldestId, hasBytes: bytes > 0, iterated, read, got };
}

async function namesOf(store: EvaqReader): Promise<readonly string[]> {
  await store.queue('wal');
  return store.queueNames();
}

async function fill(queue: QueueLike): Promise<void> {
  await queue.pushMany(['a', 'b']);
  await queue.push('c');
  await queue.remove(1);
}

test('the writer, a reader beside it and a linked thread read alike', async () => {
  const { evaq, link } = await linkedReal();
  const stores: readonly EvaqLike[] = [evaq, link];
  for (const store of stores) expect(typeof store.storeId).toBe('string');
  await fill(link.wal);
  await using reader = await Evaq.openReadOnly(evaq.path);
  const seen = { name: 'wal', size: 2, live: 2, oldestId: 2, hasBytes: true };
  for (const queue of [evaq.wal, link.wal, reader.wal]) {
    expect(await lookAt(queue)).toEqual({ ...seen, iterated: [2, 3], read: ['b', 'c'], got: 'c' });
  }
  for (const store of [evaq, link, reader]) expect(await namesOf(store)).toEqual(['dead-letters', 'wal']);
});
