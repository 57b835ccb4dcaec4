/**
 * The narrowest window of GC, hit on purpose: removals and a claim that begin when the copy has its name and the originals are not yet
 * exchanged for it in memory. Random scripts reach it once in some ten thousand.
 */
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { stepsOf } from './liveness.js';
import { BrokenPromise } from './store-model.js';

export interface GcWindow {
  /** Removals that began inside the window. */
  readonly begun: number;
  /** Segments left after all was removed and collected. */
  readonly segments: number;
}

/** @throws BrokenPromise if the copy does not hold what began in the window. */
export async function removeWhileTheCopyIsNamed(seed: number): Promise<GcWindow> {
  const disk = new SimDisk({ seed });
  const ports = { vfs: disk.vfs, host: disk.host };
  const evaq = await Evaq.open('/store', { segmentBytes: 64 * 1024, recycleSegments: 0, gc: false, ports });
  const ids: number[] = [];
  for (let i = 0; i < 250; i++) ids.push(await evaq.pushWal(Buffer.alloc(1000, i)));
  const left = ids.filter((id) => id % 4 === 0);
  await evaq.wal.removeMany(ids.filter((id) => id % 4 !== 0));

  const calls: Promise<unknown>[] = [];
  let named = false;
  const stop = disk.observe(({ phase, call }) => {
    if (phase !== 'effect' || !call.path.includes('/wal')) return;
    if (call.name === 'rename' && call.detail.includes('.seg')) named = true;
    if (call.name !== 'syncDir' || !named || calls.length > 0) return;
    calls.push(...left.slice(1).map((id) => evaq.wal.remove(id)));
    calls.push(...left.slice(0, 1).map((id) => evaq.deadLetter(id, { reason: 'of the window' })));
    // They are awaited later, or never where what is in front of them hangs.
    for (const call of calls) call.catch(() => undefined);
  });
  const all = async (): Promise<{ readonly live: number; readonly segments: number }> => {
    await evaq.wal.compact();
    stop();
    await Promise.all(calls);
    await evaq.wal.compact();
    await evaq.wal.compact();
    const { live, segments } = evaq.wal.stats();
    await evaq.close();
    return { live, segments };
  };
  let counts = { live: 0, segments: 0 };
  const took = await stepsOf(
    disk,
    all().then((done) => {
      counts = done;
    }),
  );
  disk.kill();
  if (typeof took === 'string') throw new BrokenPromise('P14', took);
  const { live, segments } = counts;
  if (live !== 0) throw new BrokenPromise('P2', `${live} records are live after all were removed`);
  if (segments > 1)
    throw new BrokenPromise('P6', `${segments} segments are kept after all was removed: the copy forgot removals`);
  return { begun: calls.length, segments };
}
