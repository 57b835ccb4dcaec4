/** Compactions that are asked for while others are under way. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { removeWhileTheCopyIsNamed } from '../../property/support/gc-window.js';

const idsOf = async (evaq: Evaq): Promise<number[]> => (await evaq.wal.read({ maxRecords: 1000 })).map(({ id }) => id);

test('P6: compactions asked for at the same time run one after the other, and may be cut anywhere', async () => {
  const disk = new SimDisk({ seed: 1 });
  const options = { segmentBytes: 64 * 1024, gc: false } as const;
  const evaq = await Evaq.open('/store', { ...options, ports: { vfs: disk.vfs, host: disk.host } });
  const ids: number[] = [];
  for (let i = 0; i < 400; i++) ids.push(await evaq.pushWal(Buffer.alloc(1000, i)));
  await evaq.wal.removeMany(ids.filter((id) => id % 4 !== 0));
  const left = ids.filter((id) => id % 4 === 0);

  const cuts: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    if (phase === 'effect' && (call.name === 'rename' || call.name === 'remove')) cuts.push(disk.fork());
  });
  await Promise.all([evaq.wal.compact(), evaq.wal.compact(), evaq.wal.compact()]);
  stop();
  expect(cuts.length).toBeGreaterThan(3);
  expect(await idsOf(evaq)).toEqual(left);
  await evaq.close();

  for (const cut of [...cuts, disk.fork()]) {
    const again = await Evaq.open('/store', { ...options, ports: { vfs: cut.vfs, host: cut.host } });
    expect(await idsOf(again)).toEqual(left);
    await again.close();
  }
});

test('P6: removals and a claim that begin between the name of a copy and its use are held by the copy', async () => {
  const { begun, segments } = await removeWhileTheCopyIsNamed(1);
  expect(begun).toBeGreaterThan(50);
  expect(segments).toBe(1);
});
