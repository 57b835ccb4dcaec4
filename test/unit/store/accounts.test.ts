/** Accounts: every ID below the next one is in a segment, in a range of the tombstone log, or lost. */
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { scanTombstones } from '../../../src/tombstone/tombstone-scan.js';

const STORE = '/a';
const DIR = `${STORE}/queues/wal`;
const PER_SEGMENT = 16;

function newDisk(): SimDisk {
  return new SimDisk({ seed: 7, timing: 'steady', fill: 'zeros' });
}

function open(disk: SimDisk, more: Parameters<typeof Evaq.open>[1] = {}): Promise<Evaq> {
  const ports = { vfs: disk.vfs, host: disk.host };
  return Evaq.open(STORE, { ports, segmentBytes: 65_536, gc: false, ...more });
}

function payloads(): Buffer[] {
  return Array.from({ length: PER_SEGMENT }, () => Buffer.alloc(4096));
}

async function filesOf(disk: SimDisk, ending: string): Promise<string[]> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name);
  return names.filter((name) => name.endsWith(ending)).map((name) => `${DIR}/${name}`);
}

/** Ranges in the newest log of removals. */
async function rangesOf(disk: SimDisk): Promise<[number, number][]> {
  const path = (await filesOf(disk, '.tomb')).at(-1) ?? '';
  const store = Buffer.from(disk.read(`${STORE}/STORE`) ?? []);
  const file = await disk.vfs.open(path, 'read');
  const ranges: [number, number][] = [];
  await scanTombstones(file, path, await file.size(), store.subarray(8, 24), (...range) => ranges.push(range));
  await file.close();
  return ranges;
}

