/** What a queue may hold: pushes that find no room are refused, wait, or cost the oldest. */
import { expect, it } from 'vitest';
import type { Queue } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import {
  callUntyped,
  contentOf,
  idsOf,
  newDisk,
  openReal,
  openSim,
  passTime,
  rejection,
} from '../store/store-fixture.js';
import { hearDrops } from './drops-heard.js';

/** What is on the disk after a power cut that takes all that was not synced. */
const crashed = (disk: SimDisk): SimDisk => disk.crash(disk.nothingSurvives());

function used(
  queue: Queue,
): readonly [records: number | undefined, bytes: number | undefined, waiting: number | undefined] {
  const { limits } = queue.stats();
  return [limits?.usedRecords, limits?.usedBytes, limits?.waiting];
}

it("whenFull 'reject': a push without room is refused, with numbers, and one is let in when a removal has resolved", async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { records: 2, bytes: 100 } });
  const { wal } = evaq;
  const [first] = await Promise.all([wal.push('a'), wal.push('b')]);
  await rejection(wal.push('c'), 'EVAQ_QUEUE_FULL', {
    queue: 'wal',
    exceeded: 'records',
    limit: 2,
    used: 2,
    wanted: 1,
  });
  expect(() => wal.pushSync('c')).toThrow(/2 of 2 records are taken/);
  const removal = wal.remove(first ?? 0);
  // It may yet come back.
  await rejection(wal.push('c'), 'EVAQ_QUEUE_FULL');
  await removal;
  await wal.push('c');
  expect(Object.values(await contentOf(wal))).toEqual(['b', 'c']);
  await wal.removeThrough(99);
  await rejection(wal.pushMany([Buffer.alloc(40), Buffer.alloc(45)]), 'EVAQ_RECORD_TOO_LARGE');
  await wal.push(Buffer.alloc(70));
  await rejection(wal.push(Buffer.alloc(20)), 'EVAQ_QUEUE_FULL', {
    exceeded: 'bytes',
    limit: 100,
    used: 78,
    wanted: 28,
  });
  await wal.push(Buffer.alloc(14));
  expect(used(wal)).toEqual([2, 100, 0]);
  await evaq.close();
});

it('what is larger than the queue may be is never let in, whatever whenFull says', async () => {
  for (const whenFull of ['reject', 'wait', 'drop-oldest'] as const) {
    const evaq = await openSim(newDisk(), { limits: { records: 2, bytes: 50, whenFull } });
    await evaq.wal.push('a');
    await rejection(evaq.wal.push(Buffer.alloc(43)), 'EVAQ_RECORD_TOO_LARGE', { limit: 50, bytes: 51 });
    await rejection(evaq.wal.pushMany(['a', 'b', 'c']), 'EVAQ_RECORD_TOO_LARGE', {
      exceeded: 'records',
      limit: 2,
      wanted: 3,
    });
    expect(() => evaq.wal.pushSync(Buffer.alloc(43))).toThrow(/51 bytes/);
    expect(await evaq.wal.pushMany([])).toMatchObject({ lastId: 1 });
    expect(evaq.wal.size).toBe(1);
    await evaq.close();
  }
});

it("whenFull 'wait': pushes come in as records leave, in the order of the calls, and one that fits does not overtake", async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { bytes: 100, whenFull: 'wait' } });
  const { wal } = evaq;
  const first = await wal.push(Buffer.alloc(82, 'a'));
  const buffer = Buffer.alloc(50, 'b');
  const large = wal.push(buffer);
  buffer.fill('x');
  const small = wal.push('c');
  await passTime(disk, 100);
  expect(used(wal)).toEqual([1, 90, 2]);
  expect(() => wal.pushSync('d')).toThrow(/come first/);
  await wal.remove(first);
  const ids = await Promise.all([large, small]);
  expect(ids).toEqual([2, 3]);
  expect((await wal.get(2))?.payload.toString()).toBe('b'.repeat(50));
  expect(used(wal)).toEqual([2, 67, 0]);
  await evaq.close();
});

it("whenFull 'wait': a signal withdraws a push, and those behind it need not wait for it", async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { bytes: 100, whenFull: 'wait' } });
  const { wal } = evaq;
  await wal.push(Buffer.alloc(72));
  const controller = new AbortController();
  const large = wal.push(Buffer.alloc(50), { signal: controller.signal });
  const small = wal.push('c');
  controller.abort(new Error('never mind'));
  await expect(large).rejects.toThrow('never mind');
  expect(await small).toBe(2);
  expect(used(wal)).toEqual([2, 89, 0]);
  await evaq.close();
});

it("whenFull 'wait': who waits is told when the store closes, or stops", async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { records: 1, whenFull: 'wait' } });
  await evaq.wal.push('a');
  const waiting = [evaq.wal.push('b'), evaq.wal.pushMany(['c'])];
  const told = Promise.all(waiting.map((one) => rejection(one, 'EVAQ_CLOSED')));
  await evaq.close();
  await told;
  const again = await openSim(disk, { limits: { records: 1, whenFull: 'wait' } });
  disk.fault({ on: 'sync', path: /\.tomb/, error: 'EIO' });
  const stopped = rejection(again.wal.push('b'), 'EVAQ_FAILED');
  await rejection(again.wal.remove(1), 'EVAQ_FAILED');
  await stopped;
});

