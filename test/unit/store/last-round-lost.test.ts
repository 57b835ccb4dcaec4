/** P8: where the last round of a log of removals is lost, nothing names the newest segment: if that went too, its IDs are not given again. */
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw/verify.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { backUpStore } from '../../../src/store/store-backup.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { newDisk, openSim, rejection, SIM_PATH } from './store-fixture.js';

const DIR = `${SIM_PATH}/queues/wal`;
const SEGMENTS = 5;

async function filesOf(disk: SimDisk, end: string): Promise<string[]> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name).filter((name) => name.endsWith(end));
  return names.sort().map((name) => `${DIR}/${name}`);
}

type End = 'closed' | 'killed';

/** Some segments of records, of which a few are removed, and the last ID. */
async function fill(end: End): Promise<{ disk: SimDisk; last: number }> {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false });
  let last = 0;
  for (let i = 0; i < 16 * SEGMENTS; i++) last = await evaq.wal.push(Buffer.alloc(4000, i));
  await evaq.wal.removeMany([3, 4, last - 1]);
  if (end === 'closed') await evaq.close();
  else disk.kill();
  return { disk, last };
}

/** Each is filled once; tests get forks. */
const filled = { closed: fill('closed'), killed: fill('killed') };

type Harm = readonly [what: string, harm: (disk: SimDisk) => Promise<void>];

function removeAll(disk: SimDisk, files: readonly string[]): void {
  for (const file of files) disk.remove(file);
}

const ofLog: readonly Harm[] = [
  ['deleted', async (disk) => removeAll(disk, await filesOf(disk, '.tomb'))],
  [
    'rotten',
    async (disk) => {
      for (const file of await filesOf(disk, '.tomb')) {
        const bytes = Buffer.from(disk.read(file) ?? []);
        disk.place(file, bytes.fill(0x5a));
      }
    },
  ],
  [
    'rotten behind its header',
    async (disk) => {
      for (const file of await filesOf(disk, '.tomb')) {
        const bytes = Buffer.from(disk.read(file) ?? []);
        disk.place(file, bytes.fill(0x5a, 128));
      }
    },
  ],
  [
    'cut behind its header',
    async (disk) => {
      for (const file of await filesOf(disk, '.tomb'))
        disk.place(file, (disk.read(file) ?? Buffer.alloc(0)).subarray(0, 128));
    },
  ],
];

/** The one that was appended to, and the empty one that was made ahead behind it. */
async function newestOf(disk: SimDisk): Promise<readonly [newest: string, ahead: string]> {
  const [newest = '', ahead = ''] = (await filesOf(disk, '.seg')).slice(-2);
  return [newest, ahead];
}

async function cutNewest(disk: SimDisk, bytes: number): Promise<void> {
  const [newest, ahead] = await newestOf(disk);
  disk.remove(ahead);
  disk.place(newest, (disk.read(newest) ?? Buffer.alloc(0)).subarray(0, bytes));
}

const ofSegment: readonly Harm[] = [
  ['gone', async (disk) => removeAll(disk, await newestOf(disk))],
  ['cut behind its header', (disk) => cutNewest(disk, 128)],
  ['cut behind some of its records', (disk) => cutNewest(disk, 40_000)],
];

const states = ofLog.flatMap(([log, harmLog]) =>
  ofSegment.flatMap(([segment, harmSegment]) =>
    (['closed', 'killed'] as const).map((end) => ({ log, harmLog, segment, harmSegment, end })),
  ),
);

describe.each(states)('of a store that was $end the log is $log, and the newest segment is $segment', (state) => {
  async function harmed(): Promise<{ disk: SimDisk; last: number }> {
    const { disk: whole, last } = await filled[state.end];
    const disk = whole.fork();
    await state.harmLog(disk);
    await state.harmSegment(disk);
    return { disk, last };
  }

  test('P8: an open that goes on gives none of its IDs again, and verify says that its records may be gone', async () => {
    const { disk, last } = await harmed();
    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    expect(damage.filter(({ what }) => what.includes('records behind the last one may be lost'))).toHaveLength(1);
    const evaq = await openSim(disk, { onCorruption: 'quarantine' });
    const id = await evaq.wal.push('new');
    expect(id).toBeGreaterThan(last);
    await evaq.close();
    // What is bad in a file stays told; what is not there is told once.
    const then = (await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage;
    expect(then.filter(({ file, bytes }) => !file.endsWith('.seg') || bytes === 0)).toEqual([]);
    const again = await openSim(disk, { onCorruption: 'quarantine' });
    expect(await again.wal.push('newer')).toBe(id + 1);
    await again.close();
  });

  test('P8: no backup is made of it, and none after a repair gives one of its IDs again', async () => {
    const { disk, last } = await harmed();
    const options = { vfs: disk.vfs, host: disk.host, lockNote: ownLockNote(0) };
    for (const skipsIds of [false, true])
      await rejection(
        backUpStore(SIM_PATH, `/copy-${skipsIds}`, { ...options, links: false, skipsIds }),
        'EVAQ_CORRUPT',
      );
    expect(disk.read('/copy-false/STORE') ?? disk.read('/copy-true/STORE')).toBeUndefined();
    await repairStore(SIM_PATH, options);
    await backUpStore(SIM_PATH, '/copy', { ...options, links: false, skipsIds: false });
    const copy = await Evaq.open('/copy', { create: false, ports: disk });
    expect(await copy.wal.push('new')).toBeGreaterThan(last);
    await copy.close();
  });

  test('P8: nor does one after a repair', async () => {
    const { disk, last } = await harmed();
    const { left } = await repairStore(SIM_PATH, { vfs: disk.vfs, host: disk.host, lockNote: ownLockNote(0) });
    expect(left).toEqual([]);
    const evaq = await openSim(disk);
    expect(evaq.recovery.damage).toEqual([]);
    expect(await evaq.wal.push('new')).toBeGreaterThan(last);
    await evaq.close();
  });
});
