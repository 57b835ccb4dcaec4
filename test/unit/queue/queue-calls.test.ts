import { describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { callUntyped, contentOf, idsOf, newDisk, openReal, openSim, rejection } from '../store/store-fixture.js';

const KIB = 1024;

describe('bad input', () => {
  it.each<[string, unknown[], string]>([
    ['push', [undefined], 'payload must be a Uint8Array or a string, got undefined'],
    ['push', [null], 'payload must be a Uint8Array or a string, got null'],
    ['push', [42], 'payload must be a Uint8Array or a string, got 42'],
    ['push', [{ a: 1 }], 'payload must be a Uint8Array or a string, got an object (Object)'],
    ['push', [new ArrayBuffer(8)], 'payload must be a Uint8Array or a string, got an object (ArrayBuffer)'],
    ['push', [new Uint16Array(2)], 'payload must be a Uint8Array or a string, got an object (Uint16Array)'],
    ['push', ['x', { headers: 'h' }], 'headers must be an object, a Map, Headers or entries, got "h"'],
    ['push', ['x', { headers: { a: 1 } }], 'headers.a must be a string, got 1'],
    ['pushSync', [7], 'payload must be a Uint8Array or a string, got 7'],
    ['pushMany', ['abc'], 'payloads must be an iterable of payloads, got "abc"'],
    ['pushMany', [['a', 7]], 'payloads[1] must be a Uint8Array or a string, got 7'],
    ['get', ['1'], 'id must be a record ID (a number), got "1"'],
    ['get', [1n], 'id must be a record ID (a number), got 1n'],
    ['pop', [undefined], 'id must be a record ID (a number), got undefined'],
    ['remove', [null], 'id must be a record ID (a number), got null'],
    ['removeMany', [7], 'ids must be an iterable of record IDs, got 7'],
    ['removeMany', [[1, '2']], 'ids must be a record ID (a number), got "2"'],
    ['removeThrough', [{}], 'id must be a record ID (a number), got an object (Object)'],
    ['read', [{ from: '1' }], 'from must be a record ID (a number), got "1"'],
    ['read', [{ maxBytes: '1' }], 'maxBytes must be a number, got "1"'],
  ])(
    'of a wrong type is a TypeError that names the argument, what it must be and what it is: %s, %s',
    async (method, args, message) => {
      const evaq = await openReal();
      await expect(callUntyped(evaq.wal, method, ...args)).rejects.toThrow(new TypeError(message));
      expect(evaq.wal.stats()).toMatchObject({ live: 0, nextId: 1, pendingBytes: 0 });
      expect(await evaq.pushWal('fine')).toBe(1);
    },
  );

  it.each([-1, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 53])(
    'the ID %d is a RangeError that names it',
    async (id) => {
      const evaq = await openReal();
      const calls = [
        evaq.wal.get(id),
        evaq.wal.pop(id),
        evaq.wal.remove(id),
        evaq.wal.removeMany([1, id]),
        evaq.wal.removeThrough(id),
        evaq.wal.read({ from: id }),
        evaq.wal.records({ from: id }).next(),
        evaq.wal.records({ to: id }).next(),
        evaq.wal.tail({ from: id }).next(),
        evaq.removeWal(id),
        evaq.deadLetter(id, { reason: 'x' }),
        evaq.redrive([id]),
        evaq.doneRetryItems([id]),
        evaq.firstNBytesFromDeadLetterQueue(id, 1),
      ];
      for (const call of calls) {
        await expect(call).rejects.toBeInstanceOf(RangeError);
        await expect(call).rejects.toThrow(new RegExp(`(id|ids|from|to|fromId) must be a record ID .* got ${id}$`));
      }
    },
  );

  it.each([-1, 1.5, Number.NaN, Infinity])('the limit %d is a RangeError that names it', async (limit) => {
    const evaq = await openReal();
    await expect(evaq.wal.read({ maxBytes: limit })).rejects.toThrow(
      new RegExp(`maxBytes must be a whole number of at least 0, got ${limit}`),
    );
    await expect(evaq.wal.read({ maxRecords: limit })).rejects.toThrow(
      /maxRecords must be a whole number of at least 1/,
    );
    await expect(evaq.firstNBytesFromDeadLetterQueue(0, limit)).rejects.toThrow(/maxBytes must be/);
    await expect(evaq.deadLetter(1, { reason: 'x', delayMs: limit })).rejects.toThrow(/options.delayMs must be/);
  });

  it('what a pushMany gives all of them each entry has that has none of its own', async () => {
    const evaq = await openSim(newDisk());
    const queue = await evaq.queue('shared', { dedupe: {} });
    const headers = new Map([['a', 'all']]).entries();
    const payloads = [
      'plain',
      { payload: 'named', messageId: 'm' },
      { payload: 'own', headers: { b: 'own' } },
      { payload: 'timed', deliverAt: 5 },
    ];
    await queue.pushMany(payloads, { headers, deliverAt: 1_000_000 });
    expect((await queue.read()).map(({ headers: has, dueMs }) => [has, dueMs])).toEqual([
      [{ a: 'all' }, 1_000_000],
      [{ a: 'all' }, 1_000_000],
      [{ b: 'own' }, 1_000_000],
      [{ a: 'all' }, 5],
    ]);
    expect(await queue.push('again', { messageId: 'm' })).toBe(2);
    await evaq.close();
  });

  it('an empty pushMany is an empty span; a reason that is none, a filter that is none', async () => {
    const evaq = await openReal();
    expect(await evaq.wal.pushMany([])).toEqual({ firstId: 1, lastId: 0 });
    expect(evaq.wal.size).toBe(0);
    await expect(callUntyped(evaq, 'deadLetter', 1, {})).rejects.toThrow(
      /options.reason must be a string, got undefined/,
    );
    await expect(callUntyped(evaq, 'deadLetter', 1)).rejects.toThrow(TypeError);
    await expect(callUntyped(evaq, 'redrive', 'all')).rejects.toThrow(
      /redrive takes an array of record IDs or a function, got "all"/,
    );
    await expect(callUntyped(evaq, 'doneRetryItems', 7)).rejects.toThrow(/ids must be an array of record IDs, got 7/);
    expect(await evaq.wal.removeMany([])).toBe(0);
  });

  it('records over recordBytesMax are EVAQ_RECORD_TOO_LARGE, and the others of the same turn are unaffected', async () => {
    const evaq = await openReal({ recordBytesMax: 1000 });
    const { wal } = evaq;
    const outcomes = await Promise.allSettled([
      wal.push('a'),
      wal.push(Buffer.alloc(1001)),
      wal.pushMany(['b', Buffer.alloc(1001)]),
      wal.push(Buffer.alloc(1000)),
      wal.push(Buffer.alloc(990), { headers: { name: 'value' } }),
      wal.push('c'),
    ]);
    expect(outcomes.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.code))).toEqual([
      1,
      'EVAQ_RECORD_TOO_LARGE',
      'EVAQ_RECORD_TOO_LARGE',
      2,
      'EVAQ_RECORD_TOO_LARGE',
      3,
    ]);
    await rejection(wal.push(Buffer.alloc(1001)), 'EVAQ_RECORD_TOO_LARGE', { bytes: 1001, limit: 1000 });
    expect(() => wal.pushSync(Buffer.alloc(1001))).toThrow(/1001 bytes; at most 1000/);
    expect(await idsOf(wal)).toEqual([1, 2, 3]);
  });

  it('an aborted signal rejects with its reason, and nothing is pushed', async () => {
    const evaq = await openReal();
    const reason = new Error('enough');
    await expect(evaq.wal.push('x', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(evaq.wal.stats().nextId).toBe(1);
  });
});

describe('payloads', () => {
  it('P3: any bytes come back: none, text, views, shared memory, with and without headers', async () => {
    const evaq = await openReal();
    const shared = new Uint8Array(new SharedArrayBuffer(5)).fill(9);
    const given = [
      '',
      Buffer.alloc(0),
      'grüße \u{1f4ee}',
      Uint8Array.of(0, 255),
      Buffer.from('xabcx').subarray(1, 4),
      shared,
      Buffer.alloc(100_000, 1),
    ];
    for (const payload of given) await evaq.pushWal(payload);
    const headers = { a: '', 'content-type': 'text/plain', ü: 'ß' };
    await evaq.pushWal('with', { headers });
    await evaq.pushWal('without any', { headers: {} });
    for (const open of [() => Promise.resolve(evaq), () => reopened(evaq)]) {
      const source = await open();
      for (const [i, payload] of given.entries()) {
        const record = await source.wal.get(i + 1);
        expect(record?.payload).toEqual(Buffer.from(typeof payload === 'string' ? Buffer.from(payload) : payload));
        expect(record).not.toHaveProperty('headers');
      }
      expect(await source.wal.get(8)).toMatchObject({ id: 8, headers });
      expect((await source.wal.get(9))?.payload.toString()).toBe('without any');
    }
  });

  it('P3: what the caller does to its buffer after the call changes nothing', async () => {
    const evaq = await openReal();
    const buffer = Buffer.alloc(10, 'a');
    const pushes = [evaq.pushWal(buffer)];
    buffer.fill('b');
    pushes.push(evaq.pushWal(buffer));
    const many = evaq.wal.pushMany([buffer, buffer]);
    buffer.fill('c');
    await Promise.all([...pushes, many]);
    expect(Object.values(await contentOf(evaq.wal))).toEqual(['a', 'b', 'b', 'b'].map((letter) => letter.repeat(10)));
  });

  it('large records, and a pushMany wider than a segment, are one commit each', async () => {
    const evaq = await openReal({ segmentBytes: 64 * KIB, maxPendingBytes: 64 * KIB });
    const large = Buffer.alloc(16 * KIB * KIB);
    for (let i = 0; i < large.length; i += 997) large[i] = i & 255;
    expect(await evaq.pushWal(large)).toBe(1);
    await rejection(evaq.pushWal(Buffer.alloc(large.length + 1)), 'EVAQ_RECORD_TOO_LARGE');
    const many = Array.from({ length: 3000 }, (_, i) => Buffer.alloc(100, String(i)));
    expect(await evaq.wal.pushMany(many)).toEqual({ firstId: 2, lastId: 3001 });
    await evaq.pushWal('behind');
    for (const open of [() => Promise.resolve(evaq), () => reopened(evaq)]) {
      const source = await open();
      expect((await source.wal.get(1))?.payload.equals(large)).toBe(true);
      expect((await source.wal.get(3001))?.payload.toString()).toBe('2999'.repeat(25));
      const [first] = await source.wal.read({ maxBytes: 1 });
      expect(first?.payload.equals(large)).toBe(true);
      expect(await idsOf(source.wal)).toHaveLength(3002);
    }
  });

  it('P3: payloads handed out stay as they are while the queue goes on', async () => {
    const evaq = await openReal({ segmentBytes: 64 * KIB });
    for (let i = 0; i < 100; i++) void evaq.pushWal(Buffer.alloc(1000, i));
    await evaq.wal.flush();
    const held = await evaq.wal.read({ maxRecords: 100 });
    await evaq.wal.removeThrough(90);
    await evaq.wal.compact();
    for (let i = 0; i < 100; i++) void evaq.pushWal(Buffer.alloc(1000, 255));
    await evaq.wal.flush();
    await evaq.wal.read({ maxRecords: 100 });
    for (const [i, { payload }] of held.entries()) expect(payload.every((byte) => byte === i)).toBe(true);
  });
});

async function reopened(evaq: Evaq): Promise<Evaq> {
  await evaq.close();
  return openReal({}, evaq.path);
}

describe('IDs', () => {
  it('P8: begin at 1, are consecutive in the order of the calls, and go on after a reopening', async () => {
    const evaq = await openReal();
    const ids = await Promise.all([evaq.pushWal('a'), evaq.wal.pushMany(['b', 'c']), evaq.pushWal('d')]);
    expect(ids).toEqual([1, { firstId: 2, lastId: 3 }, 4]);
    expect(evaq.wal.pushSync('e')).toBe(5);
    const again = await reopened(evaq);
    expect(await again.pushWal('f')).toBe(6);
    expect(await again.pushRetryItem('another queue')).toBe(1);
  });
});

describe('pop', () => {
  it('of two concurrent pops one gets the record, the other EVAQ_RECORD_NOT_FOUND', async () => {
    const evaq = await openReal();
    await evaq.pushWal('once');
    const outcomes = await Promise.allSettled([evaq.popWal(1), evaq.popWal(1), evaq.wal.get(1), evaq.wal.read()]);
    expect(outcomes[0]).toMatchObject({ status: 'fulfilled', value: { id: 1, payload: Buffer.from('once') } });
    expect(outcomes[1]).toMatchObject({
      status: 'rejected',
      reason: { code: 'EVAQ_RECORD_NOT_FOUND', details: { queue: 'wal', id: 1 } },
    });
    expect(outcomes[2]).toMatchObject({ status: 'fulfilled', value: undefined });
    expect(outcomes[3]).toMatchObject({ status: 'fulfilled', value: [] });
    await rejection(evaq.popWal(1), 'EVAQ_RECORD_NOT_FOUND');
    await rejection(evaq.popWal(99), 'EVAQ_RECORD_NOT_FOUND', { id: 99 });
    expect((await reopened(evaq)).wal.size).toBe(0);
  });

  it('P2: a record that cannot be read stays, and can be popped when it can', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('x');
    const cancel = disk.fault({ on: 'read', path: '.seg', times: Infinity });
    await rejection(evaq.popWal(1), 'EVAQ_IO');
    await rejection(evaq.wal.get(1), 'EVAQ_IO');
    await rejection(evaq.wal.read(), 'EVAQ_IO');
    cancel();
    expect(evaq.wal.size).toBe(1);
    expect((await evaq.popWal(1)).payload.toString()).toBe('x');
    await evaq.close();
  });

  it('a pop and a remove of one ID: one of them has it', async () => {
    const evaq = await openReal();
    await evaq.pushWal('x');
    const [popped, removed] = await Promise.allSettled([evaq.popWal(1), evaq.wal.remove(1)]);
    expect(popped.status).toBe('fulfilled');
    expect(removed).toMatchObject({ status: 'fulfilled', value: false });
  });
});

