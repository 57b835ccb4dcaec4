/** The blocking push in company: commits in flight, faults that pass, data that was left to the kernel. */
import { describe, expect, it } from 'vitest';
import type { EvaqOptions } from '../../../src/evaq.js';
import { SyncFailure } from '../../../src/fail-stop.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { SimSystemError } from '../../../src/sim/sim-error.js';
import { contentOf, idsOf, newDisk, openReal, openSim, rejection } from '../store/store-fixture.js';
import { newPipeline, outcomesOf, thrownBy } from './pipeline-fixture.js';

const KIB = 1024;
const SMALL = { segmentBytes: 64 * KIB };

/** What is there after a power cut that takes all that is not durable. */
async function durableTexts(disk: SimDisk, options: EvaqOptions = {}): Promise<string[]> {
  const after = await openSim(disk.crash(disk.nothingSurvives()), options);
  expect(after.recovery.damage).toEqual([]);
  return Object.values(await contentOf(after.wal));
}

/** Resolves when a commit is being written by the pool. Simulated time stands still. */
async function poolWrites(disk: SimDisk): Promise<void> {
  while (!disk.calls.some(({ name, outcome }) => name === 'write' && outcome === 'under way'))
    await new Promise<void>((resolve) => disk.host.soon(resolve));
}

describe('P14: a blocking push that cannot open its descriptor', () => {
  it.each(['EMFILE', 'ENFILE', 'ENOMEM', 'EINTR', 'EIO'] as const)(
    '%s: throws EVAQ_IO and has done nothing; what is in flight and what was pushed before go on',
    async (error) => {
      for (const durability of ['sync', 'os'] as const) {
        const disk = newDisk();
        const evaq = await openSim(disk, { durability });
        // One that the pool is writing, and some behind it.
        const calls = [evaq.wal.push(Buffer.alloc(200 * KIB, 'x'))];
        await poolWrites(disk);
        calls.push(evaq.wal.push('b'), evaq.wal.push('c'));
        // However often it is tried with what is given back.
        const passed = disk.fault({ on: 'open', path: '.seg', error, times: Infinity });
        const thrown = thrownBy(() => evaq.wal.pushSync('last words'));
        passed();
        expect(thrown).toMatchObject({ code: 'EVAQ_IO', cause: { code: error, syscall: 'open' } });
        expect(await outcomesOf(calls)).toEqual([1, 2, 3]);
        expect(evaq.wal.stats()).toMatchObject({ health: 'ok', pendingBytes: 0, live: 3 });
        expect(evaq.wal.pushSync('d')).toBe(4);
        expect(await evaq.wal.push('e')).toBe(5);
        await evaq.wal.flush();
        expect((await durableTexts(disk)).slice(1)).toEqual(['b', 'c', 'd', 'e']);
        await evaq.close();
        expect(disk.violations).toEqual([]);
      }
    },
  );

  it.each(['ENOENT', 'ENOTDIR'] as const)('%s: the ground has changed, and the store stops', async (error) => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const calls = [evaq.wal.push(Buffer.alloc(200 * KIB, 'x'))];
    await poolWrites(disk);
    disk.fault({ on: 'open', path: '.seg', error });
    expect(thrownBy(() => evaq.wal.pushSync('b'))).toMatchObject({ code: 'EVAQ_FAILED', cause: { code: error } });
    expect(await outcomesOf(calls)).toEqual(['EVAQ_FAILED']);
    await rejection(evaq.close(), 'EVAQ_FAILED');
  });

  it('needs none where nothing is under way: the one at hand will do, in whatever segment', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    for (let i = 0; i < 40; i++) await evaq.wal.push(Buffer.alloc(4 * KIB));
    await evaq.wal.flush();
    disk.fault({ on: 'open', path: '.seg', error: 'EMFILE', times: Infinity });
    const calls = disk.calls.length;
    expect(evaq.wal.pushSync('a')).toBe(41);
    expect(evaq.wal.pushSync('b')).toBe(42);
    expect(disk.calls.slice(calls).map(({ name }) => name)).not.toContain('open');
    expect((await durableTexts(disk)).slice(-2)).toEqual(['a', 'b']);
  });

  it('a file that is another one by now is not written to', async () => {
    const { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } = await import('node:fs');
    const evaq = await openReal();
    await evaq.wal.push('a');
    const { path } = evaq;
    renameSync(path, `${path}-moved`);
    mkdirSync(`${path}/queues/wal`, { recursive: true });
    const [name = ''] = readdirSync(`${path}-moved/queues/wal`).filter((one) => one.endsWith('.seg'));
    writeFileSync(`${path}/queues/wal/${name}`, 'foreign');
    expect(thrownBy(() => evaq.wal.pushSync('b'))).toMatchObject({ code: 'EVAQ_FAILED', details: { path } });
    expect(readFileSync(`${path}/queues/wal/${name}`, 'utf8')).toBe('foreign');
    await evaq.close().catch(() => undefined);
  });
});

