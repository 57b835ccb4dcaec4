import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, idsOf, newDisk, openSim, passTime, SIM_PATH } from '../store/store-fixture.js';

const KIB = 1024;
const SMALL: EvaqOptions = { segmentBytes: 64 * KIB };

/** 30 records to a segment of 64 KiB. */
async function fill(evaq: Evaq, records: number, bytes = 2000): Promise<void> {
  for (let i = 0; i < records; i++)
    void evaq.pushWal(Buffer.alloc(bytes, i), i % 10 === 0 ? { headers: { n: `${i}` } } : undefined);
  await evaq.wal.flush();
}

async function files(disk: SimDisk, extension: string): Promise<string[]> {
  const entries = await disk.vfs.list(`${SIM_PATH}/queues/wal`);
  return entries
    .map(({ name }) => name)
    .filter((name) => name.endsWith(extension))
    .sort();
}

describe('garbage collection', () => {
  it('P6: dead segments go by themselves, into the pool and off the disk', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, recycleSegments: 1 });
    await fill(evaq, 300);
    const before = await files(disk, '.seg');
    expect(before.length).toBeGreaterThan(8);
    await evaq.wal.removeThrough(200);
    await passTime(disk, 100);
    expect((await files(disk, '.seg')).length).toBeLessThan(before.length - 4);
    expect(await files(disk, '.free')).toHaveLength(1);
    expect(await idsOf(evaq.wal)).toEqual(Array.from({ length: 100 }, (_, i) => i + 201));
    expect(evaq.wal.stats().gc).toMatchObject({ rewrittenSegments: 0, lastError: undefined });
    await evaq.close();
  });

  it('P6: FIFO work rewrites nothing, and the store stays small', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    let most = 0;
    for (let round = 0; round < 60; round++) {
      await fill(evaq, 30);
      await evaq.wal.removeThrough(Math.max(0, round * 30 - 20));
      most = Math.max(most, evaq.wal.stats().bytes);
    }
    await passTime(disk, 20_000);
    expect(evaq.wal.stats().gc.droppedSegments).toBeGreaterThan(40);
    // At rest at most the one segment that was left half worked off.
    expect(evaq.wal.stats().gc.rewrittenSegments).toBeLessThanOrEqual(1);
    expect(most).toBeLessThan(6 * 64 * KIB);
    await evaq.close();
  });

  it('P6: after everything is removed the store is back to a few KiB plus the pool', async () => {
    for (const recycleSegments of [0, 2]) {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...SMALL, recycleSegments });
      await fill(evaq, 500);
      for (let id = 1; id <= 500; id += 7) await evaq.wal.removeThrough(id + 6);
      await evaq.wal.removeThrough(500);
      await evaq.wal.compact();
      expect(evaq.wal.stats()).toMatchObject({ live: 0, dead: 0 });
      expect((await files(disk, '.free')).length).toBeLessThanOrEqual(recycleSegments);
      await evaq.close();
      expect(disk.usedBytes).toBeLessThan(80 * KIB + recycleSegments * 2 * 70 * KIB);
      // P8: the IDs go on, although nothing of them is left.
      const again = await openSim(disk, SMALL);
      expect(again.recovery.damage).toEqual([]);
      expect(await again.pushWal('new')).toBe(501);
      expect(await contentOf(again.wal)).toEqual({ 501: 'new' });
      await again.close();
      const cut = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
      // A tombstone that outlived its record does not kill a new one.
      expect(await contentOf(cut.wal)).toEqual({ 501: 'new' });
      await cut.close();
    }
  });

  it('P6: a straggler never pins more than its own bytes, in any position', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
    await fill(evaq, 600);
    const kept = [1, 17, 100, 101, 333, 599];
    await evaq.wal.removeMany(Array.from({ length: 600 }, (_, i) => i + 1).filter((id) => !kept.includes(id)));
    await evaq.wal.compact();
    const { gc } = evaq.wal.stats();
    expect(gc.rewrittenSegments + gc.droppedSegments).toBeGreaterThan(10);
    expect(gc.copiedRecords).toBeLessThanOrEqual(kept.length);
    expect(gc.reclaimedBytes).toBeGreaterThan(500 * 2000);
    expect(await idsOf(evaq.wal)).toEqual(kept);
    expect(evaq.wal.stats().bytes).toBeLessThan(kept.length * 2500 + 4 * KIB);
    await evaq.close();
  });

  it('P3: a rewrite keeps IDs, payloads, timestamps and headers, twice over, and through a reopening', async () => {
    const disk = newDisk();
    let evaq = await openSim(disk, SMALL);
    for (let i = 0; i < 10; i++) {
      await fill(evaq, 30);
      await passTime(disk, 1000);
    }
    const before = await evaq.wal.read({ maxRecords: 1000 });
    let kept = before;
    for (const step of [3, 5]) {
      const doomed = kept.filter((_, i) => i % step !== 0).map(({ id }) => id);
      await evaq.wal.removeMany(doomed);
      kept = kept.filter((_, i) => i % step === 0);
      expect((await evaq.wal.compact()).copiedRecords).toBeGreaterThan(0);
      expect(await evaq.wal.read({ maxRecords: 1000 })).toEqual(kept);
      for (const record of kept) expect(await evaq.wal.get(record.id)).toEqual(record);
      expect(await evaq.wal.get(doomed[0] ?? 0)).toBeUndefined();
      await evaq.close();
      evaq = await openSim(disk, SMALL);
      expect(evaq.recovery).toMatchObject({ clean: true, damage: [] });
      expect(await evaq.wal.read({ maxRecords: 1000 })).toEqual(kept);
    }
    await evaq.close();
  });

  it('P2: a removal during a rewrite is not undone, neither now nor after a crash', async () => {
    for (let seed = 0; seed < 12; seed++) {
      const disk = newDisk({ seed, timing: 'wild' });
      const evaq = await openSim(disk, SMALL);
      await fill(evaq, 300);
      await evaq.wal.removeMany(Array.from({ length: 300 }, (_, i) => i + 1).filter((id) => id % 5 !== 0));
      const compacting = evaq.wal.compact();
      const removed: number[] = [];
      for (let id = 5; id <= 250; id += 10) {
        await passTime(disk, seed * 0.02);
        if (await evaq.wal.remove(id)) removed.push(id);
      }
      const expected = Array.from({ length: 60 }, (_, i) => 5 * (i + 1)).filter((id) => !removed.includes(id));
      const early = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
      expect(await idsOf(early.wal)).toEqual(expected);
      await compacting;
      expect(removed).toHaveLength(25);
      expect(await idsOf(evaq.wal)).toEqual(expected);
      const late = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
      expect(await idsOf(late.wal)).toEqual(expected);
      expect(late.recovery.damage).toEqual([]);
      for (const one of [evaq, early, late]) await one.close();
      expect(disk.violations).toEqual([]);
    }
  });

  it('P3: an iteration goes on through rewrites and drops, and misses nothing', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await fill(evaq, 900);
    const seen: number[] = [];
    let next = 1;
    for await (const { id, payload } of evaq.wal.records()) {
      expect(payload.every((byte) => byte === ((id - 1) & 255))).toBe(true);
      seen.push(id);
      if (seen.length % 50 === 0) {
        await evaq.wal.removeMany(Array.from({ length: 40 }, () => next++));
        await evaq.wal.compact();
      }
    }
    expect(seen).toEqual(Array.from({ length: 900 }, (_, i) => i + 1));
    await evaq.close();
    expect(disk.violations).toEqual([]);
  });

  it('P6: a file is not taken away under a reader', async () => {
    const disk = newDisk({ timing: 'wild', seed: 3 });
    const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
    await fill(evaq, 200);
    const reads = Array.from({ length: 40 }, (_, i) => evaq.wal.read({ from: 1 + i * 4, maxRecords: 100 }));
    const removal = evaq.wal.removeThrough(200).then(() => evaq.wal.compact());
    for (const read of await Promise.all(reads)) {
      for (const { id, payload } of read) expect(payload.every((byte) => byte === ((id - 1) & 255))).toBe(true);
    }
    await removal;
    expect(evaq.wal.stats()).toMatchObject({ live: 0, health: 'ok' });
    await evaq.close();
    expect(disk.violations).toEqual([]);
  });

  it('P6: with gc: false only dead segments go, until compact() is called', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, gc: false });
    await fill(evaq, 300);
    await evaq.wal.removeMany(Array.from({ length: 280 }, (_, i) => i + 1).filter((id) => id % 20 !== 0));
    await passTime(disk, 60_000);
    expect(evaq.wal.stats().gc).toMatchObject({ rewrittenSegments: 0, droppedSegments: 0 });
    expect((await evaq.wal.compact()).rewrittenSegments).toBeGreaterThan(5);
    await evaq.close();
  });

  it('sparse segments are rewritten by themselves when they have been left alone', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await fill(evaq, 300);
    await evaq.wal.removeMany(Array.from({ length: 280 }, (_, i) => i + 1).filter((id) => id % 20 !== 0));
    await passTime(disk, 10_000);
    expect(evaq.wal.stats().gc.rewrittenSegments).toBeGreaterThan(5);
    expect((await idsOf(evaq.wal)).slice(0, 14)).toEqual(Array.from({ length: 14 }, (_, i) => 20 * (i + 1)));
    await evaq.close();
  });

  it('P6: whatever fails in it is reported, loses nothing, and is made up for later', async () => {
    for (const on of ['create', 'write', 'rename', 'remove', 'read'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
      await fill(evaq, 300);
      await evaq.wal.removeMany(Array.from({ length: 280 }, (_, i) => i + 1).filter((id) => id % 20 !== 0));
      const expected = await idsOf(evaq.wal);
      disk.fault({ on, path: /wal\/.*\.seg/, error: on === 'read' ? 'EIO' : 'ENOSPC' });
      const failed = await evaq.wal.compact().then(
        () => false,
        () => true,
      );
      expect(await idsOf(evaq.wal)).toEqual(expected);
      const cut = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
      expect(await idsOf(cut.wal)).toEqual(expected);
      expect(cut.recovery.damage).toEqual([]);
      await cut.close();
      if (evaq.wal.stats().health === 'ok') await evaq.wal.compact();
      expect([on, failed, await idsOf(evaq.wal)]).toEqual([on, failed, expected]);
      await evaq.close().catch(() => undefined);
      expect(disk.violations).toEqual([]);
    }
  });
});
