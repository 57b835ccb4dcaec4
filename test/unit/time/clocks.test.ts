/** What becomes of a store whose clock goes ahead, back, or nowhere. */
import { describe, expect, it } from 'vitest';
import { Evaq, type EvaqOptions, type Queue } from '../../../src/evaq.js';
import { RawSegment, verifyStore } from '../../../src/raw.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { TIME_MS_MAX } from '../../../src/times.js';
import { newDisk, SIM_PATH } from '../store/store-fixture.js';

const DAY = 24 * 60 * 60 * 1000;
const T = 1_800_000_000_000;

/** A clock that says what it is told to say. */
interface Clock {
  now: number;
}

function openWith(clock: Clock, disk: SimDisk, options: EvaqOptions = {}): Promise<Evaq> {
  const { vfs, host } = disk;
  return Evaq.open(SIM_PATH, { ...options, ports: { vfs, host: { ...host, now: () => clock.now } } });
}

async function timesOf(queue: Queue): Promise<number[]> {
  const times: number[] = [];
  for await (const { timestamp } of queue.records()) times.push(timestamp);
  return times;
}

/** Least and greatest time of each sealed segment, and the spans that it tells of. */
async function footersOf(disk: SimDisk, queue = 'wal'): Promise<unknown[]> {
  const { vfs } = disk;
  const dir = `${SIM_PATH}/queues/${queue}`;
  const footers: unknown[] = [];
  for (const { name } of await vfs.list(dir)) {
    if (!name.endsWith('.seg')) continue;
    await using segment = await RawSegment.open(`${dir}/${name}`, { vfs });
    const { footer } = segment;
    if (footer === undefined) continue;
    const { minTimeMs, maxTimeMs, spans } = footer;
    footers.push(spans === undefined ? [minTimeMs, maxTimeMs] : [minTimeMs, maxTimeMs, spans.length]);
  }
  return footers;
}

describe('a timestamp is what the clock said at the push', () => {
  it('whether it goes ahead or back, through sealing, a reopening, a rewrite and a scan', async () => {
    const disk = newDisk();
    const clock = { now: T };
    const said = [T, T + 400 * DAY, T + 1, T - 30 * DAY, T + 2, 5, T + 3];
    let evaq = await openWith(clock, disk);
    for (const now of said) {
      clock.now = now;
      await evaq.wal.push('x'.repeat(20));
      await evaq.wal.push('is removed'.repeat(100));
    }
    const all = said.flatMap((one) => [one, one]);
    expect(await timesOf(evaq.wal)).toEqual(all);
    await evaq.close();
    expect(await footersOf(disk)).toEqual([[5, T + 400 * DAY, 7]]);

    evaq = await openWith(clock, disk);
    expect(await timesOf(evaq.wal)).toEqual(all);
    for (let id = 2; id <= all.length; id += 2) await evaq.wal.remove(id);
    const report = await evaq.wal.compact();
    expect(report.rewrittenSegments).toBe(1);
    expect(await timesOf(evaq.wal)).toEqual(said);
    await evaq.close();
    expect(await footersOf(disk)).toEqual([[5, T + 400 * DAY, 7]]);
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);

    evaq = await openWith(clock, disk);
    expect(await timesOf(evaq.wal)).toEqual(said);
    disk.kill();
    evaq = await openWith({ now: T - DAY }, disk);
    expect(await timesOf(evaq.wal)).toEqual(said);
    await evaq.wal.push('later, and before all of them');
    expect((await timesOf(evaq.wal)).at(-1)).toBe(T - DAY);
    await evaq.close();
  });

  it('a clock that was ahead for one push is not believed once it is right again, nor after a kill', async () => {
    const disk = newDisk();
    const clock = { now: T + 400 * DAY };
    let evaq = await openWith(clock, disk);
    const ahead = await evaq.wal.push('ahead');
    clock.now = T;
    await evaq.wal.push('right');
    disk.kill();
    evaq = await openWith(clock, disk);
    await evaq.wal.push('right, too');
    await evaq.wal.remove(ahead);
    clock.now = T + 10;
    await evaq.wal.push('ten milliseconds later');
    expect(await timesOf(evaq.wal)).toEqual([T, T, T + 10]);
    expect(evaq.wal.stats().oldestAgeMs).toBe(10);
    await evaq.close();
  });

  it('pushes of one moment share a commit; where the clock goes on by a second another begins, as long as few are waiting', async () => {
    const disk = newDisk();
    const clock = { now: T };
    const evaq = await openWith(clock, disk);
    const said = [T, T + 1, T + 999, T + 5000, T + 5001, T - 7000, T + 1];
    const pushes: Promise<unknown>[] = [];
    for (const now of said) {
      clock.now = now;
      pushes.push(evaq.wal.push('x'));
    }
    clock.now = T + 3000;
    pushes.push(evaq.wal.pushMany(['a', 'b']));
    await Promise.all(pushes);
    expect(await timesOf(evaq.wal)).toEqual([T, T, T, T + 5000, T + 5000, T - 7000, T + 1, T + 3000, T + 3000]);
    const many = Array.from({ length: 200 }, () => {
      clock.now = clock.now === T ? T + DAY : T;
      return evaq.wal.push('y');
    });
    await Promise.all(many);
    const commits = new Set<number>();
    const names = (await disk.vfs.list(`${SIM_PATH}/queues/wal`)).map(({ name }) => name);
    const path = `${SIM_PATH}/queues/wal/${names.find((name) => name.endsWith('.seg')) ?? ''}`;
    await using segment = await RawSegment.open(path, { vfs: disk.vfs });
    for await (const commit of segment.commits()) if (commit.kind === 'records') commits.add(commit.offset);
    expect(commits.size).toBeGreaterThan(5);
    expect(commits.size).toBeLessThan(20);
    await evaq.close();
  });

  it('in a large batch the clock is looked at now and then: what it says is believed of the sixteenth push at the latest', async () => {
    const clock = { now: T };
    const evaq = await openWith(clock, newDisk());
    const pushes = Array.from({ length: 100 }, (_, i) => {
      clock.now = i < 50 ? T : T + DAY;
      return evaq.wal.push('x');
    });
    await Promise.all(pushes);
    const times = await timesOf(evaq.wal);
    expect(times.slice(0, 50)).toEqual(times.slice(0, 50).map(() => T));
    expect(times.slice(66)).toEqual(times.slice(66).map(() => T + DAY));
    await evaq.close();
  });

  it('of a push that waits for room it is the time of the call, and of a blocking one as well', async () => {
    const disk = newDisk();
    const clock = { now: T };
    const evaq = await openWith(clock, disk, { maxPendingBytes: 64 * 1024 });
    const first = evaq.wal.push(Buffer.alloc(60 * 1024));
    clock.now = T + 10_000;
    const waits = evaq.wal.push(Buffer.alloc(60 * 1024));
    clock.now = T + 20_000;
    const manyWait = evaq.wal.pushMany([Buffer.alloc(30 * 1024), Buffer.alloc(30 * 1024)]);
    clock.now = T + 60_000;
    await Promise.all([first, waits, manyWait]);
    clock.now = T - 60_000;
    evaq.wal.pushSync('now');
    expect(await timesOf(evaq.wal)).toEqual([T, T + 10_000, T + 20_000, T + 20_000, T - 60_000]);
    await evaq.close();
  });

  it('of a move it is the time of the move, and the origin keeps that of the push', async () => {
    const clock = { now: T + 400 * DAY };
    const evaq = await openWith(clock, newDisk());
    const id = await evaq.wal.push('x');
    clock.now = T;
    const deadId = await evaq.wal.deadLetter(id, { reason: 'tried', delayMs: 1000 });
    expect(await evaq.deadLetters.get(deadId)).toMatchObject({
      timestamp: T,
      dueMs: T + 1000,
      origin: { timestamp: T + 400 * DAY },
    });
    await evaq.close();
  });
});

