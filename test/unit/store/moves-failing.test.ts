/** P10: moves that fail on the way: what has moved, what stays, and who is told. */
import { expect, it } from 'vitest';
import { contentOf, idsOf, newDisk, openSim, passTime, rejection, SIM_PATH } from './store-fixture.js';

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

it('P10: more than one batch moves, in order; once the signal is aborted no further one is begun', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const to = await evaq.queue('to');
  const count = 700;
  await evaq.wal.pushMany(Array.from({ length: count }, (_, i) => `${i + 1}`));
  const controller = new AbortController();
  let appended = 0;
  const stop = disk.observe(({ phase, call }) => {
    if (phase === 'ack' && call.name === 'sync' && call.path.includes('/to/') && ++appended === 1) controller.abort();
  });
  const all = Array.from({ length: count }, (_, i) => i + 1);
  await expect(evaq.move('wal', all, 'to', { signal: controller.signal })).rejects.toMatchObject({
    name: 'AbortError',
  });
  stop();
  // The batch under way is finished, though nobody waits for it.
  await passTime(disk, 1000);
  const moved = to.size;
  expect(moved).toBeLessThan(count);
  expect(evaq.wal.size + moved).toBe(count);
  const { moved: rest } = await evaq.move('wal', all, 'to');
  expect(to.size).toBe(count);
  expect(rest).toBeGreaterThan(0);
  const payloads: string[] = [];
  for await (const { payload } of to.records()) payloads.push(payload.toString());
  expect(payloads).toEqual(all.map(String));
  await evaq.close();
});

it('P10: a redrive of more than one batch brings all of them back, in order', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { durability: 'os' });
  const count = 600;
  await evaq.deadLetters.pushMany(Array.from({ length: count }, (_, i) => `${i + 1}`));
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  expect(await evaq.redrive(ids)).toEqual(ids);
  expect([evaq.deadLetters.size, evaq.wal.size]).toEqual([0, count]);
  expect((await evaq.wal.get(count))?.payload.toString()).toBe(`${count}`);
  await evaq.close();
});
