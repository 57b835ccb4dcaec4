/**
 * The weaker modes, after a power cut that takes all it may: what they promise to have on the disk, and what GC, moves and closes wait for before
 * something else goes that would stand for it.
 */
import { describe, expect, it, test } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, idsOf, newDisk, openSim, passTime, rejection } from './store-fixture.js';

const KIB = 1024;
const SMALL: EvaqOptions = { segmentBytes: 64 * KIB, durability: 'os', recycleSegments: 0 };
/** To a segment. */
const RECORDS = 30;

async function fill(evaq: Evaq, records: number): Promise<void> {
  for (let i = 0; i < records; i++) void evaq.pushWal(Buffer.alloc(2000, i));
  await evaq.wal.flush();
}

function afterCut(disk: SimDisk): Promise<Evaq> {
  return openSim(disk.crash(disk.nothingSurvives()), SMALL);
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1);
}

test('P1: a flush makes durable what stands in segments that were left, and in the one that is written to', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { ...SMALL, gc: false });
  for (let i = 0; i < 4 * RECORDS; i++) void evaq.pushWal(Buffer.alloc(2000, i));
  await evaq.wal.flush();
  expect(await idsOf((await afterCut(disk)).wal)).toEqual(upTo(4 * RECORDS));
});

test('P1: the interval makes durable what was pushed and removed, in segments that were left as well', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { ...SMALL, durability: { intervalMs: 50 }, gc: false });
  await evaq.wal.push('a');
  await passTime(disk, 120);
  expect(await contentOf((await afterCut(disk)).wal)).toEqual({ 1: 'a' });
  await evaq.wal.remove(1);
  await passTime(disk, 120);
  expect(await contentOf((await afterCut(disk)).wal)).toEqual({});
  for (let i = 0; i < 3 * RECORDS; i++) await evaq.pushWal(Buffer.alloc(2000, i));
  await passTime(disk, 120);
  expect(await idsOf((await afterCut(disk)).wal)).toEqual(upTo(3 * RECORDS + 1).slice(1));
});

test('P1: a close makes durable what was pushed, in segments that were left as well, and what was removed', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { ...SMALL, gc: false });
  await fill(evaq, 2 * RECORDS);
  await evaq.wal.pushMany(Array.from({ length: 2 * RECORDS }, (_, i) => Buffer.alloc(2000, i)));
  await evaq.wal.removeMany([1, 40, 100]);
  await evaq.close();
  const again = await afterCut(disk);
  expect(again.recovery.clean).toBe(true);
  expect(await idsOf(again.wal)).toEqual(upTo(4 * RECORDS).filter((id) => ![1, 40, 100].includes(id)));
});

describe('P2, P6: what GC takes away does not outlive the round that said so: where', () => {
  it('a segment is dropped, the rest of the round is gone as well', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await fill(evaq, 4 * RECORDS);
    // All of the first segments, and one record far behind them.
    const removed = [...upTo(2 * RECORDS + 5), 4 * RECORDS];
    await evaq.wal.removeMany(removed);
    await passTime(disk, 500);
    expect(evaq.wal.stats().gc.droppedSegments).toBeGreaterThan(0);
    const left = upTo(4 * RECORDS).filter((id) => !removed.includes(id));
    expect(await idsOf((await afterCut(disk)).wal)).toEqual(left);
  });

  it('a segment is rewritten, the rest of the round is gone as well', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, gc: false });
    await fill(evaq, 4 * RECORDS);
    const removed = [...upTo(2 * RECORDS).filter((id) => id % 10 !== 0), 4 * RECORDS];
    await evaq.wal.removeMany(removed);
    await evaq.wal.compact();
    expect(evaq.wal.stats().gc.rewrittenSegments).toBeGreaterThan(0);
    const left = upTo(4 * RECORDS).filter((id) => !removed.includes(id));
    expect(await idsOf((await afterCut(disk)).wal)).toEqual(left);
  });
});

describe('P10: what was moved is in one place', () => {
  it('though what it was moved from was not durable yet', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await evaq.wal.push('a');
    await evaq.deadLetter(1, { reason: 'r' });
    const again = await afterCut(disk);
    const both = [...(await idsOf(again.wal)), ...(await idsOf(again.deadLetters))];
    expect(both.length).toBeLessThanOrEqual(1);
  });

  it('and a close of the destination waits until the source has forgotten it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await evaq.wal.pushMany(['a', 'b']);
    await evaq.deadLetter(1, { reason: 'r' });
    await evaq.close();
    const again = await afterCut(disk);
    expect(await contentOf(again.wal)).toEqual({ 2: 'b' });
    expect(await contentOf(again.deadLetters)).toEqual({ 1: 'a' });
  });
});

describe('P4: what was rejected since it could not be written does not come back', () => {
  it.each(['push', 'pushSync'] as const)('%s', async (how) => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('a');
    // All of it is written, and an error told.
    disk.fault({ on: 'write', path: /wal\/.*\.seg$/, error: 'EIO', alsoDone: true, times: 1 });
    const failed = async (): Promise<unknown> => (how === 'push' ? evaq.wal.push('b') : evaq.wal.pushSync('b'));
    await rejection(failed(), 'EVAQ_IO');
    let states = 0;
    for (const { disk: after } of disk.crashStates({ exhaustiveMax: 64, draws: 32 })) {
      states++;
      expect(await contentOf((await openSim(after)).wal)).toEqual({ 1: 'a' });
    }
    expect(states).toBeGreaterThan(0);
  });
});

describe('P2: a pop that was rejected since its round could not be written has removed nothing, whatever a power cut leaves', () => {
  it.each(['sync', 'os'] as const)('%s', async (durability) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability });
    await evaq.wal.pushMany(['a', 'b']);
    await evaq.wal.flush();
    // All of it is written, and an error told.
    disk.fault({ on: 'write', path: /wal\/.*\.tomb/, error: 'EIO', alsoDone: true, times: 1 });
    await rejection(evaq.wal.pop(1), 'EVAQ_IO');
    let states = 0;
    for (const { disk: after } of disk.crashStates({ exhaustiveMax: 64, draws: 32 })) {
      states++;
      expect(await contentOf((await openSim(after)).wal)).toEqual({ 1: 'a', 2: 'b' });
    }
    expect(states).toBeGreaterThan(0);
  });
});
