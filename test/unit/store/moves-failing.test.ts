/** P10: moves that fail on the way: what has moved, what stays, and who is told. */
import { expect, it } from 'vitest';
import { contentOf, idsOf, newDisk, openSim, rejection, SIM_PATH } from './store-fixture.js';

it('P10: where a record cannot be read no further one is moved, and those behind it stay', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const to = await evaq.queue('to');
  await evaq.wal.pushMany(Array.from({ length: 6 }, (_, i) => Buffer.alloc(6000, i + 1)));
  const [name] = (await disk.vfs.list(`${SIM_PATH}/queues/wal`)).filter((one) => one.name.endsWith('.seg'));
  const path = `${SIM_PATH}/queues/wal/${name?.name}`;
  const offset = Buffer.from(disk.read(path) ?? []).indexOf(Buffer.alloc(6000, 2));
  disk.damage({ kind: 'flip', path, offset: offset + 10 });
  await rejection(evaq.move('wal', [1, 2, 3, 4, 5, 6], 'to'), 'EVAQ_CORRUPT');
  expect(await idsOf(to)).toEqual([1]);
  expect(evaq.wal.size).toBe(5);
  for (const id of [3, 4, 5, 6]) expect(await evaq.wal.get(id)).toMatchObject({ id });
  // None of them is held by anybody.
  expect((await evaq.move('wal', [3, 4, 5, 6], 'to')).moved).toBe(4);
  await evaq.close();
});

it('P7, P10: a move whose removal could not be synced is not told as done', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.queue('to');
  await evaq.wal.push('a');
  disk.fault({ on: 'sync', path: /wal\/.*tomb/, error: 'EIO', times: 1 });
  await rejection(evaq.move('wal', [1], 'to'), 'EVAQ_FAILED');
  await evaq.close().catch(() => undefined);
  const again = await openSim(disk.crash(disk.nothingSurvives()));
  expect(await contentOf(again.wal)).toEqual({});
  expect(await contentOf(await again.queue('to'))).toEqual({ 1: 'a' });
});