describe('a blocking push whose write fails', () => {
  it.each([
    ['ENOSPC', 'EVAQ_NO_SPACE', 1, false],
    ['ENOSPC', 'EVAQ_NO_SPACE', 2, false],
    ['EIO', 'EVAQ_IO', 3, false],
    ['EDQUOT', 'EVAQ_NO_SPACE', 3, true],
    ['EIO', 'EVAQ_IO', 2, true],
  ] as const)(
    'P4: %s (%s, write %d): what it placed is cut away for good, what was in flight is not',
    async (error, code, nth, alsoDone) => {
      for (let seed = 1; seed <= 8; seed++) {
        const disk = newDisk({ seed, timing: 'wild' });
        const evaq = await openSim(disk, { ...SMALL, segmentBytes: 1024 * KIB, indexIntervalBytes: 0 });
        expect(await evaq.wal.push('before')).toBe(1);
        const inFlight = evaq.wal.push(Buffer.alloc(150 * KIB, 'x'));
        await poolWrites(disk);
        const queued = outcomesOf([evaq.wal.push('b'), evaq.wal.push('c')]);
        const stop = disk.fault({ on: 'write', path: '.seg', error, nth, alsoDone });
        const thrown = thrownBy(() => evaq.wal.pushSync('d'));
        stop();
        expect(thrown).toMatchObject({ code, cause: { errno: expect.any(Number) } });
        // A process that dies now has said that it is not there.
        for (const after of [
          disk.fork(),
          ...[...disk.crashStates({ exhaustiveMax: 1, draws: 4 })].map((one) => one.disk),
        ])
          expect(Object.values(await contentOf((await openSim(after)).wal))).not.toContain('d');
        expect(await queued).toEqual([code, code]);
        expect(await inFlight).toBe(2);
        expect(await evaq.wal.push('e')).toBe(3);
        expect(evaq.wal.pushSync('f')).toBe(4);
        expect((await durableTexts(disk)).map((text) => text.slice(0, 10))).toEqual(['before', 'xxxxxxxxxx', 'e', 'f']);
        expect(Object.keys(await contentOf(evaq.wal))).toHaveLength(4);
        await evaq.close();
        expect(disk.violations).toEqual([]);
        const again = await openSim(disk.fork());
        expect(again.recovery).toMatchObject({ clean: true, damage: [] });
        for (const id of [1, 2, 3, 4]) expect(await again.wal.get(id)).toBeDefined();
      }
    },
  );

  it.each([[['a']], [[]]])(
    'works on a disk that is full for a while, as often as it is tried, behind %j',
    async (before) => {
      const disk = newDisk();
      const evaq = await openSim(disk);
      for (const text of before) await evaq.wal.push(text);
      disk.limits.capacityBytes = disk.usedBytes;
      for (let i = 0; i < 5; i++)
        expect(thrownBy(() => evaq.wal.pushSync(Buffer.alloc(64 * KIB)))).toMatchObject({ code: 'EVAQ_NO_SPACE' });
      disk.limits.capacityBytes = Infinity;
      expect(evaq.wal.pushSync('b')).toBe(before.length + 1);
      expect(await evaq.wal.push('c')).toBe(before.length + 2);
      expect(await durableTexts(disk)).toEqual([...before, 'b', 'c']);
      await evaq.close();
    },
  );

  it('P7: one that cannot be cut away stops the store, and settles every waiter', async () => {
    for (const on of ['truncate', 'sync'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await evaq.wal.push('a');
      const queued = [evaq.wal.push('b')];
      disk.fault({ on: 'write', path: '.seg', error: 'ENOSPC' });
      disk.fault({ on, path: '.seg' });
      expect(thrownBy(() => evaq.wal.pushSync('c'))).toMatchObject({ code: 'EVAQ_FAILED', cause: { code: 'EIO' } });
      expect(await outcomesOf(queued)).toEqual(['EVAQ_FAILED']);
      expect(await outcomesOf([evaq.wal.push('d')])).toEqual(['EVAQ_FAILED']);
      await rejection(evaq.close(), 'EVAQ_FAILED');
    }
  });

  it('P14: a cut that fails for a moment is tried again', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('a');
    disk.fault({ on: 'write', path: '.seg', error: 'ENOSPC' });
    disk.fault({ on: 'truncate', path: '.seg', error: 'EINTR', times: 2 });
    expect(thrownBy(() => evaq.wal.pushSync('b'))).toMatchObject({ code: 'EVAQ_NO_SPACE' });
    expect(evaq.wal.pushSync('c')).toBe(2);
    await evaq.close();
  });
});

