/** The file beside a log for the next generation, and what a log keeps for a full disk: made, lengthened, filled, cut, handed on, and lost. */
import { describe, expect, it } from 'vitest';
import type { IdRange } from '../../../src/ids.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { encodeRound, KIND_REMOVALS, KIND_SNAPSHOT, roundBytesMax } from '../../../src/tombstone/tombstone-frame.js';
import { type GenerationSource, retireLog, TombstoneLog } from '../../../src/tombstone/tombstone-log.js';
import { scanTombstones } from '../../../src/tombstone/tombstone-scan.js';
import {
  fillAsFar,
  fillSpare,
  fillZeros,
  findSpare,
  lengthenSpare,
  makeSpare,
  reserveBytesFor,
  snapshotBytesOfRecord,
} from '../../../src/tombstone/tombstone-spare.js';

const DIR = '/queue';
const KIB = 1024;
const SPARE_2 = `${DIR}/0000000000000002.tomb.tmp`;
const SPARE_3 = `${DIR}/0000000000000003.tomb.tmp`;

const SAID = {
  round: 1,
  nextId: 1_000_000,
  accountedBelow: 1_000_000,
  dataSegmentId: 1,
  dataOffset: 0,
  sealedBelow: 0,
  segmentIdMax: 1,
  liveRecords: 0,
  hasIntake: false,
  timestamp: 1,
};

async function newDisk(): Promise<SimDisk> {
  const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  await disk.vfs.makeDir(DIR);
  await disk.vfs.syncDir('/');
  return disk;
}

function source(disk: SimDisk, generation: number, more: Partial<GenerationSource> = {}): GenerationSource {
  return { vfs: disk.vfs, dir: DIR, storeUuid: Buffer.alloc(16, 7), generation, salt: 5, nowMs: 1, ...more };
}

function makeLog(disk: SimDisk, generation = 1, more: Partial<GenerationSource> = {}): Promise<TombstoneLog> {
  return TombstoneLog.create(source(disk, generation, more), SAID, [], () => Promise.resolve());
}

function sizeOf(disk: SimDisk, path: string): number | undefined {
  return disk.read(path)?.length;
}

async function namesIn(disk: SimDisk): Promise<string[]> {
  return (await disk.vfs.list(DIR)).map(({ name }) => name).sort();
}

async function remove(log: TombstoneLog, round: number, ranges: readonly IdRange[] = []): Promise<void> {
  await log.append({ ...SAID, kind: KIND_REMOVALS, round }, ranges);
}

