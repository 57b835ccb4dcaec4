/** A read beside removals, removals taken back and segments that go: at every instant at which they can come. */
import { describe, expect, it } from 'vitest';
import { readStore } from '../../../src/layout/store-file.js';
import { FileCache } from '../../../src/log/file-cache.js';
import { loadQueue } from '../../../src/log/log-load.js';
import { LogReader, type LogReaderOptions } from '../../../src/log/log-reader.js';
import { PayloadPack } from '../../../src/log/payload-pack.js';
import type { SegmentLog } from '../../../src/log/segment-log.js';
import { ReadOnlyEvaq } from '../../../src/raw.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, rejection, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;

interface Rig {
  readonly disk: SimDisk;
  readonly log: SegmentLog;
  readonly reader: LogReader;
}

/** `records` records of 1000 bytes in segments of 66, closed, and a reader of them. */
async function rigOf(records: number, options: Partial<LogReaderOptions> = {}): Promise<Rig> {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 65_536, gc: false, durability: 'os' });
  for (let i = 0; i < records; i += 66) await evaq.wal.pushMany(Array.from({ length: 66 }, () => Buffer.alloc(1000)));
  await evaq.close();
  return { disk, ...(await readerOf(disk, options)) };
}

async function readerOf(disk: SimDisk, options: Partial<LogReaderOptions> = {}): Promise<Omit<Rig, 'disk'>> {
  const identity = await readStore(disk.vfs, SIM_PATH);
  if (identity === undefined) throw new Error('there is a store');
  const { log } = await loadQueue(disk.vfs, WAL, 'wal', identity.uuid, { indexIntervalBytes: 4096 });
  const reader = new LogReader(log, new FileCache(disk.vfs), {
    queue: 'wal',
    onDamage: 'fail',
    keepsPlace: true,
    noteDamage: () => undefined,
    ...options,
  });
  return { log, reader };
}

/** Runs `action` once, as the `nth` call on a segment of the disk begins. */
function atCall(disk: SimDisk, nth: number, action: () => void): () => void {
  let calls = 0;
  return disk.observe(({ phase, call }) => {
    if (phase === 'call' && 'path' in call && call.path.includes('.seg') && ++calls === nth) action();
  });
}

/** What is live in [from, to] now, as far as `count` records. */
function liveIn(log: SegmentLog, from: number, to: number, count: number): number[] {
  const ids: number[] = [];
  for (let id = log.firstLive(from); id !== undefined && id <= to && ids.length < count; id = log.firstLive(id + 1)) {
    ids.push(id);
  }
  return ids;
}

async function expectPrefix({ log, reader }: Rig, from: number, to: number, maxRecords: number): Promise<void> {
  const { records, coveredTo, more } = await reader.read(from, to, { maxBytes: 1e9, maxRecords });
  const ids = records.map(({ id }) => id);
  expect(ids).toEqual(liveIn(log, from, to, ids.length));
  expect(ids.length > 0 || !more).toBe(true);
  const next = log.firstLive((ids.at(-1) ?? from - 1) + 1);
  const rest = next !== undefined && next <= to;
  expect({ coveredTo, more }).toEqual({ coveredTo: rest ? next - 1 : to, more: rest });
}

