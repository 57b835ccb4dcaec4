/** What is large is done in many turns of the event loop, what is small in none of its own. Turns are counted, never time. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { encodeRound, encodeRoundInStretches, KIND_REMOVALS } from '../../../src/tombstone/tombstone-frame.js';
import { newDisk, SIM_PATH } from '../store/store-fixture.js';
import { CountingHost } from './support/tally.js';

async function openCounting(records: number): Promise<{ host: CountingHost; evaq: Evaq }> {
  const disk = newDisk();
  const { vfs } = disk;
  const host = new CountingHost(disk.host);
  const evaq = await Evaq.open(SIM_PATH, { gc: false, ports: { vfs, host } });
  await evaq.wal.pushMany(Array.from({ length: records }, () => 'x'));
  return { host, evaq };
}

const everyOther = (count: number): number[] => Array.from({ length: count }, (_, i) => 2 * i + 1);

test('P14: removing many IDs that leave as many gaps takes turns in proportion, a few take none', async () => {
  const turns: number[] = [];
  for (const count of [1000, 131_072, 262_144]) {
    const { host, evaq } = await openCounting(2 * count);
    const before = host.yields;
    expect(await evaq.wal.removeMany(everyOther(count))).toBe(count);
    turns.push(host.yields - before);
    expect(evaq.wal.stats().live).toBe(count);
    await evaq.close();
  }
  const [few, many = 0, most = 0] = turns;
  expect(few).toBe(0);
  // One for each 65 536 ranges that are made, and two for each that are encoded.
  expect(most - many).toBeGreaterThanOrEqual(6);
  expect(most).toBeLessThan(20);
});

test('P2: who finds removed what a large removal is still taking apart waits until that is durable', async () => {
  const { host, evaq } = await openCounting(300_000);
  const before = host.yields;
  let isDone = false;
  const first = evaq.wal.removeMany(everyOther(150_000)).then(() => {
    isDone = true;
  });
  // Whatever turn it is in.
  let asked = 0;
  while (!isDone) {
    await host.yield();
    asked++;
    if (evaq.wal.stats().live === 300_000) continue;
    expect(await evaq.wal.remove(1)).toBe(false);
    // Both are told in the same turn, the larger call a few promises later.
    await host.yield();
    asked++;
    expect(isDone).toBe(true);
  }
  await first;
  expect(host.yields - before - asked).toBeGreaterThan(4);
  await evaq.close();
});

test('P14: a removal in any order and with IDs twice removes the same as one in order', async () => {
  const { evaq } = await openCounting(200);
  expect(await evaq.wal.removeMany([7, 3, 3, 5, 9, 4, 7])).toBe(5);
  const left = (await evaq.wal.read({ maxRecords: 8 })).map(({ id }) => id);
  expect(left).toEqual([1, 2, 6, 8, 10, 11, 12, 13]);
  await evaq.close();
});

test.each([
  [1, 0],
  [32_768, 0],
  [32_769, 1],
  [100_000, 3],
])('a round of %i ranges is encoded with %i pauses, to the same bytes', (count, pauses) => {
  const ranges = Array.from({ length: count }, (_, i) => ({ first: 3 * i, last: 3 * i + (i % 2) }));
  const statement = {
    kind: KIND_REMOVALS,
    round: 5,
    nextId: 1,
    dataSegmentId: 2,
    dataOffset: 3,
    sealedBelow: 4,
    segmentIdMax: 5,
    liveRecords: 0,
    hasIntake: false,
    accountedBelow: 1,
    timestamp: 6,
  };
  const encoding = encodeRoundInStretches(statement, ranges, 17, 512, 64);
  let met = 0;
  let step = encoding.next();
  for (; step.done !== true; step = encoding.next()) met++;
  expect(met).toBe(pauses);
  expect(step.value.equals(encodeRound(statement, ranges, 17, 512, 64))).toBe(true);
});
