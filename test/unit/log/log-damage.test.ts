import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqError, Queue } from '../../../src/evaq.js';
import { RawSegment } from '../../../src/raw.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { idsOf, newDisk, openSim, rejection, SIM_PATH } from '../store/store-fixture.js';

const OPTIONS = { segmentBytes: 64 * 1024, gc: false } as const;
const WAL = `${SIM_PATH}/queues/wal`;
const RECORDS = 400;
const HEADER = 48;
const FRAME = 508;

function textOf(id: number): string {
  return `${id}:`.padEnd(500, 'abcdefgh');
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function without(ids: readonly number[], gone: readonly number[]): number[] {
  return ids.filter((id) => !gone.includes(id));
}

/** Records 1 to 400 in commits of 10, in four segments, the last of them active. */
async function fill(disk: SimDisk, options: { onCorruption?: 'fail' | 'quarantine' } = {}): Promise<Evaq> {
  const evaq = await openSim(disk, { ...OPTIONS, ...options });
  for (let id = 1; id <= RECORDS; id += 10) await evaq.wal.pushMany(range(id, id + 9).map(textOf));
  await evaq.wal.flush();
  return evaq;
}

async function segmentsOf(disk: SimDisk): Promise<string[]> {
  const names = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  return names.sort().map((name) => `${WAL}/${name}`);
}

async function quarantineOf(disk: SimDisk): Promise<string[]> {
  if ((await disk.vfs.stat(`${WAL}/quarantine`)) === undefined) return [];
  return (await disk.vfs.list(`${WAL}/quarantine`)).map(({ name }) => name);
}

/** Where the commit with this first ID begins. */
async function commitOf(disk: SimDisk, path: string, firstId: number): Promise<number> {
  await using segment = await RawSegment.open(path, { vfs: disk.vfs });
  for await (const commit of segment.commits()) {
    if (commit.kind === 'records' && commit.firstId === firstId) return commit.offset;
  }
  throw new Error(`${path} has no commit of record ${firstId}`);
}

async function firstIdOf(disk: SimDisk, path: string): Promise<number> {
  await using segment = await RawSegment.open(path, { vfs: disk.vfs });
  for await (const commit of segment.commits()) if (commit.kind === 'records') return commit.firstId;
  throw new Error(`${path} holds no record`);
}

interface Sight {
  readonly ids: number[];
  readonly errors: EvaqError[];
}

/** Reads everything, going on behind each damage as the error says. */
async function readAround(queue: Queue, maxRecords: number): Promise<Sight> {
  const sight: Sight = { ids: [], errors: [] };
  for (let from = 1; from <= RECORDS; ) {
    try {
      const records = await queue.read({ from, maxRecords });
      const last = records.at(-1);
      if (last === undefined) break;
      for (const { id, payload } of records) {
        expect(payload.toString()).toBe(textOf(id));
        sight.ids.push(id);
      }
      from = last.id + 1;
    } catch (error) {
      const corrupt = await rejection(Promise.reject(error), 'EVAQ_CORRUPT');
      sight.errors.push(corrupt);
      expect(corrupt.details.lastId).toBeGreaterThanOrEqual(from);
      from = (corrupt.details.lastId ?? Infinity) + 1;
    }
  }
  return sight;
}

interface Case {
  readonly what: string;
  readonly at: number;
  readonly bytes: number;
  readonly gone: readonly number[];
  /** Without the index of a footer. */
  readonly unsealed?: readonly number[];
}

/** In the commit of records 21 to 30. */
const CASES: readonly Case[] = [
  { what: 'the payload of a record', at: HEADER + FRAME + 100, bytes: 3, gone: [22] },
  { what: 'the header of a commit', at: 20, bytes: 3, gone: [], unsealed: range(21, 30) },
  { what: 'the first record, with its length', at: HEADER, bytes: 4, gone: [21] },
  { what: 'the length of a record in the middle', at: HEADER + 4 * FRAME, bytes: 4, gone: [25] },
  {
    what: 'two commits and the border between them',
    at: HEADER + 8 * FRAME,
    bytes: 2 * FRAME + 70,
    gone: [29, 30, 31],
    unsealed: range(29, 40),
  },
];

describe.each(CASES)('P9: $what, damaged in a sealed segment', ({ at, bytes, gone, unsealed = gone }) => {
  const health = gone.length > 0 ? 'damaged' : 'ok';
  async function damaged(onCorruption: 'fail' | 'quarantine'): Promise<{ disk: SimDisk; evaq: Evaq }> {
    const disk = newDisk();
    await (await fill(disk)).close();
    const [path = ''] = await segmentsOf(disk);
    const offset = (await commitOf(disk, path, 21)) + at;
    disk.damage({ kind: 'noise', path, offset, length: bytes });
    return { disk, evaq: await openSim(disk, { ...OPTIONS, onCorruption }) };
  }

  it.each([1, 7, 1000])(
    "'fail': reading %i at a time rejects there, names the IDs, and goes on behind them",
    async (n) => {
      const { disk, evaq } = await damaged('fail');
      const { ids, errors } = await readAround(evaq.wal, n);
      expect(ids).toEqual(without(range(1, RECORDS), gone));
      const named = errors.flatMap(({ details: { id = 0, lastId = 0 } }) => range(id, lastId));
      for (const id of gone) expect(named).toContain(id);
      expect(without(named, gone)).toEqual([]);
      const [lost] = gone;
      if (lost !== undefined) {
        expect(errors[0]?.details).toMatchObject({ queue: 'wal', path: (await segmentsOf(disk))[0] });
        await rejection(evaq.wal.get(lost), 'EVAQ_CORRUPT');
      }
      for (const id of [20, 41]) expect((await evaq.wal.get(id))?.payload.toString()).toBe(textOf(id));
      await evaq.close();
    },
  );

  it("'quarantine': reading passes over it, and reports it", async () => {
    const { evaq } = await damaged('quarantine');
    expect(evaq.wal.stats().health).toBe('ok');
    expect(await idsOf(evaq.wal)).toEqual(without(range(1, RECORDS), gone));
    const { damage } = evaq.wal.stats();
    expect(evaq.wal.stats().health).toBe(health);
    const named = damage.flatMap(({ firstId = 0, lastId = 0 }) => range(firstId, lastId));
    expect(without(gone, named)).toEqual([]);
    // Reported once, however often it is met.
    await idsOf(evaq.wal);
    expect(evaq.wal.stats().damage).toEqual(damage);
    await evaq.close();
  });

  it('GC that meets it keeps the file aside, reports it, and goes on with the rest', async () => {
    const { disk, evaq } = await damaged('fail');
    const [path = ''] = await segmentsOf(disk);
    const kept = [20, ...range(21, 40), 130, 250];
    await evaq.wal.removeMany(without(range(1, RECORDS), kept));
    await evaq.wal.compact();
    expect(await quarantineOf(disk)).toEqual([path.slice(WAL.length + 1)]);
    expect((await segmentsOf(disk)).includes(path)).toBe(false);
    expect(evaq.wal.stats()).toMatchObject({ health, live: kept.length - gone.length });
    const named = evaq.wal.stats().damage.flatMap(({ firstId = 0, lastId = 0 }) => range(firstId, lastId));
    expect(without(gone, named)).toEqual([]);
    expect(await idsOf(evaq.wal)).toEqual(without(kept, gone));
    await evaq.close();
    const again = await openSim(disk, OPTIONS);
    expect(again.recovery).toMatchObject({ clean: true, damage: [] });
    expect(await idsOf(again.wal)).toEqual(without(kept, gone));
    await again.close();
  });

  it('GC that finds nothing else alive there ends, and keeps the file aside', async () => {
    if (gone.length === 0) return;
    const { disk, evaq } = await damaged('fail');
    await evaq.wal.removeMany(without(range(1, RECORDS), gone));
    await evaq.wal.compact();
    expect(await quarantineOf(disk)).toHaveLength(1);
    expect(evaq.wal.stats()).toMatchObject({ health: 'damaged', live: 0 });
    expect(await idsOf(evaq.wal)).toEqual([]);
    await evaq.close();
    const again = await openSim(disk, OPTIONS);
    expect(again.recovery.damage).toEqual([]);
    expect(await again.wal.push('next')).toBe(RECORDS + 1);
    await again.close();
  });

  it('below the durable part of a log that was not closed it refuses the open, or is set aside', async () => {
    const first = newDisk();
    await fill(first);
    first.kill();
    const disk = first.crash(first.nothingSurvives());
    const path = (await segmentsOf(disk))[0] ?? '';
    const offset = (await commitOf(disk, path, 21)) + at;
    // Without its footer the segment is read from end to end.
    const { size = 0 } = (await disk.vfs.stat(path)) ?? {};
    disk.damage({ kind: 'noise', path, offset: size - 60, length: 50 });
    disk.damage({ kind: 'noise', path, offset, length: bytes });
    const before = disk.tree();
    const error = await rejection(openSim(disk, OPTIONS), 'EVAQ_CORRUPT');
    expect(error.details).toMatchObject({ path, queue: 'wal' });
    expect(disk.tree().replace(/.*LOCK.*\n/, '')).toBe(before.replace(/.*LOCK.*\n/, ''));
    const evaq = await openSim(disk, { ...OPTIONS, onCorruption: 'quarantine' });
    expect(evaq.recovery.damage.some((one) => one.file === path)).toBe(true);
    expect(await idsOf(evaq.wal)).toEqual(without(range(1, RECORDS), unsealed));
    await evaq.close();
  });
});

describe('a segment file that is taken away or cut while the store is open', () => {
  it('gone before it was read: an error that names it, and the others can be read', async () => {
    const disk = newDisk();
    await (await fill(disk)).close();
    const evaq = await openSim(disk, OPTIONS);
    const [first = '', second = ''] = await segmentsOf(disk);
    disk.damage({ kind: 'remove', path: second });
    const error = await rejection(evaq.wal.get(150), 'EVAQ_IO', { queue: 'wal', path: second, id: 150 });
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
    expect((await evaq.wal.get(1))?.payload.toString()).toBe(textOf(1));
    expect((await evaq.wal.get(RECORDS))?.payload.toString()).toBe(textOf(RECORDS));
    expect(first).not.toBe(second);
    expect(await evaq.wal.push('more')).toBe(RECORDS + 1);
    await evaq.close();
  });

  it.each(['fail', 'quarantine'] as const)(
    "cut in the middle, '%s': what stood before the cut is read, the rest is damage",
    async (onCorruption) => {
      const disk = newDisk();
      await (await fill(disk)).close();
      const evaq = await openSim(disk, { ...OPTIONS, onCorruption });
      const [path = '', second = ''] = await segmentsOf(disk);
      const offset = await commitOf(disk, path, 61);
      const next = await firstIdOf(disk, second);
      expect((await evaq.wal.get(100))?.id).toBe(100);
      disk.damage({ kind: 'truncate', path, size: offset + HEADER + 3 * FRAME + 5 });
      const gone = range(64, next - 1);
      if (onCorruption === 'fail') {
        const { ids, errors } = await readAround(evaq.wal, 1000);
        expect(ids).toEqual(without(range(1, RECORDS), gone));
        expect(errors[0]?.details).toMatchObject({ path, id: 64 });
      } else {
        expect(await idsOf(evaq.wal)).toEqual(without(range(1, RECORDS), gone));
        expect(evaq.wal.stats().damage[0]).toMatchObject({ file: path, firstId: 64 });
      }
      await evaq.close();
    },
  );
});

describe('a tombstone log that holds its snapshot alone', () => {
  it('P2: one bad bit in one of the two copies costs nothing, and the store opens', async () => {
    for (const offset of [140, 236]) {
      const disk = newDisk();
      const evaq = await openSim(disk, OPTIONS);
      await evaq.wal.push('one');
      disk.kill();
      const [log = ''] = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.endsWith('.tomb'));
      disk.damage({ kind: 'flip', path: `${WAL}/${log}`, offset });
      const after = await openSim(disk, OPTIONS);
      expect(after.recovery.damage.map(({ lossless }) => lossless)).toEqual([true]);
      expect(await idsOf(after.wal)).toEqual([1]);
      await after.close();
    }
  });
});
