/** An intake log that is gone is missed: without it a message may come in again, and a source begins anew. */
import { describe, expect, test } from 'vitest';
import { verifyStore } from '../../../src/raw.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { newDisk, openSim, rejection, SIM_PATH } from '../store/store-fixture.js';

const DIR = `${SIM_PATH}/queues/wal`;
const OPTIONS = { dedupe: { windowMs: 60_000 } } as const;

async function intakeLogs(disk: SimDisk): Promise<string[]> {
  return (await disk.vfs.list(DIR)).map(({ name }) => name).filter((name) => name.endsWith('.itk'));
}

/** A queue that has taken messages in and committed a checkpoint, `end`ed with its intake log there. */
async function fill(end: 'closed' | 'killed'): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, OPTIONS);
  for (let i = 0; i < 3; i++) await evaq.wal.push('x', { messageId: `m${i}` });
  await evaq.wal.pushMany([], { checkpoint: { source: 's', position: 7 } });
  await evaq.wal.remove(1);
  if (end === 'closed') await evaq.close();
  disk.kill();
  const left = disk.crash(disk.nothingSurvives());
  expect(await intakeLogs(left)).toHaveLength(1);
  return left;
}

describe.each(['closed', 'killed'] as const)('of a queue whose writer was %s', (end) => {
  test('it is told by verify and an open, which changes nothing; with quarantine the queue goes on, and it is told once', async () => {
    const disk = await fill(end);
    const [name] = await intakeLogs(disk);
    disk.remove(`${DIR}/${name}`);
    const before = await disk.vfs.list(DIR);
    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    expect(damage).toMatchObject([{ queue: 'wal', file: DIR, lossless: false }]);
    expect(damage[0]?.what).toContain('the intake log is missing');
    await rejection(openSim(disk, OPTIONS), 'EVAQ_CORRUPT', { queue: 'wal' });
    expect(await disk.vfs.list(DIR)).toEqual(before);
    const evaq = await openSim(disk, { ...OPTIONS, onCorruption: 'quarantine' });
    expect(evaq.recovery.damage).toEqual(damage);
    expect(await evaq.wal.checkpoint('s')).toBeUndefined();
    expect(evaq.wal.size).toBe(2);
    await evaq.close();
    const later = await openSim(disk, OPTIONS);
    expect(later.recovery.damage).toEqual([]);
    await later.close();
  });

  test('repair notes that it is gone', async () => {
    const disk = await fill(end);
    const [name] = await intakeLogs(disk);
    disk.remove(`${DIR}/${name}`);
    const { plan, applied, left } = await repairStore(SIM_PATH, {
      vfs: disk.vfs,
      host: disk.host,
      lockNote: ownLockNote(0),
    });
    expect(plan.steps).toEqual([{ action: 'accept', queue: 'wal', file: DIR }]);
    expect({ applied, left }).toEqual({ applied: true, left: [] });
  });

  test('one that is damaged is told by verify, too', async () => {
    const disk = await fill(end);
    const [name] = await intakeLogs(disk);
    disk.damage({ kind: 'zero', path: `${DIR}/${name}`, offset: 0, length: 128 });
    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    expect(damage).toMatchObject([{ queue: 'wal', file: `${DIR}/${name}`, lossless: false }]);
  });
});

test('a queue that has none is not said to miss one', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.push('x');
  await evaq.wal.remove(1);
  await evaq.close();
  expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
});

test('P9: a rotten copy of a frame costs nothing, and a repair, as an open, makes a log without it', async () => {
  for (const how of ['repair', 'open']) {
    const disk = await fill('closed');
    const [name] = await intakeLogs(disk);
    const bytes = Buffer.from(disk.read(`${DIR}/${name}`) ?? []);
    // Behind the snapshot, which is there once.
    const at = Number(bytes.readBigUInt64LE(32)) + 20;
    bytes.fill(0xff, at, at + 1);
    disk.place(`${DIR}/${name}`, bytes);
    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    expect(damage).toMatchObject([{ file: `${DIR}/${name}`, lossless: true }]);
    if (how === 'repair') {
      const { plan, applied, left } = await repairStore(SIM_PATH, {
        vfs: disk.vfs,
        host: disk.host,
        lockNote: ownLockNote(0),
      });
      expect(plan.steps).toEqual([{ action: 'renew-intake', queue: 'wal', file: `${DIR}/${name}` }]);
      expect([applied, left]).toEqual([true, []]);
    }
    const evaq = await openSim(disk, OPTIONS);
    expect(await evaq.wal.checkpoint('s')).toBe(7);
    expect(await evaq.wal.push('x', { messageId: 'm1' })).toBe(2);
    await evaq.close();
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
  }
});
