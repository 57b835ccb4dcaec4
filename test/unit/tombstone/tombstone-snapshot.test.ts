/** The snapshot that a log begins with says of itself that it is whole, of however many parts it is. */
import { expect, test } from 'vitest';
import type { IdRange } from '../../../src/ids.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { TombstoneLog } from '../../../src/tombstone/tombstone-log.js';
import { scanTombstones } from '../../../src/tombstone/tombstone-scan.js';

const STATEMENT = {
  round: 1,
  nextId: 100_000,
  accountedBelow: 100_000,
  dataSegmentId: 1,
  dataOffset: 0,
  sealedBelow: 0,
  segmentIdMax: 1,
  liveRecords: 0,
  hasIntake: false,
  timestamp: 1,
};

test.each([
  [0, 1],
  [1, 1],
  [8191, 1],
  [8192, 2],
  [8193, 2],
  [20_000, 3],
])('P2: with %i ranges, in %i parts', async (count, parts) => {
  let written = 0;
  const { vfs } = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  await vfs.makeDir('/queue');
  const ranges = Array.from({ length: count }, (_, i) => ({ first: 3 * i + 1, last: 3 * i + 2 }));
  const storeUuid = Buffer.alloc(16, 7);
  const source = { vfs, dir: '/queue', storeUuid, generation: 1, salt: 5, nowMs: 1 };
  const log = await TombstoneLog.create(source, STATEMENT, ranges, async () => void written++);
  expect(written).toBe(parts);
  const seen: IdRange[] = [];
  const file = await vfs.open(log.path, 'read');
  const note = (first: number, last: number): unknown => seen.push({ first, last });
  const found = await scanTombstones(file, log.path, await file.size(), storeUuid, note);
  await file.close();
  expect(found).toMatchObject({ state: { snapshotComplete: true, round: 1 } });
  expect(seen).toEqual(ranges);
  await log.close();
});
