/** P2, P6: what is kept for removals is given back when the records are gone, and then no more is pushed than can be removed again on a full disk. */
import { expect, test } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, passTime, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;
const RECORDS = 60_000;
const KIB = 1024;

/** Bytes of the tombstone logs and of the files beside them. */
async function logBytes(disk: SimDisk): Promise<number> {
  const names = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.includes('.tomb'));
  return names.reduce((sum, name) => sum + (disk.read(`${WAL}/${name}`)?.length ?? 0), 0);
}

/** Many records were there, and went; and the queue has come to rest. */
async function emptied(disk: SimDisk, portion = RECORDS): Promise<Evaq> {
  const evaq = await openSim(disk, { recycleSegments: 0 });
  for (let i = 0; i < RECORDS; i += 10_000) await evaq.wal.pushMany(Array.from({ length: 10_000 }, () => 'x'));
  expect(await logBytes(disk)).toBeGreaterThan(200 * KIB);
  for (let id = portion; id <= RECORDS; id += portion) await evaq.wal.removeThrough(id);
  for (let i = 0; i < 20; i++) await passTime(disk, 1000);
  return evaq;
}

// In many rounds: the log is replaced by its snapshot first.
test.each([RECORDS, 100])(
  'a queue that was emptied keeps no more than one that never had records: by %i',
  async (portion) => {
    const disk = newDisk();
    const evaq = await emptied(disk, portion);
    expect(await logBytes(disk)).toBeLessThan(40 * KIB);
    await evaq.wal.pushMany(['a', 'b']);
    await evaq.close();
    const after = await openSim(disk);
    expect(after.recovery).toMatchObject({ damage: [], torn: [] });
    expect(after.wal.size).toBe(2);
    await after.close();
  },
);

test.each([60, 900])(
  'what is pushed to it then can be removed in any order on a disk that is full: %i KiB',
  async (roomKiB) => {
    const disk = newDisk();
    const evaq = await emptied(disk);
    // Room for records, and for little beside them.
    disk.limits.capacityBytes = disk.usedBytes + roomKiB * KIB;
    const ids: number[] = [];
    const refused: unknown[] = [];
    while (refused.length < 3) {
      const payloads = Array.from({ length: 500 }, () => 'y');
      await evaq.wal.pushMany(payloads).then(
        ({ firstId }) => ids.push(...payloads.map((_, i) => firstId + i)),
        (error: unknown) => refused.push(error),
      );
    }
    for (const error of refused) expect(error).toMatchObject({ code: 'EVAQ_NO_SPACE' });
    expect(ids.length).toBeGreaterThan(1000);
    // Nothing is left for anybody.
    disk.limits.capacityBytes = disk.usedBytes;
    for (let i = 0; i < ids.length; i += 1000) {
      const some = ids.slice(i, i + 1000).filter((_, j) => j % 2 === 0);
      expect(await evaq.wal.removeMany(some)).toBe(some.length);
    }
    expect((await evaq.health()).status).not.toBe('failed');
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(after.wal.size).toBe(ids.length / 2);
    await after.close();
  },
);
