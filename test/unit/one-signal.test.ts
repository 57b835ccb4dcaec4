/** One signal may be that of any number of calls: it gets one listener, so that Node does not warn of a leak. */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { newDisk, openSim, SIM_PATH } from './store/store-fixture.js';

const MANY = 12;

test('many tails, reads and deliveries with one signal add one listener, and leave none', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const reader = await Evaq.openReadOnly(SIM_PATH, { ports: { vfs: disk.vfs, host: disk.host } });
  const controller = new AbortController();
  const { signal } = controller;
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < MANY; i++) {
    waiting.push(evaq.wal.tail({ signal }).next(), (await reader.queue('wal')).tail({ signal }).next());
    const queue = await evaq.queue(`q${i}`);
    waiting.push(queue.process(() => undefined, { signal }).done);
  }
  for (const one of waiting) one.catch(() => undefined);
  await new Promise((resolve) => disk.host.after(50, () => resolve(undefined)));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  controller.abort();
  await Promise.allSettled(waiting);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  await reader.close();
  await evaq.close();
});
