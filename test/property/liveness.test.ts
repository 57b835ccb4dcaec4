/**
 * Nobody waits for ever: beside callers that never pause every call has its answer after a bounded number of steps, after a fault that passes
 * everything goes on, and what was closed leaves nothing behind.
 */
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { rejection } from '../unit/store/store-fixture.js';
import { leaveWaitingTail, leftInAnyMode } from './support/live-ends.js';
import {
  askBeside,
  LOADS,
  openStage,
  PROBES,
  produce,
  rewrittenBesideRemovers,
  SPARSE_SEGMENTS,
  STEPS_MAX,
  stepsOf,
} from './support/liveness.js';
import { describeFault, everyFault, leftOver, runWith } from './support/passing-faults.js';

/** How many of the faults are tried: one in so many. EVAQ_RUNS for all of them. */
const STRIDE = process.env['EVAQ_RUNS'] === undefined ? 6 : 1;

describe('beside a load that never pauses every call has its answer', () => {
  for (const [load, callers] of Object.entries(LOADS)) {
    for (const [i, [name, probe]] of Object.entries(PROBES).entries()) {
      test(`${name}, ${load}`, async () => {
        const steps = await askBeside(callers, probe, { seed: i, timing: i % 2 === 0 ? 'steady' : 'wild' });
        if (process.env['EVAQ_TABLE'] !== undefined) console.log(`| ${load} | ${name} | ${steps} |`);
        expect(steps).toBeTypeOf('number');
      });
    }
  }

  test('a push that waits for room, beside pushes that fit', async () => {
    const stage = await openStage({ seed: 3, options: { maxPendingBytes: 16 * 1024 } });
    const running = Promise.all(
      [produce, produce, produce, produce, produce, produce, produce, produce].map((load) => load(stage)),
    );
    await new Promise<void>((resolve) => stage.disk.host.after(20, resolve));
    const steps = await stepsOf(stage.disk, stage.evaq.wal.push(Buffer.alloc(15 * 1024)), STEPS_MAX);
    stage.end();
    await running;
    await stage.evaq.close();
    expect(steps).toBeTypeOf('number');
  });
});

describe('after a fault that passes', () => {
  test('every call works, and work in the background is done again', { timeout: 3_600_000 }, async () => {
    const usual = (await runWith(undefined)).files;
    const faults = await everyFault();
    expect(faults.length).toBeGreaterThan(300);
    const found: string[] = [];
    for (let i = 0; i < faults.length; i += STRIDE) {
      const fault = faults[i];
      if (fault === undefined) continue;
      const { wrong, files } = await runWith(fault);
      for (const one of [...wrong, ...leftOver(files, usual)].slice(0, 2))
        found.push(`${describeFault(fault)}: ${one}`);
    }
    expect(found).toEqual([]);
  });
});

describe('GC goes on under a load that never pauses', () => {
  test('P6: sparse segments are rewritten beside callers that remove one by one', { timeout: 120_000 }, async () => {
    expect(await rewrittenBesideRemovers()).toBeGreaterThan(SPARSE_SEGMENTS / 2);
  });
});

describe('a call that waits for another', () => {
  test('a get of what is popped ends with the pop, beside a move from the same segment', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const { disk, evaq } = await openStage({ seed, timing: seed % 2 === 0 ? 'steady' : 'wild' });
      const { firstId, lastId } = await evaq.wal.pushMany(['a', 'b']);
      const popped = evaq.wal.pop(firstId);
      const moved = evaq.deadLetter(lastId, { reason: 'test' });
      const got = evaq.wal.get(firstId);
      expect(await stepsOf(disk, Promise.all([popped, moved, got]))).toBeTypeOf('number');
      expect(await got).toBeUndefined();
      await evaq.close();
    }
  });

  test('the same where a sync fails', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const { disk, evaq } = await openStage({ seed, timing: seed % 2 === 0 ? 'steady' : 'wild' });
      const { firstId, lastId } = await evaq.wal.pushMany(['a', 'b']);
      disk.fault({ on: 'sync', path: '.tomb' });
      const calls = [
        evaq.wal.pop(firstId),
        evaq.wal.get(firstId),
        evaq.deadLetter(lastId, { reason: 'test' }),
        evaq.wal.get(lastId),
        evaq.wal.read(),
      ];
      expect(await stepsOf(disk, Promise.allSettled(calls))).toBeTypeOf('number');
      const closed = rejection(evaq.close(), 'EVAQ_FAILED');
      expect(await stepsOf(disk, closed)).toBeTypeOf('number');
      await closed;
      expect(disk.openHandles()).toEqual([]);
    }
  });
});

describe('what is ended is ended', () => {
  test('return() of a tail that waits resolves, though no record comes', async () => {
    expect(await leaveWaitingTail()).toBeUndefined();
  });

  test('a stream made of a tail that waits is destroyed at once', async () => {
    const { disk, evaq } = await openStage({ seed: 1 });
    const stream = Readable.from(evaq.wal.tail());
    const closed = new Promise<void>((resolve) => stream.once('close', resolve));
    stream.resume();
    await new Promise<void>((resolve) => disk.host.after(10, resolve));
    stream.destroy();
    expect(await stepsOf(disk, closed)).toBeTypeOf('number');
    await evaq.close();
    expect(disk.openHandles()).toEqual([]);
  });

  test('100 000 tails that were begun and ended leave no listener, timer or descriptor', {
    timeout: 120_000,
  }, async () => {
    const { disk, evaq } = await openStage({ seed: 1 });
    const before = disk.openHandles();
    for (let round = 0; round < 100; round++) {
      const controllers = Array.from({ length: 1000 }, () => new AbortController());
      const ends = controllers.map(({ signal }) =>
        evaq.wal
          .tail({ signal })
          .next()
          .then(
            () => 'a record',
            () => 'ended',
          ),
      );
      await disk.host.yield();
      for (const controller of controllers) controller.abort();
      expect(new Set(await Promise.all(ends))).toEqual(new Set(['ended']));
      expect(controllers.some(({ signal }) => getEventListeners(signal, 'abort').length > 0)).toBe(false);
    }
    expect(disk.openHandles()).toEqual(before);
    await evaq.close();
    expect(disk.openHandles()).toEqual([]);
  });

  test('after close no file, lock or timer is left, in each durability mode', async () => {
    expect(await leftInAnyMode()).toBeUndefined();
  });
});
