/** How iterations end: with their queue, with the store, and where nothing can come any more. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';

const END = { done: true, value: undefined };

test('P13: a tail hands out nothing of its batch in hand after a close', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c']);
  const tail = evaq.wal.tail();
  expect((await tail.next()).value?.id).toBe(1);
  await evaq.close();
  expect(await tail.next()).toEqual(END);
  expect(await evaq.wal.tail().next()).toEqual(END);
});

test('P13: records rejects after a close, whatever it has in hand', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c']);
  const records = evaq.wal.records();
  expect((await records.next()).value?.id).toBe(1);
  await evaq.close();
  await rejection(records.next(), 'EVAQ_CLOSED');
  await rejection(evaq.wal.records().next(), 'EVAQ_CLOSED');
});

test('P14: a step of an iteration that is under way at a close is brought to its end', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c']);
  const records = evaq.wal.records();
  const step = records.next();
  const close = evaq.close();
  expect((await step).value?.id).toBe(1);
  await close;
});

test('the iterations of a reader end as those of a writer', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c']);
  const process = disk.spawn();
  const reader = await Evaq.openReadOnly(SIM_PATH, { ports: { vfs: process.vfs, host: process.host } });
  const [records, bounded, tail] = [reader.wal.records(), reader.wal.records({ to: 3 }), reader.wal.tail()];
  for (const one of [records, bounded, tail]) expect((await one.next()).value?.id).toBe(1);
  await reader.close();
  await rejection(records.next(), 'EVAQ_CLOSED');
  await rejection(bounded.next(), 'EVAQ_CLOSED');
  expect(await tail.next()).toEqual(END);
  await evaq.close();
});

test('P14: a tail that waits throws when the store stops, behind the last record', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.push('a');
  const tail = evaq.wal.tail();
  await tail.next();
  const pending = rejection(tail.next(), 'EVAQ_FAILED');
  disk.fault({ on: 'sync', path: '.seg', times: 1 });
  await rejection(evaq.deadLetters.push('b'), 'EVAQ_FAILED');
  await pending;
  expect(await tail.next()).toEqual(END);
  const another = evaq.wal.tail();
  expect((await another.next()).value?.id).toBe(1);
  await rejection(another.next(), 'EVAQ_FAILED');
});

test('P14: a tail ends where no record up to its bound can come any more', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c']);
  await evaq.wal.removeMany([2, 3]);
  const tail = evaq.wal.tail({ to: 3 });
  expect((await tail.next()).value?.id).toBe(1);
  expect(await tail.next()).toEqual(END);
  expect(await evaq.wal.tail({ from: 3, to: 2 }).next()).toEqual(END);
  await evaq.close();
  const again = await openSim(disk);
  expect(await again.wal.tail({ from: 2, to: 3 }).next()).toEqual(END);
  // The next one can.
  const next = again.wal.tail({ from: 2, to: 4 }).next();
  await passTime(disk, 100);
  await again.wal.push('d');
  expect((await next).value?.id).toBe(4);
  await again.close();
});
