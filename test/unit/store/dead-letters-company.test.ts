/** Dead letters beside others who want the same ones, and over crashes; moves between any queues. */
import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions, MoveProgress, Queue } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import {
  callUntyped,
  contentOf,
  countOf,
  newDisk,
  newPath,
  openReal,
  openSim,
  passTime,
  rejection,
} from './store-fixture.js';

/** Puts so many records into a queue and lets them die; resolves with the queue that holds them. */
async function die(evaq: Evaq, jobs: Queue, count: number, text: (i: number) => string = String): Promise<Queue> {
  const ids = await Promise.all(Array.from({ length: count }, (_, i) => jobs.push(text(i))));
  for (const id of ids) await jobs.deadLetter(id, { reason: 'no' });
  return evaq.queue(jobs.deadLetters.name);
}

const payloadsOf = async (queue: Queue): Promise<string[]> => Object.values(await contentOf(queue));

describe('dead letters in company', () => {
  it('P10: of a redrive, a purge, pops and removals each letter falls to one', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const evaq = await openSim(newDisk({ seed, timing: 'wild' }));
      const jobs = await evaq.queue('jobs');
      const dead = await die(evaq, jobs, 60);
      const moved: number[] = [];
      const onProgress = ({ batch }: MoveProgress): void => {
        moved.push(...batch.map(({ id }) => id));
      };
      const redriven = jobs.deadLetters.redrive('all', { ratePerSecond: 100_000, onProgress });
      const again = jobs.deadLetters.redrive(() => true, { ratePerSecond: 200 });
      const ids = Array.from({ length: 20 }, (_, i) => 3 * i + 1);
      const pops = Promise.allSettled(ids.map((id) => dead.pop(id)));
      const removals = Promise.all(ids.map((id) => dead.remove(id + 1)));
      const purged = jobs.deadLetters.purge(({ id }) => id % 3 === 0);
      const results = await Promise.all([redriven, again]);
      const popped = (await pops).filter(({ status }) => status === 'fulfilled').length;
      const removed = (await removals).filter(Boolean).length;
      const gone = popped + removed + (await purged).purged;
      expect(results[0].moved + results[1].moved + gone + dead.size).toBe(60);
      expect(jobs.size).toBe(results[0].moved + results[1].moved);
      expect(new Set(await payloadsOf(jobs)).size).toBe(jobs.size);
      expect(moved).toHaveLength(results[0].moved);
      await evaq.close();
    }
  });

  it('has its letters from the call on: a removal that is asked for later finds them moved', async () => {
    const evaq = await openSim(newDisk());
    const jobs = await evaq.queue('jobs');
    const dead = await die(evaq, jobs, 3);
    const redriven = jobs.deadLetters.redrive([3, 1]);
    expect(await dead.removeMany([1, 2, 3])).toBe(1);
    expect(await redriven).toMatchObject({ moved: 2, gone: 0 });
    await dead.pushMany(['a', 'b', 'c']);
    const range = jobs.deadLetters.redrive({ from: 5 });
    expect(await dead.removeMany([4, 5, 6])).toBe(1);
    expect(await range).toMatchObject({ moved: 2, gone: 0 });
    expect(await payloadsOf(jobs)).toEqual(['2', '0', 'b', 'c']);
    await evaq.close();
  });

  it('P16: a letter that a handler has is waited for, and is gone when that has delivered it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const jobs = await evaq.queue('jobs');
    const dead = await die(evaq, jobs, 3);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const delivery = dead.process(() => held, { concurrency: 1 });
    await passTime(disk, 100);
    delivery.pause();
    const redriven = jobs.deadLetters.redrive();
    await passTime(disk, 1000);
    expect(jobs.size).toBe(0);
    release();
    const { moved, gone } = await redriven;
    expect([moved, gone]).toEqual([2, 1]);
    expect(await payloadsOf(jobs)).toEqual(['1', '2']);
    expect(dead.size).toBe(0);
    await evaq.close();
  });

  it('redriven to a queue that is being delivered each arrives once, with its attempts counted on', async () => {
    const evaq = await openSim(newDisk());
    const jobs = await evaq.queue('jobs');
    await die(evaq, jobs, 40);
    const arrived: string[] = [];
    const delivery = jobs.process(({ payload }, { attempt }) => {
      arrived.push(`${payload.toString()}:${attempt}`);
    });
    const { moved } = await jobs.deadLetters.redrive('all', { ratePerSecond: 500 });
    await delivery.drained();
    expect(moved).toBe(40);
    expect(arrived.sort()).toEqual(Array.from({ length: 40 }, (_, i) => `${i}:2`).sort());
    await delivery.stop();
    await evaq.close();
  });

  it('cannot go round for ever: what dies again and again stays in the end', async () => {
    const evaq = await openSim(newDisk());
    const jobs = await evaq.queue('jobs');
    await jobs.push('poison');
    let calls = 0;
    const delivery = jobs.process(
      () => {
        calls++;
        throw new Error('always');
      },
      { retry: { maxAttempts: 2, backoff: { baseMs: 1, jitter: 'none' } }, breaker: false },
    );
    let rounds = 0;
    for (let refused = 0; refused === 0; rounds++) {
      await delivery.drained();
      ({ refused } = await jobs.deadLetters.redrive());
    }
    expect([rounds, calls]).toEqual([4, 8]);
    const { value: letter } = await jobs.deadLetters.list().next();
    expect(letter).toMatchObject({ reason: 'attempts', attempts: 8, redrives: 3, error: { message: 'always' } });
    expect(letter?.firstFailureMs).toBeLessThan(letter?.lastFailureMs ?? 0);
    await delivery.stop();
    await evaq.close();
  });

  it.each(['sync', 'os'] as const)(
    'P10: killed, or cut off, in the middle of a redrive: each is there once, and the next one goes on (%s)',
    async (durability) => {
      const options: EvaqOptions = { segmentBytes: 64 * 1024, durability };
      const disk = newDisk({ seed: 7 });
      const evaq = await openSim(disk, options);
      const jobs = await evaq.queue('jobs');
      const mail = await evaq.queue('mail');
      const holding = await die(evaq, jobs, 3, (i) => `job ${i}`);
      await evaq.move(await die(evaq, mail, 2, (i) => `mail ${i}`), 'all', holding);
      await evaq.close();
      const open = await openSim(disk, options);
      const states = new Map<string, SimDisk>();
      const stop = disk.observe(({ phase }) => {
        if (phase === 'call') return;
        for (const { hash, disk: after } of disk.crashStates({ exhaustiveMax: 4, draws: 2 })) states.set(hash, after);
      });
      await (await open.queue('jobs')).deadLetters.redrive('all', { ratePerSecond: 20 });
      stop();
      await open.close();
      const all = ['job 0', 'job 1', 'job 2', 'mail 0', 'mail 1'];
      const left = new Set<number>();
      expect(states.size).toBeGreaterThan(20);
      for (const after of [...states.values()].filter((_, i) => i % Math.ceil(states.size / 20) === 0)) {
        const again = await openSim(after, options);
        const queues = [await again.queue('jobs'), await again.queue('mail'), await again.queue('jobs.dead')] as const;
        const there = (await Promise.all(queues.map(payloadsOf))).flat();
        expect(there.sort()).toEqual(all);
        left.add(queues[2].size);
        await queues[0].deadLetters.redrive();
        expect(await payloadsOf(queues[0])).toEqual(all.slice(0, 3));
        expect(await payloadsOf(queues[1])).toEqual(all.slice(3));
        for await (const { redrives } of queues[0].records()) expect(redrives).toBe(1);
        await again.close();
      }
      // It was cut off at its beginning, in its midst, and at its end.
      expect(left.size).toBeGreaterThanOrEqual(4);
    },
  );
});

