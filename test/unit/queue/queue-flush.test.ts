/** What `flush` waits for, and what it spares. */
import { expect, test } from 'vitest';
import { contentOf, countOf, newDisk, openSim, passTime, rejection } from '../store/store-fixture.js';

test.each(['sync', 'os'] as const)(
  'P2: what was removed before a flush is durable after it, also behind a claim (%s)',
  async (durability) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability });
    await evaq.wal.pushMany(['a', 'b', 'c', 'd', 'e']);
    await evaq.wal.flush();
    disk.fault({ on: 'read', error: 'EIO', times: 1 });
    const popped = rejection(evaq.wal.pop(1), 'EVAQ_IO');
    const calls = [
      evaq.wal.removeThrough(2),
      evaq.wal.deadLetter(3, { reason: 'r' }),
      evaq.wal.remove(3),
      evaq.wal.removeMany([3, 4]),
    ];
    await evaq.wal.flush();
    const again = await openSim(disk.crash(disk.nothingSurvives()));
    expect(await contentOf(again.wal)).toEqual({ 5: 'e' });
    await popped;
    await Promise.all(calls);
  },
);

test('P10: a flush waits for a move that was asked for before and has to make its destination first', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const queue = await evaq.queue('x');
  const id = await queue.push('a');
  const moved = queue.deadLetter(id, { reason: 'r' });
  await queue.flush();
  const again = await openSim(disk.crash(disk.nothingSurvives()));
  expect(await contentOf(await again.queue('x'))).toEqual({});
  expect(await contentOf(await again.queue('x.dead'))).toEqual({ 1: 'a' });
  await moved;
});

test.each([{ intervalMs: 100 }, 'os', 'sync'] as const)(
  'nothing is synced where nothing has changed (%j)',
  async (durability) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability });
    await evaq.wal.push('a');
    await evaq.wal.push('b');
    await evaq.wal.remove(1);
    await evaq.wal.flush();
    const before = countOf(disk, 'sync', /./);
    await evaq.wal.flush();
    await passTime(disk, 10_000);
    await evaq.wal.flush();
    expect(countOf(disk, 'sync', /./)).toBe(before);
    // What changes then is.
    await evaq.wal.remove(2);
    await evaq.wal.flush();
    expect(countOf(disk, 'sync', /\.tomb/)).toBeGreaterThan(0);
    expect(countOf(disk, 'sync', /./)).toBe(before + 1);
    await evaq.close();
  },
);
