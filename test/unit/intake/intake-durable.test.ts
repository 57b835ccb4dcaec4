/** The log of checkpoints and messages under power cuts: what failed is not found, and what replaces a log is whole before the log goes. */
import { expect, it } from 'vitest';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, rejection } from '../store/store-fixture.js';

const STATES = { exhaustiveMax: 64, draws: 32 };
const checkpoint = (position: number): { checkpoint: { source: string; position: number } } => ({
  checkpoint: { source: 'file', position },
});

async function positionOf(disk: SimDisk): Promise<unknown> {
  return (await openSim(disk)).wal.checkpoint('file');
}

it('P4: a checkpoint that was rejected is not found by a later open, whatever a power cut leaves', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  await wal.pushMany([], checkpoint(1));
  // All of it is written, and an error told.
  disk.fault({ on: 'write', path: /\.itk$/, error: 'EIO', alsoDone: true, times: 1 });
  await rejection(wal.pushMany([], checkpoint(2)), 'EVAQ_IO');
  let states = 0;
  for (const { disk: after } of disk.crashStates(STATES)) {
    states++;
    expect(await positionOf(after)).toBe(1);
  }
  expect(states).toBeGreaterThan(0);
});

it('P1, P5: a checkpoint is there at every instant of an open, which makes its log anew', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  await wal.pushMany([], checkpoint(7));
  disk.kill();
  const instants: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    const isNamed = /\.itk/.test(call.path) && /^(?:rename|remove|sync)$/.test(call.name);
    if (phase !== 'call' && (isNamed || call.name === 'syncDir')) instants.push(disk.fork());
  });
  await openSim(disk);
  stop();
  expect(instants.length).toBeGreaterThan(5);
  for (const instant of instants) {
    expect(await positionOf(instant.crash(instant.nothingSurvives()))).toBe(7);
    expect(await positionOf(instant.crash(instant.drawCrash(1)))).toBe(7);
  }
});
