import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import { contentOf, idsOf, newDisk, openReal, openSim, passTime, rejection } from './store-fixture.js';

describe('moving to the dead letters and back', () => {
  it('P10: keeps payload and headers, and remembers origin, reason, error, attempts and due time', async () => {
    let nowMs = 1_000_000;
    const evaq = await openReal({ ports: { vfs: nodeVfs, host: { ...nodeHost, now: () => nowMs } } });
    const id = await evaq.pushWal('job', { headers: { trace: 't1' } });
    const { timestamp } = (await evaq.wal.get(id)) ?? { timestamp: 0 };
    const error = Object.assign(new TypeError('it broke'), { code: 'E_BROKE' });
    nowMs = 2_000_000;
    const deadId = await evaq.deadLetter(id, { reason: 'handler failed', error, delayMs: 5000 });
    expect(await evaq.wal.get(id)).toBeUndefined();
    const dead = await evaq.deadLetters.get(deadId);
    expect(dead).toMatchObject({
      id: 1,
      payload: Buffer.from('job'),
      headers: { trace: 't1' },
      origin: { queue: 'wal', id, timestamp },
      reason: 'handler failed',
      error: { name: 'TypeError', message: 'it broke', code: 'E_BROKE' },
      attempts: 1,
    });
    expect(dead?.dueMs).toBe(2_005_000);
    expect(dead).not.toHaveProperty('redrives');

    const [again = 0] = await evaq.redrive([deadId]);
    expect(again).toBe(2);
    const back = await evaq.wal.get(again);
    expect(back).toMatchObject({
      payload: Buffer.from('job'),
      headers: { trace: 't1' },
      redrives: 1,
      origin: { queue: 'dead-letters', id: deadId, timestamp },
    });
    expect(evaq.deadLetters.size).toBe(0);
    await evaq.deadLetter(again, { reason: 'once more', error: 'just text' });
    await evaq.close();
    const reopened = await openReal({}, evaq.path);
    expect(reopened.wal.size).toBe(0);
    expect(await reopened.deadLetters.read()).toMatchObject([
      { id: 2, redrives: 1, reason: 'once more', error: { message: 'just text' } },
    ]);
  });

  it('what is not there rejects, what is unknown to redrive is ignored', async () => {
    const evaq = await openReal();
    await rejection(evaq.deadLetter(1, { reason: 'x' }), 'EVAQ_RECORD_NOT_FOUND', { queue: 'wal', id: 1 });
    await evaq.wal.pushMany(['a', 'b', 'c']);
    for (const id of [1, 2, 3]) await evaq.deadLetter(id, { reason: id === 2 ? 'spare' : 'x' });
    expect(await evaq.redrive([9, 3, 99])).toEqual([4]);
    expect(await evaq.redrive((record) => record.reason === 'spare')).toEqual([5]);
    expect(await contentOf(evaq.wal)).toEqual({ 4: 'c', 5: 'b' });
    expect(await contentOf(evaq.deadLetters)).toEqual({ 1: 'a' });
    expect(await evaq.redrive([])).toEqual([]);
  });

  it('of two moves of one record one happens', async () => {
    const evaq = await openReal();
    await evaq.pushWal('x');
    const outcomes = await Promise.allSettled([
      evaq.deadLetter(1, { reason: 'a' }),
      evaq.deadLetter(1, { reason: 'b' }),
      evaq.wal.remove(1),
      evaq.popWal(1),
    ]);
    expect(outcomes.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.code))).toEqual([
      1,
      'EVAQ_RECORD_NOT_FOUND',
      false,
      'EVAQ_RECORD_NOT_FOUND',
    ]);
    expect(evaq.deadLetters.size).toBe(1);
  });

  it('long texts are cut, not refused', async () => {
    const evaq = await openReal();
    await evaq.pushWal('x');
    await evaq.deadLetter(1, { reason: 'r'.repeat(10_000), error: new Error('e'.repeat(10_000)) });
    const [dead] = await evaq.deadLetters.read();
    expect([dead?.reason?.length, dead?.error?.message.length]).toEqual([4096, 4096]);
  });

  it('P10: a destination without space leaves the record where it is', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('x');
    const cancel = disk.fault({ on: 'write', path: 'dead-letters/', error: 'ENOSPC', times: Infinity });
    await rejection(evaq.deadLetter(1, { reason: 'r' }), 'EVAQ_NO_SPACE');
    cancel();
    expect(await contentOf(evaq.wal)).toEqual({ 1: 'x' });
    expect(evaq.deadLetters.size).toBe(0);
    expect(await evaq.deadLetter(1, { reason: 'r' })).toBe(1);
    await evaq.close();
  });

  it('P10: a record that cannot be read stays where it is, and moves when it can', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('x');
    const cancel = disk.fault({ on: 'read', path: 'wal/', times: Infinity });
    await rejection(evaq.deadLetter(1, { reason: 'r' }), 'EVAQ_IO');
    cancel();
    expect(await contentOf(evaq.wal)).toEqual({ 1: 'x' });
    expect(await evaq.deadLetter(1, { reason: 'r' })).toBe(1);
    await evaq.close();
  });

  it('P10: a source whose tombstone finds no space has moved all the same, now and after a crash', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('x');
    // The round, and its second try; what is wiped between them overwrites blocks that are there.
    for (const nth of [1, 3]) disk.fault({ on: 'write', path: /wal\/.*tomb/, error: 'ENOSPC', nth });
    expect(await evaq.deadLetter(1, { reason: 'r' })).toBe(1);
    expect(evaq.wal.stats()).toMatchObject({ live: 0, owedRemovals: 1 });
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(after.recovery.movesCompleted).toBe(1);
    expect([after.wal.size, after.deadLetters.size]).toEqual([0, 1]);
    await passTime(disk, 1000);
    expect(evaq.wal.stats().owedRemovals).toBe(0);
    await evaq.close();
    const again = await openSim(disk);
    expect(again.recovery.movesCompleted).toBe(0);
    expect([again.wal.size, again.deadLetters.size]).toEqual([0, 1]);
    await again.close();
    await after.close();
  });

  it('P10: whenever the power fails, the record is live in exactly one of the queues', async () => {
    const options: EvaqOptions = { segmentBytes: 64 * 1024 };
    const work = async (evaq: Evaq): Promise<void> => {
      for (let id = 1; id <= 3; id++) await evaq.deadLetter(id, { reason: 'r' });
      await evaq.redrive([2]);
    };
    const disk = newDisk({ seed: 5 });
    const evaq = await openSim(disk, options);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const states = new Map<string, SimDisk>();
    const stop = disk.observe(({ phase }) => {
      if (phase === 'call') return;
      for (const { hash, disk: after } of disk.crashStates({ exhaustiveMax: 16, draws: 3 })) states.set(hash, after);
    });
    await work(evaq);
    stop();
    await evaq.close();
    expect(states.size).toBeGreaterThan(20);
    for (const after of [...states.values()].slice(0, 150)) {
      const recovered = await openSim(after, options);
      const all = [
        ...Object.values(await contentOf(recovered.wal)),
        ...Object.values(await contentOf(recovered.deadLetters)),
      ];
      expect(all.sort()).toEqual(['a', 'b', 'c']);
      expect(recovered.recovery.damage).toEqual([]);
      await recovered.close();
    }
  });

  it('P10: a close waits until the tombstone of a move is durable, in the weaker modes too', async () => {
    for (const durability of ['os', { intervalMs: 50 }] as const) {
      for (let seed = 1; seed <= 12; seed++) {
        const disk = newDisk({ seed, timing: 'wild' });
        const evaq = await openSim(disk, { durability });
        await evaq.wal.pushMany(['x', 'y']);
        await evaq.deadLetter(1, { reason: 'r' });
        await evaq.close();
        expect(disk.violations).toEqual([]);
        const again = await openSim(disk);
        expect(again.recovery.clean).toBe(true);
        await again.close();
      }
    }
  });

  it('P10: of a record that has moved nobody is told that it stays, also while its tombstone is owed', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('x');
    // The round, its second try, and the one that another call would ask for; what is wiped between them overwrites blocks that are there.
    for (const nth of [1, 3, 5]) disk.fault({ on: 'write', path: /wal\/.*tomb/, error: 'ENOSPC', nth });
    expect(await evaq.deadLetter(1, { reason: 'r' })).toBe(1);
    expect(evaq.wal.stats().owedRemovals).toBe(1);
    await rejection(evaq.deadLetter(1, { reason: 'r' }), 'EVAQ_RECORD_NOT_FOUND');
    await rejection(evaq.wal.pop(1), 'EVAQ_RECORD_NOT_FOUND');
    await evaq.close();
  });

  it('a redrive has its records from the call on: a removal that is asked for later finds them moved', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.deadLetters.pushMany(['a', 'b', 'c']);
    const redriven = evaq.redrive([3, 1, 2]);
    const removed = evaq.deadLetters.removeMany([1, 2, 3]);
    expect(await redriven).toEqual([1, 2, 3]);
    expect(await removed).toBe(0);
    expect(await contentOf(evaq.wal)).toEqual({ 1: 'c', 2: 'a', 3: 'b' });
    await evaq.close();
  });

  it('redrives many, in the order that they had', async () => {
    const evaq = await openReal();
    const texts = Array.from({ length: 600 }, (_, i) => `${i}`);
    await evaq.deadLetters.pushMany(texts);
    const ids = await evaq.redrive(() => true);
    const content = await contentOf(evaq.wal);
    expect(ids).toEqual(texts.map((_, i) => i + 1));
    expect(Object.values(content)).toEqual(texts);
    expect(await idsOf(evaq.deadLetters)).toEqual([]);
  });
});
