/** A message comes in once: who pushes it again is told the ID of the record that is there, or was. */
import { expect, it } from 'vitest';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import {
  callUntyped,
  contentOf,
  countOf,
  newDisk,
  openReal,
  openSim,
  passTime,
  rejection,
} from '../store/store-fixture.js';

const DEDUPE = { windowMs: 60_000, windowRecords: 1000 } as const;

/** What is on the disk after a power cut that takes all that was not synced. */
const crashed = (disk: SimDisk): SimDisk => disk.crash(disk.nothingSurvives());

it('P1: a known message resolves with the ID of its record and writes nothing, also when the record is gone', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE });
  const id = await evaq.wal.push('a', { messageId: 'one' });
  const writes = (): number => countOf(disk, 'write', /\.seg$/);
  const before = writes();
  expect(await evaq.wal.push('b', { messageId: 'one' })).toBe(id);
  expect(evaq.wal.pushSync('c', { messageId: 'one' })).toBe(id);
  await evaq.wal.remove(id);
  expect(await evaq.wal.push('d', { messageId: 'one' })).toBe(id);
  expect(writes()).toBe(before);
  expect(await evaq.wal.push('e', { messageId: 'two' })).toBe(id + 1);
  expect(await contentOf(evaq.wal)).toEqual({ [id + 1]: 'e' });
  expect((await evaq.wal.get(id + 1))?.messageId).toBe('two');
  await evaq.close();
});

it('P1: of concurrent pushes of one message one is written, and all are told its ID when it is durable', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE });
  const ids = await Promise.all(['a', 'b', 'c'].map((payload) => evaq.wal.push(payload, { messageId: 'one' })));
  expect(new Set(ids).size).toBe(1);
  expect(await contentOf(evaq.wal)).toEqual({ [ids[0] ?? 0]: 'a' });
  const again = await openSim(crashed(disk), { dedupe: DEDUPE });
  expect(await contentOf(again.wal)).toEqual({ [ids[0] ?? 0]: 'a' });
});

it('a push whose commit fails leaves the message unknown: who waited for it is pushed by himself', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE });
  disk.fault({ on: 'write', path: /\.seg$/, error: 'EIO', nth: 1, times: 1 });
  const first = evaq.wal.push('a', { messageId: 'one' });
  const bytes = Buffer.from('b');
  const second = evaq.wal.push(bytes, { messageId: 'one' });
  bytes.fill('x');
  await rejection(first, 'EVAQ_IO');
  const id = await second;
  expect(await contentOf(evaq.wal)).toEqual({ [id]: 'b' });
  expect(await evaq.wal.push('c', { messageId: 'one' })).toBe(id);
  await evaq.close();
});

it('a push that is withdrawn while it waits for room leaves the message to the next in line', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE, maxPendingBytes: 10 });
  const large = evaq.wal.push('larger than the room', {});
  const controller = new AbortController();
  const first = evaq.wal.push('a', { messageId: 'one', signal: controller.signal });
  const second = evaq.wal.push('b', { messageId: 'one' });
  controller.abort(new Error('never mind'));
  await expect(first).rejects.toThrow('never mind');
  await large;
  expect(Object.values(await contentOf(evaq.wal))).toEqual(['larger than the room']);
  const id = await second;
  expect((await evaq.wal.get(id))?.payload.toString()).toBe('b');
  await evaq.close();
});

it('P1: a message is known by whichever way it came in, to whichever way it comes again, also behind a power cut', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE });
  const ids = [
    await evaq.wal.push('a', { messageId: 'push' }),
    evaq.wal.pushSync('b', { messageId: 'pushSync' }),
    (await evaq.wal.pushMany([{ payload: 'c', messageId: 'pushMany' }])).firstId,
  ];
  expect(ids).toEqual([1, 2, 3]);
  const again = await openSim(crashed(disk), { dedupe: DEDUPE });
  for (const { wal } of [evaq, again]) {
    for (const [i, messageId] of ['push', 'pushSync', 'pushMany'].entries()) {
      expect(wal.pushSync('z', { messageId })).toBe(ids[i]);
      expect(await wal.push('z', { messageId })).toBe(ids[i]);
      await rejection(wal.pushMany([{ payload: 'z', messageId }]), 'EVAQ_DUPLICATE');
    }
    expect(await contentOf(wal)).toEqual({ 1: 'a', 2: 'b', 3: 'c' });
  }
  await evaq.close();
  await again.close();
});

