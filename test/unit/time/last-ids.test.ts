/** Numbers that run out: IDs of records and segments, generations of the tombstone log. */
import { describe, expect, it } from 'vitest';
import { Evaq, type EvaqOptions } from '../../../src/evaq.js';
import { encodeFileHeader } from '../../../src/frame/file-header.js';
import { verifyStore } from '../../../src/raw.js';
import { contentOf, idsOf, newDisk, openSim, rejection, SIM_PATH } from '../store/store-fixture.js';
import { hex, MAX, placeIn, reopen, segmentFile, storeAt, storeOfOne } from './support/numbered-store.js';

const MODES: readonly (readonly [string, EvaqOptions])[] = [
  ['sync', { durability: 'sync' }],
  ['interval', { durability: { intervalMs: 50 } }],
  ['os', { durability: 'os' }],
];

describe.each(MODES)('the last IDs of a queue, in mode %s', (_, options) => {
  it('are given out, and then every push is rejected with EVAQ_QUEUE_FULL; the store closes, opens and serves', async () => {
    const disk = await storeAt(MAX - 4, options);
    let evaq = await openSim(disk, options);
    expect(await evaq.wal.push('a')).toBe(MAX - 4);
    expect(evaq.wal.pushSync('b')).toBe(MAX - 3);
    await rejection(evaq.wal.pushMany(['x', 'y', 'z']), 'EVAQ_QUEUE_FULL', { queue: 'wal' });
    const two = evaq.wal.pushMany(['c', 'd']);
    await rejection(evaq.wal.push('x'), 'EVAQ_QUEUE_FULL');
    expect(await two).toEqual({ firstId: MAX - 2, lastId: MAX - 1 });
    for (let i = 0; i < 2; i++) {
      await rejection(evaq.wal.push('x'), 'EVAQ_QUEUE_FULL');
      await rejection(evaq.wal.pushMany(['x']), 'EVAQ_QUEUE_FULL');
      expect(() => evaq.wal.pushSync('x')).toThrow(expect.objectContaining({ code: 'EVAQ_QUEUE_FULL' }));
      expect(await contentOf(evaq.wal)).toEqual({
        1: 'first',
        [MAX - 4]: 'a',
        [MAX - 3]: 'b',
        [MAX - 2]: 'c',
        [MAX - 1]: 'd',
      });
      expect(evaq.wal.stats().nextId).toBe(MAX);
      await evaq.close();
      evaq = await openSim(disk, options);
      expect(evaq.recovery.clean).toBe(true);
    }
    expect((await evaq.wal.read({ from: MAX - 1 })).map(({ id }) => id)).toEqual([MAX - 1]);
    expect(await evaq.wal.read({ from: MAX })).toEqual([]);
    expect(await evaq.wal.get(MAX)).toBeUndefined();
    expect(await evaq.wal.remove(MAX)).toBe(false);
    expect((await evaq.wal.pop(MAX - 1)).payload.toString()).toBe('d');
    expect(await evaq.wal.remove(MAX - 3)).toBe(true);
    await evaq.wal.compact();
    expect(await idsOf(evaq.wal)).toEqual([1, MAX - 4, MAX - 2]);
    expect(await evaq.wal.removeThrough(MAX)).toBe(3);
    await evaq.wal.compact();
    await evaq.close();
    const { damage, queues } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    expect(damage).toEqual([]);
    expect(queues.find(({ queue }) => queue === 'wal')).toMatchObject({ live: 0, clean: true });
    evaq = await openSim(disk, options);
    await rejection(evaq.wal.push('x'), 'EVAQ_QUEUE_FULL');
    await evaq.close();
  });

  it('P8: after a kill and after a power cut it opens and serves, and no ID comes twice', async () => {
    for (const [back, how] of [
      [3, 'kill'],
      [3, 'cut'],
      [2 ** 28, 'kill'],
      [2 ** 28, 'cut'],
      [2 ** 31, 'cut'],
    ] as const) {
      let disk = await storeAt(MAX - back, options);
      let evaq = await reopen(disk, options);
      const given = [await evaq.wal.push('a'), await evaq.wal.push('b')];
      if (how === 'kill') disk.kill();
      else disk = disk.crash(disk.nothingSurvives());
      evaq = await reopen(disk, options);
      const kept = await idsOf(evaq.wal);
      if (how === 'kill' || options.durability === 'sync') expect(kept).toEqual([1, ...given]);
      const next = evaq.wal.stats().nextId;
      expect(next).toBeGreaterThan(MAX - back + 1);
      expect(next).toBeLessThanOrEqual(MAX);
      if (next === MAX) await rejection(evaq.wal.push('c'), 'EVAQ_QUEUE_FULL');
      else expect(await evaq.wal.push('c')).toBe(next);
      for (const id of kept) expect(await evaq.wal.remove(id)).toBe(true);
      await evaq.wal.compact();
      await evaq.close();
      expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
    }
  });
});

