import { describe, expect, it } from 'vitest';
import type { DeadLetter, Evaq, MoveProgress, Queue } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { callUntyped, contentOf, idsOf, newDisk, openSim, passTime, rejection } from './store-fixture.js';

const REFUSED = Object.assign(new Error('410 Gone'), { code: 'E_GONE' });

/** A store with so many records that have become dead letters of `queue`, in turns with and without an error. */
async function withLetters(count: number, name = 'jobs'): Promise<{ disk: SimDisk; evaq: Evaq; jobs: Queue }> {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const jobs = await evaq.queue(name);
  for (let i = 1; i <= count; i++) {
    const id = await jobs.push(`job ${i}`, { headers: { n: `${i}` } });
    const isOdd = i % 2 === 1;
    await jobs.deadLetter(id, isOdd ? { reason: 'refused', error: REFUSED } : { reason: 'late' });
  }
  return { disk, evaq, jobs };
}

async function listed(queue: Queue, options?: Parameters<Queue['deadLetters']['list']>[0]): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of queue.deadLetters.list(options)) letters.push(letter);
  return letters;
}

const idsIn = (letters: readonly DeadLetter[]): number[] => letters.map(({ id }) => id);

describe('list', () => {
  it('shows each with its history, and which queue it goes back to', async () => {
    const { evaq, jobs } = await withLetters(2);
    expect(jobs.deadLetters.name).toBe('jobs.dead');
    const [first, second] = await listed(jobs);
    expect(first).toMatchObject({
      id: 1,
      queue: 'jobs',
      deliveryId: `${evaq.storeId}:jobs:1`,
      reason: 'refused',
      code: 'E_GONE',
      error: { name: 'Error', message: '410 Gone', code: 'E_GONE' },
      attempts: 1,
      redrives: 0,
      headers: { n: '1' },
      origin: { queue: 'jobs', id: 1 },
    });
    expect(first?.payload.toString()).toBe('job 1');
    expect(first?.firstFailureMs).toBe(first?.lastFailureMs);
    expect(second).not.toHaveProperty('code');
    await evaq.close();
  });

  it('of some by reason, code, IDs, and number', async () => {
    const { evaq, jobs } = await withLetters(6);
    expect(idsIn(await listed(jobs, { reason: 'late' }))).toEqual([2, 4, 6]);
    expect(idsIn(await listed(jobs, { code: 'E_GONE', from: 2 }))).toEqual([3, 5]);
    expect(idsIn(await listed(jobs, { to: 5, limit: 2 }))).toEqual([1, 2]);
    expect(idsIn(await listed(jobs, { reason: 'late', limit: 2 }))).toEqual([2, 4]);
    expect(await listed(jobs, { limit: 0 })).toEqual([]);
    expect(await listed(jobs, { reason: 'refused', code: 'other' })).toEqual([]);
    await evaq.close();
  });

  it('of a queue that never had any: none, and no queue is made for the question', async () => {
    const evaq = await openSim(newDisk());
    const jobs = await evaq.queue('jobs');
    expect(await listed(jobs)).toEqual([]);
    expect(await jobs.deadLetters.summary()).toEqual({ total: 0, groups: [], ungrouped: 0 });
    expect(await jobs.deadLetters.redrive()).toMatchObject({ moved: 0, gone: 0 });
    expect(await jobs.deadLetters.redrive([1, 2])).toMatchObject({ moved: 0, gone: 2 });
    expect(await jobs.deadLetters.purge('all')).toEqual({ purged: 0, gone: 0 });
    expect(evaq.queueNames()).not.toContain('jobs.dead');
    await evaq.close();
  });

  it('the same dead letters are seen from the queue that holds them, and after a restart', async () => {
    const { disk, evaq, jobs } = await withLetters(1);
    const holding = await evaq.queue('jobs.dead');
    expect(await listed(holding)).toEqual(await listed(jobs));
    await evaq.wal.push('x');
    await evaq.deadLetter(1, { reason: 'no' });
    expect(await listed(evaq.deadLetters)).toEqual(await listed(evaq.wal));
    await evaq.close();
    const again = await openSim(disk);
    expect(await listed(await again.queue('jobs'))).toMatchObject([{ id: 1, reason: 'refused', queue: 'jobs' }]);
    await again.close();
  });

  it('ends at a signal, and rejects from a close on', async () => {
    const { evaq, jobs } = await withLetters(2);
    const reason = new Error('enough');
    const list = jobs.deadLetters.list({ signal: AbortSignal.abort(reason) });
    await expect(list.next()).rejects.toBe(reason);
    const { deadLetters } = jobs;
    await evaq.close();
    await rejection(deadLetters.list().next(), 'EVAQ_CLOSED');
    await rejection(deadLetters.summary(), 'EVAQ_CLOSED');
    await rejection(deadLetters.redrive(), 'EVAQ_CLOSED');
    await rejection(deadLetters.purge('all'), 'EVAQ_CLOSED');
  });
});

