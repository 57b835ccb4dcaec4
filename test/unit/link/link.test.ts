/** A link whose two ends are in one thread: all calls, their errors, and their ends. */
import { tracingChannel } from 'node:diagnostics_channel';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Evaq, EvaqError, type LinkedEvaq } from '../../../src/evaq.js';
import { callUntyped, contentOf, rejection } from '../store/store-fixture.js';
import { keep, linked } from './link-fixture.js';

describe('calls over a link', () => {
  test('what is pushed over it is in the store, in the order of the calls, by the IDs that it says', async () => {
    const { evaq, link } = await linked();
    const payload = Buffer.from('first');
    const pushed = [
      link.wal.push(payload),
      link.wal.push('second'),
      link.wal.push('third', { headers: new Map([['a', 'b']]) }),
      link.wal.pushMany(['fourth', { payload: 'fifth', headers: { c: 'd' } }]),
      link.wal.push('sixth'),
    ];
    payload.fill(0);
    expect(await Promise.all(pushed)).toEqual([1, 2, 3, { firstId: 4, lastId: 5 }, 6]);
    expect(await contentOf(evaq.wal)).toEqual({
      1: 'first',
      2: 'second',
      3: 'third',
      4: 'fourth',
      5: 'fifth',
      6: 'sixth',
    });
    expect((await evaq.wal.get(3))?.headers).toEqual({ a: 'b' });
    expect((await evaq.wal.get(5))?.headers).toEqual({ c: 'd' });
  });

  test('the records that come over it are those of the store', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['one', '', { payload: 'three', headers: { h: 'x' } }]);
    const there = await evaq.wal.read();
    expect(await link.wal.read()).toEqual(there);
    expect(await link.wal.read({ from: 2, maxRecords: 1 })).toEqual([there[1]]);
    expect(await link.wal.get(3)).toEqual(there[2]);
    expect(await link.wal.get(4)).toBeUndefined();
    expect(Buffer.isBuffer((await link.wal.get(1))?.payload)).toBe(true);
    const read: number[] = [];
    for await (const { id } of link.wal.records({ from: 2 })) read.push(id);
    expect(read).toEqual([2, 3]);
    expect(await link.wal.read({ from: 9 })).toEqual([]);
  });

  test('removing, popping, moving, and what else there is', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['1', '2', '3', '4', '5', '6']);
    expect([await link.wal.remove(1), await link.wal.remove(1)]).toEqual([true, false]);
    expect(await link.wal.removeMany(new Set([2, 3]))).toBe(2);
    expect((await link.wal.pop(4)).payload.toString()).toBe('4');
    expect(await link.wal.deadLetter(5, { reason: 'no', error: Object.assign(new Error('x'), { code: 'E5' }) })).toBe(
      1,
    );
    expect(await link.deadLetters.get(1)).toMatchObject({ reason: 'no', error: { message: 'x', code: 'E5' } });
    expect(await link.wal.redrive([1])).toEqual([7]);
    expect(await link.wal.removeThrough(6)).toBe(1);
    await link.wal.flush();
    expect(await link.wal.size).toBe(1);
    expect(await link.wal.stats()).toEqual(evaq.wal.stats());
    expect(await link.wal.compact()).toMatchObject({ copiedRecords: 0 });
    expect([link.storeId, link.path, await link.queueNames()]).toEqual([evaq.storeId, evaq.path, evaq.queueNames()]);
  });

  test.each(['reject', 'wait', 'drop-oldest'] as const)(
    'pushes of one turn into a queue with limits come in each by itself, when it is full: %s',
    async (whenFull) => {
      const { evaq, link } = await linked();
      const limited = await link.queue('limited', { limits: { records: 2, whenFull } });
      const there = await evaq.queue('limited');
      const came: (number | string | undefined)[] = [undefined, undefined, undefined, undefined];
      const pushed = ['a', 'b', 'c', 'd'].map((text, i) =>
        limited.push(text).then(
          (id) => void came.splice(i, 1, id),
          ({ code }) => void came.splice(i, 1, code),
        ),
      );
      await Promise.all(pushed.slice(0, 2));
      if (whenFull === 'wait') {
        expect(came).toEqual([1, 2, undefined, undefined]);
        await there.remove(1);
        await pushed[2];
        expect(came).toEqual([1, 2, 3, undefined]);
        await there.remove(2);
      }
      await Promise.all(pushed);
      expect(came).toEqual(whenFull === 'reject' ? [1, 2, 'EVAQ_QUEUE_FULL', 'EVAQ_QUEUE_FULL'] : [1, 2, 3, 4]);
      expect(Object.values(await contentOf(there))).toEqual(whenFull === 'reject' ? ['a', 'b'] : ['c', 'd']);
    },
  );

  test('named queues, once in and checkpoints', async () => {
    const { evaq, link } = await linked();
    const mail = await link.queue('mail', { dedupe: {} });
    expect(await link.queue('mail')).toBe(mail);
    expect([await mail.push('a', { messageId: 'm' }), await mail.push('a', { messageId: 'm' })]).toEqual([1, 1]);
    await mail.pushMany(['b'], { checkpoint: { source: 's', position: 7 } });
    expect(await mail.checkpoint('s')).toBe(7);
    expect(await (await evaq.queue('mail')).checkpoint('s')).toBe(7);
    const duplicate = await rejection(mail.pushMany([{ payload: 'a', messageId: 'm' }]), 'EVAQ_DUPLICATE');
    expect(duplicate.details).toMatchObject({ messageId: 'm', index: 0 });
  });
});