it("whenFull 'drop-oldest': the oldest go, no more than needed, and it is reported when they are gone", async () => {
  using heard = hearDrops();
  const { told } = heard;
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { records: 3, whenFull: 'drop-oldest' } });
  const { wal } = evaq;
  for (const text of ['a', 'b', 'c', 'd']) await wal.push(text);
  expect(Object.values(await contentOf(wal))).toEqual(['b', 'c', 'd']);
  await wal.pushMany(['e', 'f']);
  await wal.flush();
  expect(Object.values(await contentOf(wal))).toEqual(['d', 'e', 'f']);
  wal.pushSync('g');
  await wal.flush();
  expect(await idsOf(wal)).toEqual([5, 6, 7]);
  expect(wal.stats().limits).toMatchObject({ dropped: 4, expired: 0, droppedRanges: [{ first: 1, last: 4 }] });
  expect(told.map(({ ranges }) => ranges)).toEqual([
    [{ first: 1, last: 1 }],
    [{ first: 2, last: 3 }],
    [{ first: 4, last: 4 }],
  ]);
  expect(told[0]).toMatchObject({ storeId: evaq.storeId, queue: 'wal', cause: 'full', records: 1 });
  const again = await openSim(crashed(disk), { limits: { records: 3, whenFull: 'drop-oldest' } });
  expect(await idsOf(again.wal)).toEqual([5, 6, 7]);
});

it("whenFull 'drop-oldest': a thousand pushes of one turn all come in, and the last are there", async () => {
  const evaq = await openSim(newDisk(), { limits: { records: 10, whenFull: 'drop-oldest' } });
  const { wal } = evaq;
  const ids = await Promise.all(Array.from({ length: 1000 }, (_, i) => wal.push(String(i))));
  expect(ids).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
  await wal.flush();
  expect(await idsOf(wal)).toEqual(Array.from({ length: 10 }, (_, i) => 991 + i));
  await evaq.close();
});

it("whenFull 'drop-oldest': a blocking push comes in behind all that was pushed before it in the same turn", async () => {
  const evaq = await openSim(newDisk(), { limits: { records: 3, whenFull: 'drop-oldest' } });
  const { wal } = evaq;
  const ids = Promise.all(Array.from({ length: 10 }, (_, i) => wal.push(String(i))));
  expect(wal.pushSync('last')).toBe(11);
  expect(await ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await wal.flush();
  expect(await idsOf(wal)).toEqual([9, 10, 11]);
  await evaq.close();
});

it("whenFull 'drop-oldest': what a handler has is not dropped; where that is all there is, a push is refused", async () => {
  const evaq = await openSim(newDisk(), { limits: { records: 3, whenFull: 'drop-oldest' } });
  const { wal } = evaq;
  await wal.pushMany(['a', 'b', 'c']);
  const ends: (() => void)[] = [];
  let begun: () => void = () => undefined;
  const both = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const delivery = wal.process(
    () =>
      new Promise<void>((resolve) => {
        if (ends.push(resolve) === 2) begun();
      }),
    { concurrency: 2, timeoutMs: 0 },
  );
  await both;
  await wal.push('d');
  expect(await idsOf(wal)).toEqual([1, 2, 4]);
  await rejection(wal.pushMany(['e', 'f']), 'EVAQ_QUEUE_FULL', { exceeded: 'records', limit: 3, used: 3, wanted: 2 });
  expect(await idsOf(wal)).toEqual([1, 2, 4]);
  await wal.push('e');
  expect(await idsOf(wal)).toEqual([1, 2, 5]);
  for (const end of ends) end();
  delivery.pause();
  await delivery.stop({ graceMs: 0 });
  await evaq.close();
});

it('limits are counted anew after a restart, and after a crash, with what was removed', async () => {
  const limits = { records: 4, bytes: 200, whenFull: 'reject' } as const;
  for (const crash of [false, true]) {
    const disk = newDisk();
    const evaq = await openSim(disk, { limits });
    await evaq.wal.pushMany(['aaaa', 'bbbb', 'cccc']);
    await evaq.wal.remove(2);
    const before = crash ? disk : undefined;
    if (!crash) await evaq.close();
    const again = await openSim(before === undefined ? disk : crashed(before), { limits });
    expect(used(again.wal)).toEqual([2, 24, 0]);
    await again.wal.pushMany(['x', 'y']);
    await rejection(again.wal.push('z'), 'EVAQ_QUEUE_FULL', { used: 4 });
    await again.wal.remove(1);
    await again.wal.push('z');
    expect(used(again.wal)).toEqual([4, 39, 0]);
    await again.close();
  }
});

it('bytes are exact for records of all sizes that were pushed since the open, however they leave', async () => {
  const evaq = await openSim(newDisk(), { limits: { bytes: 1_000_000 } });
  const { wal } = evaq;
  const sizes = [0, 1, 5000, 17, 300_000, 2, 2, 2];
  await Promise.all(sizes.map((size) => wal.push(Buffer.alloc(size), { headers: { h: 'x' } })));
  const bytes = (ids: readonly number[]): number => ids.reduce((sum, id) => sum + 8 + (sizes[id - 1] ?? 0), 0);
  expect(used(wal)[1]).toBe(bytes([1, 2, 3, 4, 5, 6, 7, 8]));
  await wal.remove(5);
  expect(used(wal)[1]).toBe(bytes([1, 2, 3, 4, 6, 7, 8]));
  await wal.pop(3);
  await evaq.deadLetter(2, { reason: 'no' });
  await wal.flush();
  expect(used(wal)[1]).toBe(bytes([1, 4, 6, 7, 8]));
  await wal.removeThrough(6);
  await wal.compact();
  expect(used(wal)).toEqual([2, bytes([7, 8]), 0]);
  await evaq.redrive(() => true);
  expect(used(wal)[1]).toBe(bytes([7, 8]) + 9);
  await evaq.close();
});

it('moves are never refused for want of room, and limits of the store are not those of dead letters', async () => {
  const evaq = await openSim(newDisk(), { limits: { records: 1, whenFull: 'reject' } });
  const { wal, deadLetters } = evaq;
  for (const text of ['a', 'b', 'c']) await evaq.deadLetter(await wal.push(text), { reason: 'no' });
  expect(deadLetters.size).toBe(3);
  expect(deadLetters.stats().limits).toBeUndefined();
  expect((await evaq.redrive(() => true)).length).toBe(3);
  expect(used(wal)[0]).toBe(3);
  await rejection(wal.push('d'), 'EVAQ_QUEUE_FULL', { used: 3, limit: 1 });
  const named = await evaq.queue('named.dead');
  expect(named.stats().limits).toBeUndefined();
  const other = await evaq.queue('other', { limits: false });
  expect(other.stats().limits).toBeUndefined();
  await evaq.close();
});

it('a message that is known is not refused by a full queue', async () => {
  const evaq = await openSim(newDisk(), { limits: { records: 1 }, dedupe: {} });
  const id = await evaq.wal.push('a', { messageId: 'one' });
  expect(await evaq.wal.push('a', { messageId: 'one' })).toBe(id);
  await rejection(evaq.wal.push('b', { messageId: 'two' }), 'EVAQ_QUEUE_FULL');
  await evaq.wal.remove(id);
  expect(await evaq.wal.push('b', { messageId: 'two' })).toBe(id + 1);
  await evaq.close();
});

it('a push that fails gives its room back', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { records: 1, whenFull: 'wait' } });
  disk.fault({ on: 'write', path: /\.seg$/, error: 'EIO', nth: 1, times: 1 });
  const first = evaq.wal.push('a');
  const second = evaq.wal.push('b');
  await rejection(first, 'EVAQ_IO');
  expect(await second).toBe(1);
  expect(used(evaq.wal)).toEqual([1, undefined, 0]);
  await evaq.close();
});

