/** Records that get too old for their queue are removed by themselves: not before, whatever the date does, and not under a handler. */
import { expect, it } from 'vitest';
import { Evaq, type EvaqOptions } from '../../../src/evaq.js';
import { AgeMarks, countedSpan, SteadyDate } from '../../../src/queue/record-age.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, countOf, idsOf, newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';
import { hearDrops } from './drops-heard.js';

const AGE = 64_000;
/** Between two looks. */
const LOOK = 1000;
const YEAR = 365 * 24 * 60 * 60 * 1000;
const crashed = (disk: SimDisk): SimDisk => disk.crash(disk.nothingSurvives());

/** A date that can be put ahead and back, and goes on meanwhile. */
function openWith(
  shift: { ms: number },
  disk: SimDisk,
  options: EvaqOptions = { limits: { ageMs: AGE } },
): Promise<Evaq> {
  const { vfs, host } = disk;
  return Evaq.open(SIM_PATH, { ...options, ports: { vfs, host: { ...host, now: () => host.now() + shift.ms } } });
}

it('a record is removed when it is too old, durably, and that is reported', async () => {
  using heard = hearDrops();
  const { told } = heard;
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { ageMs: AGE } });
  const { wal } = evaq;
  await wal.push('a');
  await passTime(disk, AGE / 2);
  await wal.pushMany(['b', 'c']);
  await passTime(disk, AGE / 2 - LOOK);
  expect(await idsOf(wal)).toEqual([1, 2, 3]);
  await passTime(disk, 3 * LOOK);
  expect(await idsOf(wal)).toEqual([2, 3]);
  await passTime(disk, AGE / 2 - 3 * LOOK);
  expect(await idsOf(wal)).toEqual([2, 3]);
  await passTime(disk, 4 * LOOK);
  expect(await idsOf(wal)).toEqual([]);
  expect(wal.stats().limits).toMatchObject({ expired: 3, dropped: 0, droppedRanges: [{ first: 1, last: 3 }] });
  const from = { storeId: evaq.storeId, queue: 'wal', path: '/store/queues/wal', cause: 'expired' };
  expect(told).toEqual([
    { ...from, records: 1, ranges: [{ first: 1, last: 1 }] },
    { ...from, records: 2, ranges: [{ first: 2, last: 3 }] },
  ]);
  expect(await idsOf((await openSim(crashed(disk))).wal)).toEqual([]);
  await evaq.close();
});

it('records of an earlier run go by their dates: a stretch as a whole where it is too old, one by one where it is in part', async () => {
  const disk = newDisk();
  const first = await openSim(disk);
  for (let i = 0; i < 20; i++) {
    await first.wal.push(String(i));
    await passTime(disk, 100);
  }
  await passTime(disk, AGE / 2);
  await first.wal.push('young');
  await first.close();
  await passTime(disk, AGE / 2 - 1000);
  const evaq = await openSim(disk, { limits: { ageMs: AGE } });
  const { wal } = evaq;
  await passTime(disk, 1);
  const left = wal.size;
  // About a half of the twenty are too old.
  expect(left).toBeGreaterThan(3);
  expect(left).toBeLessThan(20);
  for await (const { timestamp } of wal.records()) expect(timestamp).toBeGreaterThan(disk.host.now() - AGE - 1);
  const reads = (): number => countOf(disk, 'read', /\.seg$/);
  const before = reads();
  await passTime(disk, 5 * LOOK);
  expect(await idsOf(wal)).toEqual([21]);
  expect(reads() - before).toBeLessThan(12);
  await passTime(disk, AGE / 2);
  expect(wal.size).toBe(0);
  await evaq.close();
});

it('a date that goes a year ahead for a while, or back, makes no record expire early, old or new', async () => {
  const disk = newDisk();
  const shift = { ms: 0 };
  const first = await openWith(shift, disk, {});
  await first.wal.push('old');
  await first.close();
  const evaq = await openWith(shift, disk);
  const { wal } = evaq;
  await wal.push('new');
  for (const ms of [YEAR, 0, -YEAR, YEAR, 0]) {
    shift.ms = ms;
    await passTime(disk, 5 * LOOK);
    expect(wal.size).toBe(2);
  }
  await wal.push('newer');
  await passTime(disk, AGE - 28 * LOOK);
  // The date has healed, and the new one goes by the other clock anyway.
  expect(await idsOf(wal)).toEqual([1, 2, 3]);
  await passTime(disk, 32 * LOOK);
  expect(await idsOf(wal)).toEqual([]);
  await evaq.close();
});

it('a date that stays ahead is believed: what was there before gets older by it', async () => {
  const disk = newDisk();
  const shift = { ms: 0 };
  const first = await openWith(shift, disk, {});
  await first.wal.push('old');
  await first.close();
  const evaq = await openWith(shift, disk, { limits: { ageMs: YEAR } });
  await evaq.wal.push('new');
  shift.ms = 2 * YEAR;
  await passTime(disk, 5 * 60_000);
  expect(evaq.wal.size).toBe(2);
  await passTime(disk, 8 * 60_000);
  expect(await idsOf(evaq.wal)).toEqual([2]);
  await evaq.close();
});

