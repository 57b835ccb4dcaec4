import { describe, expect, it } from 'vitest';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  HEADER_FLAG_RECYCLED,
  HEADER_FLAG_RELAXED,
} from '../../../src/frame/file-header.js';
import { segmentId } from '../../../src/ids.js';
import { type DraftSegment, SegmentSupply } from '../../../src/segment/segment-supply.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';

const DIR = '/queue';
const UUID = Buffer.alloc(16, 7);

interface Setting {
  readonly disk: SimDisk;
  readonly supply: SegmentSupply;
}

function setting(poolMax: number, options: { capacityBytes?: number } = {}): Setting {
  const disk = new SimDisk({ seed: 1, timing: 'steady', ...options });
  disk.place(`${DIR}/foreign.txt`, Buffer.from('mine'));
  const { vfs, host } = disk;
  let last = 0;
  const allocateId = (): ReturnType<typeof segmentId> => segmentId(++last);
  return { disk, supply: new SegmentSupply({ vfs, host, dir: DIR, storeUuid: UUID, allocateId, poolMax }) };
}

async function names(disk: SimDisk): Promise<string[]> {
  return (await disk.vfs.list(DIR))
    .map(({ name }) => name)
    .filter((name) => name !== 'foreign.txt')
    .sort();
}

function headerAt(disk: SimDisk, path: string): ReturnType<typeof decodeFileHeader> {
  return decodeFileHeader(Buffer.from(disk.read(path) ?? []).subarray(0, FILE_HEADER_BYTES), 'segment');
}

async function published(supply: SegmentSupply, baseId: number): Promise<DraftSegment> {
  const segment = await supply.publish(await supply.draft(baseId, 0, 100, 0));
  await segment.file.close();
  return segment;
}

const idOf = ({ path, id }: DraftSegment): { path: string; id: DraftSegment['id'] } => ({ path, id });

