/** What is told on the channels, on the simulated machine. */
import { describe, expect, it } from 'vitest';
import type {
  CommitTrace,
  DeliverTrace,
  Evaq,
  GcTrace,
  PushTrace,
  RecoveryTrace,
  RemovalTrace,
} from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim.js';
import { newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';
import { endedOf, eventsOf, hear, hearPlain } from './support.js';

const IN_ORDER = ['start', 'end', 'asyncStart', 'asyncEnd'];
const FAILED = ['start', 'end', 'error', 'asyncStart', 'asyncEnd'];
/** The clock of the machine moves with its calls; how far is not looked at. */
const ANY_MS: unknown = expect.any(Number);

async function opened(): Promise<{ readonly disk: SimDisk; readonly evaq: Evaq; readonly storeId: string }> {
  const disk = newDisk();
  const evaq = await openSim(disk);
  return { disk, evaq, storeId: evaq.storeId };
}

describe('evaq:commit', () => {
  it('tells of each group commit, by one object, what is in it', async () => {
    const { evaq, storeId } = await opened();
    const heard = hear<CommitTrace>('evaq:commit');
    await Promise.all([evaq.wal.push('a'), evaq.wal.push('bc')]);
    expect(eventsOf(heard)).toEqual(IN_ORDER);
    expect(new Set(heard.map(({ same }) => same)).size).toBe(1);
    const whole = { storeId, queue: 'wal', firstId: 1, lastId: 2, records: 2, payloadBytes: 3, blocking: false };
    expect(heard[0]?.context).toMatchObject(whole);
    expect(heard[0]?.context.durationMs).toBeUndefined();
    expect(endedOf(heard)).toEqual([{ ...whole, bytes: ANY_MS, durationMs: ANY_MS }]);
    expect(heard[0]?.context.bytes).toBeGreaterThan(3);
    await evaq.wal.pushMany(['d', 'e', 'f']);
    expect(endedOf(heard)[1]).toMatchObject({ firstId: 3, lastId: 5, records: 3 });
  });

  it('of those that block, too, when they are over', async () => {
    const { evaq } = await opened();
    const heard = hear<CommitTrace>('evaq:commit');
    evaq.wal.pushSync('a');
    expect(eventsOf(heard)).toEqual(IN_ORDER);
    expect(endedOf(heard)).toMatchObject([{ firstId: 1, records: 1, blocking: true, durationMs: ANY_MS }]);
  });

  it('of what failed, with the error that its pushes were rejected with', async () => {
    const { disk, evaq } = await opened();
    const heard = hear<CommitTrace>('evaq:commit');
    disk.fault({ on: 'write', path: 'wal/', error: 'EIO' });
    const error = await rejection(evaq.wal.push('a'), 'EVAQ_IO');
    await passTime(disk, 10);
    expect(eventsOf(heard)).toEqual(FAILED);
    expect(heard[2]?.context.error).toBe(error);
    await evaq.wal.push('b');
    expect(endedOf(heard)).toMatchObject([{ firstId: 1, error }, { firstId: 1 }]);
    disk.fault({ on: 'sync', path: 'wal/' });
    const failed = await rejection(evaq.wal.push('c'), 'EVAQ_FAILED');
    await passTime(disk, 10);
    expect(endedOf(heard).at(-1)).toMatchObject({ firstId: 2, error: failed });
  });

  it('a pushSync that cannot be written is told with its error', async () => {
    const { disk, evaq } = await opened();
    const heard = hear<CommitTrace>('evaq:commit');
    disk.fault({ on: 'write', path: 'wal/', error: 'ENOSPC' });
    expect(() => evaq.wal.pushSync('a')).toThrow();
    expect(eventsOf(heard)).toEqual(FAILED);
    expect(endedOf(heard)).toMatchObject([{ blocking: true, error: { code: 'EVAQ_NO_SPACE' } }]);
  });
});

describe('evaq:push', () => {
  it('tells of each call, with its IDs when it has succeeded', async () => {
    const { evaq, storeId } = await opened();
    const heard = hear<PushTrace>('evaq:push');
    await evaq.wal.push('abc');
    await evaq.wal.pushMany(['d', 'ef']);
    evaq.wal.pushSync('g');
    const shared = { storeId, queue: 'wal', headers: {}, durationMs: ANY_MS };
    expect(endedOf(heard)).toEqual([
      { ...shared, call: 'push', records: 1, bytes: 3, firstId: 1, lastId: 1 },
      { ...shared, call: 'pushMany', records: 2, bytes: 3, firstId: 2, lastId: 3 },
      { ...shared, call: 'pushSync', records: 1, bytes: 1, firstId: 4, lastId: 4 },
    ]);
  });

  it('and of what was rejected', async () => {
    const { disk, evaq } = await opened();
    const heard = hear<PushTrace>('evaq:push');
    disk.fault({ on: 'write', path: 'wal/', error: 'EIO' });
    const error = await rejection(evaq.wal.push('a'), 'EVAQ_IO');
    expect(eventsOf(heard)).toEqual(FAILED);
    expect(endedOf(heard)).toMatchObject([{ error }]);
  });
});

describe('evaq:removal', () => {
  it('tells of each round what it removes', async () => {
    const { disk, evaq, storeId } = await opened();
    await evaq.wal.pushMany(['a', 'b', 'c', 'd', 'e']);
    const heard = hear<RemovalTrace>('evaq:removal');
    await evaq.wal.removeMany([1, 2, 4]);
    expect(eventsOf(heard)).toEqual(IN_ORDER);
    const whole = { storeId, queue: 'wal', firstId: 1, lastId: 4, records: 3, ranges: 2 };
    expect(heard[0]?.context).toEqual(whole);
    expect(endedOf(heard)).toEqual([{ ...whole, durationMs: ANY_MS }]);
    // What is gone already is no round.
    await evaq.wal.remove(1);
    expect(heard).toHaveLength(4);
    await evaq.wal.pop(3);
    expect(endedOf(heard)[1]).toMatchObject({ firstId: 3, lastId: 3, records: 1 });
    disk.fault({ on: 'sync', path: '.tomb' });
    const error = await rejection(evaq.wal.remove(5), 'EVAQ_FAILED');
    expect(eventsOf(heard).slice(-5)).toEqual(FAILED);
    expect(endedOf(heard).at(-1)).toMatchObject({ firstId: 5, error });
  });
});

describe('evaq:gc', () => {
  it('tells of each step what it gave back', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024, recycleSegments: 0 });
    const heard = hear<GcTrace>('evaq:gc');
    for (let i = 0; i < 8; i++) await evaq.wal.push(Buffer.alloc(20_000, i));
    await evaq.wal.removeMany([1, 2, 3, 5]);
    const report = await evaq.wal.compact();
    const steps = endedOf(heard);
    const { storeId } = evaq;
    for (const step of steps) expect(step).toMatchObject({ storeId, queue: 'wal', durationMs: ANY_MS });
    expect(steps.map(({ kind }) => kind)).toContain('drop');
    expect(steps.map(({ kind }) => kind)).toContain('rewrite');
    const sum = (of: (step: GcTrace) => number | undefined): number =>
      steps.reduce((total, step) => total + (of(step) ?? 0), 0);
    const { gc } = evaq.wal.stats();
    expect(sum(({ copiedRecords }) => copiedRecords)).toBe(gc.copiedRecords);
    expect(sum(({ reclaimedBytes }) => reclaimedBytes)).toBe(gc.reclaimedBytes);
    expect(report.copiedRecords).toBeGreaterThan(0);
  });
});

