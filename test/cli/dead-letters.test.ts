/** Dead letters and moves through the shell: what is said, what is planned, and what is done. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { describeIds, IdTally } from '../../src/cli/id-ranges-text.js';
import { inPortions, iterated } from '../../src/cli/portions.js';
import { Evaq } from '../../src/evaq.js';
import { snapshotOf } from '../unit/raw/support/disk.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

async function withLetters(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-letters-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const store = join(folder, 'store');
  await using library = await Evaq.open(store);
  const jobs = await library.queue('jobs');
  await jobs.pushMany(['a', 'b', 'c', '\u001b[31mred']);
  await library.wal.pushMany(['x', 'y']);
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  for (const id of [1, 2])
    await jobs.deadLetter(id, { reason: 'down', error: new Error('cannot send', { cause: refused }) });
  await jobs.deadLetter(4, { reason: 'bad\u001b[2J input' });
  await library.deadLetter(2, { reason: 'no route' });
  return store;
}

async function sizeOf(store: string, queue: string): Promise<number> {
  await using library = await Evaq.openReadOnly(store);
  return await (await library.queue(queue)).size;
}

/** Resolves when the dead letters of `jobs` have become less than so many. */
async function changed(store: string, before: number): Promise<void> {
  while ((await sizeOf(store, 'jobs.dead')) > before - 20) await setTimeout(20);
}

describe('dead-letters', () => {
  test('are found without the queue whose they are, as after an import of them alone; and go back, or for good', async () => {
    const store = await withLetters();
    const { stdout } = await evaq(['export', store, '-q', 'jobs.dead']);
    const copy = `${store}-2`;
    expect((await evaq(['import', copy], stdout)).code).toBe(0);
    expect((await evaq(['dead-letters', copy])).stdout.toString()).toMatch(/^dead letters of jobs: 3$/m);
    const purged = await evaq(['dead-letters', 'purge', copy, '3', '-q', 'jobs', '--yes']);
    expect(purged).toMatchObject({ code: 0, stderr: expect.stringContaining('purged 1 record of jobs.dead') });
    const back = await evaq(['dead-letters', 'redrive', copy, '--yes']);
    expect(back).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('redrove 2 records of jobs.dead (2 to jobs)'),
    });
    expect((await evaq(['cat', copy, '-q', 'jobs'])).stdout.toString()).toBe('a\nb\n');
  });

  test('what is called wrongly is one line and exit code 2, also within a command', async () => {
    const store = await withLetters();
    const wrong = [
      ['dead-letters', 'redrive', store, '--nonsense'],
      ['dead-letters', 'show', store],
      ['dead-letters', 'ls', store, '--since', 'x'],
      ['dead-letters', store, '--nonsense'],
      ['move', store, '--all', '--from', 'wal', '--to', 'wal', '--yes'],
    ];
    for (const args of wrong) {
      const { code, stderr } = await evaq(args);
      expect([args, code, stderr.startsWith('evaq: '), stderr.trimEnd().split('\n').length]).toEqual([
        args,
        2,
        true,
        1,
      ]);
    }
  });

  test('are said in one way: what would be left out is no selection', async () => {
    const store = await withLetters();
    for (const args of [
      ['redrive', '1', '--reason', 'other'],
      ['purge', '1', '--code', 'X'],
      ['purge', '1', '--all'],
      ['purge', '--all', '-g', 'x'],
    ]) {
      const [action = '', ...rest] = args;
      const { code, stderr } = await evaq(['dead-letters', action, store, ...rest, '-q', 'jobs', '--yes']);
      expect({ args, code, stderr }).toEqual({ args, code: 2, stderr: expect.stringContaining('in one way') });
    }
    expect(await sizeOf(store, 'jobs.dead')).toBe(3);
  });

  test('-n is of all queues together, and -q also the queue that they are in', async () => {
    const store = await withLetters();
    const list = await evaq(['dead-letters', 'ls', store, '-n', '3']);
    expect(list.stdout.toString().trimEnd().split('\n').length).toBe(1 + 3);
    const of = async (queue: string): Promise<string> =>
      (await evaq(['dead-letters', 'export', store, '-q', queue])).stdout.toString();
    expect(await of('jobs.dead')).toBe(await of('jobs'));
    expect(await of('dead-letters')).toBe(await of('wal'));
    expect(await evaq(['dead-letters', 'purge', store, '-n', '3', '--yes'])).toMatchObject({ code: 0 });
    expect(await sizeOf(store, 'jobs.dead')).toBe(0);
    expect(await sizeOf(store, 'dead-letters')).toBe(1);
  });

  test('summary, ls, show and export tell by reason and code, send no escapes, and change nothing', async () => {
    const store = await withLetters();
    const before = snapshotOf(store);
    const summary = await evaq(['dead-letters', store]);
    expect(summary).toMatchObject({ code: 0, stderr: '' });
    expect(summary.stdout.toString()).toMatch(
      /^dead letters of jobs: 3\ncount +reason .*\n +2 +down +ECONNREFUSED +.* 1$/m,
    );
    const json: unknown = JSON.parse(
      (await evaq(['dead-letters', 'summary', store, '-q', 'jobs', '--json'])).stdout.toString(),
    );
    expect(json).toMatchObject({
      v: 1,
      queues: [
        { queue: 'jobs', total: 3, groups: [{ count: 2, code: 'ECONNREFUSED', sample: { id: 1 } }, { count: 1 }] },
      ],
    });
    const list = (await evaq(['dead-letters', 'ls', store, '--code', 'ECONNREFUSED', '-n', '1'])).stdout.toString();
    expect(list.trimEnd().split('\n').length).toBe(2);
    expect(list).toMatch(/ 1 +jobs +.* ECONNREFUSED +down$/m);
    const shown = (await evaq(['dead-letters', 'show', store, '3', '-q', 'jobs'])).stdout.toString();
    expect(shown).not.toContain('\u001b');
    expect(shown).toContain('record 4 of jobs');
    const exported = (await evaq(['dead-letters', 'export', store, '--reason', 'no route'])).stdout.toString();
    expect(JSON.parse(exported)).toMatchObject({ payload: 'y', reason: 'no route', origin: { queue: 'wal', id: 2 } });
    expect((await evaq(['dead-letters', 'show', store, '9', '-q', 'jobs'])).code).toBe(6);
    expect(snapshotOf(store)).toEqual(before);
  });

  test('redrive and purge say what they would do, and do it with --yes', async () => {
    const store = await withLetters();
    const before = snapshotOf(store);
    const plan = await evaq(['dead-letters', 'redrive', store, '--code', 'ECONNREFUSED']);
    expect(plan).toMatchObject({
      code: 0,
      stderr: 'evaq: would redrive 2 records of jobs.dead: 1 to 2\nevaq: nothing was changed; --yes does it\n',
    });
    expect((await evaq(['dead-letters', 'purge', store, '--yes'])).code).toBe(2);
    expect((await evaq(['dead-letters', 'redrive', store, '1', '--yes'])).code).toBe(2);
    expect(snapshotOf(store)).toEqual(before);
    const redriven = await evaq([
      'dead-letters',
      'redrive',
      store,
      '--reason',
      'down',
      '--limit',
      '1',
      '--rate',
      '100',
      '--yes',
    ]);
    expect(redriven).toMatchObject({ code: 0, stderr: 'evaq: redrove 1 record of jobs.dead (1 to jobs)\n' });
    expect((await evaq(['dead-letters', 'purge', store, '2', '-q', 'jobs', '--yes'])).stderr).toBe(
      'evaq: purged 1 record of jobs.dead\n',
    );
    await using library = await Evaq.openReadOnly(store);
    const jobs = await (await library.queue('jobs')).read();
    expect(jobs.map(({ payload }) => payload.toString())).toEqual(['c', 'a']);
    const left = await (await library.queue('jobs.dead')).read();
    expect(left.map(({ id }) => id)).toEqual([3]);
  });
});

