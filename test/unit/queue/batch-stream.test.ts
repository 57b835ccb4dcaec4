/** A large `pushMany` is written while it is framed: pieces of one commit that are under way at the same time. */
import { expect, it } from 'vitest';
import type { Queue } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { idsOf, newDisk, openSim, rejection } from '../store/store-fixture.js';

const KIB = 1024;
const OPTIONS = { segmentBytes: 2048 * KIB, gc: false } as const;
const sizesOf: Readonly<Record<string, readonly number[]>> = {
  'small records': Array.from({ length: 1500 }, () => 140),
  'records of all sizes': Array.from({ length: 60 }, (_, i) => [0, 7, 300, 5000, 20_000, 511][i % 6] ?? 0),
  'records larger than what is written at a time': [300 * KIB, 3, 400 * KIB, 500 * KIB, 40],
};

function payloadsOf(sizes: readonly number[]): Buffer[] {
  return sizes.map((size, i) => Buffer.alloc(size, `${i};`));
}

async function expectWhole(queue: Queue, payloads: readonly Buffer[], firstId: number): Promise<void> {
  let i = 0;
  for await (const { id, payload } of queue.records({ from: firstId })) {
    expect(id).toBe(firstId + i);
    expect(payload.equals(payloads[i] ?? Buffer.alloc(0))).toBe(true);
    i++;
  }
  expect(i).toBe(payloads.length);
}

/** Counts the writes of a call, and how many of them were under way together. */
function watch(disk: SimDisk): { readonly writes: () => number; readonly most: () => number } {
  let writes = 0;
  let underWay = 0;
  let most = 0;
  disk.observe(({ phase, call }) => {
    if (call.name !== 'write' || !call.path.endsWith('.seg')) return;
    if (phase === 'call') {
      writes++;
      most = Math.max(most, ++underWay);
    }
    if (phase === 'ack') underWay--;
  });
  return { writes: () => writes, most: () => most };
}

for (const [what, sizes] of Object.entries(sizesOf)) {
  it(`P3: ${what}: written in pieces, read as they were, also after a reopen`, async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, OPTIONS);
    await evaq.pushWal('in front');
    const { writes, most } = watch(disk);
    const payloads = payloadsOf(sizes);
    expect(await evaq.wal.pushMany(payloads)).toEqual({ firstId: 2, lastId: 1 + sizes.length });
    expect(writes()).toBeGreaterThan(2);
    expect(most()).toBeGreaterThan(1);
    await expectWhole(evaq.wal, payloads, 2);
    await evaq.close();
    const again = await openSim(disk, OPTIONS);
    expect(again.recovery.damage).toEqual([]);
    await expectWhole(again.wal, payloads, 2);
    await again.close();
  });

  it(`P1, P4: ${what}: whole or gone, wherever the power is cut`, async () => {
    const disk = newDisk({ timing: 'wild', fill: 'any', seed: 7 });
    const evaq = await openSim(disk, OPTIONS);
    await evaq.pushWal('in front');
    const cuts: { readonly disk: SimDisk; readonly acknowledged: boolean }[] = [];
    let acknowledged = false;
    let draw = 0;
    const stop = disk.observe(({ phase, call }) => {
      if (phase === 'call' || !call.path.endsWith('.seg')) return;
      cuts.push({ disk: disk.fork(), acknowledged });
      for (const choice of [disk.nothingSurvives(), disk.drawCrash(++draw), disk.drawCrash(++draw)]) {
        cuts.push({ disk: disk.crash(choice), acknowledged });
      }
    });
    const payloads = payloadsOf(sizes);
    await evaq.wal.pushMany(payloads);
    acknowledged = true;
    await evaq.pushWal('behind');
    stop();
    let gone = 0;
    for (const cut of cuts) {
      const after = await openSim(cut.disk, OPTIONS);
      expect(after.recovery.damage).toEqual([]);
      const ids = await idsOf(after.wal);
      expect(ids[0]).toBe(1);
      if (ids.length === 1) gone++;
      else
        await expectWhole(
          after.wal,
          ids.length > payloads.length + 1 ? [...payloads, Buffer.from('behind')] : payloads,
          2,
        );
      if (cut.acknowledged) expect(ids.length).toBeGreaterThan(payloads.length);
      await after.close();
    }
    expect(gone).toBeGreaterThan(0);
    await evaq.close();
  });
}