describe('evaq:recovery', () => {
  it('tells of the opening, and of one that fails', async () => {
    const { disk, evaq, storeId } = await opened();
    await evaq.wal.push('a');
    const heard = hear<RecoveryTrace>('evaq:recovery');
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(eventsOf(heard)).toEqual(IN_ORDER);
    expect(heard[0]?.context).toEqual({ path: SIM_PATH });
    expect(endedOf(heard)).toEqual([{ path: SIM_PATH, storeId, report: after.recovery }]);
    expect(after.recovery.clean).toBe(false);
    const other = newDisk();
    const error = await rejection(openSim(other, { create: false }), 'EVAQ_NOT_A_STORE');
    expect(eventsOf(heard).slice(4)).toEqual(FAILED);
    expect(endedOf(heard)[1]).toEqual({ path: SIM_PATH, error });
  });
});

describe('evaq:deliver', () => {
  it('tells of each call of a handler what it had, and how it ended', async () => {
    const { disk, evaq, storeId } = await opened();
    await evaq.wal.push('a', { headers: { kind: 'first' } });
    const heard = hear<DeliverTrace>('evaq:deliver');
    const failure = new Error('once');
    let tries = 0;
    const delivery = evaq.evacuate(
      async () => {
        await passTime(disk, 5);
        if (++tries === 1) throw failure;
      },
      { retry: { backoff: { baseMs: 1 } } },
    );
    await delivery.drained();
    expect(eventsOf(heard)).toEqual([...FAILED, ...IN_ORDER]);
    const deliveryId = `${storeId}:wal:1`;
    const [first, second] = endedOf(heard);
    const record: unknown = expect.objectContaining({ id: 1, headers: { kind: 'first' } });
    expect(first).toEqual({
      storeId,
      queue: 'wal',
      batch: false,
      records: [{ record, deliveryId, attempt: 1, crashes: 0 }],
      failed: [{ id: 1, error: failure }],
      error: failure,
      durationMs: ANY_MS,
    });
    expect(second).toMatchObject({ records: [{ deliveryId, attempt: 2 }], failed: [] });
    expect(second).not.toHaveProperty('error');
    await delivery.stop();
  });

  it('of batches, with those that failed', async () => {
    const { evaq } = await opened();
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const heard = hear<DeliverTrace>('evaq:deliver');
    const error = new Error('not this one');
    let calls = 0;
    const delivery = evaq.wal.processBatch(() => (calls++ === 0 ? { failed: [{ id: 2, error }] } : undefined), {
      retry: { backoff: { baseMs: 1 } },
    });
    await delivery.drained();
    const [batch, single] = endedOf(heard);
    expect(batch).toMatchObject({ batch: true, failed: [{ id: 2, error }] });
    expect(batch?.records.map(({ record }) => record.id)).toEqual([1, 2, 3]);
    expect(single?.records.map(({ record, attempt }) => [record.id, attempt])).toEqual([[2, 2]]);
    await delivery.stop();
  });

  it('a handler past its time has failed by that', async () => {
    const { disk, evaq } = await opened();
    await evaq.wal.push('a');
    const heard = hear<DeliverTrace>('evaq:deliver');
    const delivery = evaq.evacuate(() => passTime(disk, 100), { timeoutMs: 10, retry: { maxAttempts: 1 } });
    await delivery.drained();
    const [first] = endedOf(heard);
    expect(first).toMatchObject({ failed: [{ id: 1 }], error: { name: 'HandlerTimeout' } });
    await delivery.stop();
  });
});

