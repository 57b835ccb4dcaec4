/** P10: a record that is being moved is in one queue, for readers too: after a crash, and beside the writer that moves it. */
import { describe, expect, it } from 'vitest';
import { ReadOnlyEvaq } from '../../../src/raw.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, passTime, SIM_PATH } from '../store/store-fixture.js';

function readerOf(disk: SimDisk): Promise<ReadOnlyEvaq> {
  return ReadOnlyEvaq.open(SIM_PATH, { ports: { vfs: disk.vfs, host: disk.host } });
}

/** IDs in the wal, and those that the dead letters had there. */
async function see(reader: ReadOnlyEvaq): Promise<{ wal: number[]; moved: number[] }> {
  const wal: number[] = [];
  for await (const { id } of reader.wal.records()) wal.push(id);
  const moved: number[] = [];
  for await (const { origin } of reader.deadLetters.records()) if (origin !== undefined) moved.push(origin.id);
  return { wal, moved };
}

describe('a reader of a store in which records are moved', () => {
  it('P10: shows a record whose move was cut short where it arrived, and there alone', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    // A fork has what a kill leaves at that step.
    const left: SimDisk[] = [];
    const stop = disk.observe(({ phase }) => {
      if (phase !== 'call') left.push(disk.fork());
    });
    await Promise.all([evaq.deadLetter(1, { reason: 'x' }), evaq.deadLetter(3, { reason: 'y' })]);
    stop();
    const states: string[] = [];
    for (const one of left) {
      const { wal, moved } = await see(await readerOf(one));
      expect([...wal, ...moved].sort((a, b) => a - b)).toEqual([1, 2, 3]);
      states.push(JSON.stringify([wal, moved]));
    }
    expect(new Set(states).size).toBeGreaterThan(1);
  });

  it('P10: beside a writer whose tombstone is owed, and before and after, by a reader that follows', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: 6 }, (_, i) => `record ${i}`));
    const reader = await readerOf(disk);
    expect(await see(reader)).toEqual({ wal: [1, 2, 3, 4, 5, 6], moved: [] });
    // The round, and the round once more when space was made; the wipe in between succeeds.
    for (const nth of [1, 3]) disk.fault({ on: 'write', path: /wal\/.*tomb/, error: 'ENOSPC', afterBytes: 0, nth });
    const moving = [evaq.deadLetter(2, { reason: 'x' }), evaq.deadLetter(5, { reason: 'y' })];
    await passTime(disk, 50);
    expect(await see(reader)).toEqual({ wal: [1, 3, 4, 6], moved: [2, 5] });
    expect(await reader.wal.get(2)).toBeUndefined();
    expect((await reader.wal.stats()).live).toBe(4);
    await using other = await readerOf(disk);
    expect(await see(other)).toEqual({ wal: [1, 3, 4, 6], moved: [2, 5] });
    await Promise.all(moving);
    await evaq.redrive(() => true);
    expect(await see(reader)).toEqual({ wal: [1, 3, 4, 6, 7, 8], moved: [] });
    await reader.close();
    await evaq.close();
  });

  it('does not ask for other queues where nothing is live', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.deadLetters.push('x');
    await evaq.close();
    const reader = await readerOf(disk);
    const opened: string[] = [];
    disk.observe(({ phase, call }) => {
      if (phase === 'call' && call.name === 'open') opened.push(call.path);
    });
    expect(await reader.wal.read()).toEqual([]);
    expect(opened.some((path) => path.includes('dead-letters'))).toBe(false);
  });
});
