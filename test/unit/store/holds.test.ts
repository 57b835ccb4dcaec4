/**
 * Whoever awaits a call is told: while one is under way the process is held, also where it waits for a timer, which by itself would let it end (exit
 * code 13). And a close waits for no timer at all.
 */
import { describe, expect, test } from 'vitest';
import { Evaq, type EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import type { Host } from '../../../src/vfs/host.js';
import { newDisk, passTime, rejection, SIM_PATH } from './store-fixture.js';

/** A host that notes when a timer was all that a call under way waited for. */
class HeldHost implements Host {
  readonly #disk: SimDisk;
  readonly #host: Host;
  readonly #pending = new Set<string>();
  /** Calls of which nobody would have heard. */
  readonly unheld = new Set<string>();
  /** When timers came due. */
  fired = 0;

  constructor(disk: SimDisk) {
    this.#disk = disk;
    this.#host = disk.host;
  }

  now = (): number => this.#host.now();
  elapsed = (): number => this.#host.elapsed();
  soon = (action: () => void): void => this.#host.soon(action);
  yield = (): Promise<void> => this.#host.yield();
  random = (target: Uint8Array): void => this.#host.random(target);
  hold = (): (() => void) => this.#host.hold?.() ?? ((): void => undefined);

  after = (ms: number, action: () => void): (() => void) =>
    this.#host.after(ms, () => {
      this.fired++;
      if (!this.#disk.isHeld) for (const call of this.#pending) this.unheld.add(call);
      action();
    });

  /** Runs a call under that name. */
  async awaited<T>(name: string, call: () => Promise<T>): Promise<T> {
    this.#pending.add(name);
    try {
      return await call();
    } finally {
      this.#pending.delete(name);
    }
  }
}

interface Stage {
  readonly disk: SimDisk;
  readonly host: HeldHost;
  readonly evaq: Evaq;
}

async function openHeld(options: EvaqOptions = {}): Promise<Stage> {
  const disk = newDisk();
  const host = new HeldHost(disk);
  const evaq = await host.awaited('open', () =>
    Evaq.open(SIM_PATH, { segmentBytes: 64 * 1024, ...options, ports: { vfs: disk.vfs, host } }),
  );
  return { disk, host, evaq };
}

/** Segments a third of which is dead: `compact` copies two thirds of `segments` times 64 KiB. */
async function fillSparsely({ evaq }: Stage, segments: number): Promise<void> {
  for (let i = 0; i < segments; i++) await evaq.wal.pushMany(Array.from({ length: 64 }, () => Buffer.alloc(1000)));
  const ids = Array.from({ length: 64 * segments }, (_, i) => i + 1);
  await evaq.wal.removeMany(ids.filter((id) => id % 3 === 0));
}

describe('a call that waits for a timer holds the process', () => {
  test('compact, with GC that keeps to a rate', async () => {
    const stage = await openHeld({ gc: { bytesPerSecond: 100_000 } });
    await fillSparsely(stage, 4);
    const { host, evaq } = stage;
    const before = host.fired;
    const done = await host.awaited('compact', () => evaq.wal.compact());
    expect(done.rewrittenSegments).toBeGreaterThan(0);
    expect(host.fired - before).toBeGreaterThan(3);
    await host.awaited('close', () => evaq.close());
    expect([...host.unheld]).toEqual([]);
  });

  test('a tail of a reader, until it is looked for more', async () => {
    const { disk, host, evaq } = await openHeld();
    const reader = await Evaq.openReadOnly(SIM_PATH, { ports: { vfs: disk.vfs, host } });
    const next = host.awaited('tail', () => reader.wal.tail({ pollMs: 50 }).next());
    await passTime(disk, 200);
    expect(host.fired).toBeGreaterThan(2);
    await evaq.wal.push('x');
    expect((await next).value?.payload.toString()).toBe('x');
    const waiting = host.awaited('tail', () => reader.wal.tail({ from: 2 }).next());
    await passTime(disk, 500);
    await host.awaited('close', () => reader.close());
    expect(await waiting).toMatchObject({ done: true });
    await evaq.close();
    expect([...host.unheld]).toEqual([]);
    expect(disk.openHandles()).toEqual([]);
  });

  test('every call, in each mode, beside a full disk and GC that keeps to a rate', async () => {
    for (const durability of ['sync', 'os', { intervalMs: 20 }] as const) {
      const stage = await openHeld({ durability, maxPendingBytes: 4096, gc: { bytesPerSecond: 50_000 } });
      await fillSparsely(stage, 3);
      const { disk, host, evaq } = stage;
      const { wal } = evaq;
      const capacity = disk.limits.capacityBytes;
      const calls: Record<string, () => Promise<unknown>> = {
        push: () => wal.push('x'),
        'push that waits for room': () => Promise.all([1, 2, 3].map(() => wal.push(Buffer.alloc(4000)))),
        pushMany: () => wal.pushMany(['a', 'b']),
        get: () => wal.get(1),
        read: () => wal.read({ maxRecords: 3 }),
        records: async () => {
          for await (const { id } of wal.records()) if (id > 20) break;
        },
        tail: async () => {
          for await (const { id } of wal.tail()) if (id > 10) break;
        },
        pop: () => wal.pop(4),
        remove: () => wal.remove(5),
        'remove again': () => wal.remove(5),
        removeMany: () => wal.removeMany([7, 8]),
        removeThrough: () => wal.removeThrough(8),
        deadLetter: () => evaq.deadLetter(10, { reason: 'r' }),
        redrive: () => evaq.redrive(() => Promise.resolve(true)),
        'redrive at a pace': () => wal.deadLetters.redrive('all', { ratePerSecond: 5, force: true }),
        'move by a function': () => evaq.move(wal, ({ id }) => id === 11, evaq.deadLetters),
        summary: () => wal.deadLetters.summary(),
        list: () => wal.deadLetters.list().next(),
        purge: () => wal.deadLetters.purge(({ id }) => id % 2 === 0),
        flush: () => wal.flush(),
        compact: () => wal.compact(),
        queue: () => evaq.queue('other'),
        openReadOnly: async () => (await Evaq.openReadOnly(SIM_PATH, { ports: { vfs: disk.vfs, host } })).close(),
      };
      for (const isFull of [true, false]) {
        disk.limits.capacityBytes = isFull ? disk.usedBytes : capacity;
        const answers = Object.entries(calls).map(([name, call]) => host.awaited(name, call));
        expect(await Promise.allSettled(answers)).toHaveLength(Object.keys(calls).length);
      }
      const last = host.awaited('compact', () => wal.compact()).catch(() => undefined);
      await host.awaited('close', () => evaq.close());
      await last;
      expect([...host.unheld]).toEqual([]);
      expect(disk.openHandles()).toEqual([]);
    }
  });

  test('work in the background alone does not', async () => {
    const stage = await openHeld({ durability: { intervalMs: 1000 }, gc: { bytesPerSecond: 1 } });
    await fillSparsely(stage, 2);
    const { disk, evaq } = stage;
    let held = 0;
    // Between the ticks of the interval.
    for (let i = 0; i < 20; i++) {
      await passTime(disk, 230);
      if (disk.isHeld) held++;
    }
    expect(held).toBeLessThan(3);
    expect(disk.openHandles().filter((one) => one.includes('holds'))).toEqual([]);
    await evaq.close();
  });
});