describe('plain channels', () => {
  it('evaq:breaker tells when it opens, lets one be tried, and closes', async () => {
    const { disk, evaq, storeId } = await opened();
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const heard = hearPlain('evaq:breaker');
    let isDown = true;
    const delivery = evaq.evacuate(
      () => {
        if (isDown) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      },
      { breaker: { failures: 2, openMs: 50 } },
    );
    for (let i = 0; i < 1000 && heard.length === 0; i++) await passTime(disk, 1);
    isDown = false;
    await delivery.drained();
    const shared = { storeId, queue: 'wal' };
    expect(heard).toEqual([
      { ...shared, state: 'open', retryInMs: ANY_MS, streak: 1 },
      { ...shared, state: 'half-open', retryInMs: undefined, streak: 1 },
      { ...shared, state: 'closed', retryInMs: undefined, streak: 0 },
    ]);
    await delivery.stop();
  });

  it('evaq:damage tells of what is met while reading, once, and of what opening found', async () => {
    const { disk, evaq, storeId } = await opened();
    await evaq.wal.pushMany(Array.from({ length: 100 }, (_, i) => Buffer.alloc(1000, i)));
    await evaq.close();
    const [path = ''] = (await disk.vfs.list(`${SIM_PATH}/queues/wal`))
      .filter(({ name }) => name.endsWith('.seg'))
      .map(({ name }) => `${SIM_PATH}/queues/wal/${name}`);
    disk.damage({ kind: 'noise', path, offset: 50_000, length: 100 });
    const heard = hearPlain('evaq:damage');
    const again = await openSim(disk, { onCorruption: 'quarantine' });
    for (let i = 0; i < 3; i++) await again.wal.read();
    await passTime(disk, 1);
    const [damage] = again.wal.stats().damage;
    expect(damage).toMatchObject({ queue: 'wal', what: 'met while reading' });
    expect(heard).toEqual([{ storeId, queue: 'wal', damage }]);
    await again.close();
    const size = (await disk.vfs.stat(path))?.size ?? 0;
    // Without its footer it is scanned.
    disk.damage({ kind: 'noise', path, offset: size - 60, length: 50 });
    const third = await openSim(disk, { onCorruption: 'quarantine' });
    await passTime(disk, 1);
    expect(third.recovery.damage.length).toBeGreaterThan(0);
    expect(heard.slice(1)).toEqual(third.recovery.damage.map((one) => ({ storeId, queue: 'wal', damage: one })));
  });

  it('evaq:health tells at once when the store stops, and elsewhere where health() finds it changed', async () => {
    const { disk, evaq, storeId } = await opened();
    const heard = hearPlain('evaq:health');
    await evaq.health({ minFreeBytes: 0 });
    await evaq.health({ minFreeBytes: 0 });
    expect(heard).toEqual([]);
    await evaq.wal.push('a');
    await passTime(disk, 10);
    await evaq.health({ minFreeBytes: 0, maxOldestAgeMs: 0 });
    await evaq.health({ minFreeBytes: 0, maxOldestAgeMs: 0 });
    expect(heard).toMatchObject([
      { storeId, health: { status: 'degraded', reasons: [{ code: 'record-too-old', queue: 'wal' }] } },
    ]);
    disk.fault({ on: 'sync', path: 'wal/' });
    const error = await rejection(evaq.wal.push('b'), 'EVAQ_FAILED');
    await passTime(disk, 1);
    expect(heard).toHaveLength(2);
    expect(heard[1]).toMatchObject({ health: { status: 'failed', reasons: [{ code: 'failed', error }] } });
  });
});
