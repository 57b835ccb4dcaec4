/** Small writes of the modes that do not wait for the disk are made in the calling thread, and never hold it for long. */
import { describe, expect, it } from 'vitest';
import { BlockingBudget } from '../../../src/queue/blocking-budget.js';
import { newDisk, openSim, rejection } from '../store/store-fixture.js';

/** A clock that is set by hand, and a budget that writes by it; `taken` tells how each write was made. */
function budgetOf(syncFollows: boolean = false): {
  at: number;
  readonly write: (bytes: number, ms?: number) => Promise<void>;
  readonly taken: string[];
} {
  const clock = { at: 1000 };
  const { host } = newDisk();
  const budget = new BlockingBudget({ ...host, elapsed: () => clock.at }, syncFollows);
  const taken: string[] = [];
  const write = (bytes: number, ms: number = 0): Promise<void> =>
    budget.write(
      bytes,
      () => {
        taken.push('blocking');
        clock.at += ms;
      },
      async () => {
        taken.push('pooled');
        clock.at += ms;
      },
    );
  return Object.assign(clock, { write, taken });
}

describe('the budget of blocking writes', () => {
  it('P12: lets the event loop turn once a millisecond, however many small writes there are', async () => {
    const budget = budgetOf();
    for (let i = 0; i < 100; i++) await budget.write(100, 0.05);
    expect(budget.taken[0]).toBe('pooled');
    expect(budget.taken.filter((one) => one === 'pooled').length).toBeGreaterThanOrEqual(4);
    expect(budget.taken.filter((one) => one === 'blocking').length).toBeGreaterThan(80);
    budget.at += 5;
    await budget.write(100);
    expect(budget.taken.at(-1)).toBe('pooled');
  });

  it('sends large ones through the pool', async () => {
    const budget = budgetOf();
    await budget.write(100);
    await budget.write(128 * 1024);
    await budget.write(128 * 1024 + 1);
    expect(budget.taken).toEqual(['pooled', 'blocking', 'pooled']);
  });

  it('where a sync follows each write, every small one is made at once', async () => {
    const budget = budgetOf(true);
    for (let i = 0; i < 5; i++) {
      await budget.write(100, 0.1);
      budget.at += 5;
    }
    expect(budget.taken).toEqual(Array.from({ length: 5 }, () => 'blocking'));
    await budget.write(100, 3);
    await budget.write(100);
    expect(budget.taken.at(-1)).toBe('pooled');
  });

  it('sends all through the pool for a while after one that was slow', async () => {
    const budget = budgetOf();
    await budget.write(100);
    await budget.write(100, 3);
    for (let i = 0; i < 20; i++) await budget.write(100, 0.01);
    expect(budget.taken.slice(0, 3)).toEqual(['pooled', 'blocking', 'pooled']);
    expect(budget.taken.slice(2)).not.toContain('blocking');
    budget.at += 600;
    await budget.write(100);
    await budget.write(100);
    expect(budget.taken.at(-1)).toBe('blocking');
  });
});

it("P12: a loop of awaited pushes and removals in mode 'os' leaves timers and input their turn", async () => {
  // On the simulated disk a blocking write takes 20 µs, and nothing else takes time but calls of the disk: the turns can be counted.
  const disk = newDisk();
  const evaq = await openSim(disk, { durability: 'os' });
  const before = disk.calls.length;
  for (let i = 0; i < 1000; i++) await evaq.wal.remove(await evaq.pushWal('x'));
  let inARow = 0;
  let most = 0;
  let blocking = 0;
  for (const { name } of disk.calls.slice(before)) {
    if (name === 'writeBlocking') {
      inARow++;
      blocking++;
    } else {
      // Its completion is a turn of the event loop.
      inARow = 0;
    }
    most = Math.max(most, inARow);
  }
  expect(most, 'in a row: a millisecond of them').toBeLessThanOrEqual(51);
  expect(blocking, 'most of the writes').toBeGreaterThan(1800);
  await evaq.close();
});

it('P4: a blocking write that fails rejects the pushes of its commit alone, and leaves nothing behind', async () => {
  for (const error of ['ENOSPC', 'EIO'] as const) {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os' });
    await evaq.pushWal('first');
    // Whichever way this one is written, the next one follows at once.
    const stop = disk.fault({ on: ['write', 'writeBlocking'], path: '.seg', error, times: 2 });
    const code = error === 'EIO' ? 'EVAQ_IO' : 'EVAQ_NO_SPACE';
    await rejection(evaq.pushWal('lost'), code);
    await rejection(evaq.pushWal('lost, too'), code);
    stop();
    expect(await evaq.pushWal('second')).toBe(2);
    const after = await openSim(disk.fork(), { durability: 'os' });
    expect((await after.wal.read()).map(({ payload }) => payload.toString())).toEqual(['first', 'second']);
    for (const one of [evaq, after]) await one.close();
  }
});