describe('P7: a spare file', () => {
  it('is made of zeros, durably, in the place of one that is there', async () => {
    const disk = await newDisk();
    disk.place(SPARE_2, Buffer.alloc(50, 1));
    const spare = await makeSpare(disk.vfs, DIR, 2, 2 * 1024 * KIB + 5);
    expect(spare).toEqual({ path: SPARE_2, bytes: 2 * 1024 * KIB + 5 });
    await disk.vfs.syncDir(DIR);
    const after = disk.crash(disk.nothingSurvives());
    expect(sizeOf(after, SPARE_2)).toBe(spare.bytes);
    expect(after.read(SPARE_2)?.every((byte) => byte === 0)).toBe(true);
  });

  it('is not there where there is no space for it', async () => {
    const disk = await newDisk();
    disk.limits.capacityBytes = disk.usedBytes + 4 * KIB;
    await expect(makeSpare(disk.vfs, DIR, 2, 8 * KIB)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await namesIn(disk)).toEqual([]);
    disk.fault({ on: 'remove', path: '.tomb' });
    await expect(makeSpare(disk.vfs, DIR, 2, 1 * KIB)).rejects.toMatchObject({ code: 'EIO' });
  });

  it('is lengthened, and never shortened', async () => {
    const disk = await newDisk();
    const spare = await makeSpare(disk.vfs, DIR, 2, 4 * KIB);
    for (const bytes of [0, 4 * KIB]) expect(await lengthenSpare(disk.vfs, spare, bytes)).toBe(spare);
    expect(await lengthenSpare(disk.vfs, spare, 4 * KIB + 1)).toEqual({ path: SPARE_2, bytes: 4 * KIB + 1 });
    await disk.vfs.syncDir(DIR);
    expect(sizeOf(disk.crash(disk.nothingSurvives()), SPARE_2)).toBe(4 * KIB + 1);
    disk.limits.capacityBytes = disk.usedBytes;
    await expect(lengthenSpare(disk.vfs, spare, 64 * KIB)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(sizeOf(disk, SPARE_2)).toBeGreaterThanOrEqual(4 * KIB);
  });

  it('that a crash has left is filled as far as there is space, and cut there', async () => {
    const disk = await newDisk();
    disk.place(SPARE_2, Buffer.alloc(64 * KIB, 1));
    expect(await fillSpare(disk.vfs, { path: SPARE_2, bytes: 64 * KIB })).toEqual({ path: SPARE_2, bytes: 64 * KIB });
    expect(disk.read(SPARE_2)?.every((byte) => byte === 0)).toBe(true);
    // Of the file half is there.
    const file = await disk.vfs.open(SPARE_2, 'write');
    await file.truncate(30 * KIB);
    disk.limits.capacityBytes = disk.usedBytes + 3 * KIB;
    await file.close();
    const filled = await fillSpare(disk.vfs, { path: SPARE_2, bytes: 64 * KIB });
    expect(filled.bytes).toBeLessThanOrEqual(33 * KIB);
    expect(filled.bytes).toBeGreaterThan(24 * KIB);
    expect(filled.bytes % (4 * KIB)).toBe(0);
    expect(sizeOf(disk, SPARE_2)).toBe(filled.bytes);
    const [broken] = [disk.fault({ on: 'write', path: '.tomb' })];
    await expect(fillSpare(disk.vfs, filled)).rejects.toMatchObject({ code: 'EIO' });
    broken();
  });

  it('is filled between its ends alone', async () => {
    const disk = await newDisk();
    const path = `${DIR}/any`;
    const size = 3 * 1024 * KIB + 100;
    disk.place(path, Buffer.alloc(size, 1));
    const file = await disk.vfs.open(path, 'write');
    await fillZeros(file, 10, size - 10);
    await fillZeros(file, 5, 5);
    await fillZeros(file, 5, 4);
    const bytes = disk.read(path) ?? new Uint8Array();
    expect(bytes.length).toBe(size);
    expect([bytes[9], bytes[10], bytes[size - 11], bytes[size - 10]]).toEqual([1, 0, 0, 1]);
    expect(bytes.subarray(10, size - 10).every((byte) => byte === 0)).toBe(true);
    expect(await fillAsFar(file, 0, 10)).toBe(10);
    expect(disk.read(path)?.[9]).toBe(0);
    await file.close();
  });

  it('cannot be filled step by step where a step fails otherwise', async () => {
    const disk = await newDisk();
    disk.place(SPARE_2, Buffer.alloc(64 * KIB, 1));
    disk.fault({ on: 'write', path: '.tomb', error: 'ENOSPC', afterBytes: 0 });
    disk.fault({ on: 'write', path: '.tomb', nth: 3 });
    await expect(fillSpare(disk.vfs, { path: SPARE_2, bytes: 64 * KIB })).rejects.toMatchObject({ code: 'EIO' });
  });

  it('is not held open by whoever had to do with it', async () => {
    const disk = await newDisk();
    const spare = await makeSpare(disk.vfs, DIR, 2, 4 * KIB);
    await lengthenSpare(disk.vfs, spare, 8 * KIB);
    await fillSpare(disk.vfs, { ...spare, bytes: 8 * KIB });
    disk.fault({ on: 'write', path: '.tomb' });
    await expect(makeSpare(disk.vfs, DIR, 3, 4 * KIB)).rejects.toMatchObject({ code: 'EIO' });
    const log = await makeLog(disk);
    await log.close();
    expect(await retireLog(disk.vfs, log.path, 3, 16 * KIB, 4 * KIB)).toEqual({ path: SPARE_3, bytes: 4 * KIB });
    disk.fault({ on: 'sync', path: '.tomb' });
    await expect(makeLog(disk, 4)).rejects.toMatchObject({ code: 'EIO' });
    for (const path of [SPARE_2, SPARE_3]) await disk.vfs.remove(path);
    // What has no name any more takes space for as long as it is open.
    expect([await namesIn(disk), disk.usedBytes]).toEqual([[], 0]);
  });

  it('is the longest of those that are there', async () => {
    const disk = await newDisk();
    disk.place(SPARE_2, Buffer.alloc(10));
    disk.place(SPARE_3, Buffer.alloc(20));
    disk.place(`${DIR}/empty`, Buffer.alloc(0));
    const find = (...paths: string[]): ReturnType<typeof findSpare> => findSpare(disk.vfs, paths);
    expect(await find()).toBeUndefined();
    expect(await find(`${DIR}/none`, `${DIR}/empty`)).toBeUndefined();
    expect(await find(SPARE_2, SPARE_3, `${DIR}/none`)).toEqual({ path: SPARE_3, bytes: 20 });
    expect(await find(SPARE_3, SPARE_2)).toEqual({ path: SPARE_3, bytes: 20 });
  });
});

describe('P7: the space that removals are promised', () => {
  it.each([
    [1, 1, 1],
    [1000, 1, 1000],
    [1000, 7, 50_000],
    [40_000, 3, 40_000],
    [40_000, 100, 2 ** 40],
  ])('is enough for the worst snapshot of %i records in %i segments over %i IDs', (records, segments, ids) => {
    const apart = Math.max(2, Math.floor(ids / records));
    // Of every two neighbours one is removed.
    const ranges = Array.from({ length: Math.ceil(records / 2) }, (_, i) => {
      return { first: 1 + 2 * i * apart, last: 1 + 2 * i * apart };
    });
    let bytes = 0;
    for (let at = 0; at < ranges.length; at += 8192) {
      const said = { ...SAID, kind: KIND_SNAPSHOT };
      bytes += encodeRound(said, ranges.slice(at, at + 8192), 1, bytes, 0).length;
    }
    const reserved = reserveBytesFor({ records, segments, ids });
    expect(reserved).toBeGreaterThanOrEqual(bytes + 4 * KIB);
    // And not very much more.
    expect(reserved).toBeLessThan(4 * bytes + 16 * KIB + 100 * segments);
  });

  it('counts a frame more for each 8192 ranges', () => {
    for (const [records, parts] of [
      [2, 2],
      [16_384, 2],
      [16_386, 3],
    ] as const) {
      const removable = { records, segments: 0, ids: records };
      const ranges = Math.ceil(records * snapshotBytesOfRecord(removable));
      expect(reserveBytesFor(removable)).toBe(ranges + parts * roundBytesMax(1) + 4 * KIB);
    }
  });

  it('is two varints for each second record, which grow with the gaps', () => {
    expect(snapshotBytesOfRecord({ records: 0, segments: 0, ids: 0 })).toBeCloseTo(2 + 2 / 7);
    expect(snapshotBytesOfRecord({ records: 100, segments: 1, ids: 6400 })).toBeCloseTo(2 + 1 / 7 + 1);
    expect(snapshotBytesOfRecord({ records: 1, segments: 1, ids: Number.MAX_SAFE_INTEGER })).toBeCloseTo(2 + 1 / 7 + 7);
    const nothing = reserveBytesFor({ records: 0, segments: 0, ids: 0 });
    expect(nothing).toBe(roundBytesMax(1) + 4 * KIB);
    expect(reserveBytesFor({ records: 0, segments: 1, ids: 0 })).toBe(nothing + 32 + roundBytesMax(1));
  });
});

describe('P7: what a log keeps', () => {
  it('is as much as the shorter of the log and its spare file has', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    expect(log.reserveBytes).toBe(0);
    await log.reserve(disk.vfs, 40 * KIB);
    expect(log.spare).toEqual({ path: SPARE_2, bytes: 40 * KIB });
    expect(log.reserveBytes).toBe(40 * KIB);
    expect(sizeOf(disk, log.path)).toBe(40 * KIB);
    const after = disk.crash(disk.nothingSurvives());
    expect([sizeOf(after, log.path), sizeOf(after, SPARE_2)]).toEqual([40 * KIB, 40 * KIB]);
    await log.reserve(disk.vfs, 50 * KIB);
    expect([log.reserveBytes, sizeOf(disk, log.path), sizeOf(disk, SPARE_2)]).toEqual([50 * KIB, 50 * KIB, 50 * KIB]);
    // Less is there already.
    const calls = disk.calls.length;
    await log.reserve(disk.vfs, 20 * KIB);
    expect(log.reserveBytes).toBe(50 * KIB);
    expect(disk.calls.length).toBe(calls);
    await log.close();
  });

  it('is given back down to what is asked for, and to the rounds that are there', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    await log.reserve(disk.vfs, 400 * KIB);
    await log.giveBack(disk.vfs, 20 * KIB);
    expect([log.reserveBytes, sizeOf(disk, log.path), sizeOf(disk, SPARE_2)]).toEqual([20 * KIB, 20 * KIB, 20 * KIB]);
    const after = disk.crash(disk.nothingSurvives());
    expect([sizeOf(after, log.path), sizeOf(after, SPARE_2)].every((size) => (size ?? 0) >= 20 * KIB)).toBe(true);
    const calls = disk.calls.length;
    await log.giveBack(disk.vfs, 30 * KIB);
    expect(disk.calls.length).toBe(calls);
    await log.giveBack(disk.vfs, 0);
    expect([log.reserveBytes, sizeOf(disk, log.path)]).toEqual([0, log.bytes]);
    await log.close();
  });

  it('is not made less where there is no space', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    await log.reserve(disk.vfs, 40 * KIB);
    disk.limits.capacityBytes = disk.usedBytes + 4 * KIB;
    await expect(log.reserve(disk.vfs, 90 * KIB)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(log.reserveBytes).toBe(40 * KIB);
    await log.close();
  });

  it('is nothing where somebody has taken the spare file away', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    await log.missSpare(disk.vfs);
    await log.reserve(disk.vfs, 40 * KIB);
    await log.missSpare(disk.vfs);
    expect(log.reserveBytes).toBe(40 * KIB);
    disk.remove(SPARE_2);
    await log.missSpare(disk.vfs);
    expect([log.spare, log.reserveBytes]).toEqual([undefined, 0]);
    await log.close();
  });

  it('is handed on: the next generation is written into the spare file, and the log becomes its spare file', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    await log.reserve(disk.vfs, 40 * KIB);
    disk.limits.capacityBytes = disk.usedBytes;
    const next = await makeLog(disk, 2, { spare: log.spare });
    expect(sizeOf(disk, next.path)).toBe(40 * KIB);
    await log.close();
    await log.succeededBy(disk.vfs, next, 32 * KIB);
    expect(next.spare).toEqual({ path: SPARE_3, bytes: 32 * KIB });
    expect(sizeOf(disk, SPARE_3)).toBe(32 * KIB);
    expect(next.reserveBytes).toBe(32 * KIB);
    expect(await namesIn(disk)).toEqual(['0000000000000002.tomb', '0000000000000003.tomb.tmp']);
    await next.close();
  });

  it('of a log that is no longer than it may be is handed on as it is', async () => {
    const disk = await newDisk();
    disk.place(`${DIR}/old.tomb`, Buffer.alloc(9 * KIB));
    expect(await retireLog(disk.vfs, `${DIR}/old.tomb`, 3, 9 * KIB, 9 * KIB)).toEqual({
      path: SPARE_3,
      bytes: 9 * KIB,
    });
    expect(disk.calls.some(({ name }) => name === 'truncate')).toBe(false);
    disk.fault({ on: 'truncate' });
    expect(await retireLog(disk.vfs, SPARE_3, 2, 9 * KIB, 4 * KIB)).toEqual({ path: SPARE_2, bytes: 4 * KIB });
    expect(sizeOf(disk, SPARE_2)).toBe(9 * KIB);
    disk.fault({ on: 'rename' });
    expect(await retireLog(disk.vfs, SPARE_2, 3, 9 * KIB, 4 * KIB)).toBeUndefined();
    expect(await namesIn(disk)).toEqual([]);
  });

  it('goes on being a spare file where a generation cannot be made of it, but for a failed sync', async () => {
    for (const [on, path, left] of [
      ['write', '.tomb', ['0000000000000001.tomb', '0000000000000002.tomb.tmp']],
      ['rename', '.tomb', ['0000000000000001.tomb', '0000000000000002.tomb.tmp']],
      ['sync', '.tomb', ['0000000000000001.tomb']],
    ] as const) {
      const disk = await newDisk();
      const log = await makeLog(disk);
      await log.reserve(disk.vfs, 40 * KIB);
      disk.fault({ on, path });
      await expect(makeLog(disk, 2, { spare: log.spare })).rejects.toMatchObject({ code: 'EIO' });
      expect([on, await namesIn(disk)]).toEqual([on, left]);
      await log.close();
    }
  });

  it('where its name could not be made durable it gets its old name again', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    await log.reserve(disk.vfs, 40 * KIB);
    // The first is of the spare file, in front of the writing.
    disk.fault({ on: 'syncDir', nth: 2 });
    await expect(makeLog(disk, 2, { spare: log.spare })).rejects.toMatchObject({ code: 'EIO' });
    expect(await namesIn(disk)).toEqual(['0000000000000001.tomb', '0000000000000002.tomb.tmp']);
    await log.close();
  });

  it('without a spare file, or where somebody has taken it, a new one is made, whatever lies there', async () => {
    const disk = await newDisk();
    disk.place(SPARE_2, Buffer.alloc(99, 1));
    const made = await makeLog(disk, 2);
    expect(sizeOf(disk, made.path)).toBe(made.bytes + 16 * KIB);
    await made.close();
    const gone = await makeLog(disk, 3, { spare: { path: SPARE_3, bytes: 99 * KIB } });
    expect(sizeOf(disk, gone.path)).toBe(gone.bytes + 16 * KIB);
    await gone.close();
  });

  it('where space is short nothing is filled ahead; holes of a spare file are filled', async () => {
    const disk = await newDisk();
    const bare = await makeLog(disk, 1, { fillAhead: false });
    expect(sizeOf(disk, bare.path)).toBe(bare.bytes);
    await bare.close();
    disk.place(SPARE_2, Buffer.alloc(64 * KIB, 1));
    const spare = { path: SPARE_2, bytes: 64 * KIB };
    const holed = await makeLog(disk, 2, { spare, mayHaveHoles: true, fillAhead: false });
    expect(
      disk
        .read(holed.path)
        ?.subarray(holed.bytes)
        .every((byte) => byte === 0),
    ).toBe(true);
    await holed.close();
    disk.place(SPARE_3, Buffer.alloc(64 * KIB, 1));
    const sound = await makeLog(disk, 3, { spare: { path: SPARE_3, bytes: 64 * KIB }, fillAhead: false });
    expect(
      disk
        .read(sound.path)
        ?.subarray(sound.bytes)
        .every((byte) => byte === 1),
    ).toBe(true);
    expect(sound.bytes).toBe(holed.bytes);
    await sound.close();
  });
});

