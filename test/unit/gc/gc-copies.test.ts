/** What is in a copy that GC makes, what it tells of it, and how fast it goes. */
import { describe, expect, it, test } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import { decodeFileHeader, FILE_HEADER_BYTES, fileSeed } from '../../../src/frame/file-header.js';
import type { IdRange } from '../../../src/ids.js';
import { readFooter, readFooterIndex } from '../../../src/segment/segment-footer.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { countOf, idsOf, newDisk, openSim, passTime, SIM_PATH } from '../store/store-fixture.js';

const KIB = 1024;
const OPTIONS: EvaqOptions = { segmentBytes: 64 * KIB, gc: false, recycleSegments: 0 };
/** To a segment. */
const RECORDS = 30;
const WAL = `${SIM_PATH}/queues/wal`;

async function filled(disk: SimDisk, records: number, options: EvaqOptions = OPTIONS): Promise<Evaq> {
  const evaq = await openSim(disk, options);
  for (let i = 0; i < records; i++) void evaq.pushWal(Buffer.alloc(2000, i));
  await evaq.wal.flush();
  return evaq;
}

function but(kept: readonly number[], last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1).filter((id) => !kept.includes(id));
}

async function usedBytes(disk: SimDisk): Promise<number> {
  const entries = await disk.vfs.list(WAL);
  const names = entries.map(({ name }) => name).filter((name) => /\.(?:seg|free)$/.test(name));
  return names.reduce((sum, name) => sum + (disk.read(`${WAL}/${name}`)?.length ?? 0), 0);
}

test.each([1, 2, 3, 4, 5])('P3: a copy whose first record is %i says of itself what is in it', async (first) => {
  const disk = newDisk();
  const evaq = await filled(disk, 2 * RECORDS);
  const kept = [first, first + 1, 20];
  await evaq.wal.removeMany(but(kept, RECORDS));
  expect((await evaq.wal.compact()).rewrittenSegments).toBeGreaterThan(0);
  const live = await idsOf(evaq.wal);
  expect(live.slice(0, 3)).toEqual(kept);
  await evaq.close();
  // From its footer alone.
  const again = await openSim(disk, OPTIONS);
  expect(again.recovery).toMatchObject({ clean: true, damage: [] });
  expect(await idsOf(again.wal)).toEqual(live);
  await again.close();
});

test('P3: a copy is indexed from its first commit on, and lists what is in it as runs, as few as there are', async () => {
  const disk = newDisk();
  const evaq = await filled(disk, 4 * RECORDS);
  const kept = [10, 11, 12, 20, 40, 41];
  await evaq.wal.removeMany(but(kept, 3 * RECORDS));
  await evaq.wal.compact();
  const runs: IdRange[] = [];
  for (const { name } of (await disk.vfs.list(WAL)).filter((one) => one.name.endsWith('.seg'))) {
    const file = await disk.vfs.open(`${WAL}/${name}`, 'read');
    const head = Buffer.alloc(FILE_HEADER_BYTES);
    await file.readAt(head, 0, head.length, 0);
    const decoding = decodeFileHeader(head, 'segment');
    if (decoding.kind !== 'ok') throw new Error(`${name} has no header`);
    const seed = fileSeed(decoding.header);
    const footer = await readFooter(file, await file.size(), seed);
    if (footer !== undefined && footer.summary.replaces.length > 0) {
      runs.push(...(footer.summary.runs ?? []));
      const index = await readFooterIndex(file, footer, seed);
      expect(index?.offsets[0]).toBe(FILE_HEADER_BYTES);
      expect(index?.ids[0]).toBe(footer.summary.firstId);
    }
    await file.close();
  }
  const own = runs.toSorted((a, b) => a.first - b.first).filter(({ first }) => first <= 3 * RECORDS);
  expect(own).toEqual([
    { first: 10, last: 12 },
    { first: 20, last: 20 },
    { first: 40, last: 41 },
  ]);
  await evaq.close();
});