describe('changes of many', () => {
  async function manyLetters(count: number): Promise<string> {
    const store = await withLetters();
    await using library = await Evaq.open(store);
    await (await library.queue('jobs.dead')).pushMany(Array.from({ length: count }, (_, i) => `letter ${i}`));
    return store;
  }

  test('purge takes so many at most, so many a second', async () => {
    const store = await manyLetters(50);
    const plan = await evaq(['dead-letters', 'purge', store, '-q', 'jobs', '--limit', '20', '--dry-run', '--yes']);
    expect(plan.stderr).toBe(
      'evaq: would purge 20 records of jobs.dead: 1 to 20\nevaq: nothing was changed; --yes does it\n',
    );
    const started = performance.now();
    const purged = await evaq(['dead-letters', 'purge', store, '-q', 'jobs', '--limit', '20', '--rate', '20', '--yes']);
    expect(purged).toMatchObject({ code: 0, stderr: 'evaq: purged 20 records of jobs.dead\n' });
    // The last one of them goes 0.9 s behind the first.
    expect(performance.now() - started).toBeGreaterThan(900);
    await using library = await Evaq.openReadOnly(store);
    expect((await (await library.queue('jobs.dead')).read()).at(0)?.id).toBe(21);
    expect(await library.deadLetters.size).toBe(1);
  });

  test('an interruption ends with the step under way, says where, and what it says is so', async () => {
    const store = await manyLetters(3000);
    for (const [verb, args] of [
      ['had gone back', ['dead-letters', 'redrive', store, '-q', 'jobs']],
      ['had moved', ['move', store, '--from', 'jobs.dead', '--to', 'wal', '--all']],
      ['were purged', ['dead-letters', 'purge', store, '-q', 'jobs']],
    ] as const) {
      const before = await sizeOf(store, 'jobs.dead');
      const child = await startEvaq([...args, '--rate', '100', '--yes']);
      await changed(store, before);
      child.kill('SIGINT');
      const { code, stderr } = await finished(child);
      expect({ verb, code }).toEqual({ verb, code: 130 });
      const [, id = '', count = ''] =
        new RegExp(`^evaq: stopped behind ID (\\d+): (\\d+) records ${verb}\\n$`).exec(stderr) ?? [];
      expect({ stderr, done: before - (await sizeOf(store, 'jobs.dead')) }).toEqual({ stderr, done: Number(count) });
      await using library = await Evaq.openReadOnly(store);
      const dead = await library.queue('jobs.dead');
      expect([await dead.stateOf(Number(id)), await dead.stateOf(Number(id) + 1)]).toEqual(['removed', 'live']);
    }
  });

  test('at full speed, too: the batch that an interruption meets is counted', async () => {
    const store = await manyLetters(60_000);
    for (const [verb, args] of [
      ['had gone back', ['dead-letters', 'redrive', store, '-q', 'jobs']],
      ['had moved', ['move', store, '--from', 'jobs.dead', '--to', 'wal', '--all']],
    ] as const) {
      const before = await sizeOf(store, 'jobs.dead');
      const child = await startEvaq([...args, '--yes']);
      await changed(store, before);
      child.kill('SIGINT');
      const { code, stderr } = await finished(child);
      const [, count = ''] = new RegExp(`^evaq: stopped behind ID \\d+: (\\d+) records ${verb}\\n$`).exec(stderr) ?? [];
      const done = before - (await sizeOf(store, 'jobs.dead'));
      expect({ verb, code, stderr, done }).toEqual({ verb, code: 130, stderr, done: Number(count) });
    }
  });

  test('what has gone back three times is left, and told in the plan, too', async () => {
    const store = await withLetters();
    {
      await using library = await Evaq.open(store);
      const jobs = await library.queue('jobs');
      for (let i = 0; i < 3; i++) {
        const { moved } = await jobs.deadLetters.redrive({ reason: 'down' });
        expect(moved).toBe(2);
        for await (const { id } of jobs.records()) if (id !== 3) await jobs.deadLetter(id, { reason: 'down' });
      }
    }
    const plan = await evaq(['dead-letters', 'redrive', store, '-q', 'jobs']);
    expect(plan.stderr).toMatch(
      /^evaq: would redrive 1 record of jobs.dead: 3\nevaq: would leave 2 records that had gone back often enough: \d+ to \d+; --force takes them, too\n/,
    );
    const done = await evaq(['dead-letters', 'redrive', store, '-q', 'jobs', '--yes']);
    expect(done.stderr).toMatch(/^evaq: redrove 1 record of jobs.dead \(1 to jobs\)\nevaq: left 2 records /);
    expect((await evaq(['dead-letters', 'redrive', store, '-q', 'jobs', '--force', '--yes'])).stderr).toMatch(
      /^evaq: redrove 2 records of jobs.dead \(2 to jobs\)\n$/,
    );
  });

  test('a plan is told in few ranges, and as one of all IDs at once is', () => {
    for (const ids of [
      [],
      [7],
      [1, 2, 3, 9],
      Array.from({ length: 60 }, (_, i) => i * 3 + (i % 2)),
      Array.from({ length: 18 }, (_, i) => i * 2),
    ]) {
      const tally = new IdTally();
      for (const id of ids) tally.add(id);
      expect(tally.describe()).toBe(describeIds(ids));
      expect(tally.count).toBe(ids.length);
    }
  });

  test('portions are bounded, and smaller at a rate', async () => {
    const sizes: number[] = [];
    const { signal } = new AbortController();
    const step = (portion: readonly number[]): Promise<number> =>
      Promise.resolve(sizes.push(portion.length) && portion.length);
    expect(await inPortions(iterated(Array.from({ length: 40_000 }, (_, i) => i)), { signal }, step)).toBe(40_000);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16_384);
    sizes.length = 0;
    expect(await inPortions(iterated([1, 2, 3, 4, 5, 6]), { signal, rate: 1000, limit: 5 }, step)).toBe(5);
    expect(sizes).toEqual([5]);
    sizes.length = 0;
    await inPortions(iterated([1, 2, 3]), { signal, rate: 9 }, step);
    expect(sizes).toEqual([1, 1, 1]);
  });
});

describe('move', () => {
  test('moves what is selected, each once, and only with --yes', async () => {
    const store = await withLetters();
    expect((await evaq(['move', store, '--from', 'wal', '--to', 'jobs'])).code).toBe(2);
    expect((await evaq(['move', store, '--from', 'wal', '--to', 'none', '--all'])).code).toBe(6);
    const plan = await evaq(['move', store, '--from', 'wal', '--to', 'jobs', '-g', '^x']);
    expect(plan.stderr).toContain('would move to jobs 1 record of wal: 1\n');
    const moved = await evaq(['move', store, '--from', 'wal', '--to', 'jobs', '-g', '^x', '--yes']);
    expect(moved).toMatchObject({ code: 0, stderr: 'evaq: moved 1 record from wal to jobs\n' });
    expect((await evaq(['move', store, '1', '--from', 'wal', '--to', 'jobs', '--yes'])).code).toBe(6);
    await using library = await Evaq.openReadOnly(store);
    expect((await library.wal.read()).length).toBe(0);
    const jobs = await (await library.queue('jobs')).read();
    expect(jobs.map(({ payload }) => payload.toString())).toEqual(['c', 'x']);
  });
});
