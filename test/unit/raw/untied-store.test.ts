/** P9: stores from before salts were tied to their queues: nothing that is readable is given up for it. */
import { expect, test, vi } from 'vitest';
import type { FileIdentity } from '../../../src/frame/file-header.js';
import { ReadOnlyEvaq } from '../../../src/raw/read-only-evaq.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const writer = vi.hoisted(() => ({ ties: true }));

vi.mock('../../../src/frame/file-header.js', async (actual) => {
  const real = await actual<typeof import('../../../src/frame/file-header.js')>();
  return {
    ...real,
    tiedSalt: (file: FileIdentity, random: number) => (writer.ties ? real.tiedSalt(file, random) : random),
  };
});

test.each([['all of it'], ['all but what was written last']])(
  'of a store of which no salt is tied: %s',
  async (how) => {
    const disk = newDisk();
    writer.ties = false;
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false });
    for (let i = 1; i <= 60; i++) await evaq.wal.push(`${i}`.padEnd(4000));
    await evaq.wal.removeMany([2, 5]);
    await evaq.close();
    writer.ties = true;
    if (how !== 'all of it') {
      const later = await openSim(disk, { segmentBytes: 64 * 1024, gc: false });
      await later.wal.push('61');
      await later.close();
    }
    const dir = `${SIM_PATH}/queues/wal`;
    const [path = ''] = (await disk.vfs.list(dir))
      .map(({ name }) => `${dir}/${name}`)
      .filter((one) => one.endsWith('.seg'));
    disk.place(path, Buffer.from(disk.read(path) ?? []).fill(0, 0, 128));
    const repaired = await repairStore(SIM_PATH, { vfs: disk.vfs, host: disk.host, lockNote: ownLockNote(0) });
    expect(repaired).toMatchObject({ applied: true, left: [] });
    const reader = await ReadOnlyEvaq.open(SIM_PATH, { ports: disk });
    expect(await reader.wal.size).toBe(how === 'all of it' ? 58 : 59);
    await reader.close();
  },
);
