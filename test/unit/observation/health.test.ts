/** `evaq.health()`: each reason, as it comes and as it goes. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Evaq, type HealthOptions, StopDelivery } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim.js';
import { HEALTH_REASONS } from '../../../src/store/health.js';
import { callUntyped, newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';

const ANY_DISK = { minFreeBytes: 0 };

async function codesOf(evaq: Evaq, options: HealthOptions = ANY_DISK): Promise<string[]> {
  const { status, reasons } = await evaq.health(options);
  for (const { message } of reasons) expect(message).not.toBe('');
  expect(status === 'ok').toBe(reasons.length === 0);
  return reasons.map(({ code, queue }) => (queue === undefined ? code : `${code} ${queue}`));
}

async function segmentOf(disk: SimDisk): Promise<string> {
  const dir = `${SIM_PATH}/queues/wal`;
  const found = (await disk.vfs.list(dir)).find(({ name }) => name.endsWith('.seg'));
  return `${dir}/${found?.name ?? ''}`;
}

describe('health', () => {
  it('of a store that is well is ok, and says how much room there is', async () => {
    const evaq = await openSim(newDisk({ capacityBytes: 2 ** 30 }));
    await evaq.wal.push('a');
    const health = await evaq.health();
    expect(health).toEqual({ status: 'ok', reasons: [], freeBytes: expect.any(Number) });
    expect(health.freeBytes).toBeLessThan(2 ** 30);
    await evaq.close();
  });

  it('P7: a failed sync is the end of it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    disk.fault({ on: 'sync', path: 'wal/' });
    const error = await rejection(evaq.wal.push('a'), 'EVAQ_FAILED');
    expect(await evaq.health(ANY_DISK)).toMatchObject({ status: 'failed', reasons: [{ code: 'failed', error }] });
  });

  it('P9: damage is told, also what the opening found', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: 100 }, (_, i) => Buffer.alloc(1000, i)));
    await evaq.close();
    const path = await segmentOf(disk);
    disk.damage({ kind: 'noise', path, offset: 50_000, length: 100 });
    const again = await openSim(disk, { onCorruption: 'quarantine' });
    expect(await codesOf(again)).toEqual([]);
    await again.wal.read();
    expect(await codesOf(again)).toEqual(['damaged wal']);
    await again.close();
    disk.damage({ kind: 'noise', path, offset: ((await disk.vfs.stat(path))?.size ?? 0) - 60, length: 50 });
    const third = await openSim(disk, { onCorruption: 'quarantine' });
    expect(third.recovery.damage.some(({ lossless }) => !lossless)).toBe(true);
    expect(await codesOf(third)).toEqual(['damaged wal']);
    await third.close();
  });

  it('garbage collection that stands still, until it goes on', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 1024 * 1024, recycleSegments: 0 });
    const { lastId } = await evaq.wal.pushMany(Array.from({ length: 100 }, () => 'x'.repeat(5000)));
    await evaq.wal.removeThrough(lastId);
    const heal = disk.fault({ on: 'create', path: /seg/, error: 'EMFILE', times: Infinity });
    await passTime(disk, 30_000);
    expect(await codesOf(evaq)).toEqual(['gc-stalled wal']);
    expect((await evaq.health(ANY_DISK)).reasons).toMatchObject([{ error: { code: 'EVAQ_IO' } }]);
    heal();
    await passTime(disk, 120_000);
    expect(await codesOf(evaq)).toEqual([]);
    await evaq.close();
  });

  it('a full disk, and removals that found no space on it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024, recycleSegments: 0 });
    await evaq.wal.pushMany(Array.from({ length: 500 }, (_, i) => `${i}`));
    disk.limits.capacityBytes = disk.usedBytes;
    const cancel = disk.fault({ on: 'rename', path: '.tomb', error: 'ENOSPC', times: Infinity });
    for (let id = 1; id <= 499; id += 2) await evaq.wal.remove(id).catch(() => undefined);
    expect(await codesOf(evaq, {})).toEqual(['removals-owed wal', 'disk-nearly-full']);
    const { reasons } = await evaq.health({ minFreeBytes: 1000 });
    expect(reasons.at(-1)).toMatchObject({ code: 'disk-nearly-full', bound: 1000 });
    expect(await codesOf(evaq)).toEqual(['removals-owed wal']);
    disk.limits.capacityBytes = Infinity;
    cancel();
    await evaq.wal.remove(2);
    expect(await codesOf(evaq, {})).toEqual([]);
    await evaq.close();
  });

  it('a disk on which the store takes no pushes any more', async () => {
    const disk = newDisk({ capacityBytes: 2 ** 30 });
    const minFreeBytes = 2 ** 31;
    const evaq = await openSim(disk, { minFreeBytes });
    await rejection(evaq.wal.push('a'), 'EVAQ_QUEUE_FULL');
    expect((await evaq.health()).reasons).toMatchObject([{ code: 'disk-nearly-full', bound: minFreeBytes }]);
    expect((await evaq.health({ minFreeBytes: 1000 })).reasons).toEqual([]);
    await evaq.close();
  });

  it('a disk that does not say how full it is', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    disk.fault({ on: 'freeBytes', times: Infinity });
    expect(await codesOf(evaq, {})).toEqual(['disk-unknown']);
    expect(await codesOf(evaq)).toEqual([]);
    expect((await evaq.health()).freeBytes).toBeUndefined();
  });

  it('a record that is too old, but for dead letters', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const id = await evaq.wal.push('a');
    await evaq.wal.deadLetter(await evaq.wal.push('b'), { reason: 'test' });
    await passTime(disk, 5000);
    expect(await codesOf(evaq, { ...ANY_DISK, maxOldestAgeMs: 100_000 })).toEqual([]);
    expect(await codesOf(evaq, { ...ANY_DISK, maxOldestAgeMs: 1000 })).toEqual(['record-too-old wal']);
    expect(await codesOf(evaq)).toEqual([]);
    await evaq.wal.remove(id);
    expect(await codesOf(evaq, { ...ANY_DISK, maxOldestAgeMs: 1000 })).toEqual([]);
    await evaq.close();
  });

  it('P16: a destination that is down, until it is back; and counts that could not be kept', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    let isDown = true;
    const delivery = evaq.evacuate(
      () => {
        if (isDown) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      },
      { breaker: { failures: 2, openMs: 50 } },
    );
    for (let i = 0; i < 1000 && delivery.stats().breaker !== 'open'; i++) await passTime(disk, 1);
    expect(await codesOf(evaq)).toEqual(['destination-down wal']);
    isDown = false;
    await delivery.drained();
    expect(await codesOf(evaq)).toEqual([]);
    disk.fault({ on: ['write', 'sync'], path: /\.dlv/, error: 'EIO', times: Infinity });
    let tries = 0;
    await evaq.wal.push('d', { headers: { kind: 'fails once' } });
    const other = evaq.wal.process(() => {
      if (++tries === 1) throw new Error('once');
    });
    await delivery.stop();
    await other.drained();
    expect(other.stats().stateLost).toBe(true);
    expect(await codesOf(evaq)).toEqual(['attempts-lost wal']);
    await evaq.close();
  });

  it('a delivery that a handler has stopped, until the next one begins', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const refused = new StopDelivery('the password is refused');
    const delivery = evaq.evacuate(() => {
      throw refused;
    });
    const drained = delivery.drained();
    await Promise.all([expect(delivery.done).rejects.toBe(refused), expect(drained).rejects.toBe(refused)]);
    expect(evaq.wal.size).toBe(3);
    const { reasons } = await evaq.health(ANY_DISK);
    expect(reasons).toMatchObject([{ code: 'delivery-stopped', queue: 'wal' }]);
    expect(reasons[0]?.message).toContain('the password is refused');
    const attempts: number[] = [];
    const other = evaq.evacuate((_, { attempt }) => {
      attempts.push(attempt);
    });
    expect(await codesOf(evaq)).toEqual([]);
    await other.drained();
    expect(attempts).toEqual([1, 1, 1]);
    await evaq.close();
  });

  it('a batch handler stops its delivery: what others have in hand arrives', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: 6 }, (_, i) => `${i}`));
    let release: (() => void) | undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const delivery = evaq.wal.processBatch(
      async (records) => {
        if (records[0]?.id !== 1) throw new StopDelivery('no such topic');
        await released;
      },
      { batch: { maxRecords: 3 }, concurrency: 2 },
    );
    const ended = expect(delivery.done).rejects.toThrow('no such topic');
    for (let i = 0; i < 1000 && delivery.stats().state !== 'stopping'; i++) await passTime(disk, 1);
    release?.();
    await ended;
    expect(evaq.wal.size).toBe(3);
    await evaq.close();
  });

  it('says what is wrong with its options, and that the store is closed', async () => {
    const evaq = await openSim(newDisk());
    for (const options of [{ minFreeByte: 1 }, { maxOldestAgeMs: '1' }, 'all', { signal: 1 }]) {
      await expect(callUntyped(evaq, 'health', options)).rejects.toThrow(TypeError);
    }
    for (const bound of [-1, Number.NaN])
      await expect(evaq.health({ minFreeBytes: bound })).rejects.toThrow(RangeError);
    await expect(callUntyped(evaq, 'health', {}, 1)).rejects.toThrow(TypeError);
    await expect(callUntyped(evaq, 'stats', 1)).rejects.toThrow(TypeError);
    const reason = new Error('enough');
    await expect(evaq.health({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await evaq.close();
    await rejection(evaq.health(), 'EVAQ_CLOSED');
    expect(evaq.stats()).toMatchObject({ storeId: evaq.storeId, path: SIM_PATH, deliveries: [] });
  });

  it('its codes are those of the documentation', () => {
    const page = readFileSync(new URL('../../../docs/observation.md', import.meta.url), 'utf8');
    const [, section = ''] = page.split('\n## Health\n');
    const documented = [...section.slice(0, section.indexOf('\n## ')).matchAll(/^\| `([\w-]+)` \|/gm)];
    expect(documented.map(([, code]) => code)).toEqual(HEALTH_REASONS);
  });
});

describe('stats of a store', () => {
  it('are those of its open queues, and what deliveries have come to, also such that have ended', async () => {
    const evaq = await openSim(newDisk());
    const queue = await evaq.queue('orders');
    await queue.pushMany(['a', 'b']);
    const first = queue.process(() => undefined);
    await first.drained();
    await first.stop();
    await queue.push('c');
    const second = queue.process(() => undefined);
    await second.drained();
    const { queues, deliveries } = evaq.stats();
    expect(queues.map((one) => one.queue).sort()).toEqual(['dead-letters', 'orders', 'wal']);
    expect(queues.find((one) => one.queue === 'orders')).toEqual(queue.stats());
    expect(deliveries).toMatchObject([{ queue: 'orders', running: 1, delivered: 3, inFlight: 0, breakersOpen: 0 }]);
    await second.stop();
    expect(evaq.stats().deliveries).toMatchObject([{ running: 0, delivered: 3 }]);
    await evaq.close();
  });
});