describe('P14: close ends work in the background at its next step', () => {
  async function pausedAfter(stage: Stage, begin: (evaq: Evaq) => void): Promise<number> {
    const { disk, host, evaq } = stage;
    begin(evaq);
    await passTime(disk, 5_000);
    const { fired } = host;
    const before = disk.host.elapsed();
    await host.awaited('close', () => evaq.close());
    expect(host.fired - fired).toBe(0);
    expect(disk.openHandles()).toEqual([]);
    return disk.host.elapsed() - before;
  }

  test('a compact that keeps to a rate rejects, and nothing is lost', async () => {
    const stage = await openHeld({ gc: { bytesPerSecond: 1_000 } });
    await fillSparsely(stage, 4);
    let compacting: Promise<unknown> = Promise.resolve();
    const tookMs = await pausedAfter(stage, (evaq) => {
      compacting = evaq.wal.compact();
      compacting.catch(() => undefined);
    });
    // Simulated: a compact at that rate takes minutes.
    expect(tookMs).toBeLessThan(1_000);
    await rejection(compacting, 'EVAQ_CLOSED');
    const again = await Evaq.open(SIM_PATH, { ports: { vfs: stage.disk.vfs, host: stage.disk.host } });
    expect(again.recovery.clean).toBe(true);
    expect(again.wal.size).toBe(4 * 64 - Math.floor((4 * 64) / 3));
    await again.close();
  });

  test('compacts that wait for the one under way reject, too, and so does one that keeps to no rate', async () => {
    const stage = await openHeld();
    await fillSparsely(stage, 6);
    const { disk, evaq } = stage;
    const compacting = [evaq.wal.compact(), evaq.wal.compact(), evaq.wal.compact()];
    const settled = Promise.allSettled(compacting);
    await passTime(disk, 1);
    await evaq.close();
    for (const one of await settled) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'EVAQ_CLOSED' });
    }
    await rejection(compacting[2] ?? Promise.resolve(), 'EVAQ_CLOSED');
  });

  test('P2: removals that are owed are not tried again while the last word is written', async () => {
    // They are due a quarter of a second after the failure: somewhere in these closes.
    for (let us = 244_000; us < 250_000; us += 125) {
      const { disk, evaq } = await openHeld();
      await evaq.wal.pushMany(['a', 'b', 'c']);
      disk.fault({ on: ['write', 'writeBlocking'], path: '.tomb', error: 'EIO' });
      await rejection(evaq.wal.remove(1), 'EVAQ_IO');
      await passTime(disk, us / 1000);
      await evaq.close();
      const rounds = disk.calls.filter(
        ({ name, path }) => name.startsWith('write') && path.includes('wal/') && path.includes('.tomb'),
      );
      expect(disk.violations).toEqual([]);
      const again = await Evaq.open(SIM_PATH, { ports: { vfs: disk.vfs, host: disk.host } });
      expect([again.recovery.clean, again.recovery.damage, again.wal.size]).toEqual([true, [], 2]);
      expect(rounds.length).toBeGreaterThan(1);
      await again.close();
    }
  });
});