describe('an age heals when the clock does', () => {
  it.each([
    ['ahead', T + 400 * DAY],
    ['behind', T - 400 * DAY],
    ['at the epoch', 0],
    ['behind all time', -1e15],
  ])(
    '%s for one push, which is removed: the next oldest has its own age, through reopenings, clean and not',
    async (_, wrong) => {
      const disk = newDisk();
      const clock = { now: T };
      let evaq = await openWith(clock, disk);
      clock.now = wrong;
      const id = await evaq.wal.push('wrong');
      clock.now = T;
      await evaq.wal.push('right');
      clock.now = T + 5000;
      await evaq.wal.remove(id);
      expect(evaq.wal.stats().oldestAgeMs).toBe(5000);
      await evaq.close();
      evaq = await openWith(clock, disk);
      expect(evaq.wal.stats().oldestAgeMs).toBe(5000);
      disk.kill();
      evaq = await openWith(clock, disk);
      expect(evaq.wal.stats().oldestAgeMs).toBe(5000);
      await evaq.close();
    },
  );

  it.each([Number.NaN, -Infinity, Infinity, -1e15, 9e15, 0.5])(
    'it is a number from 0 up while the clock says %s',
    async (now) => {
      const clock = { now: T };
      const evaq = await openWith(clock, newDisk());
      await evaq.wal.push('x');
      clock.now = now;
      const { oldestAgeMs } = evaq.wal.stats();
      expect(oldestAgeMs).toBeGreaterThanOrEqual(0);
      expect(Number.isSafeInteger(oldestAgeMs)).toBe(true);
      await evaq.close();
    },
  );
});

describe('a clock outside of what files hold', () => {
  it.each([
    [-1e15, 0],
    [-1, 0],
    [-0.5, 0],
    [Number.NaN, 0],
    [-Infinity, 0],
    [0, 0],
    [0.5, 0],
    [T + 0.999, T],
    [2 ** 48 - 1, TIME_MS_MAX],
    [2 ** 48, TIME_MS_MAX],
    [8.64e15 + 1, TIME_MS_MAX],
    [9e15, TIME_MS_MAX],
    [1e300, TIME_MS_MAX],
    [Infinity, TIME_MS_MAX],
  ])('that says %d: everything works, and times are %d', async (now, held) => {
    const disk = newDisk();
    const clock = { now };
    let evaq = await openWith(clock, disk, { segmentBytes: 64 * 1024 });
    for (let i = 0; i < 5; i++) await evaq.wal.push(Buffer.alloc(30_000));
    await evaq.wal.pushMany(['a', 'b']);
    evaq.wal.pushSync('c');
    const deadId = await evaq.wal.deadLetter(8, { reason: 'r', delayMs: Number.MAX_SAFE_INTEGER });
    expect(await evaq.deadLetters.get(deadId)).toMatchObject({ timestamp: held, dueMs: TIME_MS_MAX });
    await evaq.wal.redrive([deadId]);
    for (const id of [1, 3]) await evaq.wal.remove(id);
    await evaq.wal.compact();
    expect(await timesOf(evaq.wal)).toEqual(Array.from({ length: evaq.wal.stats().live }, () => held));
    disk.kill();
    evaq = await openWith(clock, disk);
    expect(await timesOf(evaq.wal)).toContain(held);
    await evaq.close();
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
    const reader = await Evaq.openReadOnly(SIM_PATH, { ports: { vfs: disk.vfs, host: disk.host } });
    expect((await reader.wal.read()).every(({ timestamp }) => timestamp === held)).toBe(true);
    await reader.close();
  });
});
