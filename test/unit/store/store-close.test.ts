/** What `close` vouches for: what was acknowledged is durable, or it says so; and the lock is free whatever it says. */
import { expect, test } from 'vitest';
import { idsOf, newDisk, openSim, passTime, rejection } from './store-fixture.js';

test('P7: close rejects after a sync that failed in the background, each time, and lets go of the lock', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { durability: { intervalMs: 50 } });
  await evaq.wal.push('a');
  disk.fault({ on: 'sync', path: '.seg', times: 1 });
  await passTime(disk, 200);
  await rejection(evaq.close(), 'EVAQ_FAILED');
  await rejection(evaq.close(), 'EVAQ_FAILED');
  const again = await openSim(disk);
  await again.close();
});

test('P7: close rejects after a sync that failed while a segment was sealed', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { durability: 'os', segmentBytes: 65_536 });
  for (let i = 0; i < 20; i++) await evaq.wal.push('x'.repeat(5000));
  disk.fault({ on: 'sync', path: '.seg', times: 1 });
  await passTime(disk, 5000);
  expect(evaq.wal.stats().health).toBe('failed');
  await rejection(evaq.close(), 'EVAQ_FAILED');
});

test.each(['.seg', '.tomb'])('P7: close rejects with EVAQ_FAILED where its own sync of a %s fails', async (path) => {
  for (const durability of ['sync', 'os'] as const) {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability });
    await evaq.wal.pushMany(['a', 'b']);
    await evaq.wal.remove(1);
    disk.fault({ on: 'sync', path, times: 1 });
    await rejection(evaq.close(), 'EVAQ_FAILED');
  }
});

test.each([/\.seg/, /\.tomb/])(
  'P1, P2: what had resolved in a weaker mode is durable after a close that cannot write to %s',
  async (path) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os' });
    await evaq.wal.pushMany(['a', 'b', 'c']);
    await evaq.wal.flush();
    await evaq.wal.remove(1);
    await evaq.wal.pop(2);
    await evaq.wal.push('d');
    disk.fault({ on: 'write', path, error: 'ENOSPC', times: Infinity });
    await evaq.close();
    const again = await openSim(disk.crash(disk.nothingSurvives()));
    expect(await idsOf(again.wal)).toEqual([3, 4]);
  },
);

test('P2: removals are durable after a close beside a move whose tombstone cannot be written', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { durability: 'os' });
  await evaq.deadLetters.pushMany(['a', 'b']);
  await evaq.wal.pushMany(['a', 'b']);
  await evaq.wal.flush();
  await evaq.deadLetters.flush();
  await evaq.deadLetters.remove(1);
  const fault = { on: 'write', path: /wal.*\.tomb/, error: 'EIO', times: 1 } as const;
  disk.fault(fault);
  const moved = await evaq.deadLetter(2, { reason: 'r' });
  expect(evaq.wal.stats().owedRemovals).toBe(1);
  disk.fault(fault);
  await evaq.close();
  const again = await openSim(disk.crash(disk.nothingSurvives()));
  expect(await idsOf(again.deadLetters)).toEqual([2, moved]);
  expect(await idsOf(again.wal)).toEqual([1]);
});

test('P14: a fault that passes at a footer, a last word or the lock leaves no trace at close', async () => {
  const faults = [
    ['write', '.seg'],
    ['write', '.tomb'],
    ['truncate', '.seg'],
    ['release', 'LOCK'],
  ] as const;
  for (const [on, path] of faults) {
    for (const error of ['EMFILE', 'EIO', 'EINTR'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await evaq.wal.pushMany(['a', 'b']);
      await evaq.wal.remove(1);
      const from = disk.calls.length;
      disk.fault({ on, path, error, times: 1 });
      await evaq.close();
      expect(disk.calls.slice(from).filter(({ outcome }) => outcome === error)).toHaveLength(1);
      const again = await openSim(disk);
      expect(await idsOf(again.wal)).toEqual([2]);
      await again.close();
    }
  }
});

test('a lock that cannot be released makes close reject with EVAQ_IO', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  disk.fault({ on: 'release', path: 'LOCK', error: 'EIO', times: Infinity });
  await rejection(evaq.close(), 'EVAQ_IO');
});

test.each([
  ['x', 'x.dead'],
  ['x.dead', 'x'],
])('P14: close lets calls under way finish that go from one queue to another, opened as %s, %s', async (...names) => {
  const disk = newDisk();
  const before = await openSim(disk);
  const filled = await before.queue('x');
  for (const payload of ['a', 'b', 'c']) await filled.deadLetter(await filled.push(payload), { reason: 'r' });
  await before.close();
  const evaq = await openSim(disk);
  for (const name of names) await evaq.queue(name);
  const queue = await evaq.queue('x');
  const live = await queue.push('d');
  const redriven = queue.redrive(() => true);
  const moved = queue.deadLetter(live, { reason: 'r' });
  await evaq.close();
  expect(await redriven).toHaveLength(3);
  expect(await moved).toBeGreaterThan(3);
});

test('P14: close lets a move finish that has to make the queue it goes to', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const queue = await evaq.queue('x');
  const id = await queue.push('a');
  const moved = queue.deadLetter(id, { reason: 'r' });
  await evaq.close();
  await moved;
  const again = await openSim(disk);
  expect(again.recovery.clean).toBe(true);
  expect(await idsOf(await again.queue('x.dead'))).toEqual([1]);
  await again.close();
});