it.each(['sync', 'os'] as const)('moves of a batch share their writes and syncs (%s)', async (durability) => {
  const disk = newDisk();
  const evaq = await openSim(disk, { durability });
  const jobs = await evaq.queue('jobs');
  const dead = await evaq.queue('jobs.dead');
  await dead.pushMany(Array.from({ length: 1024 }, (_, i) => `${i}`));
  await dead.flush();
  const before = { seg: countOf(disk, 'sync', /jobs\/.*seg$/), tomb: countOf(disk, 'sync', /jobs\.dead\/.*tomb$/) };
  await jobs.deadLetters.redrive();
  expect(countOf(disk, 'sync', /jobs\/.*seg$/) - before.seg).toBeLessThanOrEqual(5);
  expect(countOf(disk, 'sync', /jobs\.dead\/.*tomb$/) - before.tomb).toBeLessThanOrEqual(5);
  await evaq.close();
});

describe('evaq.move', () => {
  it('P10: takes records from any queue to any other, as they are', async () => {
    const evaq = await openSim(newDisk());
    const one = await evaq.queue('one');
    const other = await evaq.queue('other');
    for (let i = 1; i <= 5; i++) await one.push(`${i}`, { headers: { n: `${i}` } });
    expect(await evaq.move(one, [4, 2, 9], other)).toEqual({
      moved: 2,
      queues: { other: 2 },
      gone: 1,
      refused: 0,
      refusedIds: [],
    });
    expect(await payloadsOf(other)).toEqual(['4', '2']);
    expect(await other.get(1)).toMatchObject({ headers: { n: '4' }, identity: { queue: 'one', id: 4 } });
    expect(await evaq.move('one', ({ headers }) => headers?.['n'] === '5', 'other')).toMatchObject({ moved: 1 });
    expect(await evaq.move('one', { from: 2 }, 'wal', { dryRun: true })).toMatchObject({
      moved: 1,
      queues: { wal: 1 },
    });
    expect(await evaq.move('one', 'all', evaq.wal, { limit: 1 })).toMatchObject({ moved: 1 });
    expect([await payloadsOf(one), await payloadsOf(evaq.wal)]).toEqual([['3'], ['1']]);
    await evaq.close();
  });

  it('a dead letter keeps why it is one', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.push('x');
    await evaq.deadLetter(1, { reason: 'no', error: Object.assign(new Error('because'), { code: 'E1' }), delayMs: 9 });
    const graves = await evaq.queue('graves');
    const before = await evaq.deadLetters.get(1);
    await evaq.move(evaq.deadLetters, 'all', graves);
    const { reason, error, attempts, dueMs, failedMs } = before ?? {};
    expect(await graves.get(1)).toMatchObject({ reason, error, attempts, dueMs, failedMs });
    expect(reason).toBe('no');
    await evaq.close();
  });

  it('wants two queues of this store that there are', async () => {
    const evaq = await openSim(newDisk());
    const stranger = await openSim(newDisk());
    const jobs = await evaq.queue('jobs');
    await jobs.push('x');
    await rejection(evaq.move('job', 'all', jobs), 'EVAQ_QUEUE_NAME', { queue: 'job' });
    await rejection(evaq.move(jobs, 'all', 'other'), 'EVAQ_QUEUE_NAME', { queue: 'other' });
    await expect(evaq.move(jobs, 'all', 'jobs')).rejects.toThrow(/the same queue/);
    await expect(evaq.move(jobs, 'all', stranger.wal)).rejects.toThrow(/to must be a queue of this store/);
    for (const value of [null, undefined, 5, {}, { name: 'jobs' }, () => 1]) {
      await expect(callUntyped(evaq, 'move', value, 'all', 'wal')).rejects.toThrow(TypeError);
    }
    await expect(callUntyped(evaq, 'move', jobs, undefined, 'wal')).rejects.toThrow(/move: a selection is/);
    await expect(callUntyped(evaq, 'move', jobs, {}, 'wal')).rejects.toThrow(/names nothing/);
    await expect(callUntyped(evaq, 'move', jobs, 'all', 'wal', { force: true })).rejects.toThrow(/no option 'force'/);
    await expect(callUntyped(evaq, 'move', jobs, 'all', 'wal', {}, 1)).rejects.toThrow(/at most 4 arguments/);
    expect(evaq.queueNames()).not.toContain('other');
    expect(jobs.size).toBe(1);
    await evaq.close();
    await rejection(evaq.move(jobs, 'all', 'wal'), 'EVAQ_CLOSED');
    await stranger.close();
  });

  it('P14: two that move to and fro both come to an end, and nothing is lost', async () => {
    const evaq = await openReal({}, newPath());
    const [one, other] = [await evaq.queue('one'), await evaq.queue('other')];
    await one.pushMany(Array.from({ length: 600 }, (_, i) => `a${i}`));
    await other.pushMany(Array.from({ length: 600 }, (_, i) => `b${i}`));
    const [there, back] = await Promise.all([evaq.move(one, 'all', other), evaq.move(other, 'all', one)]);
    expect([there.moved, back.moved]).toEqual([600, 600]);
    expect((await payloadsOf(one)).every((text) => text.startsWith('b'))).toBe(true);
    expect((await payloadsOf(other)).every((text) => text.startsWith('a'))).toBe(true);
  });
});
