/**
 * What a call has left behind is there after a power cut that takes all it may: the register's entry, the last word of a close, and what was kept aside.
 * No promise about records depends on these, so random crashes do not tell whether they are durable.
 */
import { describe, expect, it } from 'vitest';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, rejection, SIM_PATH } from './store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;

/** After a power cut, with only what is durable. */
function cut(disk: SimDisk): SimDisk {
  const after = disk.crash(disk.nothingSurvives());
  disk.kill();
  return after;
}

async function namesIn(disk: SimDisk, dir: string): Promise<string[]> {
  return (await disk.vfs.list(dir)).map(({ name }) => name);
}

describe('after a power cut', () => {
  it('P9: a queue that was made is in the register: it is missed where its folder was taken away', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.queue('made');
    const after = cut(disk);
    const dir = `${SIM_PATH}/queues/made`;
    for (const name of await namesIn(after, dir)) await after.vfs.remove(`${dir}/${name}`);
    await rejection(openSim(after), 'EVAQ_CORRUPT', { queue: 'made' });
  });

  it('P5: what was closed cleanly need not be recovered', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('a');
    await evaq.close();
    expect((await openSim(cut(disk))).recovery.clean).toBe(true);
  });

  it('P9: bytes of a torn end that were kept aside are there', async () => {
    const disk = newDisk({ fill: 'stale' });
    const evaq = await openSim(disk);
    await evaq.wal.push('a');
    // Written, and dead before it was synced.
    let isDead = false;
    const stop = disk.observe(({ phase, call }) => {
      if (isDead || phase !== 'call' || call.name !== 'sync' || !call.path.endsWith('.seg')) return;
      isDead = true;
      disk.kill();
    });
    void evaq.wal.push(Buffer.alloc(3000, 'b')).catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 50 && !isDead; i++) await new Promise((resolve) => setImmediate(resolve));
    stop();
    expect(isDead).toBe(true);
    // A sector of it did not reach the disk.
    const [segment] = (await namesIn(disk, WAL)).filter((name) => name.endsWith('.seg'));
    const path = `${WAL}/${segment}`;
    const bytes = Buffer.from(disk.read(path) ?? []);
    bytes.fill(0, 1024, 1536);
    disk.place(path, bytes);
    const opened = await openSim(disk);
    const aside = opened.recovery.torn[0]?.quarantine ?? '';
    expect(aside).toContain('quarantine');
    const kept = Buffer.from(disk.read(aside) ?? []);
    expect(kept.length).toBeGreaterThan(0);
    expect(Buffer.from(cut(disk).read(aside) ?? []).equals(kept)).toBe(true);
  });
});