describe('removing', () => {
  it('P2: what is removed is gone at once and after a reopening; again it is false, and writes nothing', async () => {
    const evaq = await openReal();
    await evaq.wal.pushMany(['a', 'b', 'c', 'd', 'e', 'f']);
    const removing = evaq.wal.remove(2);
    expect(evaq.wal.size).toBe(5);
    expect(await evaq.wal.get(2)).toBeUndefined();
    expect(await removing).toBe(true);
    const { tombstoneBytes } = evaq.wal.stats();
    expect(await Promise.all([evaq.wal.remove(2), evaq.wal.remove(77), evaq.wal.removeMany([2, 99])])).toEqual([
      false,
      false,
      0,
    ]);
    expect(evaq.wal.stats().tombstoneBytes).toBe(tombstoneBytes);
    expect(await evaq.wal.removeMany([6, 3, 3, 77, 2])).toBe(2);
    expect(await evaq.wal.removeMany(new Set([1]))).toBe(1);
    expect(await evaq.wal.removeThrough(4)).toBe(1);
    expect(await evaq.wal.removeThrough(4)).toBe(0);
    expect(await contentOf(evaq.wal)).toEqual({ 5: 'e' });
    expect(await contentOf((await reopened(evaq)).wal)).toEqual({ 5: 'e' });
  });

  it('removeThrough waits for a pop that is under way and removes what it gives back', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    disk.fault({ on: 'read', path: '.seg', times: Infinity });
    const pop = evaq.popWal(2);
    const removed = evaq.wal.removeThrough(3);
    await rejection(pop, 'EVAQ_IO');
    expect(await removed).toBe(3);
    disk.kill();
    const again = await openSim(disk.crash());
    expect(await contentOf(again.wal)).toEqual({});
  });

  it('P2: removals of one turn share one round and one sync', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: 1000 }, () => 'x'));
    const before = disk.calls.length;
    await Promise.all(Array.from({ length: 1000 }, (_, i) => evaq.wal.remove(i + 1)));
    const calls = disk.calls.slice(before).filter(({ path }) => path.includes('.tomb'));
    expect(calls.filter(({ name }) => name === 'sync')).toHaveLength(1);
    expect(calls.filter(({ name }) => name === 'write' || name === 'writeBlocking')).toHaveLength(1);
    await evaq.close();
  });
});

