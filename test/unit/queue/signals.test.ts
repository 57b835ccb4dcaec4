/** A signal ends the waiting and nothing else: nothing that was taken is lost, nothing that waits for room is pushed, nothing is left behind. */
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { PushRoom } from '../../../src/queue/push-room.js';
import { contentOf, newDisk, openReal, openSim } from '../store/store-fixture.js';

const REASON = new Error('not any more');

it('a push that waits for room is withdrawn, and those behind it are let in', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk, { maxPendingBytes: 1000 });
  const controller = new AbortController();
  const first = wal.push(Buffer.alloc(900));
  const large = wal.push(Buffer.alloc(950, 1), { signal: controller.signal });
  const many = wal.pushMany([Buffer.alloc(950, 2)], { signal: controller.signal });
  const behind = wal.push('small');
  controller.abort(REASON);
  await expect(large).rejects.toBe(REASON);
  await expect(many).rejects.toBe(REASON);
  expect(await first).toBe(1);
  expect(await behind).toBe(2);
  expect(wal.size).toBe(2);
  expect(wal.stats().pendingBytes).toBe(0);
});

it('a push that was accepted goes on: it is there, though nobody waits for it', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  const controller = new AbortController();
  const pushed = wal.push('x', { signal: controller.signal });
  controller.abort(REASON);
  await expect(pushed).rejects.toBe(REASON);
  await wal.flush();
  expect(await contentOf(wal)).toEqual({ 1: 'x' });
});

it('no listener is left behind', async () => {
  const evaq = await openReal();
  const { wal } = evaq;
  const { signal } = new AbortController();
  await wal.push('x', { signal });
  await wal.pushMany(['y', 'z'], { signal });
  await wal.get(1, { signal });
  await wal.read({ signal });
  await wal.pop(1, { signal });
  await wal.remove(2, { signal });
  await wal.deadLetter(3, { reason: 'x', signal });
  await wal.redrive([1], { signal });
  await wal.removeMany([4], { signal });
  await wal.removeThrough(9, { signal });
  await wal.flush({ signal });
  await wal.compact({ signal });
  await evaq.queue('jobs', { signal });
  for await (const _ of wal.records({ signal })) expect(_).toBeUndefined();
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

it.each(['sync', 'os'] as const)('an aborted pop has the record, or it is there as before: %s', async (durability) => {
  const outcomes = { got: 0, back: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const disk = newDisk({ seed, timing: 'wild' });
    const { wal } = await openSim(disk, { durability });
    await wal.pushMany(['a', 'b', 'c', 'd']);
    const controllers = [1, 2, 3, 4].map(() => new AbortController());
    const pops = controllers.map(({ signal }, i) => wal.pop(i + 1, { signal }).then(({ id }) => id));
    // Another one asks for the same records: he gets what is given back.
    const others = [1, 2, 3, 4].map((id) =>
      wal.pop(id).then(
        (record) => record.id,
        () => undefined,
      ),
    );
    for (const [i, controller] of controllers.entries()) {
      disk.host.after(((seed * (i + 3)) % 13) / 40, () => controller.abort(REASON));
    }
    const popped = await Promise.allSettled(pops);
    const taken = await Promise.all(others);
    for (const [i, pop] of popped.entries()) {
      if (pop.status === 'rejected') expect(pop.reason).toBe(REASON);
      const owners = (pop.status === 'fulfilled' ? 1 : 0) + (taken[i] === undefined ? 0 : 1);
      expect(owners, `seed ${seed}, record ${i + 1}`).toBe(1);
      outcomes[pop.status === 'fulfilled' ? 'got' : 'back']++;
    }
    expect(wal.size).toBe(0);
  }
  expect(outcomes.got).toBeGreaterThan(5);
  expect(outcomes.back).toBeGreaterThan(5);
});

it('an aborted redrive begins no further move, and loses none', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const { firstId, lastId } = await evaq.wal.pushMany(Array.from({ length: 1000 }, (_, i) => `${i}`));
  const ids = Array.from({ length: lastId - firstId + 1 }, (_, i) => firstId + i);
  await Promise.all(ids.map((id) => evaq.wal.deadLetter(id, { reason: 'x' })));
  const controller = new AbortController();
  const redriven = evaq.redrive(() => true, { signal: controller.signal });
  for (let wait = 0; evaq.wal.size === 0 && wait < 10_000; wait++) {
    await new Promise<void>((resolve) => disk.host.after(0.1, resolve));
  }
  controller.abort(REASON);
  await expect(redriven).rejects.toBe(REASON);
  await evaq.wal.flush();
  await evaq.deadLetters.flush();
  expect(evaq.deadLetters.size).toBeGreaterThan(0);
  expect(evaq.wal.size + evaq.deadLetters.size).toBe(1000);
});

it('one signal may be that of many calls: one listener serves them all', async () => {
  const { wal } = await openReal();
  const controller = new AbortController();
  const { signal } = controller;
  const pushes = Array.from({ length: 1000 }, (_, i) => wal.push(String(i), { signal }));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  expect(await Promise.all(pushes)).toHaveLength(1000);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  const tail = wal.tail({ from: 2000, signal });
  const gets = Array.from({ length: 1000 }, (_, i) => wal.get(i + 1, { signal }));
  const next = tail.next();
  controller.abort(REASON);
  const outcomes = await Promise.allSettled([next, ...gets]);
  for (const outcome of outcomes) expect(outcome).toEqual({ status: 'rejected', reason: REASON });
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

it('a push that was withdrawn lets go of its payload, and of its place in the line', async () => {
  const room = new PushRoom(10);
  room.take(10);
  const entered: number[] = [];
  const line = Array.from({ length: 300 }, (_, i) => {
    const controller = new AbortController();
    const enter = (): Promise<number> => Promise.resolve(entered.push(i));
    return { controller, settled: room.wait(1, enter, controller.signal).catch((error: unknown) => error) };
  });
  for (const [i, { controller }] of line.entries()) if (i % 4 !== 3) controller.abort(REASON);
  room.give(10);
  room.grant();
  expect(entered).toEqual(Array.from({ length: 75 }, (_, i) => 4 * i + 3));
  expect(room.isWaitedFor).toBe(false);
  const outcomes = await Promise.all(line.map(({ settled }) => settled));
  expect(outcomes.filter((outcome) => outcome === REASON)).toHaveLength(225);
});
