/** Originals beside the copy that replaces them, as a crash in the middle of GC leaves them, and the copy is damaged: they are not deleted. */
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { idsOf, newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;
const NOTE = { pid: 1, host: 'h', bootId: 'b', since: '', script: 'repair' };
const OPTIONS = { gc: false, segmentBytes: 65_536, recycleSegments: 0 } as const;

async function segmentsOf(disk: SimDisk): Promise<string[]> {
  const names = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  return names.sort().map((name) => `${WAL}/${name}`);
}

interface Made {
  readonly disk: SimDisk;
  readonly copy: string;
  readonly originals: readonly string[];
  readonly live: readonly number[];
}

async function make(): Promise<Made> {
  const disk = newDisk();
  const evaq = await openSim(disk, OPTIONS);
  for (let i = 0; i < 12; i++) await evaq.wal.pushMany(Array.from({ length: 10 }, () => Buffer.alloc(1000, 'x')));
  const before = new Map<string, Uint8Array>();
  await evaq.wal.removeMany(Array.from({ length: 60 }, (_, i) => 2 * i + 1));
  await evaq.wal.flush();
  for (const path of await segmentsOf(disk)) before.set(path, disk.read(path) ?? new Uint8Array(0));
  await evaq.wal.compact();
  const live = await idsOf(evaq.wal);
  await evaq.close();
  const after = await segmentsOf(disk);
  const originals = [...before.keys()].filter((path) => !after.includes(path));
  const copy = after.find((path) => ((disk.read(path) ?? [])[6] ?? 0) % 2 === 1) ?? '';
  for (const path of originals) disk.place(path, before.get(path) ?? new Uint8Array(0));
  expect(originals.length).toBeGreaterThan(0);
  expect(copy).not.toBe('');
  return { disk, copy, originals, live };
}

describe('a copy that GC made, beside its originals', () => {
  it('is all that counts where it is whole: they go', async () => {
    const { disk, originals, live } = await make();
    const evaq = await openSim(disk, OPTIONS);
    expect(await idsOf(evaq.wal)).toEqual(live);
    for (const path of originals) expect(disk.read(path)).toBeUndefined();
    await evaq.close();
  });

  it('P15: is damaged: an open sets them aside, and deletes none', async () => {
    const { disk, copy, originals } = await make();
    const bytes = originals.map((path) => disk.read(path));
    disk.damage({ kind: 'zero', path: copy, offset: 4096, length: 512 });
    const evaq = await openSim(disk, { ...OPTIONS, onCorruption: 'quarantine' });
    await evaq.close();
    expect(originals.map((path) => disk.read(`${WAL}/quarantine/${path.slice(WAL.length + 1)}`))).toEqual(bytes);
  });

  it('P15: its first sector is bad: a repair does not make it speak for what it has lost', async () => {
    const { disk, copy } = await make();
    disk.damage({ kind: 'zero', path: copy, offset: 0, length: 512 });
    const ports = { vfs: disk.vfs, host: disk.host };
    const reader = await Evaq.openReadOnly(SIM_PATH, { ports, onCorruption: 'quarantine' });
    const before: number[] = [];
    for await (const { id } of reader.wal.records()) before.push(id);
    await reader.close();
    const report = await repairStore(SIM_PATH, { ...ports, lockNote: NOTE });
    expect(report).toMatchObject({ applied: true, left: [] });
    const evaq = await openSim(disk, OPTIONS);
    const after = await idsOf(evaq.wal);
    expect(before.filter((id) => !after.includes(id))).toEqual([]);
    await evaq.close();
  });
});