it('pushSync of a message that is on its way returns its ID, durable', async () => {
  for (const durability of ['sync', 'os'] as const) {
    const disk = newDisk();
    const evaq = await openSim(disk, { dedupe: DEDUPE, durability });
    const pushed = evaq.wal.push('a', { messageId: 'one' });
    const id = evaq.wal.pushSync('b', { messageId: 'one' });
    const image = crashed(disk);
    expect(await pushed).toBe(id);
    const again = await openSim(image, { dedupe: DEDUPE, durability });
    expect(await contentOf(again.wal), durability).toEqual({ [id]: 'a' });
    expect(await again.wal.push('c', { messageId: 'one' })).toBe(id);
  }
});

it('in a weaker mode pushSync of a known message makes it durable', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE, durability: 'os' });
  const id = await evaq.wal.push('a', { messageId: 'one' });
  expect(await contentOf((await openSim(crashed(disk))).wal)).toEqual({});
  expect(evaq.wal.pushSync('b', { messageId: 'one' })).toBe(id);
  expect(await contentOf((await openSim(crashed(disk))).wal)).toEqual({ [id]: 'a' });
});

it('a batch in which a message is known, or stands twice, is refused as a whole, and names the first', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE });
  const { wal } = evaq;
  const known = await wal.push('a', { messageId: 'one' });
  const refused = wal.pushMany(['x', { payload: 'y', messageId: 'two' }, { payload: 'z', messageId: 'one' }]);
  await rejection(refused, 'EVAQ_DUPLICATE', { messageId: 'one', index: 2, id: known });
  const twice = wal.pushMany([
    { payload: 'y', messageId: 'two' },
    { payload: 'z', messageId: 'two' },
  ]);
  await rejection(twice, 'EVAQ_DUPLICATE', { messageId: 'two', index: 1 });
  expect(wal.size).toBe(1);
  const { firstId } = await wal.pushMany([{ payload: 'y', messageId: 'two', headers: { a: 'b' } }, 'z']);
  expect(await wal.push('again', { messageId: 'two' })).toBe(firstId);
  expect((await wal.get(firstId))?.headers).toEqual({ a: 'b' });
  // One that waits for another sees what became of it.
  const first = wal.pushMany([{ payload: 'p', messageId: 'three' }]);
  const second = wal.pushMany(['q', { payload: 'r', messageId: 'three' }]);
  await rejection(second, 'EVAQ_DUPLICATE', { messageId: 'three', index: 1, id: (await first).firstId });
  await evaq.close();
});

it('a message is forgotten after windowMs, and after windowRecords others, whichever is first', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: { windowMs: 1000, windowRecords: 3 } });
  const { wal } = evaq;
  const ids = [];
  for (const messageId of ['a', 'b', 'c', 'd']) ids.push(await wal.push(messageId, { messageId }));
  expect(await wal.push('b', { messageId: 'b' })).toBe(ids[1]);
  expect(await wal.push('a', { messageId: 'a' })).toBe(5);
  await passTime(disk, 900);
  expect(await wal.push('a', { messageId: 'a' })).toBe(5);
  await passTime(disk, 200);
  expect(await wal.push('a', { messageId: 'a' })).toBe(6);
  await evaq.close();
});

it('P1: the window survives a clean close, a crash, and the dropping and rewriting of segments', async () => {
  for (const durability of ['sync', { intervalMs: 20 }, 'os'] as const) {
    const disk = newDisk();
    const options = { dedupe: DEDUPE, segmentBytes: 64 * 1024, durability };
    const evaq = await openSim(disk, options);
    const known = new Map<string, number>();
    for (let i = 0; i < 40; i++) known.set(`m${i}`, await evaq.wal.push(Buffer.alloc(6000, i), { messageId: `m${i}` }));
    await evaq.wal.removeThrough(39);
    await evaq.wal.compact();
    await evaq.wal.flush();
    expect(evaq.wal.stats().segments).toBeLessThan(3);
    const afterCrash = await openSim(crashed(disk), options);
    for (const [messageId, id] of known) expect(await afterCrash.wal.push('x', { messageId })).toBe(id);
    expect(afterCrash.wal.size).toBe(1);
    await evaq.close();
    const reopened = await openSim(disk, options);
    expect(reopened.recovery.clean).toBe(true);
    for (const [messageId, id] of known) expect(await reopened.wal.push('x', { messageId })).toBe(id);
    await reopened.close();
  }
});

