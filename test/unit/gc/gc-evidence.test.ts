/** P9: a damaged file is evidence, and GC moves it aside: whatever the power cut takes, it is there under the one name or the other. */
import { expect, test } from 'vitest';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { idsOf, newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const RECORD_BYTES = 8000;
const WAL = `${SIM_PATH}/queues/wal`;
/** Dead, and intact in the damaged file. */
const MARK = Buffer.alloc(RECORD_BYTES, 2);

/** Where the file with the mark is. */
async function placesOf(disk: SimDisk): Promise<string[]> {
  const places: string[] = [];
  for (const folder of [WAL, `${WAL}/quarantine`]) {
    const entries = await disk.vfs.list(folder).catch(() => []);
    for (const { name } of entries) {
      const bytes = disk.read(`${folder}/${name}`);
      if (bytes !== undefined && Buffer.from(bytes).includes(MARK)) places.push(folder);
    }
  }
  return places;
}

test('P9: a damaged segment that was rewritten is set aside whole, and is there at every instant', async () => {
  const disk = newDisk({ sectorBytes: 4096 });
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false });
  for (let id = 1; id <= 12; id++) await evaq.pushWal(Buffer.alloc(RECORD_BYTES, id));
  const path = disk.calls.find((call) => /wal\/0+1-[^/]*\.seg$/.test(call.path))?.path ?? '';
  await evaq.wal.removeMany([2, 3, 4, 5, 6, 7]);
  const offset = Buffer.from(disk.read(path) ?? []).indexOf(Buffer.alloc(RECORD_BYTES, 8));
  disk.damage({ kind: 'flip', path, offset });
  const instants: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    if (phase !== 'call' && /^(?:syncDir|rename|makeDir)$/.test(call.name)) instants.push(disk.fork());
  });
  await evaq.wal.compact();
  stop();
  // What GC waits for is over: nothing of it is left to chance.
  expect(await placesOf(disk.crash(disk.nothingSurvives()))).toEqual([`${WAL}/quarantine`]);
  await evaq.close();
  expect(instants.length).toBeGreaterThan(5);
  let states = 0;
  for (const instant of instants) {
    for (const { disk: after } of instant.crashStates({ exhaustiveMax: 64, draws: 8 })) {
      states++;
      expect(await placesOf(after)).not.toEqual([]);
    }
  }
  expect(states).toBeGreaterThan(instants.length);
});

test('P9: what GC found to be lost, and told, is in the account behind a power cut, in a weaker mode as well', async () => {
  const disk = newDisk();
  const options = { segmentBytes: 64 * 1024, gc: false, durability: 'os' } as const;
  const evaq = await openSim(disk, options);
  for (let id = 1; id <= 12; id++) await evaq.pushWal(Buffer.alloc(RECORD_BYTES, id));
  await evaq.wal.removeMany([2, 3, 4, 5, 6, 7]);
  await evaq.wal.flush();
  const path = disk.calls.find((call) => /wal\/0+1-[^/]*\.seg$/.test(call.path))?.path ?? '';
  const offset = Buffer.from(disk.read(path) ?? []).indexOf(Buffer.alloc(RECORD_BYTES, 8));
  disk.damage({ kind: 'flip', path, offset });
  await evaq.wal.compact();
  expect(evaq.wal.stats().damage).toMatchObject([{ firstId: 8, lastId: 8 }]);
  const again = await openSim(disk.crash(disk.nothingSurvives()), options);
  expect(again.recovery.damage).toEqual([]);
  expect(await idsOf(again.wal)).toEqual([1, 9, 10, 11, 12]);
  await evaq.close();
});