it('a pop that gives its record back leaves it counted, and takes no room with it', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { limits: { bytes: 30 } });
  const id = await evaq.wal.push('aaaa');
  disk.fault({ on: 'read', path: /\.seg$/, error: 'EIO', nth: 1, times: 1 });
  await rejection(evaq.wal.pop(id), 'EVAQ_IO');
  expect(used(evaq.wal)).toEqual([1, 12, 0]);
  await evaq.wal.pop(id);
  expect(used(evaq.wal)).toEqual([0, 0, 0]);
  await evaq.close();
});

it('wrong limits are told, and so are others for a queue that is open', async () => {
  const evaq = await openReal();
  const open = (limits: unknown): Promise<unknown> => callUntyped(evaq, 'queue', 'q', { limits });
  await expect(open(5)).rejects.toThrow('limits must be false or an object, got 5');
  await expect(open({ record: 5 })).rejects.toThrow(/record.*records/);
  await expect(open({ records: 0 })).rejects.toThrow('limits.records must be a whole number of at least 1, got 0');
  await expect(open({ bytes: '5' })).rejects.toThrow('limits.bytes must be a number');
  await expect(open({ whenFull: 'drop' })).rejects.toThrow("limits.whenFull must be 'reject', 'wait' or 'drop-oldest'");
  await open({ records: 5 });
  await open({ records: 5, whenFull: 'reject' });
  await expect(open({ records: 6 })).rejects.toThrow("queue 'q' is open with another limits");
  await evaq.queue('unbound');
  await expect(evaq.queue('unbound', { limits: { records: 6 } })).rejects.toThrow('another limits (none)');
});

it('what is dropped for a push of very many is gone when that is let in, and is counted once', async () => {
  const records = 70_000;
  const evaq = await openSim(newDisk(), { limits: { records, whenFull: 'drop-oldest' } });
  const { wal } = evaq;
  const many = Array.from({ length: records }, () => '');
  await wal.pushMany(many);
  const more = wal.pushMany(many);
  expect(wal.size).toBe(0);
  await more;
  await wal.push('');
  expect([wal.size, wal.stats().limits?.dropped]).toEqual([records, records + 1]);
  await evaq.close();
});
