/** The first sector of the newest segment is bad: what stands behind it was acknowledged, and is kept. */
import { describe, expect, it } from 'vitest';
import { verifyStore } from '../../../src/raw.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { idsOf, newDisk, openSim, rejection, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;
const NOTE = { pid: 1, host: 'h', bootId: 'b', since: '', script: 'repair' };

async function damaged(): Promise<{ disk: SimDisk; path: string }> {
  const first = newDisk();
  const evaq = await openSim(first, { gc: false });
  for (let i = 1; i <= 8; i++) await evaq.wal.pushMany([`a ${i}`.padEnd(300, '.'), `b ${i}`.padEnd(300, '.')]);
  first.kill();
  const disk = first.crash(first.nothingSurvives());
  const names = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  const path = `${WAL}/${names.sort()[0] ?? ''}`;
  disk.damage({ kind: 'zero', path, offset: 0, length: 512 });
  return { disk, path };
}

describe('a bad first sector of the newest segment', () => {
  it('P9: is told, and the commits behind it are set aside by an open, never deleted', async () => {
    const { disk, path } = await damaged();
    const bytes = disk.read(path);
    await rejection(openSim(disk, { gc: false }), 'EVAQ_CORRUPT');
    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    expect(damage).toMatchObject([{ file: path, firstId: 1, lossless: false }]);
    const evaq = await openSim(disk, { gc: false, onCorruption: 'quarantine' });
    expect(evaq.recovery.damage).toHaveLength(1);
    expect(await evaq.wal.push('next')).toBeGreaterThan(16);
    await evaq.close();
    expect(disk.read(`${WAL}/quarantine/${path.slice(WAL.length + 1)}`)).toEqual(bytes);
  });

  it('P15: a repair brings back what stands behind it', async () => {
    const { disk } = await damaged();
    const report = await repairStore(SIM_PATH, { vfs: disk.vfs, host: disk.host, lockNote: NOTE });
    expect(report).toMatchObject({ applied: true, left: [] });
    const evaq = await openSim(disk, { gc: false });
    const ids = await idsOf(evaq.wal);
    expect(ids.at(-1)).toBe(16);
    expect(ids.length).toBeGreaterThanOrEqual(14);
    await evaq.close();
  });
});
