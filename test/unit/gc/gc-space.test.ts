/**
 * What lies on the disk for what is live: seen from outside, by the sizes of files. Time is that of the simulated disk, which passes while nothing
 * else is to be done.
 */
import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { idsOf, newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const WAL = `${SIM_PATH}/queues/wal`;
const PAYLOAD = Buffer.alloc(KIB, 7);
const SMALL: EvaqOptions = { segmentBytes: MIB };
const PER_SEGMENT = Math.floor(MIB / (KIB + 9));
/** A queue that came to rest has tidied up after so long, whatever there is to copy. */
const AT_REST_MS = 25_000;

async function push(evaq: Evaq, records: number): Promise<void> {
  for (let left = records; left > 0; left -= 100) {
    await evaq.wal.pushMany(Array.from({ length: Math.min(100, left) }, () => PAYLOAD));
  }
}

async function sizes(disk: SimDisk, extension: '.seg' | '.free'): Promise<number[]> {
  const entries = await disk.vfs.list(WAL);
  return entries
    .filter(({ name }) => name.endsWith(extension))
    .map(({ name }) => disk.read(`${WAL}/${name}`)?.length ?? 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** All but the pool. */
async function spaceTaken(disk: SimDisk): Promise<number> {
  return disk.usedBytes - sum(await sizes(disk, '.free'));
}

/** Bytes handed to the disk so far. */
function bytesWritten(disk: SimDisk): number {
  return sum(
    disk.calls
      .filter(({ name }) => name === 'write')
      .map(({ detail }) => Number(/\+(\d+)$/.exec(detail)?.[1] ?? Number.NaN)),
  );
}

function segmentsMade(disk: SimDisk): number {
  return disk.calls.filter(({ name, detail }) => name === 'rename' && detail.endsWith('.seg')).length;
}

async function removeAllBut(evaq: Evaq, records: number, isKept: (id: number) => boolean): Promise<number[]> {
  const ids = Array.from({ length: records }, (_, i) => i + 1);
  await evaq.wal.removeMany(ids.filter((id) => !isKept(id)));
  return ids.filter(isKept);
}

describe('the space that a queue takes', () => {
  it.each([
    ['the active file is fresh', PER_SEGMENT * 3 + 100],
    ['the next file is made ahead of time, out of the pool', PER_SEGMENT * 3 + 800],
  ])('P6: after everything was removed it is a few KiB and the pool, by itself: %s', async (_what, records) => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await push(evaq, PER_SEGMENT * 3);
    await evaq.wal.removeThrough(PER_SEGMENT * 3);
    await push(evaq, records - PER_SEGMENT * 3);
    await evaq.wal.removeThrough(records);
    await passTime(disk, 5000);
    expect(sum(await sizes(disk, '.seg'))).toBeLessThan(KIB);
    expect(await spaceTaken(disk)).toBeLessThan(64 * KIB);
    expect((await sizes(disk, '.free')).length).toBe(2);
    // P8: it goes on where it was.
    expect(await evaq.pushWal('next')).toBe(records + 1);
    await evaq.close();
    const again = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
    expect([await idsOf(again.wal), again.recovery.damage]).toEqual([[records + 1], []]);
    await again.close();
  });

  it.each([1, 40, 290, 400, 1000])('P6: ... also if it went in %i removals', async (rounds) => {
    for (const tidy of ['rest', 'compact'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk, SMALL);
      const records = PER_SEGMENT * 3;
      await push(evaq, records);
      for (let round = 1; round < rounds; round++) await evaq.wal.removeThrough(Math.floor((records * round) / rounds));
      await evaq.wal.removeThrough(records);
      if (tidy === 'compact') await evaq.wal.compact();
      else await passTime(disk, 5000);
      expect(await spaceTaken(disk)).toBeLessThan(64 * KIB);
      await evaq.pushWal('next');
      const again = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
      expect([await idsOf(again.wal), again.recovery.damage]).toEqual([[records + 1], []]);
      await again.close();
      await evaq.close();
    }
  });

  it('P1, P6: a power cut while a recycled file is cut for an emptied queue loses and invents nothing', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await push(evaq, PER_SEGMENT * 3);
    await evaq.wal.removeThrough(PER_SEGMENT * 3);
    await push(evaq, 800);
    const last = PER_SEGMENT * 3 + 800;
    await evaq.wal.removeThrough(last);
    const states = new Map<string, SimDisk>();
    const stop = disk.observe(({ phase, call }) => {
      // What is on the disk changes by effects alone, and by none of these.
      const isChange = phase === 'effect' && !['list', 'stat', 'identity', 'open', 'read', 'size'].includes(call.name);
      if (states.size > 0 ? isChange : call.name === 'truncate') {
        for (const { disk: after, hash } of disk.crashStates({ exhaustiveMax: 4, draws: 3 })) states.set(hash, after);
      }
    });
    await passTime(disk, 5000);
    await evaq.wal.push('after');
    stop();
    expect(disk.calls.some(({ name, detail }) => name === 'truncate' && detail === 'to 128')).toBe(true);
    expect(states.size).toBeGreaterThan(20);
    for (const after of states.values()) {
      const found = await openSim(after, SMALL);
      expect(found.recovery.damage).toEqual([]);
      expect([[], [last + 1]]).toContainEqual(await idsOf(found.wal));
      expect(await found.wal.push('again')).toBeGreaterThan(last);
      await found.close();
    }
    await evaq.close();
  });

  it('P6: a straggler in the segment that is appended to pins no more than its own bytes', async () => {
    for (const kept of [1, 400, 800]) {
      const disk = newDisk();
      const evaq = await openSim(disk, SMALL);
      await push(evaq, 800);
      await removeAllBut(evaq, 800, (id) => id === kept);
      await passTime(disk, 5000);
      expect(sum(await sizes(disk, '.seg'))).toBeLessThan(4 * KIB);
      expect(await idsOf(evaq.wal)).toEqual([kept]);
      await evaq.close();
    }
  });

  it('P6: a recycled file that holds little and has come to rest gives the rest of it back', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await push(evaq, PER_SEGMENT * 3);
    await evaq.wal.removeThrough(PER_SEGMENT * 3);
    await push(evaq, PER_SEGMENT + 20);
    await evaq.wal.removeThrough(PER_SEGMENT * 4 + 5);
    await passTime(disk, AT_REST_MS);
    expect(sum(await sizes(disk, '.seg'))).toBeLessThan(2 * evaq.wal.stats().live * KIB + 16 * KIB);
    await evaq.close();
  });

  it('P6: compact() does not spare the segment that is appended to', async () => {
    for (const gc of [undefined, false] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...SMALL, ...(gc === undefined ? {} : { gc }) });
      await push(evaq, 800);
      const kept = await removeAllBut(evaq, 800, (id) => id % 100 === 0);
      if (gc === false) {
        await passTime(disk, AT_REST_MS);
        expect(sum(await sizes(disk, '.seg'))).toBeGreaterThan(800 * KIB);
      }
      await evaq.wal.compact();
      expect(sum(await sizes(disk, '.seg'))).toBeLessThan(kept.length * KIB + 2 * KIB);
      expect(await idsOf(evaq.wal)).toEqual(kept);
      await evaq.close();
    }
  });

  it.each([2, 3, 10, 100, PER_SEGMENT])('P6: one record in %i left: less than twice what is live', async (every) => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    const records = PER_SEGMENT * 8;
    await push(evaq, records);
    const kept = await removeAllBut(evaq, records, (id) => id % every === 0);
    await passTime(disk, AT_REST_MS);
    // Fixed costs: headers, footers, tombstone logs.
    expect(await spaceTaken(disk)).toBeLessThan(2 * (kept.length * KIB + 40 * KIB));
    expect(await idsOf(evaq.wal)).toEqual(kept);
    await evaq.close();
  });

  it('P2: the log of removals is rewritten at rest beside new removals, and a close waits for it', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const disk = newDisk({ timing: 'wild', seed });
      const evaq = await openSim(disk, SMALL);
      await push(evaq, 800);
      for (let id = 1; id <= 200; id++) await evaq.wal.remove(id);
      const made = disk.calls.length;
      await passTime(disk, 1990 + seed * 3);
      for (let id = 201; id <= 220; id++) void evaq.wal.remove(id);
      await evaq.close();
      expect(disk.violations).toEqual([]);
      expect(disk.calls.length).toBeGreaterThan(made);
      const again = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
      expect(again.recovery).toMatchObject({ clean: true, damage: [] });
      expect((await idsOf(again.wal))[0]).toBe(221);
      await again.close();
    }
  });

  it('P6: a few large records removed among many small ones give their space back by themselves', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    for (let i = 0; i < 1600; i++) void evaq.pushWal(i % 50 === 49 ? Buffer.alloc(60_000) : PAYLOAD.subarray(0, 100));
    await evaq.wal.flush();
    const kept = await removeAllBut(evaq, 1600, (id) => id % 50 !== 0);
    await passTime(disk, AT_REST_MS);
    expect(await spaceTaken(disk)).toBeLessThan(2 * (kept.length * 108 + 32 * KIB));
    expect(await idsOf(evaq.wal)).toEqual(kept);
    await evaq.close();
  });

  it('FIFO work with 1000 records outstanding rewrites nothing and leaves segments when they are full', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await push(evaq, 1000);
    const before = segmentsMade(disk);
    const written = bytesWritten(disk);
    for (let turn = 1; turn <= 120; turn++) {
      await push(evaq, 100);
      await evaq.wal.removeThrough(turn * 100);
      // A minute and more in all; and a sender that stands still for a while.
      await passTime(disk, turn % 30 === 0 ? 10_000 : 500);
    }
    const { gc, live } = evaq.wal.stats();
    expect(live).toBe(1000);
    expect(gc).toMatchObject({ rewrittenSegments: 0, lastError: undefined });
    expect(segmentsMade(disk) - before).toBeLessThanOrEqual(Math.ceil(12_000 / PER_SEGMENT) + 1);
    expect((bytesWritten(disk) - written) / (12_000 * KIB)).toBeLessThan(1.1);
    await evaq.close();
  });

  it('FIFO work that runs empty again and again fills its segments, and overwrites dead ones', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    for (let turn = 1; turn <= 80; turn++) {
      await push(evaq, 100);
      await evaq.wal.removeThrough(turn * 100);
      await passTime(disk, 200);
    }
    expect(segmentsMade(disk)).toBeLessThanOrEqual(Math.ceil(8000 / PER_SEGMENT) + 2);
    expect(disk.calls.filter(({ name, path }) => name === 'create' && path.includes('.seg')).length).toBeLessThan(6);
    expect(bytesWritten(disk) / (8000 * KIB)).toBeLessThan(1.1);
    await evaq.close();
  });

  it('a backlog is written once: the reserve for a full disk costs a twentieth at most', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    for (const segments of [4, 12, 16]) {
      await push(evaq, PER_SEGMENT * segments);
      await passTime(disk, 1000);
      const { bytes } = evaq.wal.stats();
      expect(bytesWritten(disk)).toBeLessThan(1.08 * bytes);
      const reserve = sum(await sizes(disk, '.free'));
      expect(reserve).toBeGreaterThan(Math.min(MIB, bytes * 0.025) - 1);
      expect(reserve).toBeLessThanOrEqual(MIB);
    }
    await evaq.close();
  });

  it('P6: on a disk that is nearly full the reserve is a whole segment, and compact() works with it when it is full', async () => {
    const disk = newDisk({ capacityBytes: 12 * MIB });
    const evaq = await openSim(disk, SMALL);
    let pushed = 0;
    try {
      for (;;) {
        await evaq.wal.pushMany(Array.from({ length: 10 }, () => PAYLOAD));
        pushed += 10;
      }
    } catch (error) {
      expect(error).toMatchObject({ code: 'EVAQ_NO_SPACE' });
    }
    expect(await sizes(disk, '.free')).toEqual([MIB]);
    disk.limits.capacityBytes = disk.usedBytes;
    // Sparse everywhere, empty nowhere.
    const kept = await removeAllBut(evaq, pushed, (id) => id % 4 !== 0);
    const before = evaq.wal.stats().bytes;
    await evaq.wal.compact();
    expect(evaq.wal.stats().bytes).toBeLessThan(before * 0.9);
    expect(await idsOf(evaq.wal)).toEqual(kept);
    await evaq.pushWal('again');
    await evaq.close();
  });

  it('P1: on a full disk what was emptied makes room at once', async () => {
    const disk = newDisk({ capacityBytes: 700 * KIB });
    const evaq = await openSim(disk, SMALL);
    let pushed = 0;
    try {
      for (;;) {
        await evaq.pushWal(PAYLOAD);
        pushed++;
      }
    } catch (error) {
      expect(error).toMatchObject({ code: 'EVAQ_NO_SPACE' });
    }
    expect(pushed).toBeGreaterThan(500);
    await evaq.wal.removeThrough(pushed);
    await passTime(disk, 100);
    await push(evaq, 300);
    expect(evaq.wal.stats()).toMatchObject({ live: 300, health: 'ok' });
    await evaq.close();
  });

  it.each([
    ['far larger than an index interval', 100_000, 400],
    ['about as many bytes as the small ones behind it, in all', 4000, 300],
    ['smaller than an index interval, a few small ones beside each', 3000, 60],
    ['smaller than an interval, and small ones fill as much', 1500, 100],
  ])('P6: large ones removed among small ones, %s: less than twice what is live', async (_what, largeBytes, small) => {
    for (const opened of ['as it is', 'anew'] as const) {
      const disk = newDisk();
      let evaq = await openSim(disk, SMALL);
      const groups = Math.ceil((6 * MIB) / (largeBytes + small * 16));
      const large: number[] = [];
      for (let i = 0; i < groups; i++) {
        const payloads = [Buffer.alloc(largeBytes), ...Array.from({ length: small }, () => PAYLOAD.subarray(0, 8))];
        large.push((await evaq.wal.pushMany(payloads)).firstId);
      }
      if (opened === 'anew') {
        // What the footers say is not in memory yet.
        await evaq.close();
        evaq = await openSim(disk, SMALL);
      }
      await evaq.wal.removeMany(large);
      await passTime(disk, AT_REST_MS);
      // A copied frame of 8 bytes takes 24, one that was pushed 16: what is live, as it would be written.
      const live = groups * small * 24;
      expect(await spaceTaken(disk)).toBeLessThan(2 * live + 64 * KIB);
      expect(evaq.wal.size).toBe(groups * small);
      await evaq.close();
    }
  });

  it('P6: small ones removed among large ones gain nothing, so nothing is rewritten', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    const small: number[] = [];
    for (let i = 0; i < 40; i++) {
      const payloads = [Buffer.alloc(100_000), ...Array.from({ length: 50 }, () => PAYLOAD.subarray(0, 8))];
      const { firstId, lastId } = await evaq.wal.pushMany(payloads);
      for (let id = firstId + 1; id <= lastId; id++) small.push(id);
    }
    await evaq.wal.removeMany(small);
    await passTime(disk, AT_REST_MS);
    expect(evaq.wal.stats().gc).toMatchObject({ rewrittenSegments: 0, lastError: undefined });
    await evaq.close();
  });

  it('P6: a rewritten segment of which little is removed is not rewritten again', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    const records = PER_SEGMENT * 4;
    await push(evaq, records);
    const kept = await removeAllBut(evaq, records, (id) => id % 4 === 0);
    await evaq.wal.compact();
    const { rewrittenSegments } = evaq.wal.stats().gc;
    for (const id of kept.slice(0, 40)) await evaq.wal.remove(id);
    await passTime(disk, AT_REST_MS);
    expect(evaq.wal.stats().gc.rewrittenSegments).toBe(rewrittenSegments);
    await evaq.close();
  });

  it('P12: what is measured to decide that costs a bounded number of reads a segment', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, segmentBytes: 4 * MIB });
    for (let i = 0; i < 400; i++) {
      await evaq.wal.pushMany(Array.from({ length: 101 }, (_, at) => PAYLOAD.subarray(0, at === 0 ? KIB : 100)));
    }
    // One in ten, everywhere: every interval is mixed, and none is sparse.
    await evaq.wal.removeMany(Array.from({ length: 4000 }, (_, i) => 1 + i * 10));
    const before = disk.calls.length;
    await passTime(disk, AT_REST_MS);
    const reads = disk.calls.slice(before).filter(({ name }) => name === 'read').length;
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThan(60 * evaq.wal.stats().segments);
    await evaq.close();
  });

  it('compact() tells what it did itself, and what went back to the file system from what went to the pool', async () => {
    for (const recycleSegments of [0, 2, 3]) {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...SMALL, recycleSegments, gc: false });
      await push(evaq, PER_SEGMENT * 6);
      await passTime(disk, 1000);
      const before = { all: disk.usedBytes, pool: sum(await sizes(disk, '.free')) };
      await removeAllBut(evaq, PER_SEGMENT * 5, (id) => id % 8 === 0);
      // Two at once: each tells its own.
      const [one, other] = await Promise.all([evaq.wal.compact(), evaq.wal.compact()]);
      expect(one.rewrittenSegments).toBeGreaterThan(3);
      expect(other).toMatchObject({ rewrittenSegments: 0, droppedSegments: 0, reclaimedBytes: 0, recycledBytes: 0 });
      const { gc } = evaq.wal.stats();
      // But for the log of removals. Where the copy took a file of the pool, it needed no space.
      const slack = 32 * KIB;
      const freed = before.all - disk.usedBytes;
      expect(one.reclaimedBytes).toBeLessThan(freed + one.copiedBytes + slack);
      expect(one.reclaimedBytes).toBeGreaterThan(freed - slack);
      expect(one.recycledBytes).toBeGreaterThan(sum(await sizes(disk, '.free')) - before.pool - slack);
      expect(one.recycledBytes > 0).toBe(recycleSegments > 0);
      expect(gc).toMatchObject({ reclaimedBytes: one.reclaimedBytes, recycledBytes: one.recycledBytes });
      await evaq.close();
    }
  });

  it.each(['close', 'failure'] as const)('P14: a rewrite that keeps to a rate is over soon after a %s', async (end) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, gc: { bytesPerSecond: 1000 } });
    await push(evaq, PER_SEGMENT * 3);
    const kept = await removeAllBut(evaq, PER_SEGMENT * 3, (id) => id % 4 === 0);
    await passTime(disk, 10_000);
    expect(disk.host.elapsed()).toBeGreaterThan(9000);
    const before = disk.host.elapsed();
    // At this rate it would take half an hour.
    if (end === 'failure') {
      disk.fault({ on: 'sync', path: '.seg' });
      await evaq.pushWal('fails').catch(() => undefined);
    }
    if (end === 'failure') await rejection(evaq.close(), 'EVAQ_FAILED');
    else await evaq.close();
    expect(disk.host.elapsed() - before).toBeLessThan(2000);
    const again = await openSim(end === 'close' ? disk : disk.crash(disk.nothingSurvives()), SMALL);
    expect((await idsOf(again.wal)).slice(0, kept.length)).toEqual(kept);
    await again.close();
  });
});
