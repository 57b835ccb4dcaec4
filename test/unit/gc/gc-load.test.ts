/** GC beside calls that never pause: it waits for what was asked for before it, never for silence. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import { idsOf, newDisk, openSim, passTime } from '../store/store-fixture.js';

const SMALL: EvaqOptions = { segmentBytes: 64 * 1024, recycleSegments: 0 };
const PAYLOAD = Buffer.alloc(1000, 7);

interface Load {
  readonly stop: () => Promise<void>;
  /** Records that its callers removed. */
  readonly removed: () => number;
}

const loads: Load[] = [];
// A test that fails must not go on for ever.
afterEach(async () => {
  for (const load of loads.splice(0)) await load.stop();
});

/** Callers that push one record and remove it, again and again: at every moment a removal is under way. */
function pushAndRemove(evaq: Evaq, callers: number): Load {
  let going = true;
  let removed = 0;
  const caller = async (): Promise<void> => {
    while (going) {
      await evaq.wal.remove(await evaq.wal.push(PAYLOAD));
      removed++;
    }
  };
  const all = Promise.all(Array.from({ length: callers }, caller));
  const stop = async (): Promise<void> => {
    going = false;
    await all;
  };
  const load = { stop, removed: (): number => removed };
  loads.push(load);
  return load;
}

/** Six segments of which one record in eight is left. */
async function sparse(evaq: Evaq): Promise<number[]> {
  const ids: number[] = [];
  for (let i = 0; i < 48; i++) {
    const { firstId, lastId } = await evaq.wal.pushMany(Array.from({ length: 8 }, () => PAYLOAD));
    for (let id = firstId; id <= lastId; id++) ids.push(id);
  }
  await evaq.wal.removeMany(ids.filter((id) => id % 8 !== 0));
  return ids.filter((id) => id % 8 === 0);
}

it('P14: beside callers that never pause GC rewrites what is quiet, and drops what has died', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, SMALL);
  const kept = await sparse(evaq);
  const load = pushAndRemove(evaq, 3);
  await passTime(disk, 2700);
  expect(load.removed()).toBeGreaterThan(500);
  const { gc, bytes } = evaq.wal.stats();
  expect(gc.rewrittenSegments).toBeGreaterThanOrEqual(5);
  expect(gc.droppedSegments).toBeGreaterThan(5);
  expect(bytes).toBeLessThan(kept.length * 1100 + 6 * 64 * 1024);
  await load.stop();
  expect(await idsOf(evaq.wal)).toEqual(kept);
  await evaq.close();
});

const MODES = ['sync', 'os', { intervalMs: 20 }] as const;
describe.each(MODES)('compact() beside callers that never pause, durability %j', (durability) => {
  it('P14: resolves within a bounded number of their calls, and has done its work', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, durability, gc: false });
    const kept = await sparse(evaq);
    const load = pushAndRemove(evaq, 8);
    await passTime(disk, 100);
    const before = load.removed();
    const report = await evaq.wal.compact();
    expect(load.removed() - before).toBeLessThan(3000);
    expect(report.rewrittenSegments).toBeGreaterThanOrEqual(5);
    await load.stop();
    expect(await idsOf(evaq.wal)).toEqual(kept);
    await evaq.close();
  });

  it('P2: rewrites a segment though a removal in it is always under way, and none of them is undone', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, durability, gc: false });
    const kept = await sparse(evaq);
    // One after the other, from when the copy is begun.
    const gone: number[] = [];
    let removing: Promise<void> | undefined;
    const stopWatching = disk.observe(({ call }) => {
      if (call.name !== 'create' || !call.path.endsWith('.seg.tmp') || removing !== undefined) return;
      removing = (async () => {
        for (const id of kept.slice(0, 30)) {
          await evaq.wal.remove(id);
          gone.push(id);
        }
      })();
    });
    // Those in which a removal is under way when their turn comes are left alone.
    const { rewrittenSegments } = await evaq.wal.compact();
    stopWatching();
    expect(gone.length).toBeGreaterThan(0);
    expect(rewrittenSegments).toBeGreaterThanOrEqual(2);
    await evaq.wal.flush();
    const left = kept.filter((id) => !gone.includes(id));
    const cut = await openSim(disk.crash(disk.nothingSurvives()), SMALL);
    const after = await idsOf(cut.wal);
    expect(after.filter((id) => !left.includes(id))).toEqual([]);
    // What is under way may be gone or not.
    expect(left.length - after.length).toBeLessThanOrEqual(1);
    await cut.close();
    await removing;
    await evaq.close();
  });
});
