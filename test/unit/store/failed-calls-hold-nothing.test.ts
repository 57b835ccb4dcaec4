/** P14: an open, a first use of a queue, or a close that runs into a fault holds nothing afterwards, whichever of its calls is hit. */
import { describe, expect, test } from 'vitest';
import type { SimCallName } from '../../../src/sim/sim-call.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import type { SimErrorName } from '../../../src/sim/sim-error.js';
import { newDisk, openSim } from './store-fixture.js';

const HIT: readonly SimCallName[] = [
  'open',
  'create',
  'read',
  'write',
  'truncate',
  'sync',
  'syncDir',
  'rename',
  'remove',
  'stat',
  'list',
  'close',
];
const ERRORS: readonly SimErrorName[] = ['EIO', 'ENOSPC'];

/** Two queues with segments of each kind, which a process leaves as it is killed. */
async function left(): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 65_536 });
  const jobs = await evaq.queue('jobs');
  for (let i = 0; i < 12; i++) {
    await evaq.wal.push(Buffer.alloc(15_000, i));
    await jobs.push(Buffer.alloc(9000, i));
  }
  await evaq.wal.removeThrough(5);
  await evaq.deadLetter(7, { reason: 'r' });
  disk.kill();
  return disk;
}

/** Carries `body` out on forks, each with another call hit, until no more of them is. */
async function hitEach(start: SimDisk, name: SimCallName, error: SimErrorName, body: (disk: SimDisk) => Promise<void>) {
  for (let nth = 1; ; nth++) {
    const disk = start.fork();
    disk.fault({ on: name, nth, error });
    await body(disk);
    const told = `the ${name} with number ${nth}`;
    expect({ told, open: disk.openHandles() }).toEqual({ told, open: [] });
    if (disk.calls.filter((call) => call.name === name).length < nth) return;
  }
}

describe.each(HIT)('%s', (name) => {
  test.each(ERRORS)('%s in an open, the start of a queue, or a close', async (error) => {
    await hitEach(await left(), name, error, async (disk) => {
      const evaq = await openSim(disk, { segmentBytes: 65_536, recycleSegments: 1 }).catch(() => undefined);
      await evaq?.queue('jobs').catch(() => undefined);
      await evaq?.queue('more').catch(() => undefined);
      await evaq?.queue('more').catch(() => undefined);
      await evaq?.wal.push('x').catch(() => undefined);
      await evaq?.close().catch(() => undefined);
    });
  });
});
