import { expect, test } from 'vitest';
import { SimDisk } from '../../../src/sim/sim-disk.js';

test('what living processes hold is told: files, locks, timers', async () => {
  const disk = new SimDisk({ seed: 1 });
  const { vfs, host } = disk;
  expect(disk.openHandles()).toEqual([]);
  const file = await vfs.create('/a');
  const again = await vfs.open('/a', 'read');
  const locked = await vfs.lock('/lock', 'note');
  const cancel = host.after(1000, () => undefined);
  const fired = new Promise<void>((resolve) => host.after(1, resolve));
  expect(disk.openHandles()).toEqual(['p1 file /a 2 times', 'p1 2 timers', 'p1 lock /lock']);
  await fired;
  cancel();
  // Cancelling twice counts once.
  cancel();
  await again.close();
  await vfs.remove('/a');
  expect(disk.openHandles().map((one) => one.replace(/\d+\)$/, 'n)'))).toEqual([
    'p1 file (removed file n)',
    'p1 lock /lock',
  ]);
  await file.close();
  if (locked.kind === 'locked') await locked.lock.release();
  expect(disk.openHandles()).toEqual([]);
});

test('the dead hold nothing', async () => {
  const disk = new SimDisk({ seed: 1 });
  await disk.vfs.create('/a');
  disk.host.after(1000, () => undefined);
  disk.kill();
  expect(disk.openHandles()).toEqual([]);
});
