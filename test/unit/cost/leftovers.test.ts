/** After a call ended, or the store is closed, nothing of it is left: no descriptor, no timer, no listener, nobody who holds the process. */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, passTime, SIM_PATH } from '../store/store-fixture.js';
import { CountingHost, costOf, openFiles } from './support/tally.js';

async function openCounting(): Promise<{ disk: SimDisk; host: CountingHost; evaq: Evaq }> {
  const disk = newDisk();
  const { vfs } = disk;
  const host = new CountingHost(disk.host);
  const evaq = await Evaq.open(SIM_PATH, { segmentBytes: 64 * 1024, ports: { vfs, host } });
  return { disk, host, evaq };
}

const MANY = 100_000;

test('P14: a closed store has no descriptor, no timer and no lock left, whatever it was doing', async () => {
  const { disk, host, evaq } = await openCounting();
  const jobs = await evaq.queue('jobs', { durability: { intervalMs: 20 } });
  const signal = new AbortController().signal;
  const tails = [evaq.wal, evaq.deadLetters, jobs].map((queue) => queue.tail({ from: 1_000_000, signal }).next());
  for (let i = 0; i < 60; i++) {
    const id = await evaq.wal.push(Buffer.alloc(5000, i));
    await jobs.push(Buffer.alloc(3000, i));
    if (i % 3 === 0) await evaq.wal.remove(id);
    else if (i % 5 === 1) await evaq.deadLetter(id, { reason: 'r' });
  }
  for await (const { id } of evaq.wal.records()) if (id > 20) break;
  void evaq.wal.compact().catch(() => undefined);
  void evaq.redrive(() => true).catch(() => []);
  const last = Array.from({ length: 100 }, () => evaq.wal.push('x'));
  await evaq.close();
  await Promise.all(last);
  for (const tail of tails) expect(await tail).toMatchObject({ done: true });
  expect(openFiles(disk)).toBe(0);
  expect(host.timers).toBe(0);
  expect(host.holders).toBe(0);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  expect(disk.violations).toEqual([]);
  expect(disk.calls.filter(({ name }) => name === 'release')).toHaveLength(1);
  // And nothing comes to life again.
  const { calls } = await costOf(disk, () => passTime(disk, 60_000));
  expect(calls).toBe(0);
});

test('P14: tails that were begun and cancelled on a quiet queue leave nothing, and the next one hears of a record', async () => {
  const { disk, host, evaq } = await openCounting();
  await passTime(disk, 30_000);
  const { timers } = host;
  const { calls } = await costOf(disk, async () => {
    for (let i = 0; i < MANY; i++) {
      const stop = new AbortController();
      const waiting = evaq.wal.tail({ signal: stop.signal }).next();
      stop.abort(new Error('enough'));
      await expectEnough(waiting);
      if (getEventListeners(stop.signal, 'abort').length > 0) expect.fail(`tail ${i} still listens`);
    }
  });
  expect(calls).toBe(0);
  expect(host.timers).toBe(timers);
  expect(host.holders).toBe(0);
  const next = evaq.wal.tail().next();
  await evaq.wal.push('news');
  expect((await next).value?.payload.toString()).toBe('news');
  await evaq.close();
});

async function expectEnough(waiting: Promise<unknown>): Promise<void> {
  let message = 'it was not rejected';
  await waiting.catch((error: unknown) => {
    if (error instanceof Error) ({ message } = error);
  });
  if (message !== 'enough') expect.fail(message);
}

test('P14: reads that were begun and left leave nothing', async () => {
  const { disk, host, evaq } = await openCounting();
  await evaq.wal.pushMany(Array.from({ length: 100 }, () => 'x'));
  await passTime(disk, 30_000);
  await evaq.wal.read();
  const files = openFiles(disk);
  const { timers } = host;
  for (let i = 0; i < 1000; i++) for await (const _ of evaq.wal.records()) break;
  expect(openFiles(disk)).toBe(files);
  expect(host.timers).toBe(timers);
  await evaq.close();
});

test('P14: a hundred thousand pushes and removals under way at once leave no more than one', async () => {
  const { disk, host, evaq } = await openCounting();
  const ids = await Promise.all(Array.from({ length: MANY }, () => evaq.wal.push('x')));
  await Promise.all(ids.map((id) => evaq.wal.remove(id)));
  await evaq.close();
  expect(openFiles(disk)).toBe(0);
  expect(host.timers).toBe(0);
});