it('a message ID without the option, or none, is a TypeError', async () => {
  const evaq = await openReal();
  await expect(evaq.wal.push('a', { messageId: 'one' })).rejects.toThrow(TypeError);
  await expect(evaq.wal.push('a', { messageId: 'one' })).rejects.toThrow(/without the option dedupe/);
  await expect(evaq.wal.pushMany([{ payload: 'a', messageId: 'one' }])).rejects.toThrow(/payloads\[0\]\.messageId/);
  expect(() => evaq.wal.pushSync('a', { messageId: 'one' })).toThrow(TypeError);
  const queue = await evaq.queue('jobs', { dedupe: {} });
  await expect(callUntyped(queue, 'push', 'a', { messageId: 7 })).rejects.toThrow(/messageId must be a text, got 7/);
  await expect(queue.push('a', { messageId: '' })).rejects.toThrow(TypeError);
  await expect(queue.push('a', { messageId: 'x'.repeat(1025) })).rejects.toThrow(RangeError);
  await expect(queue.push('a', { messageId: '\ud800' })).rejects.toThrow(TypeError);
  await expect(callUntyped(queue, 'pushMany', ['a'], { messageId: 'one' })).rejects.toThrow(/messageId/);
  await expect(evaq.queue('other', { dedupe: { windowMs: 0 } })).rejects.toThrow(/dedupe\.windowMs/);
  await expect(evaq.queue('other', { dedupe: { windowRecords: 2 ** 25 } })).rejects.toThrow(/dedupe\.windowRecords/);
  await expect(evaq.queue('jobs', { dedupe: { windowMs: 5 } })).rejects.toThrow(/another dedupe/);
});

it('moves are no pushes: what goes to the dead letters and comes back is never refused', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { dedupe: DEDUPE });
  const id = await evaq.wal.push('a', { messageId: 'one' });
  const letter = await evaq.wal.deadLetter(id, { reason: 'no' });
  const [back] = await evaq.wal.redrive([letter]);
  expect(back).toBe(id + 1);
  expect(await evaq.wal.push('b', { messageId: 'one' })).toBe(id);
  expect(await contentOf(evaq.wal)).toEqual({ [id + 1]: 'a' });
  await evaq.close();
});

it('a pushSync that is refused leaves the message unknown, and one that waits for room in its place', async () => {
  const evaq = await openSim(newDisk(), { dedupe: DEDUPE, limits: { records: 1, whenFull: 'wait' } });
  const { wal } = evaq;
  const first = await wal.push('a');
  const waits = wal.push('b', { messageId: 'one' });
  expect(() => wal.pushSync('c', { messageId: 'one' })).toThrow(/is full/);
  expect(() => wal.pushSync('c', { messageId: 'two' })).toThrow(/is full/);
  const again = wal.push('d', { messageId: 'one' });
  await wal.remove(first);
  const id = await waits;
  expect(await again).toBe(id);
  expect(await contentOf(wal)).toEqual({ [id]: 'b' });
  await wal.remove(id);
  expect(await wal.push('e', { messageId: 'two' })).toBe(id + 1);
  await evaq.close();
});

it('pushSync of a message whose push waits until others can be dropped for it returns its ID', async () => {
  const evaq = await openSim(newDisk(), { dedupe: DEDUPE, limits: { records: 1, whenFull: 'drop-oldest' } });
  const first = evaq.wal.push('a');
  const waits = evaq.wal.push('b', { messageId: 'one' });
  const id = evaq.wal.pushSync('c', { messageId: 'one' });
  expect([await first, await waits]).toEqual([id - 1, id]);
  expect(await contentOf(evaq.wal)).toEqual({ [id]: 'b' });
  await evaq.close();
});

it('a push whose signal is aborted as the one before it ends is withdrawn like any other', async () => {
  for (let turns = 0; turns < 8; turns++) {
    const evaq = await openSim(newDisk(), { dedupe: DEDUPE, limits: { records: 1, whenFull: 'wait' } });
    const { wal } = evaq;
    const full = await wal.push('a');
    const [one, two] = [new AbortController(), new AbortController()];
    const first = wal.push('b', { messageId: 'one', signal: one.signal });
    const second = wal.push('c', { messageId: 'one', signal: two.signal });
    const told = Promise.allSettled([first, second]);
    one.abort(new Error('the first'));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    two.abort(new Error('the second'));
    expect(await told).toMatchObject([{ reason: { message: 'the first' } }, { reason: { message: 'the second' } }]);
    await wal.remove(full);
    const last = await wal.push('d');
    expect(await contentOf(wal), `after ${turns}`).toEqual({ [last]: 'd' });
    expect(last).toBe(full + 1);
    await evaq.close();
  }
});