describe('errors over a link', () => {
  test('are what they are in the store, with code, details, hint and cause', async () => {
    const { evaq, link } = await linked({ recordBytesMax: 10 });
    for (const make of [
      ({ wal }: Evaq | LinkedEvaq) => wal.pop(9),
      ({ wal }: Evaq | LinkedEvaq) => wal.push('12345678901'),
      ({ wal }: Evaq | LinkedEvaq) => wal.pushMany(['12345678901']),
      (store: Evaq | LinkedEvaq) => store.queue('con'),
    ]) {
      const calls: Promise<unknown>[] = [make(evaq), make(link)];
      const [a, b] = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)));
      if (!(a instanceof EvaqError) || !(b instanceof EvaqError)) throw new Error('none was rejected with');
      expect([b.code, b.message, b.details, b.hint, b.cause]).toEqual([a.code, a.message, a.details, a.hint, a.cause]);
      expect(b.stack).toContain(b.message);
    }
  });

  test('wrong arguments are a TypeError or RangeError with the same words', async () => {
    const { evaq, link } = await linked();
    const calls: [string, unknown[]][] = [
      ['push', [7]],
      ['push', ['x', { header: {} }]],
      ['push', ['x', { headers: { a: 1 } }]],
      ['push', ['x', {}, 3]],
      ['pushMany', ['x']],
      ['pushMany', [[new Date(0)]]],
      ['pushMany', [['x', { payload: 'y', delay: 3 }]]],
      ['get', ['1']],
      ['get', [-1]],
      ['get', [1, { signal: 'x' }]],
      ['get', [1, { signals: 'x' }]],
      ['read', [{ maxRecord: 3 }]],
      ['remove', [1.5]],
      ['removeMany', [5]],
      ['deadLetter', [1, { reason: 3 }]],
      ['checkpoint', ['']],
      ['get', [1, {}, 3]],
      ['pop', [1, {}, 3]],
      ['read', [{}, 3]],
      ['remove', [1, {}, 3]],
      ['removeMany', [[1], {}, 3]],
      ['removeThrough', [1, {}, 3]],
      ['deadLetter', [1, { reason: 'r' }, 3]],
      ['redrive', [[1], {}, 3]],
      ['flush', [{}, 3]],
      ['compact', [{}, 3]],
      ['checkpoint', ['s', 3]],
    ];
    for (const [method, args] of calls) {
      const [a, b] = await Promise.all(
        [evaq.wal, link.wal].map((queue) => {
          const found: unknown = Reflect.get(queue, method);
          if (typeof found !== 'function') throw new Error(method);
          const called: Promise<unknown> = Reflect.apply(found, queue, args);
          return called.then(String, (error: unknown) => error);
        }),
      );
      expect(b, method).toEqual(a);
      expect(Object.getPrototypeOf(b), method).toBe(Object.getPrototypeOf(a));
    }
    const uncarried = link.wal.get(1, Object.assign({}, { signal: new AbortController().signal, x: () => 1 }));
    await expect(uncarried).rejects.toThrow(/cannot be sent to the thread/);
  });
});

