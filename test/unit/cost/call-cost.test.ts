/** What a call costs does not depend on what it does not touch: other segments, queues, tails, tombstones. */
import { expect, test } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, passTime } from '../store/store-fixture.js';
import { type Cost, costOf, growth } from './support/tally.js';

const options: EvaqOptions = { segmentBytes: 64 * 1024, recycleSegments: 0, gc: false };
const LARGE = Buffer.alloc(40 * 1024);

interface Ground {
  readonly disk: SimDisk;
  readonly evaq: Evaq;
}

async function withSegments(count: number): Promise<Ground> {
  const disk = newDisk();
  const evaq = await openSim(disk, options);
  for (let i = 0; i < count; i++) await evaq.wal.push(LARGE);
  await evaq.close();
  return { disk, evaq: await openSim(disk, options) };
}

async function withQueues(count: number): Promise<Ground> {
  const disk = newDisk();
  const evaq = await openSim(disk, options);
  await evaq.wal.push(LARGE);
  for (let i = 0; i < count; i++) await (await evaq.queue(`queue-${i}`)).push('x');
  return { disk, evaq };
}

async function withTails(count: number): Promise<Ground> {
  const disk = newDisk();
  const evaq = await openSim(disk, options);
  await evaq.wal.push(LARGE);
  // At work: they wait for records that do not come.
  for (let i = 0; i < count; i++) void evaq.wal.tail({ from: 1_000_000 }).next();
  return { disk, evaq };
}

async function withRanges(count: number): Promise<Ground> {
  const disk = newDisk();
  const evaq = await openSim(disk, options);
  await evaq.wal.push(LARGE);
  await evaq.wal.pushMany(Array.from({ length: 2 * count }, () => 'x'));
  await evaq.wal.removeMany(Array.from({ length: count }, (_, i) => 2 * i + 3));
  await evaq.close();
  return { disk, evaq: await openSim(disk, options) };
}

const grounds: readonly (readonly [string, (count: number) => Promise<Ground>, number, number])[] = [
  ['segments', withSegments, 4, 200],
  ['queues', withQueues, 1, 40],
  ['tails', withTails, 1, 1000],
  ['ranges of removed records', withRanges, 500, 4000],
];

const calls: readonly (readonly [string, (evaq: Evaq) => Promise<unknown>])[] = [
  ['push', (evaq) => evaq.wal.push('one more')],
  ['pushMany', (evaq) => evaq.wal.pushMany(['one more', 'and another'])],
  ['pushSync', async (evaq) => evaq.wal.pushSync('one more')],
  ['remove', (evaq) => evaq.wal.remove(1)],
  ['removeMany', (evaq) => evaq.wal.removeMany([1, 2])],
  ['get of the first', (evaq) => evaq.wal.get(1)],
  ['get of what is not there', (evaq) => evaq.wal.get(999_999)],
  ['read of one', (evaq) => evaq.wal.read({ maxRecords: 1 })],
  ['pop', (evaq) => evaq.wal.pop(1)],
  ['deadLetter', (evaq) => evaq.deadLetter(1, { reason: 'r' })],
  ['flush', (evaq) => evaq.wal.flush()],
];

test.each(grounds)('P12: a call costs the same whatever the number of %s', async (_, make, few, many) => {
  for (const [name, call] of calls) {
    const costs: Cost[] = [];
    for (const count of [few, many]) {
      const { disk, evaq } = await make(count);
      // What opening left to do in the background is done.
      await passTime(disk, 50);
      costs.push(await costOf(disk, () => call(evaq)));
    }
    const [least, most] = costs;
    // What is read ahead ends earlier in a small segment, and larger numbers take a byte or two more.
    expect(Math.abs((most?.calls ?? 0) - (least?.calls ?? 0)), name).toBeLessThanOrEqual(1);
    expect(Math.abs((most?.bytesRead ?? 0) - (least?.bytesRead ?? 0)), name).toBeLessThan(100);
    expect(Math.abs((most?.bytesWritten ?? 0) - (least?.bytesWritten ?? 0)), name).toBeLessThan(100);
  }
});

test('P12: removing one by one writes bytes in proportion to the removals, whatever their pattern', async () => {
  for (const stride of [1, 2]) {
    const written: number[] = [];
    for (const count of [1000, 2000, 4000]) {
      const disk = newDisk();
      const evaq = await openSim(disk, { gc: false });
      await evaq.wal.pushMany(Array.from({ length: count * stride }, () => 'x'));
      const cost = await costOf(disk, async () => {
        for (let i = 0; i < count; i++) await evaq.wal.remove(1 + i * stride);
      });
      written.push(cost.bytesWritten);
    }
    expect(growth(written), `every ${stride}`).toBeLessThan(3);
  }
});

test('P12: pushes that wait for room cost no more calls than those that do not', async () => {
  const costs: number[] = [];
  for (const maxPendingBytes of [1024 * 1024, 64 * 1024 * 1024]) {
    const disk = newDisk();
    const evaq = await openSim(disk, { maxPendingBytes });
    const payload = Buffer.alloc(1000);
    const { bytesWritten } = await costOf(disk, () =>
      Promise.all(Array.from({ length: 10_000 }, () => evaq.wal.push(payload))),
    );
    costs.push(bytesWritten);
  }
  expect(costs[0]).toBeLessThan((costs[1] ?? 0) * 1.1);
});