it('a record that was pushed while the date was ahead, or back, is as old as the opening, or what stands before it', async () => {
  const disk = newDisk();
  const shift = { ms: 0 };
  const first = await openWith(shift, disk, {});
  await first.wal.push('in time');
  shift.ms = YEAR;
  await first.wal.push('ahead');
  shift.ms = -YEAR;
  await first.wal.push('back');
  shift.ms = 0;
  await first.wal.push('in time');
  await first.close();
  const evaq = await openWith(shift, disk);
  await passTime(disk, AGE - 2 * LOOK);
  expect(await idsOf(evaq.wal)).toEqual([1, 2, 3, 4]);
  await passTime(disk, 6 * LOOK);
  expect(evaq.wal.size).toBe(0);
  await evaq.close();
});

it('what a handler has is not expired under it, and goes when it is given back', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { ageMs: AGE } });
  const { wal } = evaq;
  await wal.pushMany(['a', 'b']);
  let fail: (error: Error) => void = () => undefined;
  const delivery = wal.process(
    () =>
      new Promise<void>((_, reject) => {
        fail = reject;
      }),
    { concurrency: 1, timeoutMs: 0, retry: { backoff: { baseMs: 1_000_000, maxMs: 1_000_000, jitter: 'none' } } },
  );
  await passTime(disk, AGE + 3 * LOOK);
  expect(await idsOf(wal)).toEqual([1]);
  fail(new Error('not now'));
  await passTime(disk, 3 * LOOK);
  expect(await idsOf(wal)).toEqual([]);
  await delivery.stop();
  await evaq.close();
});

it('expiry lets in those who wait for room', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { ageMs: AGE, records: 1, whenFull: 'wait' } });
  await evaq.wal.push('a');
  const second = evaq.wal.push('b');
  await passTime(disk, AGE + 3 * LOOK);
  expect(await second).toBe(2);
  expect(await idsOf(evaq.wal)).toEqual([2]);
  await evaq.close();
});

it('where the removal cannot be written it is owed, and reported when it is', async () => {
  using heard = hearDrops();
  const { told } = heard;
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { ageMs: AGE } });
  await evaq.wal.push('a');
  disk.fault({ on: 'write', path: /\.tomb/, error: 'EIO', nth: 1, times: 1 });
  await passTime(disk, AGE + 3 * LOOK);
  expect(evaq.wal.size).toBe(0);
  await passTime(disk, 10_000);
  expect(told.length).toBe(1);
  await evaq.close();
});

it('a queue without records looks for none, and a closed one leaves no timer', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { ageMs: AGE } });
  await passTime(disk, 10 * AGE);
  await evaq.wal.push('a');
  await evaq.close();
  expect(disk.openHandles()).toEqual([]);
  await rejection(evaq.wal.push('b'), 'EVAQ_CLOSED');
});

it('marks: a record is as old as the first mark behind it, and thinning makes nobody older', () => {
  const marks = new AgeMarks();
  for (let i = 1; i <= 40_000; i++) marks.note(i, i);
  expect(marks.takeThrough(0)).toBe(0);
  for (let at = 100; at <= 40_000; at += 100) {
    const through = marks.takeThrough(at);
    if (through > 0) expect(through).toBeLessThanOrEqual(at);
  }
  expect(marks.isEmpty).toBe(true);
});

it('a steady date follows one that stays ahead by as much as it was at least', () => {
  const date = new SteadyDate(1000, 0, 100);
  expect(date.advance(1010, 10)).toBe(1010);
  expect(date.advance(1025, 20)).toBe(1020);
  expect(date.advance(99_999, 110)).toBe(1110);
  expect(date.advance(99_999, 120)).toBe(1125);
  expect(date.advance(1124, 130)).toBe(1124);
});

it('the date that counts of a span lies between that of those before and the opening', () => {
  const spans = [
    { firstId: 1, minMs: 50, maxMs: 60 },
    { firstId: 2, minMs: 900, maxMs: 900 },
    { firstId: 3, minMs: 1, maxMs: 70 },
  ];
  const last = spans[2];
  if (last === undefined) throw new Error('there are three');
  const dateOf = countedSpan(spans, last, 500);
  expect([dateOf(1), dateOf(70), dateOf(900)]).toEqual([60, 70, 500]);
});

it('where the store has stopped nothing expires, and nothing is said to', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { ageMs: 1000 } });
  await evaq.wal.pushMany(['a', 'b']);
  disk.fault({ on: 'sync', path: /\.seg$/, error: 'EIO', nth: 1, times: 1 });
  await rejection(evaq.wal.push('c'), 'EVAQ_FAILED');
  await passTime(disk, 5000);
  expect(evaq.wal.stats().limits).toMatchObject({ expired: 0, droppedRanges: [] });
  expect(Object.values(await contentOf(evaq.wal))).toEqual(['a', 'b']);
  await evaq.close().catch(() => undefined);
});