describe('a move to a queue whose IDs have run out', () => {
  it('P10: rejects with EVAQ_QUEUE_FULL, and the record stays in its source: dead letters', async () => {
    const disk = await storeAt(MAX, {}, 'dead-letters');
    let evaq = await openSim(disk);
    const id = await evaq.wal.push('stays');
    await rejection(evaq.wal.deadLetter(id, { reason: 'r' }), 'EVAQ_QUEUE_FULL', { queue: 'dead-letters' });
    expect(await contentOf(evaq.wal)).toEqual({ [id]: 'stays' });
    disk.kill();
    evaq = await openSim(disk);
    expect(await contentOf(evaq.wal)).toEqual({ [id]: 'stays' });
    expect(await contentOf(evaq.deadLetters)).toEqual({ 1: 'first' });
    await evaq.close();
  });

  it('P10: the same of a redrive, of which a part may have moved', async () => {
    const disk = await storeAt(MAX - 4);
    let evaq = await openSim(disk);
    const { firstId } = await evaq.wal.pushMany(['a', 'b', 'c']);
    for (let i = 0; i < 3; i++) await evaq.wal.deadLetter(firstId + i, { reason: 'r' });
    const error = await rejection(evaq.wal.redrive([1, 2, 3]), 'EVAQ_QUEUE_FULL');
    expect(error.details.moved).toEqual([{ id: 1, newId: MAX - 1 }]);
    const left = { 2: 'b', 3: 'c' };
    expect(await contentOf(evaq.deadLetters)).toEqual(left);
    await evaq.close();
    evaq = await openSim(disk);
    expect(await contentOf(evaq.deadLetters)).toEqual(left);
    expect(await contentOf(evaq.wal)).toEqual({ 1: 'first', [MAX - 1]: 'a' });
    await evaq.close();
  });
});

describe('a file that claims the last numbers', () => {
  const garbage = Buffer.alloc(8192, 0x41);

  it('a segment of which nothing can be read, at the end of the IDs: refused by name, or set aside, and then there is no ID left', async () => {
    const name = segmentFile(MAX - 100, 0xff);
    const disk = await storeOfOne();
    placeIn(disk, name, garbage);
    await rejection(openSim(disk), 'EVAQ_CORRUPT', { path: `${SIM_PATH}/queues/wal/${name}` });
    for (let i = 0; i < 2; i++) {
      const evaq = await reopen(disk, { onCorruption: 'quarantine' });
      await rejection(evaq.wal.push('x'), 'EVAQ_QUEUE_FULL');
      expect(await contentOf(evaq.wal)).toEqual({ 1: 'first' });
      expect(await evaq.wal.remove(2)).toBe(false);
      if (i === 0) await evaq.close();
      else disk.kill();
    }
  });

  it.each(
    [MAX, MAX - 1, 2 ** 52, 2 ** 52 - 1, 2 ** 41].flatMap((id) => [
      `${hex(id)}.free`,
      `${segmentFile(1, id)}.tmp`,
      segmentFile(5, id),
      `${hex(id)}.tomb.tmp`,
    ]),
  )('an empty stray named %s takes no number away: segments are made, again and again', async (name) => {
    const disk = await storeOfOne();
    placeIn(disk, name);
    for (let i = 0; i < 3; i++) {
      const evaq = await reopen(disk, { segmentBytes: 64 * 1024 });
      for (let j = 0; j < 4; j++) await evaq.wal.push(Buffer.alloc(40_000));
      expect(evaq.wal.stats().live).toBe(1 + 4 * (i + 1));
      if (i === 1) disk.kill();
      else await evaq.close();
    }
    const ids = (await disk.vfs.list(`${SIM_PATH}/queues/wal`)).filter((file) => file.name.endsWith('.seg'));
    expect(ids.every((file) => Number.parseInt(file.name.slice(21), 16) < 2 ** 40)).toBe(true);
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
  });

  it('P2: a tombstone log of which nothing can be read, with the last generation: refused by name, or set aside; removed stays removed', async () => {
    const disk = newDisk();
    const path = `${SIM_PATH}/queues/wal/${hex(MAX)}.tomb`;
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    await evaq.wal.remove(1);
    await evaq.close();
    disk.place(path, garbage);
    await rejection(openSim(disk), 'EVAQ_CORRUPT', { path });
    for (const id of [2, 3]) {
      const again = await reopen(disk, { onCorruption: 'quarantine' });
      expect(await idsOf(again.wal)).toEqual(id === 2 ? [2, 3] : [3]);
      await again.wal.remove(id);
      disk.kill();
    }
    const last = await reopen(disk);
    expect(await idsOf(last.wal)).toEqual([]);
    await last.close();
  });

  it('an intact segment with the last segment ID: EVAQ_QUEUE_FULL where another one is needed, and it can be read', async () => {
    const disk = await storeOfOne();
    const store = disk.read(`${SIM_PATH}/STORE`);
    if (store === undefined) throw new Error('there is no store');
    const header = encodeFileHeader({
      kind: 'segment',
      flags: 0,
      storeUuid: Buffer.from(store.subarray(8, 24)),
      fileId: MAX,
      baseId: 7,
      idHighWater: 8,
      createdMs: 0,
      salt: 1,
    });
    placeIn(disk, segmentFile(7, MAX), header);
    await rejection(openSim(disk), 'EVAQ_QUEUE_FULL');
    const { vfs, host } = disk.restart();
    const reader = await Evaq.openReadOnly(SIM_PATH, { ports: { vfs, host } });
    expect((await reader.wal.read()).map(({ payload }) => payload.toString())).toEqual(['first']);
    await reader.close();
  });
});