describe('the end of a link', () => {
  test('closed by its own side: calls under way have their answers, later ones reject', async () => {
    const { evaq, link } = await linked();
    const pushes = [link.wal.push('a'), link.wal.push('b')];
    await link.close();
    expect(await Promise.all(pushes)).toEqual([1, 2]);
    await rejection(link.wal.push('c'), 'EVAQ_CLOSED');
    await rejection(link.wal.get(1), 'EVAQ_CLOSED');
    expect(() => link.wal.process(() => undefined)).toThrow(EvaqError);
    await link.close();
    expect(await evaq.wal.push('d')).toBe(3);
  });

  test('closed with the store: calls under way have their answers, later ones reject with EVAQ_CLOSED', async () => {
    const { evaq, link } = await linked();
    const pushed = link.wal.push('a');
    // When this has its answer the push is under way.
    await link.queueNames();
    const late = link.wal.push('b');
    const closing = evaq.close();
    expect(await pushed).toBe(1);
    await rejection(late, 'EVAQ_CLOSED');
    await closing;
    await rejection(link.wal.push('c'), 'EVAQ_CLOSED');
    await rejection(link.wal.get(1), 'EVAQ_CLOSED');
    await link.close();
  });

  test('of a store that is closed none is made, and none is joined', async () => {
    const { evaq } = await linked();
    const port = evaq.connect();
    await evaq.close();
    expect(() => evaq.connect()).toThrow(/closed/);
    await rejection(Evaq.attach(port), 'EVAQ_CLOSED');
  });

  test('what is no port is a TypeError that says what to do', async () => {
    await expect(callUntyped(Evaq, 'attach', {})).rejects.toThrow(/evaq\.connect\(\).*transferList.*cluster/);
    const { evaq } = await linked();
    const port = evaq.connect();
    keep(await Evaq.attach(port));
    await expect(Evaq.attach(port)).rejects.toThrow(/already/);
    // Nobody of ours is at its other end.
    const { port1, port2 } = new MessageChannel();
    await expect(Evaq.attach(port2)).rejects.toThrow(/evaq\.connect\(\)/);
    port1.close();
  });
});

describe('queues with limits over a link', () => {
  test('by age alone those of one turn go together: none of them is refused', async () => {
    const { evaq, link } = await linked({ limits: { ageMs: 3_600_000 } });
    const calls: number[] = [];
    const channel = tracingChannel<unknown, { readonly records: number }>('evaq:push');
    const nothing = (): void => undefined;
    const start = ({ records }: { readonly records: number }): void => void calls.push(records);
    const heard = { start, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing };
    channel.subscribe(heard);
    await Promise.all(['a', 'b', 'c'].map((text) => link.wal.push(text)));
    channel.unsubscribe(heard);
    expect(calls).toEqual([3]);
    expect(evaq.wal.size).toBe(3);
  });

  test('of the pushes of one turn each is let in by itself, however many there are', async () => {
    const { evaq, link } = await linked({ limits: { records: 3, whenFull: 'drop-oldest' } });
    const texts = Array.from({ length: 10 }, (_, i) => `${i}`);
    expect(await Promise.all(texts.map((text) => link.wal.push(text)))).toEqual(texts.map((_, i) => i + 1));
    expect(await contentOf(evaq.wal)).toEqual({ 8: '7', 9: '8', 10: '9' });
  });

  test('where they wait those come in that find room, and the others in their order', async () => {
    const { evaq, link } = await linked({ limits: { records: 2, whenFull: 'wait' } });
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((text) => link.wal.push(text));
    const order: number[] = [];
    for (const one of [a, b, c, d]) void one?.then((id) => order.push(id));
    for await (const { id } of evaq.wal.tail({ to: 4 })) await evaq.wal.remove(id);
    await Promise.all([a, b, c, d]);
    expect(order).toEqual([1, 2, 3, 4]);
  });

  test('a stream has more than the queue may hold', async () => {
    const { evaq, link } = await linked({ limits: { records: 8, whenFull: 'wait' } });
    const writable = link.wal.writable({ split: 'lines' });
    writable.end('line\n'.repeat(50));
    const finished = new Promise((resolve, reject) => writable.once('finish', resolve).once('error', reject));
    for await (const { id } of evaq.wal.tail({ to: 50 })) await evaq.wal.remove(id);
    await finished;
    expect(writable.pushed).toBe(50);
  });
});
