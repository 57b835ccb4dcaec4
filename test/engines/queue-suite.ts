/**
 * What a queue promises on whatever engine it stands. The exceptions have their names in `docs/replicated.md`, and tests of their own beside this one.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  DeadLetterError,
  type EvaqLike,
  type QueueLike,
  type QueueRecord,
  RetryLater,
  type RetryOptions,
  StopDelivery,
} from '../../src/evaq.js';
import type { Engine, EngineStore } from './engine.js';

const AT_ONCE: RetryOptions = { maxAttempts: 3, backoff: { baseMs: 1, factor: 1, jitter: 'none' } };

export function testQueue(engine: Engine): void {
  let store: EngineStore;
  let evaq: EvaqLike;
  let wal: QueueLike;

  beforeEach(async () => {
    store = engine.newStore();
    evaq = await store.open();
    ({ wal } = evaq);
  });

  afterEach(async () => {
    await evaq.close();
    await store.end();
  });

  const reopen = async (): Promise<void> => {
    await evaq.close();
    evaq = await store.open();
    ({ wal } = evaq);
  };

  describe(`pushing (${engine.name})`, () => {
    test('P1, P3: what was pushed is there, byte for byte, in ID order, also after a reopen', async () => {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      const first = await wal.push(bytes);
      const ids = [first, await wal.push(''), await wal.push('ü\u0000\r\n')];
      expect(ids).toEqual([first, first + 1, first + 2]);
      await reopen();
      expect((await wal.read()).map(({ id, payload }) => [id, payload.toString('hex')])).toEqual([
        [first, bytes.toString('hex')],
        [first + 1, ''],
        [first + 2, Buffer.from('ü\u0000\r\n').toString('hex')],
      ]);
      expect((await wal.get(first))?.payload.equals(bytes)).toBe(true);
      expect(await wal.get(first + 3)).toBeUndefined();
    });

    test.each([
      ['plain', { 'content-type': 'text/plain', traceparent: '00-ab-cd-01' }],
      ['what a header of a protocol cannot hold', { 'a:b c': ' two\r\nlines ', ü: '', '': 'x', 'Nats-Msg-Id': 'mine' }],
    ])('headers come back as they were: %s', async (_what, headers) => {
      const before = Date.now();
      const id = await wal.push('x', { headers });
      const record = await wal.get(id);
      expect(record).toEqual({ id, payload: Buffer.from('x'), timestamp: record?.timestamp, headers });
      expect(Math.abs((record?.timestamp ?? 0) - before)).toBeLessThan(5000);
      expect(await wal.read()).toEqual([record]);
    });

    test('a payload is copied before the call returns', async () => {
      const payload = Buffer.from('before');
      const pushed = wal.push(payload);
      payload.fill('x');
      expect((await wal.get(await pushed))?.payload.toString()).toBe('before');
    });

    test('pushes beside each other: each its own ID, in the order of the calls, with none left out', async () => {
      const pushed = Array.from({ length: 300 }, (_, i) => wal.push(`p${i}`));
      const ids = await Promise.all(pushed);
      expect(ids).toEqual(ids.map((_, i) => (ids[0] ?? 0) + i));
      const payloads = (await wal.read()).map(({ payload }) => payload.toString());
      expect(payloads).toEqual(ids.map((_, i) => `p${i}`));
    });

    test('P4: the records of a pushMany are in a row, whatever is pushed beside them', async () => {
      const batch = (name: string): string[] => Array.from({ length: 40 }, (_, i) => `${name}${i}`);
      const spans = await Promise.all([
        wal.pushMany(batch('a')),
        wal.push('alone'),
        wal.pushMany(batch('b')),
        wal.pushMany(batch('c')),
      ]);
      const [a, , b, c] = spans;
      for (const [span, name] of [
        [a, 'a'],
        [b, 'b'],
        [c, 'c'],
      ] as const) {
        expect(span.lastId - span.firstId).toBe(39);
        const records = await wal.read({ from: span.firstId, maxRecords: 40 });
        expect(records.map(({ payload }) => payload.toString())).toEqual(batch(name));
      }
      expect(await wal.size).toBe(121);
    });

    test('entries have headers of their own, or those of the call; of nothing comes an empty span', async () => {
      const { firstId, lastId } = await wal.pushMany(['a', { payload: 'b', headers: { k: 'own' } }], {
        headers: { k: 'shared' },
      });
      expect((await wal.read()).map(({ headers }) => headers)).toEqual([{ k: 'shared' }, { k: 'own' }]);
      expect(await wal.pushMany([])).toEqual({ firstId: lastId + 1, lastId });
      expect(firstId).toBe(lastId - 1);
    });

    test('a message that is known is not pushed again, and has the ID that it had', async () => {
      const queue = await evaq.queue('known', { dedupe: { windowMs: 60_000 } });
      const id = await queue.push('first', { messageId: 'm ü\n1' });
      expect(await queue.push('second', { messageId: 'm ü\n1' })).toBe(id);
      expect(await queue.read()).toMatchObject([{ payload: Buffer.from('first'), messageId: 'm ü\n1' }]);
      await expect(queue.pushMany(['x', { payload: 'y', messageId: 'm ü\n1' }])).rejects.toMatchObject({
        code: 'EVAQ_DUPLICATE',
      });
      expect(await queue.size).toBe(1);
    });

    test('wrong arguments are told before anything is done', async () => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what JavaScript may pass
      const loose = wal as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
      await expect(loose['push']?.(17)).rejects.toBeInstanceOf(TypeError);
      await expect(loose['push']?.('x', { header: {} })).rejects.toBeInstanceOf(TypeError);
      await expect(loose['pushMany']?.(['x', 17])).rejects.toBeInstanceOf(TypeError);
      await expect(loose['get']?.(-1)).rejects.toBeInstanceOf(RangeError);
      await expect(loose['remove']?.('1')).rejects.toBeInstanceOf(TypeError);
      await expect(loose['read']?.({ maxRecords: 0 })).rejects.toBeInstanceOf(RangeError);
      expect(await wal.size).toBe(0);
    });
  });

  describe(`limits (${engine.name})`, () => {
    test('a push into a full queue is refused, until there is room', async () => {
      const queue = await evaq.queue('small', { limits: { records: 2 } });
      const first = await queue.push('a');
      await queue.push('b');
      await expect(queue.push('c')).rejects.toMatchObject({ code: 'EVAQ_QUEUE_FULL' });
      await expect(queue.pushMany(['c', 'd'])).rejects.toMatchObject({ code: 'EVAQ_QUEUE_FULL' });
      await queue.remove(first);
      await queue.push('c');
      expect((await queue.read()).map(({ payload }) => payload.toString())).toEqual(['b', 'c']);
    });

    test("'wait': a push waits for room; 'drop-oldest': the oldest makes room", async () => {
      const waiting = await evaq.queue('waiting', { limits: { records: 1, whenFull: 'wait' } });
      const first = await waiting.push('a');
      const second = waiting.push('b');
      expect(await Promise.race([second, new Promise((resolve) => setTimeout(resolve, 100, 'waits'))])).toBe('waits');
      await waiting.remove(first);
      expect(await second).toBe(first + 1);
      const dropping = await evaq.queue('dropping', { limits: { records: 2, whenFull: 'drop-oldest' } });
      for (const payload of ['a', 'b', 'c']) await dropping.push(payload);
      expect((await dropping.read()).map(({ payload }) => payload.toString())).toEqual(['b', 'c']);
    });
  });

  describe(`reading (${engine.name})`, () => {
    test('within limits, from an ID on', async () => {
      const { firstId } = await wal.pushMany(['aaaa', 'bbbb', 'cccc', 'dddd']);
      const read = async (options: Parameters<QueueLike['read']>[0]): Promise<string> =>
        (await wal.read(options)).map(({ payload }) => payload.toString()[0]).join('');
      expect(await read({ maxRecords: 3 })).toBe('abc');
      expect(await read({ maxBytes: 9 })).toBe('ab');
      expect(await read({ maxBytes: 1 })).toBe('a');
      expect(await read({ from: firstId + 2 })).toBe('cd');
      expect(await read({ from: firstId + 4 })).toBe('');
      await wal.remove(firstId + 2);
      expect(await read({ from: firstId + 1 })).toBe('bd');
    });

    test('records goes to the end, over more than one batch; a range ends where it is said', async () => {
      const all = Array.from({ length: 1200 }, (_, i) => `r${i}`);
      const { firstId } = await wal.pushMany(all.slice(0, 700));
      await wal.pushMany(all.slice(700));
      const seen: string[] = [];
      for await (const { payload } of wal.records()) seen.push(payload.toString());
      expect(seen).toEqual(all);
      const range: number[] = [];
      for await (const { id } of wal.records({ from: firstId + 3, to: firstId + 5 })) range.push(id - firstId);
      expect(range).toEqual([3, 4, 5]);
    });

    test('tail waits for what comes, and a signal ends it', async () => {
      const controller = new AbortController();
      const seen: string[] = [];
      const reading = (async () => {
        for await (const { payload } of wal.tail({ signal: controller.signal })) {
          seen.push(payload.toString());
          if (seen.length === 3) controller.abort(new Error('enough'));
        }
      })();
      await wal.push('1');
      await wal.push('2');
      await wal.push('3');
      await expect(reading).rejects.toThrow('enough');
      expect(seen).toEqual(['1', '2', '3']);
    });
  });

  describe(`removing (${engine.name})`, () => {
    test('P2: of two who remove a record one is told so, and it is gone for good', async () => {
      const { firstId } = await wal.pushMany(['a', 'b', 'c']);
      const both = await Promise.all([wal.remove(firstId), wal.remove(firstId)]);
      expect(both.filter(Boolean)).toHaveLength(1);
      expect(await wal.remove(firstId + 99)).toBe(false);
      await reopen();
      expect((await wal.read()).map(({ id }) => id - firstId)).toEqual([1, 2]);
      expect(await wal.get(firstId)).toBeUndefined();
    });

    test('many, and all up to an ID', async () => {
      const { firstId } = await wal.pushMany(Array.from({ length: 10 }, () => 'x'));
      expect(await wal.removeMany([firstId + 1, firstId + 3, firstId + 3, firstId + 50])).toBe(2);
      expect(await wal.removeThrough(firstId + 5)).toBe(4);
      expect((await wal.read()).map(({ id }) => id - firstId)).toEqual([6, 7, 8, 9]);
      expect(await wal.removeThrough(firstId + 1000)).toBe(4);
      expect(await wal.size).toBe(0);
      expect(await wal.push('next')).toBe(firstId + 10);
    });

    test('P8: an ID is not given out again, also where nothing is left', async () => {
      const { lastId } = await wal.pushMany(['a', 'b']);
      await wal.removeThrough(lastId);
      await reopen();
      expect(await wal.push('c')).toBe(lastId + 1);
      expect((await wal.stats()).nextId).toBe(lastId + 2);
    });

    test('a record is popped by one', async () => {
      const id = await wal.push('once');
      const both = await Promise.allSettled([wal.pop(id), wal.pop(id)]);
      const got = both.filter(({ status }) => status === 'fulfilled');
      const failed = both.find(({ status }) => status === 'rejected');
      expect(got).toMatchObject([{ value: { id, payload: Buffer.from('once') } }]);
      expect(failed).toMatchObject({ reason: { code: 'EVAQ_RECORD_NOT_FOUND' } });
      expect(await wal.size).toBe(0);
    });
  });

  describe(`moving (${engine.name})`, () => {
    test('to the dead letters and back: with headers and history, and one name for good', async () => {
      const queue = await evaq.queue('jobs');
      const id = await queue.push('work', { headers: { k: 'v' } });
      const error = Object.assign(new Error('no'), { code: 'E1' });
      const deadId = await queue.deadLetter(id, { reason: 'refused', error });
      const dead = await evaq.queue('jobs.dead');
      expect(await queue.size).toBe(0);
      expect(await dead.get(deadId)).toMatchObject({
        payload: Buffer.from('work'),
        headers: { k: 'v' },
        reason: 'refused',
        error: { message: 'no', code: 'E1' },
        attempts: 1,
        origin: { queue: 'jobs', id },
        identity: { queue: 'jobs', id },
      });
      await expect(queue.deadLetter(id, { reason: 'again' })).rejects.toMatchObject({ code: 'EVAQ_RECORD_NOT_FOUND' });
      const [newId = 0] = await queue.redrive(({ reason }) => reason === 'refused');
      expect(await dead.size).toBe(0);
      expect(await queue.get(newId)).toMatchObject({
        headers: { k: 'v' },
        redrives: 1,
        attempts: 1,
        identity: { queue: 'jobs', id },
      });
      expect(await queue.redrive([deadId])).toEqual([]);
      expect(await evaq.queueNames()).toEqual(['dead-letters', 'jobs', 'jobs.dead', 'wal']);
    });
  });

  describe(`delivering (${engine.name})`, () => {
    test('what arrives is removed; drained says when all has left', async () => {
      await wal.pushMany(Array.from({ length: 50 }, (_, i) => `d${i}`));
      const seen: string[] = [];
      const delivery = wal.process(async ({ payload }) => void seen.push(payload.toString()), { concurrency: 8 });
      await delivery.drained();
      await delivery.stop();
      expect([...seen].sort()).toEqual(Array.from({ length: 50 }, (_, i) => `d${i}`).sort());
      expect(await wal.size).toBe(0);
      expect(await delivery.done).toMatchObject({ delivered: 50, failed: 0 });
    });

    test('a record that fails is tried again, its attempts counted, and is a dead letter after the last', async () => {
      const id = await wal.push('bad');
      const attempts: [number, string][] = [];
      const delivery = wal.process(
        (_record, { attempt, deliveryId }) => {
          attempts.push([attempt, deliveryId]);
          throw new Error(`try ${attempt}`);
        },
        { retry: AT_ONCE },
      );
      await delivery.drained();
      await delivery.stop();
      const name = `${evaq.storeId}:wal:${id}`;
      expect(attempts).toEqual([1, 2, 3].map((attempt) => [attempt, name]));
      expect(await evaq.deadLetters.read()).toMatchObject([
        { payload: Buffer.from('bad'), reason: 'attempts', attempts: 3, error: { message: 'try 3' } },
      ]);
    });

    test('attempts are remembered by whoever delivers next; what was stopped costs none', async () => {
      await wal.push('slow');
      const first = wal.process(() => Promise.reject(new Error('no')), {
        retry: { maxAttempts: 9, backoff: { baseMs: 50, factor: 1, jitter: 'none' } },
      });
      await until(async () => (await first.stats()).failed >= 2);
      await first.stop();
      const { failed } = await first.done;
      await reopen();
      const held = wal.process((_record, { signal }) => untilAborted(signal));
      await until(async () => (await held.stats()).inFlight === 1);
      await held.stop({ graceMs: 0 });
      await reopen();
      const attempts: number[] = [];
      const last = wal.process((_record, { attempt }) => void attempts.push(attempt));
      await last.drained();
      await last.stop();
      expect(attempts).toEqual([failed + 1]);
    });

    test('a handler says: dead, not now, or stop', async () => {
      await wal.pushMany(['dead', 'later', 'fine']);
      const tries: string[] = [];
      const delivery = wal.process(
        ({ payload }, { attempt }) => {
          tries.push(`${payload.toString()} ${attempt}`);
          if (payload.toString() === 'dead') throw new DeadLetterError('hopeless');
          if (tries.filter((one) => one.startsWith('later')).length < 3 && payload.toString() === 'later')
            throw new RetryLater({ delayMs: 10 });
        },
        { retry: AT_ONCE },
      );
      await delivery.drained();
      await delivery.stop();
      expect([...tries].sort()).toEqual(['dead 1', 'fine 1', 'later 1', 'later 1', 'later 1']);
      expect(await evaq.deadLetters.read()).toMatchObject([{ reason: 'hopeless' }]);
      await wal.push('x');
      const stopped = wal.process(() => {
        throw new StopDelivery('closed for today');
      });
      await expect(stopped.done).rejects.toBeInstanceOf(StopDelivery);
      expect(await wal.size).toBe(1);
    });

    test('a destination that is down costs no attempts', async () => {
      await wal.push('x');
      let isUp = false;
      const attempts: number[] = [];
      const delivery = wal.process(
        (_record, { attempt }) => {
          attempts.push(attempt);
          if (!isUp) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
        },
        { retry: AT_ONCE, breaker: { openMs: 10, maxOpenMs: 20 } },
      );
      await until(async () => attempts.length > 5);
      isUp = true;
      await delivery.drained();
      await delivery.stop();
      expect(new Set(attempts)).toEqual(new Set([1]));
      expect(await delivery.done).toMatchObject({ delivered: 1, failed: 0, deadLettered: 0 });
    });

    test("order 'fifo': one at a time, and one that fails goes before those behind it", async () => {
      await wal.pushMany(['a', 'b', 'c']);
      const tries: string[] = [];
      const delivery = wal.process(
        ({ payload }, { attempt }) => {
          tries.push(`${payload.toString()}${attempt}`);
          if (payload.toString() === 'b' && attempt < 3) throw new Error('not yet');
        },
        { order: 'fifo', retry: { ...AT_ONCE, maxAttempts: 5 } },
      );
      await delivery.drained();
      await delivery.stop();
      expect(tries).toEqual(['a1', 'b1', 'b2', 'b3', 'c1']);
    });

    test('a record that is not due yet waits, and holds up nobody', async () => {
      const pushedAt = Date.now();
      await wal.push('late', { delayMs: 300 });
      await wal.push('soon');
      expect(await wal.size).toBe(2);
      const seen: [string, number][] = [];
      const delivery = wal.process(({ payload }, { attempt }) => {
        seen.push([`${payload.toString()}${attempt}`, Date.now() - pushedAt]);
      });
      await delivery.drained();
      await delivery.stop();
      expect(seen.map(([what]) => what)).toEqual(['soon1', 'late1']);
      expect(seen[1]?.[1]).toBeGreaterThanOrEqual(290);
    });

    test('a batch: who is named has failed, the others have arrived; one that spoils it is found', async () => {
      await wal.pushMany(Array.from({ length: 20 }, (_, i) => `b${i}`));
      const named = wal.processBatch(
        (records) => ({
          failed: records.filter(isBad).map(({ id }) => ({ id, error: new DeadLetterError('named') })),
        }),
        { batch: { maxRecords: 10 }, concurrency: 2 },
      );
      await named.drained();
      await named.stop();
      expect((await evaq.deadLetters.read()).map(({ payload }) => payload.toString()).sort()).toEqual(['b13', 'b3']);
      await wal.pushMany(Array.from({ length: 20 }, (_, i) => `b${i}`));
      const thrown = wal.processBatch(
        (records) => {
          if (records.some(isBad)) throw new Error('one of these');
        },
        { batch: { maxRecords: 10 }, retry: { ...AT_ONCE, maxAttempts: 1 } },
      );
      await thrown.drained();
      await thrown.stop();
      expect(await thrown.done).toMatchObject({ delivered: 18, deadLettered: 2 });
    });
  });

  describe(`the store (${engine.name})`, () => {
    test('numbers, and an end after which nothing is done', async () => {
      const { firstId, lastId } = await wal.pushMany(['a', 'b', 'c']);
      await wal.remove(firstId);
      await wal.flush();
      expect(await wal.stats()).toMatchObject({ queue: 'wal', live: 2, nextId: lastId + 1, oldestId: firstId + 1 });
      expect((await wal.stats()).bytes).toBeGreaterThan(0);
      await evaq.close();
      await evaq.close();
      for (const call of [wal.push('x'), wal.read(), wal.remove(1), wal.get(1), evaq.queue('other')])
        await expect(call).rejects.toMatchObject({ code: 'EVAQ_CLOSED' });
      await expect(wal.records().next()).rejects.toMatchObject({ code: 'EVAQ_CLOSED' });
    });

    test('names that no queue can have are refused', async () => {
      await expect(evaq.queue('../x')).rejects.toMatchObject({ code: 'EVAQ_QUEUE_NAME' });
    });
  });
}

function isBad({ payload }: QueueRecord): boolean {
  return ['b3', 'b13'].includes(payload.toString());
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

/** Looks every 10 ms. */
export async function until(holds: () => Promise<boolean>, ms = 10_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('it never came to that');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
