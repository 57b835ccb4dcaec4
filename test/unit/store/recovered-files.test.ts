/** P5: what an open behind a kill leaves in the folder of a queue: torn ends cut, footers written, and nothing that no open needs any more. */
import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import { decodeFileHeader, fileSeed } from '../../../src/frame/file-header.js';
import { readFooter } from '../../../src/segment/segment-footer.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { idsOf, newDisk, openSim, SIM_PATH } from './store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;
const OPTIONS: EvaqOptions = { segmentBytes: 64 * 1024, gc: false, recycleSegments: 0 };
const RECORDS = 75;

async function namesOf(disk: SimDisk): Promise<string[]> {
  return (await disk.vfs.list(WAL)).filter(({ kind }) => kind === 'file').map(({ name }) => name);
}

async function segmentsOf(disk: SimDisk): Promise<string[]> {
  return (await namesOf(disk)).filter((name) => name.endsWith('.seg')).sort();
}

/** The last record that the footer of a segment tells of; undefined where it has none. */
async function sealedLast(disk: SimDisk, name: string): Promise<number | undefined> {
  const file = await disk.vfs.open(`${WAL}/${name}`, 'read');
  const head = Buffer.alloc(4096);
  await file.readAt(head, 0, head.length, 0);
  const decoding = decodeFileHeader(head.subarray(0, 128), 'segment');
  if (decoding.kind !== 'ok') throw new Error('no header');
  const footer = await readFooter(file, await file.size(), fileSeed(decoding.header));
  await file.close();
  return footer?.summary.lastId;
}

async function killedStore(): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, OPTIONS);
  for (let i = 0; i < RECORDS; i++) void evaq.pushWal(Buffer.alloc(2000, i));
  await evaq.wal.flush();
  disk.kill();
  return disk;
}

describe('P5: behind a kill', () => {
  it('every segment with records gets a footer, and files are as long as they say', async () => {
    const disk = await killedStore();
    const before = await segmentsOf(disk);
    const evaq = await openSim(disk, OPTIONS);
    expect(evaq.recovery.clean).toBe(false);
    const lasts = await Promise.all(before.map((name) => sealedLast(disk, name)));
    expect(lasts.at(-1) ?? lasts.at(-2)).toBe(RECORDS);
    expect(lasts.filter((last) => last === undefined).length).toBeLessThanOrEqual(1);
    const bytes = (await segmentsOf(disk)).map((name) => disk.read(`${WAL}/${name}`)?.length ?? 0);
    const { bytes: told } = evaq.wal.stats();
    expect(told).toBeGreaterThanOrEqual(RECORDS * 2000);
    expect(told).toBeLessThanOrEqual(bytes.reduce((sum, one) => sum + one, 0) + 256 * 1024);
    await evaq.close();
  });

  it('opens one after the other leave no more files than the first', async () => {
    const disk = await killedStore();
    let names: string[] | undefined;
    for (let i = 0; i < 4; i++) {
      await openSim(disk, OPTIONS);
      const now = await namesOf(disk);
      if (names !== undefined) expect(now.length).toBe(names.length);
      names = now;
      disk.kill();
    }
    const evaq: Evaq = await openSim(disk, OPTIONS);
    expect(await idsOf(evaq.wal)).toEqual(Array.from({ length: RECORDS }, (_, i) => i + 1));
    await evaq.close();
  });

  it('files that were never finished are gone', async () => {
    const disk = await killedStore();
    const [log = ''] = (await namesOf(disk)).filter((name) => name.endsWith('.tomb'));
    const generation = Number.parseInt(log, 10);
    const unfinished = `${String(generation + 5).padStart(log.indexOf('.'), '0')}.tomb.tmp`;
    disk.place(`${WAL}/${unfinished}`, Buffer.alloc(100));
    await openSim(disk, OPTIONS);
    expect(await namesOf(disk)).not.toContain(unfinished);
    expect((await namesOf(disk)).filter((name) => name.endsWith('.tomb'))).toHaveLength(1);
  });

  it('a torn end is cut off, to the byte, and told', async () => {
    const disk = await killedStore();
    const newest = (await segmentsOf(disk)).findLast((name) => (disk.read(`${WAL}/${name}`)?.length ?? 0) > 4096) ?? '';
    const path = `${WAL}/${newest}`;
    const bytes = Buffer.from(disk.read(path) ?? []);
    const end = bytes.lastIndexOf(Buffer.alloc(100, RECORDS - 1)) + 100;
    const torn = Buffer.concat([bytes.subarray(0, end), Buffer.alloc(3000, 0xee)]);
    disk.place(path, torn);
    const evaq = await openSim(disk, OPTIONS);
    expect(evaq.recovery.torn).toMatchObject([{ queue: 'wal', file: path, offset: end, bytes: 3000 }]);
    expect(Buffer.from(disk.read(path) ?? []).includes(Buffer.alloc(64, 0xee))).toBe(false);
    expect(await idsOf(evaq.wal)).toEqual(Array.from({ length: RECORDS }, (_, i) => i + 1));
    await evaq.close();
  });
});
