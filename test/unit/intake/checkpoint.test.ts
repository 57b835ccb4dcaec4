/** How far a source had come is committed with its records, and remembered when they are gone. */
import { expect, it } from 'vitest';
import { SOURCES_MAX } from '../../../src/intake/intake-state.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { callUntyped, contentOf, newDisk, openReal, openSim, passTime, rejection } from '../store/store-fixture.js';

/** What is on the disk after a power cut that takes all that was not synced. */
const crashed = (disk: SimDisk): SimDisk => disk.crash(disk.nothingSurvives());

async function filesOf(disk: SimDisk, dir: string): Promise<string[]> {
  return (await disk.vfs.list(dir)).filter(({ kind }) => kind === 'file').map(({ name }) => `${dir}/${name}`);
}

/** A header and its copy, and a snapshot of nothing. */
const SNAPSHOT_END = 128 + 48;
const WAL = '/store/queues/wal';
const SMALL = { segmentBytes: 64 * 1024 } as const;
const checkpoint = (
  position: string | number,
  source: string = 'file',
): { checkpoint: { source: string; position: string | number } } => ({
  checkpoint: { source, position },
});

it('P4: the position of a source is that of the last commit with one; sources are independent', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  expect(await wal.checkpoint('file')).toBeUndefined();
  expect(await wal.pushMany(['a', 'b'], { ...checkpoint(2), headers: { h: 'x' } })).toEqual({ firstId: 1, lastId: 2 });
  await wal.pushMany(['c'], checkpoint('offset 7', 'partition'));
  await wal.pushMany(['d']);
  expect(await wal.checkpoint('file')).toBe(2);
  expect(await wal.checkpoint('partition')).toBe('offset 7');
  // It is the queue's, and no part of a record.
  expect(await wal.get(2)).toEqual({
    id: 2,
    payload: Buffer.from('b'),
    timestamp: expect.any(Number),
    headers: { h: 'x' },
  });
  const again = await openSim(crashed(disk));
  expect(await again.wal.checkpoint('file')).toBe(2);
  expect(await again.wal.checkpoint('partition')).toBe('offset 7');
});

it('an empty list moves the checkpoint alone, durably, in every mode', async () => {
  for (const durability of ['sync', { intervalMs: 20 }, 'os'] as const) {
    const disk = newDisk();
    const { wal } = await openSim(disk, { durability });
    await wal.pushMany(['a'], checkpoint(1));
    expect(await wal.pushMany([], checkpoint(2))).toEqual({ firstId: 2, lastId: 1 });
    expect(await wal.checkpoint('file')).toBe(2);
    const again = await openSim(crashed(disk), { durability });
    expect(await again.wal.checkpoint('file'), JSON.stringify(durability)).toBe(2);
    expect(await contentOf(again.wal)).toEqual({ 1: 'a' });
    await again.wal.pushMany(['b'], checkpoint(3));
    expect(await again.wal.checkpoint('file')).toBe(3);
    await again.close();
    expect(await (await openSim(crashed(disk), { durability })).wal.checkpoint('file')).toBe(2);
  }
});

it('P1: checkpoints survive the removal of all records, GC, rewriting, compaction and a clean close', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, SMALL);
  const { wal } = evaq;
  for (let i = 1; i <= 40; i++) await wal.pushMany([Buffer.alloc(6000, i), 'x'], checkpoint(i, `source ${i % 3}`));
  for (let id = 1; id <= 80; id += 2) await wal.remove(id);
  await wal.compact();
  const positions = async (queue: typeof wal): Promise<unknown[]> => [
    await queue.checkpoint('source 0'),
    await queue.checkpoint('source 1'),
    await queue.checkpoint('source 2'),
  ];
  expect(await positions((await openSim(crashed(disk), SMALL)).wal)).toEqual([39, 40, 38]);
  await wal.removeThrough(80);
  await wal.compact();
  expect(await positions((await openSim(crashed(disk), SMALL)).wal)).toEqual([39, 40, 38]);
  await evaq.close();
  const reopened = await openSim(disk, SMALL);
  expect(reopened.recovery.clean).toBe(true);
  expect(await positions(reopened.wal)).toEqual([39, 40, 38]);
  expect((await filesOf(disk, WAL)).filter((path) => path.endsWith('.itk'))).toHaveLength(1);
});

it('a commit that fails moves nothing, with records or without', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  await wal.pushMany(['a'], checkpoint(1));
  disk.fault({ on: 'write', path: /\.seg$/, error: 'EIO', nth: 1, times: 1 });
  await rejection(wal.pushMany(['b'], checkpoint(2)), 'EVAQ_IO');
  expect(await wal.checkpoint('file')).toBe(1);
  await wal.pushMany([], checkpoint(3));
  disk.fault({ on: 'write', path: /\.itk$/, error: 'ENOSPC', nth: 1, times: 1 });
  await rejection(wal.pushMany([], checkpoint(4)), 'EVAQ_NO_SPACE');
  expect(await wal.checkpoint('file')).toBe(3);
  expect(await (await openSim(crashed(disk))).wal.checkpoint('file')).toBe(3);
  await wal.pushMany([], checkpoint(5));
  expect(await (await openSim(crashed(disk))).wal.checkpoint('file')).toBe(5);
});

it('P7: a failed sync of the intake log stops the store', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  await wal.pushMany([], checkpoint(1));
  disk.fault({ on: 'sync', path: /\.itk$/, error: 'EIO', nth: 1, times: 1 });
  await rejection(wal.pushMany([], checkpoint(2)), 'EVAQ_FAILED');
  await rejection(wal.pushMany(['a'], checkpoint(3)), 'EVAQ_FAILED');
  expect(await wal.checkpoint('file')).toBe(1);
});

