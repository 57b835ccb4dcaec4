/** A tail that may be in the page cache only is longer than what is synced at a time: it is written again in pieces, and a sync in between counts. */
import { expect, it } from 'vitest';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, rejection } from '../store/store-fixture.js';

const MIB = 1024 * 1024;
const OPTIONS = { durability: 'os', segmentBytes: 256 * MIB, gc: false } as const;
const RECORDS = 150;

/** A store whose process died with 150 MiB written and none of it synced. */
async function killedDisk(): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, OPTIONS);
  for (let i = 1; i <= RECORDS; i++) await evaq.wal.push(Buffer.alloc(MIB, i));
  disk.kill();
  return disk;
}

it('P1: all of it is there, and synced before the end as well', async () => {
  const disk = await killedDisk();
  let syncs = 0;
  disk.observe(({ phase, call }) => {
    if (phase === 'call' && call.name === 'sync' && call.path.endsWith('.seg')) syncs++;
  });
  const evaq = await openSim(disk, OPTIONS);
  expect(syncs).toBeGreaterThan(2);
  expect(evaq.wal.size).toBe(RECORDS);
  let next = 1;
  for await (const { id, payload } of evaq.wal.records()) {
    expect(id).toBe(next);
    expect(payload.equals(Buffer.alloc(MIB, next++))).toBe(true);
  }
  await evaq.close();
});

it('P7: where a sync in between fails, the store does not open, and nothing is lost to the next', async () => {
  const disk = await killedDisk();
  disk.fault({ on: 'sync', path: /wal\/.*seg/ });
  await rejection(openSim(disk, OPTIONS), 'EVAQ_FAILED');
  const evaq = await openSim(disk, OPTIONS);
  expect(evaq.wal.size).toBe(RECORDS);
  await evaq.close();
});