it('a dead letter has a reason: one that is empty is none', async () => {
  const evaq = await openSim(newDisk());
  await evaq.wal.push('a');
  await expect(evaq.deadLetter(1, { reason: '' })).rejects.toThrow(new RangeError('options.reason must not be empty'));
  expect(evaq.wal.size).toBe(1);
  await evaq.close();
});

describe('summary', () => {
  it('counts by reason and error code, the most first, with a sample of each', async () => {
    const { disk, evaq, jobs } = await withLetters(3);
    await passTime(disk, 5000);
    await jobs.deadLetter(await jobs.push('one more'), {
      reason: 'refused',
      error: new Error('fetch failed', { cause: REFUSED }),
    });
    await evaq.queue('jobs.dead').then((queue) => queue.push('by hand'));
    const { total, groups, ungrouped } = await jobs.deadLetters.summary();
    expect({ total, ungrouped }).toEqual({ total: 5, ungrouped: 0 });
    expect(groups).toMatchObject([
      {
        reason: 'refused',
        code: 'E_GONE',
        count: 3,
        sample: { id: 1, queue: 'jobs', name: 'Error', message: '410 Gone' },
      },
      { reason: 'late', count: 1, sample: { id: 2, queue: 'jobs' } },
      { count: 1, sample: { id: 5, queue: 'jobs' } },
    ]);
    const [most] = groups;
    expect((most?.lastMs ?? 0) - (most?.firstMs ?? 0)).toBeGreaterThanOrEqual(4000);
    expect(groups[1]).not.toHaveProperty('code');
    expect(groups[2]).not.toHaveProperty('reason');
    await evaq.close();
  });

  it('keeps a thousand kinds apart, and counts the rest together', async () => {
    const evaq = await openSim(newDisk());
    const ids = await Promise.all(Array.from({ length: 1010 }, (_, i) => evaq.wal.push(`${i}`)));
    await Promise.all(ids.map((id) => evaq.deadLetter(id, { reason: `order ${id}` })));
    const { total, groups, ungrouped } = await evaq.wal.deadLetters.summary();
    expect([total, groups.length, ungrouped]).toEqual([1010, 1000, 10]);
    await evaq.close();
  });
});