describe('the seven calls', () => {
  it('removeWal rejects for what is not there', async () => {
    const evaq = await openReal();
    await evaq.pushWal('x');
    await evaq.removeWal(1);
    await rejection(evaq.removeWal(1), 'EVAQ_RECORD_NOT_FOUND', { queue: 'wal', id: 1 });
  });

  it('doneRetryItems removes in one atomic step, ignores unknown IDs, and gives the last element back', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    for (let i = 0; i < 5; i++) await evaq.pushRetryItem(`item ${i + 1}`);
    expect(await evaq.doneRetryItems([])).toBeUndefined();
    const before = disk.calls.length;
    expect(await evaq.doneRetryItems([4, 99, 2, 2])).toBe(2);
    expect(disk.calls.slice(before).filter(({ name, path }) => name === 'sync' && path.includes('.tomb'))).toHaveLength(
      1,
    );
    expect(await evaq.doneRetryItems([1, 77])).toBe(77);
    expect(await evaq.doneRetryItems([1000])).toBe(1000);
    expect(await idsOf(evaq.deadLetters)).toEqual([3, 5]);
    expect((await evaq.popRetryItem(3)).payload.toString()).toBe('item 3');
    await evaq.close();
  });

  it('firstNBytesFromDeadLetterQueue gives as many as fit, and at least one if there is any', async () => {
    const evaq = await openReal();
    for (let i = 0; i < 10; i++) await evaq.pushRetryItem(Buffer.alloc(100));
    const ids = async (from: number, bytes: number): Promise<number[]> =>
      (await evaq.firstNBytesFromDeadLetterQueue(from, bytes)).map(({ id }) => id);
    expect(await ids(0, 0)).toEqual([1]);
    expect(await ids(1, 99)).toEqual([1]);
    expect(await ids(1, 300)).toEqual([1, 2, 3]);
    expect(await ids(1, 399)).toEqual([1, 2, 3]);
    expect(await ids(8, 1e9)).toEqual([8, 9, 10]);
    await evaq.doneRetryItems([4, 5]);
    expect(await ids(4, 200)).toEqual([6, 7]);
    expect(await ids(11, 1e9)).toEqual([]);
    expect(await evaq.firstNBytesFromDeadLetterQueue(Number.MAX_SAFE_INTEGER, 1)).toEqual([]);
  });
});