describe('the account of a queue', () => {
  it('P12: a queue that is pushed and drained again and again has one range, whatever became of its segments', async () => {
    const disk = newDisk();
    let ids = 0;
    for (let life = 0; life < 3; life++) {
      const evaq = await open(disk);
      for (let i = 0; i < 10; i++) {
        ids = (await evaq.wal.pushMany(payloads())).lastId;
        await evaq.wal.removeThrough(ids);
        await evaq.wal.compact();
      }
      await evaq.close();
    }
    await (await open(disk)).close();
    expect(await rangesOf(disk)).toEqual([[1, ids]]);
    expect((await verifyStore(STORE, { vfs: disk.vfs })).damage).toEqual([]);
  });

  it('P9: IDs that a power cut in a weaker mode skips are not missed, though records follow them', async () => {
    let disk = newDisk();
    for (let life = 0; life < 3; life++) {
      const evaq = await open(disk, { durability: 'os' });
      await evaq.wal.push('flushed');
      await evaq.wal.flush();
      await evaq.wal.push('lost');
      disk.kill();
      disk = disk.crash(disk.nothingSurvives());
    }
    const evaq = await open(disk);
    expect(evaq.recovery.damage).toEqual([]);
    expect(evaq.wal.size).toBe(3);
    await evaq.close();
    expect((await verifyStore(STORE, { vfs: disk.vfs })).damage).toEqual([]);
    // All that lies between the three.
    expect((await rangesOf(disk)).length).toBeGreaterThan(1);
  });

  it('P15: a record that GC could not read was told, and is not missed by those who come later', async () => {
    const disk = newDisk();
    const evaq = await open(disk);
    await evaq.wal.pushMany(payloads());
    await evaq.wal.pushMany(payloads());
    await evaq.close();
    const [path = ''] = await filesOf(disk, '.seg');
    disk.damage({ kind: 'flip', path, offset: 9000, bit: 1 });
    const { damage } = await verifyStore(STORE, { vfs: disk.vfs });
    expect(damage).toMatchObject([{ firstId: 3, lastId: 3 }]);
    const going = await open(disk, { onCorruption: 'quarantine' });
    await going.wal.removeMany([1, 4, 5, 6, 7, 8, 9, 10, 11]);
    await going.wal.compact();
    expect(going.wal.stats().damage).toMatchObject([{ firstId: 3, lastId: 3 }]);
    disk.kill();
    const killed = disk.crash(disk.nothingSurvives());
    expect((await verifyStore(STORE, { vfs: killed.vfs })).damage).toEqual([]);
    const later = await open(killed);
    expect(later.wal.size).toBe(2 * PER_SEGMENT - 10);
    await later.close();
  });

  it('P9: what a crash left of a round is told by verify and by the open that begins another log', async () => {
    const disk = newDisk();
    const evaq = await open(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    await evaq.wal.remove(1);
    await evaq.wal.remove(2);
    disk.kill();
    const killed = disk.crash(disk.nothingSurvives());
    const [path = ''] = await filesOf(killed, '.tomb');
    const bytes = Buffer.from(killed.read(path) ?? []);
    const commits: number[] = [];
    for (let at = bytes.indexOf('c0e7', 128, 'hex'); at >= 0; at = bytes.indexOf('c0e7', at + 1, 'hex'))
      commits.push(at);
    // The bodies of the last two, which are twins.
    for (const at of commits.slice(-2)) killed.damage({ kind: 'flip', path, offset: at + 50, bit: 0 });
    const [first = 0] = commits.slice(-2);
    const report = await verifyStore(STORE, { vfs: killed.vfs });
    expect(report.damage).toEqual([]);
    expect(report.torn).toMatchObject([{ queue: 'wal', file: path, offset: first }]);
    const again = await open(killed);
    expect(again.recovery.torn).toEqual(report.torn);
    expect(again.wal.size).toBe(2);
    await again.close();
  });

  it('P9: with all segments gone, after a close or a kill, verify names the records', async () => {
    for (const how of ['closed', 'killed']) {
      const disk = newDisk();
      const evaq = await open(disk);
      await evaq.wal.pushMany(['a', 'b', 'c', 'd']);
      await evaq.wal.remove(2);
      if (how === 'closed') await evaq.close();
      disk.kill();
      const left = disk.crash(disk.nothingSurvives());
      for (const path of await filesOf(left, '.seg')) left.remove(path);
      const { damage } = await verifyStore(STORE, { vfs: left.vfs });
      expect(damage.map(({ firstId, lastId, what }) => [firstId, lastId, what])).toEqual([
        [1, 1, 'all segments of the queue are gone'],
        [3, 4, 'all segments of the queue are gone'],
        // Of one that was killed there may have been more.
        ...(how === 'killed'
          ? [[undefined, undefined, 'all segments of the queue are gone: what was lost beside that is not known']]
          : []),
      ]);
    }
  });

  it.each([
    ['removed', (disk: SimDisk, path: string) => disk.remove(path)],
    [
      'cut to its header',
      (disk: SimDisk, path: string) => disk.place(path, (disk.read(path) ?? Buffer.alloc(0)).subarray(0, 128)),
    ],
    [
      'cut to half a header',
      (disk: SimDisk, path: string) => disk.place(path, (disk.read(path) ?? Buffer.alloc(0)).subarray(0, 32)),
    ],
    ['zeroed and cut', (disk: SimDisk, path: string) => disk.place(path, Buffer.alloc(200))],
    [
      'zeroed from its first commit on',
      (disk: SimDisk, path: string) => {
        const bytes = Buffer.from(disk.read(path) ?? []);
        disk.place(path, bytes.fill(0, 128));
      },
    ],
  ] as const)('P8: of a queue that was killed the newest segment is %s: no ID comes again', async (_, harm) => {
    const disk = newDisk();
    const evaq = await open(disk);
    await evaq.wal.pushMany(payloads());
    for (let i = 0; i < 5; i++) await evaq.wal.push('x');
    await evaq.wal.remove(PER_SEGMENT + 1);
    let last = 0;
    for (let i = 0; i < 100; i++) last = await evaq.wal.push('y');
    disk.kill();
    const left = disk.crash(disk.nothingSurvives());
    const paths = await filesOf(left, '.seg');
    const newest = paths.sort().findLast((path) => (left.read(path)?.length ?? 0) > 200) ?? '';
    expect(paths.length).toBeGreaterThan(1);
    harm(left, newest);
    const { damage } = await verifyStore(STORE, { vfs: left.vfs });
    expect(damage.length).toBeGreaterThan(0);
    // What is named is not all.
    expect(damage.at(-1)).toMatchObject({ vague: true, file: DIR });
    const again = await open(left, { onCorruption: 'quarantine' });
    const id = await again.wal.push('new');
    expect(id).toBeGreaterThan(last);
    await again.close();
    const later = await open(left);
    expect(later.recovery.damage).toEqual([]);
    expect(await later.wal.push('newer')).toBe(id + 1);
    await later.close();
  });

  it('P8: a close tells which IDs were given out: where the newest segment goes after it, they go on behind', async () => {
    const disk = newDisk();
    const evaq = await open(disk);
    await evaq.wal.pushMany(payloads());
    const last = await evaq.wal.push('x');
    await evaq.close();
    const newest = (await filesOf(disk, '.seg')).sort().at(-1) ?? '';
    disk.remove(newest);
    const { damage } = await verifyStore(STORE, { vfs: disk.vfs });
    expect(damage.some(({ vague }) => vague === true)).toBe(false);
    const again = await open(disk, { onCorruption: 'quarantine' });
    expect(await again.wal.push('new')).toBe(last + 1);
    await again.close();
  });
});
