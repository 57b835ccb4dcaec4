/** Pushes that wait for room. */
import { expect, it } from 'vitest';
import { PushRoom } from '../../../src/queue/push-room.js';
import { newDisk } from '../store/store-fixture.js';
import { newPipeline } from './pipeline-fixture.js';

/** How many elements the lists that `body` goes through have, each time they are moved as a whole. */
function movesIn(body: () => void): number {
  let moved = 0;
  const names = ['shift', 'splice', 'slice'];
  const real = names.map((name): unknown => Reflect.get(Array.prototype, name));
  for (const [i, name] of names.entries()) {
    const original = real[i];
    if (typeof original !== 'function') throw new Error(`arrays have no ${name}`);
    Reflect.set(Array.prototype, name, function counted(this: unknown[], ...args: unknown[]): unknown {
      moved += this.length;
      return Reflect.apply(original, this, args);
    });
  }
  try {
    body();
  } finally {
    for (const [i, name] of names.entries()) Reflect.set(Array.prototype, name, real[i]);
  }
  return moved;
}

it('P12: letting in one who waits moves a bounded number of the others, however many wait', async () => {
  for (const count of [100, 50_000]) {
    const room = new PushRoom(100);
    room.take(100);
    const order: number[] = [];
    const all = Array.from({ length: count }, (_, i) =>
      room.wait(50, async () => {
        room.take(50);
        order.push(i);
      }),
    );
    const moved = movesIn(() => {
      for (room.give(100); room.isWaitedFor; room.give(room.pendingBytes)) room.grant();
    });
    await Promise.all(all);
    expect(order).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(moved).toBeLessThan(3 * count);
  }
});

it('one who is let in and throws is rejected, and those behind him are let in', async () => {
  const room = new PushRoom(10);
  room.take(10);
  const thrown = room.wait(5, () => {
    throw new Error('no memory');
  });
  const behind = room.wait(5, async () => 'in');
  room.give(10);
  room.grant();
  await expect(thrown).rejects.toThrow('no memory');
  expect(await behind).toBe('in');
});

it('what comes after those who wait is told when they are in, or will not be', async () => {
  const room = new PushRoom(10);
  const told: string[] = [];
  room.afterWaiting(() => told.push('nobody waits'));
  room.take(10);
  const waiting = room.wait(5, async () => told.push('in'));
  room.afterWaiting(() => told.push('behind it'));
  expect(told).toEqual(['nobody waits']);
  room.give(10);
  room.grant();
  await waiting;
  expect(told).toEqual(['nobody waits', 'in', 'behind it']);
  room.take(10);
  const refused = room.wait(5, async () => told.push('never'));
  room.afterWaiting(() => told.push('behind what was refused'));
  room.rejectAll(new Error('stopped'));
  await expect(refused).rejects.toThrow('stopped');
  expect(told.at(-1)).toBe('behind what was refused');
});

it('P3: IDs follow the order of the calls, whatever waits, fits, or is blocking', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const disk = newDisk({ seed, timing: 'wild' });
    const { pipeline } = await newPipeline(disk, { maxPendingBytes: 100_000, segmentBytes: 4 * 1024 * 1024 });
    const random = Buffer.alloc(150);
    disk.host.random(random);
    const calls: Promise<number>[] = [];
    let expected = 0;
    for (const [i, byte] of random.entries()) {
      // Some are as large as to begin a commit at once when they are let in.
      const payload = Buffer.alloc(byte % 16 === 0 ? 1_100_000 : (byte % 7) * 9000, i);
      const first = ++expected;
      if (byte % 31 === 0) expect(pipeline.pushSync(payload)).toBe(first);
      else if (byte % 5 === 0) {
        expected++;
        calls.push(pipeline.pushMany([payload, payload]).then(({ firstId }) => firstId - first));
      } else calls.push(pipeline.push(payload, undefined).then((id) => id - first));
      if (byte % 3 === 0) await disk.host.yield();
    }
    expect(new Set(await Promise.all(calls))).toEqual(new Set([0]));
    await pipeline.settled();
    await pipeline.close();
  }
});