describe('P1: in the weaker modes', () => {
  it.each(['os', { intervalMs: 60_000 }] as const)(
    'all that was pushed before is durable, in segments left as well: %j',
    async (durability) => {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...SMALL, durability });
      const pushed: number[] = [];
      for (let i = 0; i < 20; i++) pushed.push(await evaq.wal.push(Buffer.alloc(10_000, i)));
      pushed.push(evaq.wal.pushSync('last words'));
      const after = await openSim(disk.crash(disk.nothingSurvives()));
      expect(await idsOf(after.wal)).toEqual(pushed);
      await evaq.close();
    },
  );

  it.each(['os', { intervalMs: 60_000 }] as const)(
    'a removal that is not durable yet goes along, from the first one on, and in a later log: %j',
    async (durability) => {
      const disk = newDisk();
      for (let opened = 0; opened < 2; opened++) {
        const evaq = await openSim(disk, { durability });
        const id = await evaq.wal.push('removed');
        await evaq.wal.remove(id);
        const last = evaq.wal.pushSync('last words');
        const after = await openSim(disk.crash(disk.nothingSurvives()));
        expect((await idsOf(after.wal)).at(-1)).toBe(last);
        expect(await after.wal.get(id)).toBeUndefined();
        await evaq.close();
      }
    },
  );

  it('data first, then the removals, then the record; where the removals cannot be synced nothing was pushed', async () => {
    const disk = newDisk();
    const steps: string[] = [];
    let failure: Error | undefined;
    const { pipeline, failStop } = await newPipeline(disk, {
      durability: 'os',
      syncRemovalsBlocking: () => {
        steps.push('removals');
        if (failure !== undefined) throw failure;
      },
    });
    for (let i = 0; i < 8; i++) await pipeline.push(Buffer.alloc(20 * KIB), undefined);
    const stop = disk.observe(({ phase, call }) => {
      if (phase === 'effect' && call.name === 'writeAndSyncBlocking') steps.push(call.path.slice(-8, -4));
    });
    const [queued] = [pipeline.push(Buffer.from('queued'), undefined)];
    failure = new SimSystemError('EMFILE', 'open');
    expect(thrownBy(() => pipeline.pushSync(Buffer.from('a')))).toMatchObject({ code: 'EVAQ_IO' });
    expect(steps.at(-1)).toBe('removals');
    expect(new Set(steps.slice(0, -1)).size).toBeGreaterThan(2);
    expect(pipeline.nextId).toBe(9);
    failure = undefined;
    steps.length = 0;
    expect(pipeline.pushSync(Buffer.from('b'))).toBe(10);
    expect(await queued).toBe(9);
    // Nothing else was left to sync.
    expect(steps[0]).toBe('removals');
    expect(new Set(steps.slice(1)).size).toBe(1);
    failure = new SyncFailure(new SimSystemError('EIO', 'fdatasync'), '/tombstones');
    expect(thrownBy(() => pipeline.pushSync(Buffer.from('c')))).toMatchObject({
      code: 'EVAQ_FAILED',
      details: { path: '/tombstones' },
      cause: { code: 'EIO' },
    });
    expect(failStop.error).toBeDefined();
    stop();
    await pipeline.settled();
    await pipeline.close();
  });
});

it('P1: takes along what waits for room, also what begins a commit of its own when it is let in', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const disk = newDisk({ seed, timing: 'wild' });
    const evaq = await openSim(disk, { maxPendingBytes: 100_000, segmentBytes: 8 * 1024 * KIB });
    const before: Promise<number>[] = [];
    let last = 0;
    // In a waiter of a commit the next one may begin at once.
    await evaq.wal.push('a').then(() => {
      for (let i = 0; i < 4; i++) before.push(evaq.wal.push(Buffer.alloc(1_100_000, i)));
      last = evaq.wal.pushSync('last words');
    });
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(await idsOf(after.wal)).toEqual([1, 2, 3, 4, 5, last]);
    expect(await Promise.all(before)).toEqual([2, 3, 4, 5]);
    await evaq.close();
  }
});
