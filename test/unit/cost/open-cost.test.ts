/** Opening costs what there is to open: in proportion to segments, queues and ranges, each looked at a constant number of times. */
import { expect, test } from 'vitest';
import type { EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim } from '../store/store-fixture.js';
import { type Cost, costOf, growth } from './support/tally.js';

const options: EvaqOptions = { segmentBytes: 64 * 1024, recycleSegments: 0, gc: false };
/** Two do not fit into a segment. */
const LARGE = Buffer.alloc(40 * 1024);

/** A disk with a store of `count` segments that hold one record each. */
async function diskOfSegments(count: number, close: boolean): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, options);
  for (let i = 0; i < count; i++) await evaq.wal.push(LARGE);
  if (close) await evaq.close();
  else disk.kill();
  return disk;
}

async function costOfOpening(disk: SimDisk, more: EvaqOptions = options): Promise<Cost> {
  return costOf(disk, () => openSim(disk, more));
}

test.each([
  // Opened, its size, header and footer read, closed.
  { what: 'that were closed', close: true, callsOfEach: 5 },
  // And what may not be durable written again, synced, with the folder.
  { what: 'after a kill', close: false, callsOfEach: 14 },
])(
  'P12: opening segments $what costs calls and bytes in proportion to their number',
  async ({ close, callsOfEach }) => {
    const costs: Cost[] = [];
    for (const count of [100, 200, 400]) costs.push(await costOfOpening(await diskOfSegments(count, close)));
    expect(growth(costs.map(({ calls }) => calls))).toBeCloseTo(2, 1);
    expect(growth(costs.map(({ bytesRead }) => bytesRead))).toBeCloseTo(2, 1);
    const [least, , most] = costs;
    expect((most?.calls ?? 0) - (least?.calls ?? 0)).toBeLessThanOrEqual(300 * callsOfEach);
    // Footers, not bodies.
    if (close) expect(most?.bytesRead ?? 0).toBeLessThan(400 * 14 * 1024);
  },
);

test('P12: a clean open writes the same, however many segments, records and removals there are', async () => {
  const written: number[] = [];
  for (const count of [20, 200]) {
    const disk = await diskOfSegments(count, true);
    written.push((await costOfOpening(disk)).bytesWritten);
  }
  expect(written[1]).toBe(written[0]);
});

test('P12: opening queues costs calls in proportion to their number, and those not asked for are not begun', async () => {
  const costs: Cost[] = [];
  for (const count of [20, 40, 80]) {
    const disk = newDisk();
    const evaq = await openSim(disk);
    for (let i = 0; i < count; i++) await (await evaq.queue(`queue-${i}`)).push('x');
    await evaq.close();
    costs.push(await costOfOpening(disk, {}));
  }
  expect(growth(costs.map(({ calls }) => calls))).toBeCloseTo(2, 5);
  // Its folder is listed; its small segment is read in one go, in the calling thread; its log of removals takes five.
  expect((costs[2]?.calls ?? 0) - (costs[0]?.calls ?? 0)).toBe(60 * 7);
  expect(new Set(costs.map(({ bytesWritten }) => bytesWritten)).size).toBe(1);
});

test('P12: opening ranges of removed records reads bytes in proportion to their number', async () => {
  const costs: Cost[] = [];
  for (const count of [16_000, 32_000, 64_000]) {
    const disk = newDisk();
    const evaq = await openSim(disk, { gc: false });
    await evaq.wal.pushMany(Array.from({ length: 2 * count }, () => 'x'));
    await evaq.wal.removeMany(Array.from({ length: count }, (_, i) => 2 * i + 1));
    await evaq.close();
    costs.push(await costOfOpening(disk, { gc: false }));
  }
  expect(growth(costs.map(({ bytesRead }) => bytesRead))).toBeLessThan(2.5);
  expect(growth(costs.map(({ bytesWritten }) => bytesWritten))).toBeLessThan(2.5);
  expect((costs[2]?.calls ?? 0) - (costs[0]?.calls ?? 0)).toBeLessThan(10);
});