describe('redrive', () => {
  it('without a selection all go back to where they came from, in their order, with their history', async () => {
    const { evaq, jobs } = await withLetters(3);
    const result = await jobs.deadLetters.redrive();
    expect(result).toEqual({ moved: 3, queues: { jobs: 3 }, gone: 0, refused: 0, refusedIds: [] });
    expect(Object.values(await contentOf(jobs))).toEqual(['job 1', 'job 2', 'job 3']);
    const [back] = await jobs.read();
    expect(back).toMatchObject({ attempts: 1, redrives: 1, headers: { n: '1' }, identity: { queue: 'jobs', id: 1 } });
    expect(back).not.toHaveProperty('reason');
    expect(await listed(jobs)).toEqual([]);
    await evaq.close();
  });

  it('each goes to its own queue where several queues have theirs in one; what was pushed there to the one whose they are', async () => {
    const { evaq, jobs } = await withLetters(2);
    const mail = await evaq.queue('mail');
    await mail.push('letter');
    await mail.deadLetter(1, { reason: 'no' });
    const holding = await evaq.queue('jobs.dead');
    await evaq.move(await evaq.queue('mail.dead'), 'all', holding);
    await holding.push('by hand');
    expect((await listed(jobs)).map(({ queue }) => queue)).toEqual(['jobs', 'jobs', 'mail', 'jobs']);
    expect(await jobs.deadLetters.redrive()).toMatchObject({ moved: 4, queues: { jobs: 3, mail: 1 } });
    expect(Object.values(await contentOf(mail))).toEqual(['letter']);
    expect(Object.values(await contentOf(jobs))).toEqual(['job 1', 'job 2', 'by hand']);
    await evaq.close();
  });

  it('by IDs in the order given, by criteria, by a function; what is gone is counted', async () => {
    const { evaq, jobs } = await withLetters(8);
    const moved: number[] = [];
    const onProgress = ({ batch }: MoveProgress): void => {
      moved.push(...batch.map(({ id }) => id));
    };
    const byId = await jobs.deadLetters.redrive([5, 99, 2, 5], { onProgress });
    expect(byId).toMatchObject({ moved: 2, gone: 1 });
    expect(moved).toEqual([5, 2]);
    expect(await jobs.deadLetters.redrive(new Set([1]))).toMatchObject({ moved: 1 });
    expect(await jobs.deadLetters.redrive({ reason: 'late', to: 6 })).toMatchObject({ moved: 2 });
    expect(await jobs.deadLetters.redrive({ from: 8 })).toMatchObject({ moved: 1 });
    const asked: number[] = [];
    const result = await jobs.deadLetters.redrive((letter) => {
      asked.push(letter.id);
      return Promise.resolve(letter.code === 'E_GONE' && letter.queue === 'jobs' && letter.id > 3);
    });
    expect(asked).toEqual([3, 7]);
    expect(result).toMatchObject({ moved: 1 });
    expect(idsIn(await listed(jobs))).toEqual([3]);
    await evaq.close();
  });

  it('no further than the limit, whatever is selected', async () => {
    const { evaq, jobs } = await withLetters(8);
    const { deadLetters } = jobs;
    expect(await deadLetters.redrive('all', { limit: 0 })).toMatchObject({ moved: 0 });
    expect(await deadLetters.redrive('all', { limit: 1 })).toMatchObject({ moved: 1 });
    expect(await deadLetters.redrive([8, 7, 6], { limit: 2 })).toMatchObject({ moved: 2 });
    const asked: number[] = [];
    await deadLetters.redrive(({ id }) => asked.push(id) > 0, { limit: 2 });
    expect(asked).toEqual([2, 3]);
    expect(idsIn(await listed(jobs))).toEqual([4, 5, 6]);
    await evaq.close();
  });

  it('one that has gone back too often stays, unless it is forced; the others go', async () => {
    const { evaq, jobs } = await withLetters(2);
    const { deadLetters } = jobs;
    const die = async (): Promise<void> => {
      for (const id of await idsOf(jobs)) await jobs.deadLetter(id, { reason: 'again' });
    };
    for (let i = 0; i < 3; i++) {
      expect(await deadLetters.redrive()).toMatchObject({ moved: 2, refused: 0 });
      await die();
    }
    await jobs.deadLetter(await jobs.push('new'), { reason: 'first' });
    const before = await listed(jobs);
    expect(before.map(({ redrives, attempts }) => [redrives, attempts])).toEqual([
      [3, 4],
      [3, 4],
      [0, 1],
    ]);
    const refusedIds = idsIn(before).slice(0, 2);
    const dry = await deadLetters.redrive('all', { dryRun: true });
    expect(dry).toEqual({ moved: 1, queues: { jobs: 1 }, gone: 0, refused: 2, refusedIds });
    // The limit counts what goes.
    expect(await deadLetters.redrive('all', { limit: 1 })).toEqual(dry);
    expect(await deadLetters.redrive(() => true)).toMatchObject({ moved: 0, refused: 2, refusedIds });
    expect(await deadLetters.redrive([refusedIds[0] ?? 0], { maxRedrives: 4 })).toMatchObject({ moved: 1 });
    expect(await deadLetters.redrive('all', { force: true })).toMatchObject({ moved: 1, refused: 0 });
    expect(await listed(jobs)).toEqual([]);
    await evaq.close();
  });

  it('a dry run says what would be, and changes nothing', async () => {
    const { disk, evaq, jobs } = await withLetters(5);
    const { deadLetters } = jobs;
    const writes = (): number => disk.calls.filter(({ name }) => name === 'write').length;
    const before = writes();
    const told: MoveProgress[] = [];
    const onProgress = (progress: MoveProgress): number => told.push(progress);
    expect(await deadLetters.redrive(undefined, { dryRun: true, onProgress })).toMatchObject({
      moved: 5,
      queues: { jobs: 5 },
    });
    expect(await deadLetters.redrive([4, 9], { dryRun: true })).toMatchObject({ moved: 1, gone: 1 });
    expect(await deadLetters.redrive({ reason: 'late' }, { dryRun: true, limit: 1 })).toMatchObject({ moved: 1 });
    expect(await deadLetters.purge({ code: 'E_GONE' }, { dryRun: true })).toEqual({ purged: 3, gone: 0 });
    expect(await deadLetters.purge('all', { dryRun: true })).toEqual({ purged: 5, gone: 0 });
    expect(await deadLetters.purge([1, 77], { dryRun: true })).toEqual({ purged: 1, gone: 1 });
    expect(writes()).toBe(before);
    expect(told).toEqual([]);
    expect(jobs.size).toBe(0);
    await evaq.close();
  });

  it('a function that throws, or rejects, is asked before anything moves', async () => {
    const { evaq, jobs } = await withLetters(4);
    const { deadLetters } = jobs;
    const broken = new Error('my filter');
    const throws = ({ id }: DeadLetter): boolean => {
      if (id === 3) throw broken;
      return true;
    };
    await expect(deadLetters.redrive(throws)).rejects.toBe(broken);
    await expect(deadLetters.redrive(async (letter) => throws(letter))).rejects.toBe(broken);
    await expect(deadLetters.purge(throws)).rejects.toBe(broken);
    expect(jobs.size).toBe(0);
    expect(idsIn(await listed(jobs))).toEqual([1, 2, 3, 4]);
    await evaq.close();
  });

  it('P14: means those that there are at the call, however many die meanwhile', async () => {
    const { evaq, jobs } = await withLetters(300);
    const onProgress = async ({ batch }: MoveProgress): Promise<void> => {
      for (const { newId } of batch.slice(0, 20)) await jobs.deadLetter(newId, { reason: 'at once' });
    };
    expect(await jobs.deadLetters.redrive('all', { onProgress })).toMatchObject({ moved: 300 });
    await evaq.close();
  });

  it('goes at the pace that was asked for: no second has more', async () => {
    const { disk, evaq, jobs } = await withLetters(45);
    const begun = disk.host.elapsed();
    const bySecond = new Map<number, number>();
    const progress: number[] = [];
    const onProgress = ({ moved, total, batch }: MoveProgress): void => {
      const second = Math.floor((disk.host.elapsed() - begun) / 1000);
      bySecond.set(second, (bySecond.get(second) ?? 0) + batch.length);
      progress.push(moved);
      expect(total).toBe(45);
    };
    await jobs.deadLetters.redrive('all', { ratePerSecond: 20, onProgress });
    expect([...bySecond.values()]).toEqual([20, 20, 5]);
    expect(progress.slice(0, 3)).toEqual([2, 4, 6]);
    const slow = disk.host.elapsed();
    for (const id of (await idsOf(jobs)).slice(0, 3)) await jobs.deadLetter(id, { reason: 'x' });
    await jobs.deadLetters.redrive('all', { ratePerSecond: 0.1, force: true });
    expect(Math.floor((disk.host.elapsed() - slow) / 10_000)).toBe(2);
    await evaq.close();
  });

  it('an aborted signal ends it: while it waits for its pace, between two batches, and before it begins', async () => {
    const { disk, evaq, jobs } = await withLetters(30);
    const { deadLetters } = jobs;
    const reason = new Error('enough');
    await expect(deadLetters.redrive('all', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(jobs.size).toBe(0);
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = ({ moved }: MoveProgress): void => {
      if (moved === 10) controller.abort(reason);
    };
    await expect(deadLetters.redrive('all', { ratePerSecond: 50, signal, onProgress })).rejects.toBe(reason);
    expect(jobs.size).toBe(10);
    const waits = new AbortController();
    const paced = deadLetters.redrive('all', { ratePerSecond: 0.001, signal: waits.signal });
    await passTime(disk, 500);
    const begun = disk.host.elapsed();
    waits.abort(reason);
    await expect(paced).rejects.toBe(reason);
    expect(disk.host.elapsed()).toBe(begun);
    await passTime(disk, 2_000_000);
    expect(jobs.size).toBe(11);
    expect((await listed(jobs)).length).toBe(19);
    await evaq.close();
  });

  it('what onProgress throws ends it, and comes out as itself', async () => {
    const { evaq, jobs } = await withLetters(30);
    const broken = new Error('my bar');
    const onProgress = (): never => {
      throw broken;
    };
    await expect(jobs.deadLetters.redrive('all', { ratePerSecond: 100, onProgress })).rejects.toBe(broken);
    expect(jobs.size).toBe(10);
    await evaq.close();
  });

  it('a close does not wait for its pace; it rejects, and says how many have moved', async () => {
    const { disk, evaq, jobs } = await withLetters(30);
    const paced = jobs.deadLetters.redrive('all', { ratePerSecond: 100 });
    const outcome = rejection(paced, 'EVAQ_CLOSED', { done: 10 });
    await passTime(disk, 50);
    const begun = disk.host.elapsed();
    await evaq.close();
    await outcome;
    expect(disk.host.elapsed() - begun).toBeLessThan(50);
    const again = await openSim(disk);
    expect((await again.queue('jobs')).size).toBe(10);
    await again.close();
  });

  it('a close waits for the batch under way, and not for the whole', async () => {
    const { disk, evaq, jobs } = await withLetters(600);
    let closed: Promise<void> | undefined;
    const onProgress = (): void => {
      closed ??= evaq.close();
    };
    await rejection(jobs.deadLetters.redrive('all', { onProgress }), 'EVAQ_CLOSED', { done: 256 });
    await closed;
    const again = await openSim(disk);
    expect((await again.queue('jobs')).size).toBe(256);
    await again.close();
  });

  it('where one cannot be moved it says how many have been, and goes on when it is called again', async () => {
    const { disk, evaq, jobs } = await withLetters(300);
    const cancel = disk.fault({ on: 'write', path: /\/jobs\/.*seg/, error: 'ENOSPC', nth: 2, times: Infinity });
    const { message } = await rejection(jobs.deadLetters.redrive(), 'EVAQ_NO_SPACE', { done: 256 });
    expect(message).toContain('256 were done by then');
    cancel();
    expect(await jobs.deadLetters.redrive()).toMatchObject({ moved: 44 });
    expect(new Set(Object.values(await contentOf(jobs))).size).toBe(300);
    await evaq.close();
  });
});

describe('purge', () => {
  it('wants a selection that says something', async () => {
    const { evaq, jobs } = await withLetters(2);
    const { deadLetters } = jobs;
    await expect(callUntyped(deadLetters, 'purge')).rejects.toThrow(/purge: a selection is .*'all', got undefined/);
    await expect(deadLetters.purge({})).rejects.toThrow(/names nothing .*say 'all'/);
    await expect(callUntyped(deadLetters, 'purge', { reason: undefined })).rejects.toThrow(TypeError);
    await expect(callUntyped(deadLetters, 'purge', { reasn: 'x' })).rejects.toThrow(/did you mean 'reason'/);
    await expect(callUntyped(deadLetters, 'purge', 'everything')).rejects.toThrow(TypeError);
    await expect(callUntyped(deadLetters, 'purge', ['1'])).rejects.toThrow(TypeError);
    await expect(callUntyped(deadLetters, 'redrive', { ratePerSecond: 1 })).rejects.toThrow(TypeError);
    await expect(callUntyped(deadLetters, 'redrive', 'all', { ratePerSecond: 0 })).rejects.toThrow(RangeError);
    await expect(callUntyped(deadLetters, 'redrive', 'all', { rate: 1 })).rejects.toThrow(TypeError);
    await expect(callUntyped(deadLetters, 'redrive', 'all', { maxRedrives: -1 })).rejects.toThrow(RangeError);
    await expect(callUntyped(deadLetters, 'redrive', 'all', { force: 1 })).rejects.toThrow(TypeError);
    expect(idsIn(await listed(jobs))).toEqual([1, 2]);
    await evaq.close();
  });

  it('removes what is selected, for good', async () => {
    const { disk, evaq, jobs } = await withLetters(10);
    const { deadLetters } = jobs;
    expect(await deadLetters.purge([2, 40])).toEqual({ purged: 1, gone: 1 });
    expect(await deadLetters.purge({ from: 9 })).toEqual({ purged: 2, gone: 0 });
    expect(await deadLetters.purge({ reason: 'late', to: 4 })).toEqual({ purged: 1, gone: 0 });
    expect(await deadLetters.purge(({ id }) => id === 7)).toEqual({ purged: 1, gone: 0 });
    expect(idsIn(await listed(jobs))).toEqual([1, 3, 5, 6, 8]);
    expect(await deadLetters.purge({ to: 3 })).toEqual({ purged: 2, gone: 0 });
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(idsIn(await listed(await after.queue('jobs')))).toEqual([5, 6, 8]);
    await after.close();
    expect(await deadLetters.purge('all')).toEqual({ purged: 3, gone: 0 });
    expect(await deadLetters.summary()).toMatchObject({ total: 0 });
    await evaq.close();
  });
});