describe('the supply of segments', () => {
  it('P1: a segment is whole and durable before it has its name', async () => {
    const { disk, supply } = setting(0);
    const draft = await supply.draft(41, HEADER_FLAG_RELAXED, 1000, 0);
    expect(await names(disk)).toEqual(['00000000000000000041-0000000000000001.seg.tmp']);
    const segment = await supply.publish(draft);
    expect(await names(disk)).toEqual(['00000000000000000041-0000000000000001.seg']);
    expect(headerAt(disk.crash(disk.nothingSurvives()), segment.path)).toMatchObject({
      kind: 'ok',
      seed: segment.seed,
      header: { fileId: 1, baseId: 41, idHighWater: 1000, flags: HEADER_FLAG_RELAXED, storeUuid: UUID },
    });
    const bytes = Buffer.from('through the name that it has now');
    segment.file.writeAndSyncBlocking([{ source: bytes, length: bytes.length, position: 128 }]);
  });

  it('P1: at no instant does a crash show the final name without its header', async () => {
    const { disk, supply } = setting(1);
    await supply.retire([idOf(await published(supply, 1))]);
    const states: SimDisk[] = [];
    const stop = disk.observe(() => {
      for (const { disk: after } of disk.crashStates({ draws: 5 })) states.push(after);
    });
    const made = [await published(supply, 5), await published(supply, 9)];
    stop();
    expect(states.length).toBeGreaterThan(20);
    let whole = 0;
    for (const after of states) {
      for (const { path } of made) {
        if (after.read(path) === undefined) continue;
        expect(headerAt(after, path)).toMatchObject({ kind: 'ok', damaged: false });
        whole++;
      }
    }
    expect(whole).toBeGreaterThan(0);
  });

  it('a draft that is given up leaves nothing', async () => {
    const { disk, supply } = setting(2);
    await supply.discard(await supply.draft(1, 0, 0, 0));
    expect(await names(disk)).toEqual([]);
  });

  it('a draft that finds no space leaves nothing and goes through as the system error', async () => {
    const { disk, supply } = setting(2);
    disk.limits.capacityBytes = disk.usedBytes + 60;
    await expect(supply.draft(1, 0, 0, 0)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await names(disk)).toEqual([]);
  });

  it('dead files go to the pool as far as it goes, and off the disk beyond', async () => {
    const { disk, supply } = setting(2);
    const dead: DraftSegment[] = [];
    for (let base = 1; base <= 4; base++) dead.push(await published(supply, base));
    await supply.retire(dead.map(idOf));
    expect(supply.poolFiles).toBe(2);
    expect(await names(disk)).toEqual(['0000000000000001.free', '0000000000000002.free']);
    expect(disk.crash(disk.nothingSurvives()).read(`${DIR}/0000000000000001.free`)).toBeDefined();
    for (const { path } of dead) expect(disk.crash(disk.nothingSurvives()).read(path)).toBeUndefined();
  });

  it('P3: a file from the pool gets another identity, so that none of its old frames is valid', async () => {
    const { disk, supply } = setting(1);
    const before = await published(supply, 1);
    await supply.retire([idOf(before)]);
    const size = disk.read(`${DIR}/0000000000000001.free`)?.length;
    const draft = await supply.draft(50, 0, 0, 0);
    expect(draft.formerBytes).toBe(size);
    const after = await supply.publish(draft);
    expect(after.seed).not.toBe(before.seed);
    expect(headerAt(disk, after.path)).toMatchObject({
      kind: 'ok',
      header: { flags: HEADER_FLAG_RECYCLED, fileId: 2, baseId: 50 },
    });
    expect(supply.poolFiles).toBe(0);
    expect(await names(disk)).toEqual(['00000000000000000050-0000000000000002.seg']);
  });

  it('leaves the last files of the pool to those who need them more', async () => {
    const { disk, supply } = setting(1);
    await supply.retire([idOf(await published(supply, 1))]);
    const draft = await supply.draft(50, 0, 0, 1);
    expect(draft.formerBytes).toBe(0);
    expect(supply.poolFiles).toBe(1);
    expect(await names(disk)).toContain('0000000000000001.free');
  });

  it('a pool file that somebody deleted is made anew', async () => {
    const { disk, supply } = setting(1);
    await supply.retire([idOf(await published(supply, 1))]);
    disk.damage({ kind: 'remove', path: `${DIR}/0000000000000001.free` });
    const segment = await published(supply, 9);
    expect(headerAt(disk, segment.path)).toMatchObject({ kind: 'ok', header: { flags: 0 } });
  });

  it('the pool of an earlier run is taken over, and given back on a full disk', async () => {
    const { disk, supply } = setting(2);
    disk.place(`${DIR}/00000000000000aa.free`, Buffer.alloc(5000));
    supply.adopt([`${DIR}/00000000000000aa.free`]);
    expect(supply.poolFiles).toBe(1);
    expect(await supply.drain()).toBe(true);
    expect(await names(disk)).toEqual([]);
    expect(await supply.drain()).toBe(false);
  });

  it('keeps a spare file of the wanted size, once, and none where no pool is wanted', async () => {
    const { disk, supply } = setting(1);
    await Promise.all([supply.ensureSpare(3_000_000), supply.ensureSpare(3_000_000)]);
    await supply.ensureSpare(3_000_000);
    const [spare] = await names(disk);
    expect(await names(disk)).toHaveLength(1);
    expect(disk.read(`${DIR}/${spare}`)?.length).toBe(3_000_000);
    expect(supply.poolFiles).toBe(1);
    const none = setting(0);
    await none.supply.ensureSpare(1000);
    expect(await names(none.disk)).toEqual([]);
    // It grows with what is asked for, and never shrinks.
    await supply.ensureSpare(3_500_000);
    await supply.ensureSpare(200);
    expect(disk.read(`${DIR}/${spare}`)?.length).toBe(3_500_000);
    expect(await names(disk)).toHaveLength(1);
    const full = setting(1);
    full.disk.limits.capacityBytes = full.disk.usedBytes + 1000;
    await full.supply.ensureSpare(100_000);
    expect(await names(full.disk)).toEqual([]);
    expect(full.supply.poolFiles).toBe(0);
  });

  it('a spare file that grows is not handed out, counts as part of the pool, and is there again where there is no space', async () => {
    const { disk, supply } = setting(1);
    await supply.ensureSpare(100_000);
    const dead = await published(supply, 1);
    expect(dead.formerBytes).toBe(100_000);
    await supply.retire([idOf(dead)]);
    const growing = supply.ensureSpare(2_000_000);
    const [made] = await Promise.all([published(supply, 5), growing]);
    expect(made.formerBytes).toBe(0);
    expect((await names(disk)).filter((name) => name.endsWith('.free'))).toHaveLength(1);
    const more = supply.ensureSpare(3_000_000);
    await Promise.all([supply.retire([idOf(made)]), more]);
    expect((await names(disk)).filter((name) => name.endsWith('.free'))).toHaveLength(1);
    disk.limits.capacityBytes = disk.usedBytes + 1000;
    await supply.ensureSpare(4_000_000);
    expect(supply.poolFiles).toBe(1);
    expect((await supply.draft(9, 0, 0, 0)).formerBytes).toBeGreaterThanOrEqual(3_000_000);
  });

  it('on a full disk gives back what is kept for speed, and leaves the last files to those who need them', async () => {
    const { disk, supply } = setting(3);
    const dead = [await published(supply, 1), await published(supply, 2), await published(supply, 3)];
    await supply.retire(dead.map(idOf));
    expect(await supply.drain(1)).toBe(true);
    expect(await names(disk)).toEqual(['0000000000000001.free']);
    expect(await supply.drain(1)).toBe(false);
  });
});
