/**
 * P9, P15: the link of a segment is the only witness of a file that is missing in front of it, where neither an account nor the mode tells. Where it is
 * rotten that is doubt, and told as such; and what it said of how much of the file in front had been synced is lost with it. The engine and
 * examples/reader.py, over kinds of damage, modes, and ways to end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Durability } from '../../src/evaq.js';
import { type Damage, verifyStore } from '../../src/raw.js';
import { SimDisk } from '../../src/sim/sim-disk.js';
import { ownLockNote } from '../../src/store/store-lock.js';
import { repairStore } from '../../src/store/store-repair.js';
import { idsOf, openSim, passTime, rejection, SIM_PATH } from '../unit/store/store-fixture.js';
import { PythonReader } from './support/python-reader.js';
import { copyOut } from './support/random-store.js';
import { differences, engineView } from './support/reader-comparison.js';

const DIR = `${SIM_PATH}/queues/wal`;
const PER_SEGMENT = 5;
const SEGMENTS = 5;
const LINK_AT = 128;
const LINK_BYTES = 48;

type Ending = 'closed' | 'killed';

const modes: readonly Durability[] = ['sync', 'os', { intervalMs: 10_000 }];

type Harm = readonly [what: string, harm: (bytes: Buffer) => void];

/** What a link can come to, and none of the records behind it. */
const harms: readonly Harm[] = [
  ['a bit of it has changed', (bytes) => bytes.writeUInt8(bytes.readUInt8(LINK_AT + 17) ^ 4, LINK_AT + 17)],
  ['its checksum has changed', (bytes) => bytes.writeUInt8(bytes.readUInt8(LINK_AT + 44) ^ 1, LINK_AT + 44)],
  ['it is all zero', (bytes) => bytes.fill(0, LINK_AT, LINK_AT + LINK_BYTES)],
  ['it is all ones', (bytes) => bytes.fill(0xff, LINK_AT, LINK_AT + LINK_BYTES)],
];

const states = modes.flatMap((durability) =>
  (['closed', 'killed'] as const).flatMap((end) =>
    harms.map(([what, harm]) => ({
      mode: typeof durability === 'string' ? durability : 'ms',
      durability,
      end,
      what,
      harm,
    })),
  ),
);

function idsOfSegment(at: number): number[] {
  return Array.from({ length: PER_SEGMENT }, (_, i) => at * PER_SEGMENT + i + 1);
}

const all = Array.from({ length: SEGMENTS }, (_, at) => idsOfSegment(at)).flat();

async function segmentsOf(disk: SimDisk): Promise<string[]> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  return names
    .sort()
    .slice(0, SEGMENTS)
    .map((name) => `${DIR}/${name}`);
}

/** Segments of as many records each. Nothing is removed, so that no account tells of them. */
async function make(durability: Durability, end: Ending): Promise<SimDisk> {
  const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false, durability });
  for (let at = 0; at < SEGMENTS; at++)
    await evaq.wal.pushMany(Array.from({ length: PER_SEGMENT }, () => Buffer.alloc(12_500, at + 1)));
  // They are sealed, but the newest: where nothing says that a file was synced, a bad link is a torn end.
  await evaq.wal.flush();
  await passTime(disk, 8000);
  if (end === 'closed') await evaq.close();
  // What was written is in the files, as the operating system has it: footers, too, but that of the newest.
  else disk.kill();
  return disk;
}

function change(disk: SimDisk, path: string, harm: (bytes: Buffer) => void): void {
  const bytes = Buffer.from(disk.read(path) ?? []);
  harm(bytes);
  disk.place(path, bytes);
}

const made = new Map<string, Promise<SimDisk>>();

/** A copy of a store of that kind, each of which is made once. */
async function copyOf(durability: Durability, end: Ending): Promise<SimDisk> {
  const key = JSON.stringify([durability, end]);
  const one = made.get(key) ?? make(durability, end);
  made.set(key, one);
  return (await one).fork();
}