it('P4: a piece that cannot be written takes all of them with it, and the queue goes on at the same place', async () => {
  for (let nth = 1; nth <= 4; nth++) {
    for (const error of ['ENOSPC', 'EIO'] as const) {
      const disk = newDisk({ timing: 'wild', seed: nth });
      const evaq = await openSim(disk, OPTIONS);
      await evaq.pushWal('in front');
      disk.fault({ on: 'write', path: '.seg', nth, error });
      const payloads = payloadsOf(sizesOf['small records'] ?? []);
      await rejection(evaq.wal.pushMany(payloads), error === 'EIO' ? 'EVAQ_IO' : 'EVAQ_NO_SPACE');
      expect(evaq.wal.stats().pendingBytes).toBe(0);
      expect(await evaq.wal.pushMany(payloads)).toEqual({ firstId: 2, lastId: 1501 });
      for (const state of [disk.fork(), disk.crash(disk.nothingSurvives())]) {
        const after = await openSim(state, OPTIONS);
        await expectWhole(after.wal, payloads, 2);
        await after.close();
      }
      await evaq.close();
    }
  }
});

it('P1: a blocking push while pieces are under way takes them along', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, OPTIONS);
  const payloads = payloadsOf(sizesOf['small records'] ?? []);
  const pushing = evaq.wal.pushMany(payloads);
  expect(evaq.wal.pushSync('last words')).toBe(1501);
  const after = await openSim(disk.crash(disk.nothingSurvives()), OPTIONS);
  await expectWhole(after.wal, [...payloads, Buffer.from('last words')], 1);
  expect(await pushing).toEqual({ firstId: 1, lastId: 1500 });
  for (const one of [after, evaq]) await one.close();
});

it('P3: a payload that its caller changes as soon as it has called is stored as it was', async () => {
  const evaq = await openSim(newDisk(), OPTIONS);
  const payloads = payloadsOf(sizesOf['small records'] ?? []);
  const pushing = evaq.wal.pushMany(payloads);
  for (const payload of payloads) payload.fill(0);
  await pushing;
  await expectWhole(evaq.wal, payloadsOf(sizesOf['small records'] ?? []), 1);
  await evaq.close();
});

it('P1, P4: a turn that pushes more than a MiB has its first part written while the rest is framed', async () => {
  const disk = newDisk({ timing: 'wild', seed: 3 });
  const evaq = await openSim(disk, { segmentBytes: 16 * 1024 * KIB });
  await evaq.pushWal('in front');
  const { count } = evaq.wal.stats().sync;
  const pushes = Array.from({ length: 200 }, (_, i) => evaq.pushWal(Buffer.alloc(10 * KIB, `${i};`)));
  const firstSync = new Promise<SimDisk>((resolve) => {
    const stop = disk.observe(({ phase, call }) => {
      if (call.name !== 'sync' || phase !== 'ack') return;
      stop();
      resolve(disk.crash(disk.nothingSurvives()));
    });
  });
  expect(await Promise.all(pushes)).toEqual(Array.from({ length: 200 }, (_, i) => i + 2));
  expect(evaq.wal.stats().sync.count - count).toBe(2);
  const after = await openSim(await firstSync);
  const ids = await idsOf(after.wal);
  expect(ids.length).toBeGreaterThan(100);
  expect(ids.length).toBeLessThan(201);
  await expectWhole(after.wal, payloadsOf(Array.from({ length: ids.length - 1 }, () => 10 * KIB)), 2);
  for (const one of [evaq, after]) await one.close();
});
