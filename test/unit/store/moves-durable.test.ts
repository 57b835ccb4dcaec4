/** P10 in a weaker mode: at no instant of a move would a power cut that takes all it may leave the record in two queues, or in none. */
import { describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim } from './store-fixture.js';

const MARK = 'the one';
/** Rolls the segment of the destination, with what comes behind it. */
const BEHIND = Array.from({ length: 40 }, () => Buffer.alloc(2000));

/** In how many queues the record is. */
async function countOf(evaq: Evaq, names: readonly string[]): Promise<number> {
  let count = 0;
  for (const name of names) {
    for await (const { payload } of (await evaq.queue(name)).records()) if (payload.toString() === MARK) count++;
  }
  return count;
}

/** A fork of the disk behind everything that became durable while `step` ran. */
async function instantsOf(disk: SimDisk, step: () => Promise<unknown>): Promise<SimDisk[]> {
  const instants: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    if (phase !== 'call' && call.name.startsWith('sync')) instants.push(disk.fork());
  });
  await step();
  stop();
  return instants;
}

async function countsAfterCuts(instants: readonly SimDisk[], names: readonly string[]): Promise<number[]> {
  const counts: number[] = [];
  for (const instant of instants) {
    const evaq = await openSim(instant.crash(instant.nothingSurvives()), { durability: 'os' });
    counts.push(await countOf(evaq, names));
  }
  return counts;
}

describe('P10: the record is in one queue, whenever the power is cut', () => {
  it('while the segment that it was moved into is left and sealed', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os', segmentBytes: 64 * 1024 });
    const to = await evaq.queue('to');
    await evaq.wal.push(MARK);
    await evaq.wal.flush();
    const instants = await instantsOf(disk, async () => {
      await evaq.move('wal', [1], 'to');
      await to.pushMany(BEHIND);
      await to.compact();
    });
    expect(instants.length).toBeGreaterThan(4);
    expect(new Set(await countsAfterCuts(instants, ['wal', 'to']))).toEqual(new Set([1]));
    await evaq.close();
  });

  it('while it is moved on as soon as it can be seen', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os' });
    for (const name of ['between', 'to']) await evaq.queue(name);
    await evaq.wal.push(MARK);
    await evaq.wal.flush();
    const between = await evaq.queue('between');
    const instants = await instantsOf(disk, async () => {
      const moved = evaq.move('wal', [1], 'between');
      for await (const { id } of between.tail()) {
        await evaq.move('between', [id], 'to');
        break;
      }
      await moved;
    });
    expect(instants.length).toBeGreaterThan(2);
    expect(new Set(await countsAfterCuts(instants, ['wal', 'between', 'to']))).toEqual(new Set([1]));
    await evaq.close();
  });
});