async function damageOf(disk: SimDisk): Promise<readonly Damage[]> {
  return (await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage;
}

function namesAll(damage: readonly Damage[], ids: readonly number[]): boolean {
  return ids.every((id) => damage.some(({ firstId = Infinity, lastId = 0 }) => firstId <= id && id <= lastId));
}

let python: PythonReader | undefined;
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evaq-link-'));
  if (PythonReader.isThere) python = PythonReader.start();
});
afterAll(async () => {
  await python?.close();
  rmSync(folder, { recursive: true });
});

let copies = 0;

async function expectAlike(disk: SimDisk): Promise<void> {
  if (python === undefined) return;
  const dir = join(folder, `${copies++}`);
  await copyOut(disk, dir, SIM_PATH);
  expect(differences(await python.read(dir), await engineView(dir))).toEqual([]);
}

describe.each(states)('mode $mode, $end, of a link: $what', ({ durability, end, harm }) => {
  test.each([1, 2])('a segment file in front of it, number %i, is missed, and its records are named', async (at) => {
    const disk = await copyOf(durability, end);
    const files = await segmentsOf(disk);
    change(disk, files[at + 1] ?? '', harm);
    disk.remove(files[at] ?? '');
    const lost = idsOfSegment(at);
    const rest = all.filter((id) => !lost.includes(id));
    const told = (await damageOf(disk)).filter(({ file, lossless }) => file === DIR && !lossless);
    expect(namesAll(told, lost)).toBe(true);
    expect(namesAll(told, [rest[0] ?? 0])).toBe(false);
    await expectAlike(disk);
    const before = disk.tree();
    await rejection(openSim(disk), 'EVAQ_CORRUPT');
    expect(disk.tree().replaceAll(/.*LOCK.*\n/g, '')).toBe(before.replaceAll(/.*LOCK.*\n/g, ''));

    const repaired = disk.fork();
    const report = await repairStore(SIM_PATH, { vfs: repaired.vfs, host: repaired.host, lockNote: ownLockNote(0) });
    expect(report.left).toEqual([]);
    const accepted = disk.fork();
    await (await openSim(accepted, { onCorruption: 'quarantine' })).close();
    // It has been told, and is known from then on.
    expect((await damageOf(accepted)).filter(({ file }) => file === DIR)).toEqual([]);
    for (const later of [repaired, accepted]) {
      const evaq = await openSim(later, { onCorruption: 'quarantine' });
      expect(await idsOf(evaq.wal)).toEqual(rest);
      expect(await evaq.wal.push('new')).toBeGreaterThan(all.length);
      await evaq.close();
    }
  });

  test('where none is missing, none is missed', async () => {
    const disk = await copyOf(durability, end);
    const files = await segmentsOf(disk);
    for (const file of files.slice(1, -1)) change(disk, file, harm);
    expect((await damageOf(disk)).filter(({ file }) => file === DIR)).toEqual([]);
    await expectAlike(disk);
    const evaq = await openSim(disk, { onCorruption: 'quarantine' });
    expect(await idsOf(evaq.wal)).toEqual(all);
    await evaq.close();
  });
});

describe.each(harms)('of a link: %s', (_, harm) => {
  test('what it said of the end of the file in front of it is not known: that is damage, not torn', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false, durability: 'os' });
    // Two commits a segment, none of them sealed; the second one of each says that its link was synced.
    for (let i = 0; i < 8; i++) {
      await evaq.wal.push(Buffer.alloc(25_000, i + 1));
      await evaq.wal.flush();
    }
    disk.kill();
    const [, file = '', behind = ''] = await segmentsOf(disk);
    // Of the last record in it: it is full up to that.
    change(disk, file, (bytes) => bytes.writeUInt8(bytes.readUInt8(40_000) ^ 1, 40_000));
    expect(await damageOf(disk)).toMatchObject([{ file, lossless: false, firstId: 4, lastId: 4 }]);
    change(disk, behind, harm);
    expect((await damageOf(disk)).filter((one) => one.file === file)).toMatchObject([{ firstId: 4, lastId: 4 }]);
    await expectAlike(disk);
    await rejection(openSim(disk), 'EVAQ_CORRUPT');
  });
});