it('P9: damage to what the intake log had promised is told, and kept aside', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  for (let i = 1; i <= 3; i++) await evaq.wal.pushMany([], checkpoint(i));
  await evaq.close();
  const log = (await filesOf(disk, WAL)).find((path) => path.endsWith('.itk')) ?? '';
  const file = await disk.vfs.open(log, 'write');
  const size = await file.size();
  const rot = (at: number): Promise<void> => file.writeAt(Buffer.alloc(4, 7), 0, 4, at);
  // Of the last frame one copy: the other one has it.
  const healthy = disk.fork();
  await rot(size - 8);
  const healed = await openSim(disk.fork());
  expect(await healed.wal.checkpoint('file')).toBe(3);
  // Both copies of an earlier one.
  const frame = Math.round((size - SNAPSHOT_END) / 6);
  await rot(SNAPSHOT_END + frame - 8);
  const half = await openSim(disk.fork());
  expect(half.recovery.damage).toMatchObject([{ file: log, lossless: true, offset: SNAPSHOT_END }]);
  expect(await half.wal.checkpoint('file')).toBe(3);
  await rot(SNAPSHOT_END + 2 * frame - 8);
  await file.close();
  expect((await openSim(healthy)).recovery.damage).toEqual([]);
  const refused = await rejection(openSim(disk), 'EVAQ_CORRUPT', { path: log, queue: 'wal' });
  expect(refused.message).toMatch(/message IDs and checkpoints/);
  const opened = await openSim(disk, { onCorruption: 'quarantine' });
  expect(await opened.wal.checkpoint('file')).toBe(3);
  await opened.close();
  expect(await filesOf(disk, `${WAL}/quarantine`)).toEqual([log.replace('wal/', 'wal/quarantine/')]);
  await (await openSim(disk)).close();
});

it('a queue remembers so many sources and no more, and refuses what is no position', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk, { durability: 'os' });
  await Promise.all(Array.from({ length: SOURCES_MAX }, (_, i) => wal.pushMany(['a'], checkpoint(i, `${i}`))));
  await expect(wal.pushMany(['a'], checkpoint(1, 'one more'))).rejects.toThrow(/at most 4096 sources/);
  await expect(wal.pushMany([], checkpoint(1, 'one more'))).rejects.toThrow(RangeError);
  await wal.pushMany(['a'], checkpoint('on', '7'));
  const evaq = await openReal();
  for (const wrong of [
    { source: 'a' },
    { source: '', position: 1 },
    { source: 'a', position: null },
    'a',
    { source: 'a', position: 1, at: 2 },
  ])
    await expect(callUntyped(evaq.wal, 'pushMany', ['a'], { checkpoint: wrong })).rejects.toThrow(TypeError);
  for (const position of [1.5, 2 ** 53, 'x'.repeat(1025)])
    await expect(evaq.wal.pushMany(['a'], checkpoint(position))).rejects.toThrow(RangeError);
  await expect(callUntyped(evaq.wal, 'push', 'a', checkpoint(1))).rejects.toThrow(TypeError);
  expect(evaq.wal.size).toBe(0);
});

it('a checkpoint alone waits for the pushes before it that wait for room, and fails where they do', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { records: 1, whenFull: 'wait' } });
  const { wal } = evaq;
  const first = await wal.push('a');
  const waits = wal.pushMany(['b']);
  const alone = wal.pushMany([], checkpoint(2));
  await passTime(disk, 100);
  expect(await wal.checkpoint('file')).toBeUndefined();
  expect(await (await openSim(crashed(disk))).wal.checkpoint('file')).toBeUndefined();
  await wal.remove(first);
  expect(await waits).toEqual({ firstId: 2, lastId: 2 });
  expect(await alone).toEqual({ firstId: 3, lastId: 2 });
  expect(await wal.checkpoint('file')).toBe(2);
  const [more, third] = [wal.pushMany(['c']), wal.pushMany([], checkpoint(3))];
  const closed = Promise.all([rejection(more, 'EVAQ_CLOSED'), rejection(third, 'EVAQ_CLOSED')]);
  await evaq.close();
  await closed;
  expect(await (await openSim(crashed(disk))).wal.checkpoint('file')).toBe(2);
});

it('P4: a checkpoint alone is not written where what was pushed before it fails', async () => {
  const disk = newDisk();
  const { wal } = await openSim(disk);
  await wal.pushMany(['a'], checkpoint(1));
  disk.fault({ on: 'write', path: '.seg', error: 'ENOSPC', times: 1 });
  const pushed = wal.pushMany(['b']);
  const alone = wal.pushMany([], checkpoint(2));
  await rejection(pushed, 'EVAQ_NO_SPACE');
  await rejection(alone, 'EVAQ_NO_SPACE');
  expect(await wal.checkpoint('file')).toBe(1);
  await wal.pushMany(['b']);
  await wal.pushMany([], checkpoint(2));
  expect(await wal.checkpoint('file')).toBe(2);
  expect(await (await openSim(crashed(disk))).wal.checkpoint('file')).toBe(2);
});

it('a position that is none is told what it may be', async () => {
  const { wal } = await openSim(newDisk());
  for (const position of [undefined, null, true, {}])
    await expect(callUntyped(wal, 'pushMany', [], { checkpoint: { source: 's', position } })).rejects.toThrow(
      /^checkpoint\.position must be a safe integer or a text, got/,
    );
});

it('the log of checkpoints is among the bytes of its queue', async () => {
  const { wal } = await openSim(newDisk());
  const before = wal.stats().bytes;
  await wal.pushMany([], checkpoint('x'.repeat(1000)));
  expect(wal.stats().bytes).toBeGreaterThanOrEqual(before + 1000);
});