describe('reading beside removals', () => {
  it('P3: a read of which everything is removed while it is under way goes on to what is live', async () => {
    for (let nth = 1; nth <= 12; nth++) {
      const rig = await rigOf(660);
      const stop = atCall(rig.disk, nth, () => rig.log.killRange(1, 600));
      await expectPrefix(rig, 1, 10_000, 100);
      stop();
    }
  });

  it('P3: a record that comes back to life behind the walk is not passed over', async () => {
    for (let nth = 1; nth <= 12; nth++) {
      const rig = await rigOf(660);
      rig.log.kill(1);
      rig.log.kill(70);
      const stop = atCall(rig.disk, nth, () => {
        rig.log.revive(1);
        rig.log.revive(70);
      });
      await expectPrefix(rig, 1, 10_000, 300);
      stop();
    }
  });

  it('P3: segments that are dropped under a read, and others removed, leave no gap in it', async () => {
    for (let nth = 1; nth <= 12; nth++) {
      const rig = await rigOf(660);
      const stop = atCall(rig.disk, nth, () => {
        rig.log.killRange(1, 132);
        rig.log.drop(rig.log.segments.slice(0, 2));
        rig.log.killRange(140, 199);
      });
      await expectPrefix(rig, 1, 10_000, 150);
      await expectPrefix(rig, 1, 300, 1000);
      stop();
    }
  });

  it('says that there is no more only where the range holds nothing live behind', async () => {
    const rig = await rigOf(198);
    rig.log.killRange(50, 198);
    await expectPrefix(rig, 1, 49, 49);
    await expectPrefix(rig, 1, 1000, 49);
    await expectPrefix(rig, 1, 1000, 48);
    await expectPrefix(rig, 50, 1000, 48);
    await expectPrefix(rig, 1, 10, 48);
  });

  it('whoever removes each record as soon as it is read does not keep a read from its end', async () => {
    for (let turns = 0; turns < 16; turns++) {
      const rig = await rigOf(660, { keepsPlace: false });
      let reads = 0;
      const stop = rig.disk.observe(({ phase, call }) => {
        if (phase !== 'ack' || call.name !== 'read') return;
        reads++;
        void after(turns, () => rig.log.kill(rig.log.firstLive(1) ?? 0));
      });
      const { records } = await rig.reader.read(1, 10_000, { maxBytes: 1e9, maxRecords: 1 });
      stop();
      expect(records).toHaveLength(1);
      expect(reads).toBeLessThan(10);
    }
  });

  it('P3: what is packed is what is live when the search resolves, whenever it was removed', async () => {
    for (let nth = 1; nth <= 12; nth++) {
      const rig = await rigOf(660);
      const stop = atCall(rig.disk, nth, () => rig.log.killRange(100, 300));
      const pack = new PayloadPack(Buffer.from('\n'));
      const { lastId, records } = await rig.reader.search(1, 10_000, { maxBytes: 1e9, maxRecords: 1000 }, { pack });
      stop();
      const live = liveIn(rig.log, 1, lastId ?? 0, 1000);
      expect({ count: pack.count, lastId: pack.lastId, records }).toEqual({ count: live.length, lastId, records: [] });
      expect(pack.bytes.length).toBe(1001 * live.length);
      // The rest is for another call.
      expect(pack.bytes.length).toBeLessThan(600_000);
      expect(lastId).toBeGreaterThan(500);
    }
  });

  it('P9: a live record that the file does not hold is damage, and not the end', async () => {
    for (const onDamage of ['fail', 'skip'] as const) {
      const noted: number[] = [];
      const rig = await rigOf(198, { onDamage, noteDamage: ({ firstId, lastId }) => noted.push(firstId, lastId) });
      // As if a footer spoke of more than there is.
      const [, segment] = rig.log.segments;
      if (segment === undefined) throw new Error('there are three segments');
      segment.end = 128 + 48;
      if (onDamage === 'skip') {
        const { records, more } = await rig.reader.read(60, 1000, { maxBytes: 1e9, maxRecords: 1000 });
        expect(records.map(({ id }) => id)).toEqual([...ids(60, 66)]);
        expect(more).toBe(true);
        const rest = await rig.reader.read(67, 1000, { maxBytes: 1e9, maxRecords: 1000 });
        expect(rest.records.map(({ id }) => id)).toEqual([...ids(133, 198)]);
        expect(rest.more).toBe(false);
      } else {
        expect((await rig.reader.read(1, 1000, { maxBytes: 1e9, maxRecords: 1000 })).records).toHaveLength(66);
        const { details } = await rejection(
          rig.reader.read(67, 1000, { maxBytes: 1e9, maxRecords: 1000 }),
          'EVAQ_CORRUPT',
        );
        expect(details).toMatchObject({ id: 67, path: segment.path });
      }
      expect(noted).toContain(67);
    }
  });
});

/** When so many promises have settled, one behind the other. */
async function after(turns: number, action: () => void): Promise<void> {
  for (let i = 0; i < turns; i++) await Promise.resolve();
  action();
}

function ids(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

describe('many reads asked for at once', () => {
  it('a bounded number runs at a time, in the order in which they were asked for, and all are answered', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: 5000 }, (_, i) => `record ${i + 1}`));
    let underWay = 0;
    let most = 0;
    const stop = disk.observe(({ phase, call }) => {
      if (call.name !== 'read') return;
      if (phase === 'call') most = Math.max(most, ++underWay);
      if (phase === 'ack') underWay--;
    });
    const answered: number[] = [];
    const gets = ids(1, 5000).map(async (id) => {
      const record = await evaq.wal.get(id);
      answered.push(id);
      return record?.payload.toString();
    });
    const reading = evaq.wal.read({ from: 4999 });
    expect(await Promise.all(gets)).toEqual(ids(1, 5000).map((id) => `record ${id}`));
    expect((await reading).map(({ id }) => id)).toEqual([4999, 5000]);
    stop();
    expect(most).toBeLessThanOrEqual(64);
    // Some take two reads of the disk: nobody is further from his place than a few rounds of turns.
    for (const [place, id] of answered.entries()) expect(Math.abs(id - place)).toBeLessThan(4 * 64);
    await evaq.close();
  });
});

describe('the whole queue', () => {
  it('P3: a read beside a removal of all that it takes is not empty, at whatever moment that comes', async () => {
    for (let turns = 0; turns < 60; turns++) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await evaq.wal.pushMany(Array.from({ length: 1000 }, (_, i) => `record ${i}`));
      await evaq.wal.read({ maxRecords: 10 });
      const reading = evaq.wal.read({ from: 11, maxRecords: 10 });
      for (let i = 0; i < turns; i++) await Promise.resolve();
      const removing = evaq.wal.removeThrough(20);
      const first = (await reading)[0]?.id;
      expect([11, 21]).toContain(first);
      await removing;
    }
  });

  it('P3: a reader beside a writer that removes what it reads yields all that stays live', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 65_536, gc: false });
    for (let i = 0; i < 20; i++) await evaq.wal.pushMany(Array.from({ length: 66 }, () => Buffer.alloc(1000)));
    await using reader = await ReadOnlyEvaq.open(SIM_PATH, { ports: { vfs: disk.vfs, host: disk.host } });
    const seen = new Set<number>();
    for await (const { id } of reader.wal.records()) {
      if (id === 1) await evaq.wal.removeThrough(1200);
      seen.add(id);
    }
    for (let id = 1201; id <= 1320; id++) expect(seen).toContain(id);
  });
});
