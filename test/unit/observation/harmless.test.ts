/** What observing costs and does to those who are observed: nothing. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DeliverTrace, Evaq, PushTrace } from '../../../src/evaq.js';
import { Telling, Tracing } from '../../../src/tracing.js';
import { contentOf, newDisk, openSim, passTime, rejection } from '../store/store-fixture.js';
import { hear, listen, onStart } from './support.js';

const NAMES = ['push', 'commit', 'removal', 'gc', 'recovery', 'deliver'];
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];
const FAST = { retry: { maxAttempts: 2, backoff: { baseMs: 1 } } };

afterEach(() => {
  vi.restoreAllMocks();
});

/** Goes through all that is told. */
async function useAll(): Promise<Evaq> {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024 });
  await evaq.wal.pushMany(Array.from({ length: 8 }, (_, i) => Buffer.alloc(20_000, i)));
  await evaq.wal.push('a');
  evaq.wal.pushSync('b', { headers: { kind: 'last' } });
  await evaq.wal.removeMany([1, 2, 3, 5]);
  await evaq.wal.compact();
  const delivery = evaq.evacuate(
    ({ id }) => {
      if (id === 7) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      if (id === 8) throw new Error('it does not work');
    },
    { ...FAST, breaker: { failures: 1, openMs: 1 } },
  );
  for (let i = 0; i < 20; i++) await passTime(disk, 5);
  await delivery.stop();
  disk.fault({ on: 'write', path: 'wal/', error: 'EIO' });
  await rejection(evaq.wal.push('c'), 'EVAQ_IO');
  expect(await contentOf(evaq.wal)).toMatchObject({ 7: expect.any(String) });
  await evaq.close();
  return evaq;
}

describe('where nobody listens', () => {
  it('nothing is made: no context is handed to any channel', async () => {
    const told = [
      ...(['begin', 'run', 'over', 'failed', 'around'] as const).map((method) => vi.spyOn(Tracing.prototype, method)),
      vi.spyOn(Telling.prototype, 'tell'),
    ];
    await useAll();
    for (const spy of told) expect(spy).not.toHaveBeenCalled();
    // The same with one who listens: all of it is told.
    const heard = NAMES.map((name) => hear(`evaq:${name}`));
    await useAll();
    for (const one of heard) expect(one.length).toBeGreaterThan(0);
  });

  it('of a channel that others have to do with; each is asked by itself', async () => {
    const begin = vi.spyOn(Tracing.prototype, 'begin');
    const heard = hear('evaq:removal');
    await useAll();
    expect(begin).toHaveBeenCalledTimes(heard.filter(({ event }) => event === 'start').length);
  });
});

describe('a subscriber', () => {
  it('that throws at every event is an uncaught exception of Node, and the engine goes on as if it had not', async () => {
    const uncaught: unknown[] = [];
    const catches = (error: unknown): void => void uncaught.push(error);
    // The runner's own would fail the test.
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', catches);
    try {
      const fault = new Error('a subscriber that fails');
      for (const name of NAMES)
        for (const event of EVENTS)
          listen(`tracing:evaq:${name}:${event}`, () => {
            throw fault;
          });
      for (const name of ['breaker', 'damage', 'health'])
        listen(`evaq:${name}`, () => {
          throw fault;
        });
      const evaq = await useAll();
      expect(evaq.stats().deliveries).toMatchObject([{ queue: 'wal', stateLost: false }]);
      expect(uncaught.length).toBeGreaterThan(20);
      expect(new Set(uncaught)).toEqual(new Set([fault]));
    } finally {
      process.removeListener('uncaughtException', catches);
      for (const other of others) process.on('uncaughtException', other);
    }
  });

  it('may call what it likes: pushes, also such that block, removals and reads', async () => {
    const evaq = await openSim(newDisk());
    const log = await evaq.queue('log');
    const done: Promise<unknown>[] = [];
    let left = 30;
    for (const name of ['commit', 'removal', 'push'])
      for (const event of EVENTS)
        listen(`tracing:evaq:${name}:${event}`, () => {
          if (left-- <= 0) return;
          const id = evaq.wal.pushSync(`${name} ${event}`);
          done.push(log.push(name), evaq.wal.remove(id), evaq.wal.get(1));
        });
    const ids = await Promise.all(Array.from({ length: 20 }, (_, i) => evaq.wal.push(`r${i}`)));
    await evaq.wal.removeMany(ids.slice(0, 10));
    await Promise.all(done);
    expect(left).toBeLessThanOrEqual(0);
    expect(Object.values(await contentOf(evaq.wal))).toEqual(Array.from({ length: 10 }, (_, i) => `r${i + 10}`));
    expect(log.size).toBe(30);
    await evaq.close();
  });

  it('may add headers: texts alone, and none that a record has', async () => {
    const evaq = await openSim(newDisk());
    onStart<PushTrace>('evaq:push', ({ headers }) => {
      Object.assign(headers, { added: 'yes', number: 1, half: '\ud800' });
    });
    const id = await evaq.wal.push('a');
    const own = await evaq.wal.push('b', { headers: { Added: 'mine', kind: 'own' } });
    expect((await evaq.wal.get(id))?.headers).toEqual({ added: 'yes' });
    expect((await evaq.wal.get(own))?.headers).toEqual({ Added: 'mine', kind: 'own' });
    await evaq.close();
  });

  it('of evaq:deliver may bind a store, which holds in the handler and in what it begins', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b']);
    const storage = new AsyncLocalStorage<number>();
    const { start } = tracingChannel<number, DeliverTrace>('evaq:deliver');
    start.bindStore(storage, ({ records }) => records[0]?.record.id ?? 0);
    try {
      const seen: (number | undefined)[] = [];
      const delivery = evaq.evacuate(
        async ({ id }) => {
          seen.push(id, storage.getStore());
          await passTime(disk, 1);
          seen.push(storage.getStore());
        },
        { concurrency: 1 },
      );
      await delivery.drained();
      expect(seen).toEqual([1, 1, 1, 2, 2, 2]);
      expect(storage.getStore()).toBeUndefined();
      await delivery.stop();
    } finally {
      start.unbindStore(storage);
    }
    await evaq.close();
  });
});