describe('P6: what GC tells', () => {
  it.each([0, 2])('is what the files have become smaller by (%i kept for reuse)', async (recycleSegments) => {
    const disk = newDisk();
    const evaq = await filled(disk, 6 * RECORDS, { ...OPTIONS, recycleSegments });
    // Some to be dropped, some to be copied.
    const before = await usedBytes(disk);
    await evaq.wal.removeMany(but([100, 110, 120, 130], 5 * RECORDS));
    await evaq.wal.compact();
    const report = evaq.wal.stats().gc;
    const after = await usedBytes(disk);
    expect(report.droppedSegments).toBeGreaterThan(0);
    expect(report.rewrittenSegments).toBeGreaterThan(0);
    expect(report.copiedRecords).toBeGreaterThanOrEqual(4);
    expect(report.recycledBytes > 0).toBe(recycleSegments > 0);
    // Files that are kept have blocks still.
    const gone = report.reclaimedBytes - report.copiedBytes;
    const slack = recycleSegments === 0 ? 4 * KIB : report.recycledBytes + 80 * KIB;
    expect(Math.abs(before - after - gone)).toBeLessThan(slack);
    await evaq.close();
  });

  it('of a damaged record is where it lies', async () => {
    const disk = newDisk();
    const evaq = await filled(disk, 2 * RECORDS);
    const path = disk.calls.find((call) => /wal\/0+1-[^/]*\.seg$/.test(call.path))?.path ?? '';
    await evaq.wal.removeMany(but([10, 20], RECORDS));
    const at = Buffer.from(disk.read(path) ?? []).indexOf(Buffer.alloc(2000, 19));
    disk.damage({ kind: 'flip', path, offset: at + 100 });
    await evaq.wal.compact();
    const damage = evaq.wal.stats().damage;
    expect(damage).toHaveLength(1);
    const [one] = damage;
    expect(one).toMatchObject({ file: path, firstId: 20, lastId: 20 });
    // All of it lies within the file, and the record in it.
    const { offset = 0, bytes = 0 } = one ?? {};
    expect(offset).toBeLessThanOrEqual(at);
    expect(offset + bytes).toBeGreaterThan(at + 100);
    expect(offset + bytes).toBeLessThanOrEqual(70 * KIB);
    await evaq.close();
  });
});

describe('P14: the rate of GC', () => {
  it('is kept, also after a rest', async () => {
    const disk = newDisk();
    const bytesPerSecond = 20_000;
    const evaq = await filled(disk, 4 * RECORDS, { ...OPTIONS, gc: { bytesPerSecond, liveShareMax: 0 } });
    for (const round of [0, 1]) {
      await passTime(disk, 100_000);
      const kept = round === 0 ? [5, 35, 65, 95] : [5];
      const last = 4 * RECORDS;
      await evaq.wal.removeMany(but(kept, last));
      if (round === 1) {
        for (let i = 0; i < 4 * RECORDS; i++) void evaq.pushWal(Buffer.alloc(2000, i));
        await evaq.wal.flush();
        await evaq.wal.removeMany(but([5, 130, 160, 190], 2 * last));
      }
      const from = disk.host.elapsed();
      const { rewrittenSegments } = await evaq.wal.compact();
      expect(rewrittenSegments).toBeGreaterThan(2);
      // Each was read from end to end, and a second is given for free.
      const dueMs = (rewrittenSegments * 60 * KIB * 1000) / bytesPerSecond;
      expect(disk.host.elapsed() - from).toBeGreaterThan(dueMs / 2);
    }
    await evaq.close();
  });
});

test('P2: a segment beside one of which a removal is on its way is rewritten with it, when that is over', async () => {
  const disk = newDisk();
  const evaq = await filled(disk, 4 * RECORDS);
  await evaq.wal.removeMany(but([10, 40, 70], 3 * RECORDS));
  const removing = evaq.wal.remove(40);
  const report = await evaq.wal.compact();
  expect(await removing).toBe(true);
  expect(report.rewrittenSegments).toBeGreaterThan(1);
  expect((await idsOf(evaq.wal)).slice(0, 2)).toEqual([10, 70]);
  await evaq.close();
});

test('P6: collecting a queue that is empty leaves its segment as it is', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const before = countOf(disk, 'create', /wal/) + countOf(disk, 'rename', /wal/);
  await evaq.wal.compact();
  await evaq.wal.compact();
  expect(countOf(disk, 'create', /wal/) + countOf(disk, 'rename', /wal/)).toBe(before);
  await evaq.close();
});
