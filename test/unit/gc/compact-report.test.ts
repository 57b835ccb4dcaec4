import { describe, expect, it } from 'vitest';
import { newDisk, openSim, passTime, rejection } from '../store/store-fixture.js';

const MANY = Array.from({ length: 100 }, () => 'x'.repeat(5000));
const OPTIONS = { segmentBytes: 1024 * 1024, recycleSegments: 0 };

describe('what compact tells', () => {
  it('the bytes of a queue that was emptied are given back, and told', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, OPTIONS);
    const { lastId } = await evaq.wal.pushMany(MANY);
    await evaq.wal.removeThrough(lastId);
    const report = await evaq.wal.compact();
    expect(report).toMatchObject({ droppedSegments: 1, copiedRecords: 0 });
    expect(report.reclaimedBytes).toBeGreaterThan(MANY.length * 5000);
    expect(evaq.wal.stats().dead).toBe(0);
    await evaq.close();
  });

  it.each([0, 1])('rejects where the segment that the space is in cannot be left (%i live)', async (live) => {
    const disk = newDisk();
    const evaq = await openSim(disk, OPTIONS);
    const { lastId } = await evaq.wal.pushMany(MANY);
    await evaq.wal.removeThrough(lastId - live);
    const heal = disk.fault({ on: 'create', path: /seg/, error: 'EMFILE', times: Infinity });
    await rejection(evaq.wal.compact(), 'EVAQ_IO');
    heal();
    expect((await evaq.wal.compact()).reclaimedBytes).toBeGreaterThan(0);
    await evaq.close();
  });

  it.each([
    ['EIO', 'EVAQ_IO'],
    ['ENOSPC', 'EVAQ_NO_SPACE'],
  ] as const)('rejects where that segment cannot be sealed (%s)', async (error, code) => {
    const disk = newDisk();
    const evaq = await openSim(disk, OPTIONS);
    const { lastId } = await evaq.wal.pushMany(MANY);
    await evaq.wal.removeThrough(lastId - 1);
    const heal = disk.fault({ on: 'write', path: /wal.*\.seg$/, error, times: Infinity });
    await rejection(evaq.wal.compact(), code);
    heal();
    expect((await evaq.wal.compact()).copiedRecords).toBe(1);
    expect(evaq.wal.stats().gc.lastError).toBeUndefined();
    await evaq.close();
  });

  it('in the background the same is noted, and done again after a while', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, OPTIONS);
    const { lastId } = await evaq.wal.pushMany(MANY);
    await evaq.wal.removeThrough(lastId);
    const heal = disk.fault({ on: 'create', path: /seg/, error: 'EMFILE', times: Infinity });
    await passTime(disk, 30_000);
    expect(evaq.wal.stats().gc.lastError?.code).toBe('EVAQ_IO');
    heal();
    await passTime(disk, 120_000);
    expect(evaq.wal.stats().dead).toBe(0);
    expect(evaq.wal.stats().gc.lastError).toBeUndefined();
    await evaq.close();
  });
});
