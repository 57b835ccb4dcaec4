/** Loading a queue: that it lets others have their turn, and what it says of an end that is damaged. */
import { describe, expect, it } from 'vitest';
import { readStore } from '../../../src/layout/store-file.js';
import { type LoadedQueue, loadQueue } from '../../../src/log/log-load.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;

async function load(disk: SimDisk, pause: () => Promise<void>): Promise<LoadedQueue> {
  const identity = await readStore(disk.vfs, SIM_PATH);
  if (identity === undefined) throw new Error('there is a store');
  return loadQueue(disk.vfs, WAL, 'wal', identity.uuid, { indexIntervalBytes: 4096, pause });
}

/** Zeros from `from` to the end of the only segment that holds something. */
async function wipe(disk: SimDisk, from: (fileBytes: number) => number): Promise<void> {
  const names = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  const [name = ''] = names.sort();
  const file = await disk.vfs.open(`${WAL}/${name}`, 'write');
  const size = await file.size();
  await file.writeAt(Buffer.alloc(size - from(size)), 0, size - from(size), from(size));
  await file.close();
}

describe('loading a queue', () => {
  it('turns the event loop in proportion to the removed ranges, each of which is applied once', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os', gc: false });
    const count = 100_000;
    await evaq.wal.pushMany(Array.from({ length: count }, () => ''));
    await evaq.wal.removeMany(Array.from({ length: count / 2 }, (_, i) => 2 * i + 1));
    await evaq.close();
    let turns = 0;
    const { log } = await load(disk, async () => {
      turns++;
    });
    expect(log.liveCount).toBe(count / 2);
    expect(turns).toBe(Math.floor(count / 2 / 8192));
  });

  it('P9: names the records of a damaged end, behind which nothing is intact', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    for (const text of ['one', 'two', 'three']) await evaq.wal.push(text);
    await evaq.close();
    // The third commit of 48 + 8 + 5 bytes, and the footer.
    await wipe(disk, () => 128 + 2 * (48 + 8 + 3));
    const { damage } = await load(disk, () => Promise.resolve());
    expect(damage.some(({ lossless, firstId }) => !lossless && firstId === 3)).toBe(true);
  });

  it('names none where it is the footer alone', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    for (const text of ['one', 'two', 'three']) await evaq.wal.push(text);
    await evaq.close();
    await wipe(disk, () => 128 + 2 * (48 + 8 + 3) + 48 + 8 + 5);
    const { damage } = await load(disk, () => Promise.resolve());
    expect(damage.length).toBeGreaterThan(0);
    for (const { firstId } of damage) expect(firstId).toBeUndefined();
  });
});