describe('reading', () => {
  it('keeps to the limits, goes on from an ID, and gives at least one record', async () => {
    const evaq = await openReal({ segmentBytes: 64 * KIB });
    for (let i = 0; i < 300; i++) void evaq.pushWal(Buffer.alloc(1000, i));
    await evaq.wal.flush();
    await evaq.wal.removeMany([2, 3, 150]);
    const ids = async (options: Parameters<typeof evaq.wal.read>[0]): Promise<number[]> =>
      (await evaq.wal.read(options)).map(({ id }) => id);
    expect(await ids({ maxRecords: 3 })).toEqual([1, 4, 5]);
    expect(await ids({ from: 2, maxRecords: 1 })).toEqual([4]);
    expect(await ids({ from: 149, maxBytes: 2999 })).toEqual([149, 151]);
    expect(await ids({ from: 149, maxBytes: 1e9, maxRecords: 2 })).toEqual([149, 151]);
    expect(await ids({ maxBytes: 0 })).toEqual([1]);
    expect(await ids({ from: 300 })).toEqual([300]);
    expect(await ids({ from: 301 })).toEqual([]);
    expect(await ids({})).toHaveLength(297);
    expect(await ids({ maxRecords: 1_000_000 })).toHaveLength(297);
  });

  it('records() goes through all of a range in order, also over what is removed meanwhile', async () => {
    const evaq = await openReal({ segmentBytes: 64 * KIB });
    for (let i = 0; i < 500; i++) void evaq.pushWal(Buffer.alloc(5000, i));
    await evaq.wal.flush();
    const seen: number[] = [];
    for await (const { id, payload } of evaq.wal.records({ from: 10, to: 490 })) {
      expect(payload.every((byte) => byte === ((id - 1) & 255))).toBe(true);
      seen.push(id);
      if (id === 20) await evaq.wal.removeThrough(480);
    }
    expect(seen.slice(0, 11)).toEqual(Array.from({ length: 11 }, (_, i) => i + 10));
    expect(seen.slice(-10)).toEqual(Array.from({ length: 10 }, (_, i) => i + 481));
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    expect(await evaq.wal.records({ from: 5, to: 4 }).next()).toEqual({ done: true, value: undefined });
  });

  it('a signal ends an iteration with its reason, and breaking off leaves nothing open', async () => {
    const evaq = await openReal();
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const stop = new AbortController();
    const reason = new Error('enough');
    const seen: number[] = [];
    const iterate = async (): Promise<void> => {
      for await (const { id } of evaq.wal.records({ signal: stop.signal })) {
        seen.push(id);
        if (id === 2) stop.abort(reason);
      }
    };
    await expect(iterate()).rejects.toBe(reason);
    expect(seen).toEqual([1, 2]);
    await expect(evaq.wal.records({ signal: stop.signal }).next()).rejects.toBe(reason);
    for await (const { id } of evaq.wal.records()) if (id === 1) break;
    await evaq.close();
  });

  it('tail() waits for more, ends at close, and throws the reason of its signal', async () => {
    const evaq = await openReal();
    await evaq.pushWal('a');
    const seen: string[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const { payload } of evaq.wal.tail()) seen.push(payload.toString());
    })();
    const aborted = (async () => {
      for await (const _ of evaq.wal.tail({ signal: stop.signal, from: 100 })) throw new Error('nothing has this ID');
    })();
    const bounded = (async () => {
      const all: number[] = [];
      for await (const { id } of evaq.wal.tail({ from: 2, to: 3 })) all.push(id);
      return all;
    })();
    await evaq.pushWal('b');
    await evaq.wal.pushMany(['c', 'd']);
    expect(await bounded).toEqual([2, 3]);
    stop.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    while (seen.length < 4) await new Promise((resolve) => setImmediate(resolve));
    await evaq.close();
    await following;
    expect(seen).toEqual(['a', 'b', 'c', 'd']);
  });
});

describe('stats', () => {
  it('say what is there', async () => {
    const evaq = await openReal();
    expect(evaq.wal.stats()).toMatchObject({
      queue: 'wal',
      health: 'ok',
      live: 0,
      dead: 0,
      nextId: 1,
      oldestId: undefined,
      oldestAgeMs: undefined,
      damage: [],
    });
    await evaq.wal.pushMany(['a', 'b', 'c']);
    await evaq.wal.remove(1);
    const stats = evaq.wal.stats();
    expect(stats).toMatchObject({
      live: 2,
      dead: 1,
      nextId: 4,
      oldestId: 2,
      pendingBytes: 0,
      owedRemovals: 0,
      segments: 1,
    });
    expect(stats.sync).toMatchObject({ count: 1 });
    expect(stats.sync.maxMs).toBeGreaterThan(0);
    expect(stats.oldestAgeMs).toBeLessThan(60_000);
    expect(evaq.wal.size).toBe(2);
  });
});