describe('P2: a log that is appended to', () => {
  it('says whether something is not synced, also where syncs overtake each other', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    expect(log.isUnsynced).toBe(false);
    await remove(log, 2);
    expect(log.isUnsynced).toBe(true);
    const first = log.sync();
    await remove(log, 3);
    await first;
    expect(log.isUnsynced).toBe(true);
    await log.sync();
    expect(log.isUnsynced).toBe(false);
    await log.wipeAppended();
    expect(log.isUnsynced).toBe(true);
    log.syncBlocking();
    expect(log.isUnsynced).toBe(false);
    await log.close();
  });

  it('promises of itself in each round what was synced when that was written', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    const promised = async (): Promise<number> => {
      const file = await disk.vfs.open(log.path, 'read');
      const scan = await scanTombstones(file, log.path, await file.size(), Buffer.alloc(16, 7), () => undefined);
      await file.close();
      return scan.kind === 'ok' ? scan.state.promisedOffset : -1;
    };
    const made = log.bytes;
    await remove(log, 2);
    expect(await promised()).toBe(made);
    const second = log.bytes;
    await log.sync();
    await remove(log, 3);
    expect(await promised()).toBe(second);
    const third = log.bytes;
    log.syncBlocking();
    await remove(log, 4);
    await remove(log, 5);
    expect(await promised()).toBe(third);
    await log.close();
  });

  it('writes by the way that it is told, and without one through the pool', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    const before = log.bytes;
    let asked = 0;
    await log.append({ ...SAID, kind: KIND_REMOVALS, round: 2 }, [], async (bytes, blocking) => {
      asked = bytes;
      blocking();
    });
    expect(asked).toBe(log.bytes - before);
    expect(disk.calls.filter(({ name }) => name === 'writeBlocking')).toHaveLength(1);
    await remove(log, 3);
    expect(disk.calls.filter(({ name }) => name === 'writeBlocking')).toHaveLength(1);
    await log.close();
  });

  it('wipes what was attempted of a round, and no more; where there are holes the log ends there', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    const fileBytes = sizeOf(disk, log.path) ?? 0;
    disk.fault({ on: 'write', path: '.tomb', afterBytes: 40 });
    await expect(remove(log, 2, [{ first: 1, last: 1 }])).rejects.toMatchObject({ code: 'EIO' });
    const writes = disk.calls.length;
    await log.wipeAppended();
    expect(
      disk
        .read(log.path)
        ?.subarray(log.bytes)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(sizeOf(disk, log.path)).toBe(fileBytes);
    const wiped = disk.calls.slice(writes).flatMap(({ name, detail }) => (name === 'write' ? [detail] : []));
    // A round of one removal, twice: header, what it says, and two varints.
    expect(wiped).toEqual([`${log.bytes}+${2 * (48 + 48 + 2)}`]);
    disk.fault({ on: 'write', path: '.tomb', error: 'ENOSPC', times: 2, afterBytes: 0 });
    await expect(remove(log, 2, [{ first: 1, last: 1 }])).rejects.toMatchObject({ code: 'ENOSPC' });
    await log.wipeAppended();
    expect(sizeOf(disk, log.path)).toBe(log.bytes);
    await log.close();
  });

  it('lets others have their turn while it encodes many ranges', async () => {
    const disk = await newDisk();
    const log = await makeLog(disk);
    const many = Array.from({ length: 70_000 }, (_, i) => ({ first: 2 * i + 1, last: 2 * i + 1 }));
    let turns = 0;
    const said = { ...SAID, kind: KIND_REMOVALS, round: 2 };
    const pooled = (_bytes: number, _blocking: () => void, write: () => Promise<void>): Promise<void> => write();
    await log.append(said, many, pooled, async () => void turns++);
    expect(turns).toBe(2);
    await log.append({ ...said, round: 3 }, many);
    await log.close();
  });
});
