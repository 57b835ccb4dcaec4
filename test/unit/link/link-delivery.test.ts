/**
 * Deliveries over a link whose two ends are in one thread. On the real machine: a message takes no simulated time, in which a handler's would be over before its
 * record has arrived.
 */
import { describe, expect, test } from 'vitest';
import { DeadLetterError, type LinkedEvaq, type QueueRecord, RetryLater } from '../../../src/evaq.js';
import { callUntyped, contentOf, idsOf } from '../store/store-fixture.js';
import { linkedReal as linked } from './link-fixture.js';

/** By a name that is none to linters, which take such objects for mistakes. */
const THEN: string = `th${'en'}`;

function throwIt(error: Error): never {
  throw error;
}

const AT_ONCE = { backoff: { baseMs: 0, jitter: 'none' } } as const;

describe('a delivery over a link', () => {
  test('a handler whose promise cannot be looked at has thrown that, and its record is tried again', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.push('a');
    const attempts: number[] = [];
    const handler = (_: QueueRecord, { attempt }: { attempt: number }): unknown => {
      attempts.push(attempt);
      if (attempt === 1) return Object.defineProperty({}, THEN, { get: () => throwIt(new Error('no')) });
      if (attempt === 2) return Object.defineProperty({}, THEN, { value: () => throwIt(new Error('not so either')) });
      return undefined;
    };
    const delivery: ReturnType<LinkedEvaq['evacuate']> = link.evacuate(handler as () => void, { retry: AT_ONCE });
    await delivery.drained();
    expect(attempts).toEqual([1, 2, 3]);
    await delivery.stop();
  });

  test('is stopped by options that there are, and no others', async () => {
    const { link } = await linked();
    const delivery = link.evacuate(() => undefined);
    await expect(callUntyped(delivery, 'stop', { grace: 1 })).rejects.toThrow("no option 'grace'");
    await expect(callUntyped(delivery, 'stats', 1)).rejects.toThrow(TypeError);
    await expect(callUntyped(delivery, 'pause', 1)).rejects.toThrow(TypeError);
    expect((await delivery.stats()).state).toBe('running');
    await delivery.stop();
  });

  test('hands each record to its handler, with what belongs to it, and removes it', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['a', { payload: 'b', headers: { x: 'y' } }, 'c']);
    const seen: unknown[] = [];
    const delivery = link.evacuate(({ id, payload, headers }, { attempt, crashes, deliveryId, queue, signal }) => {
      seen.push([id, payload.toString(), headers, attempt, crashes, deliveryId, queue, signal.aborted]);
    });
    await delivery.drained();
    expect(seen).toEqual([
      [1, 'a', undefined, 1, 0, `${evaq.storeId}:wal:1`, 'wal', false],
      [2, 'b', { x: 'y' }, 1, 0, `${evaq.storeId}:wal:2`, 'wal', false],
      [3, 'c', undefined, 1, 0, `${evaq.storeId}:wal:3`, 'wal', false],
    ]);
    expect(await idsOf(evaq.wal)).toEqual([]);
    expect(await delivery.stats()).toMatchObject({ delivered: 3, state: 'running' });
    await delivery.stop();
    expect(await delivery.done).toMatchObject({ delivered: 3, failed: 0 });
    expect(await delivery.stats()).toMatchObject({ delivered: 3, state: 'stopped' });
  });

  test('what a handler throws means what it means anywhere', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['ok', 'dead', 'later', 'status', 'error']);
    const tries = new Map<string, number>();
    const delivery = link.wal.process(
      async (record: QueueRecord, { attempt }) => {
        const text = record.payload.toString();
        tries.set(text, attempt);
        if (text === 'dead') throw new DeadLetterError('no such customer', { cause: new Error('why') });
        if (text === 'later' && !tries.has('was later')) {
          tries.set('was later', 1);
          throw new RetryLater({ delayMs: 0 });
        }
        if (text === 'status') throw Object.assign(new Error('bad request'), { status: 400 });
        if (text === 'error') throw new TypeError('always');
      },
      { retry: { maxAttempts: 2, ...AT_ONCE }, breaker: false },
    );
    await delivery.drained();
    const letters = await evaq.deadLetters.read();
    expect(
      letters
        .map(({ payload, reason, attempts, error }) => [payload.toString(), reason, attempts, error?.message])
        .sort(([a], [b]) => String(a).localeCompare(String(b))),
    ).toEqual([
      ['dead', 'no such customer', 1, 'no such customer'],
      ['error', 'attempts', 2, 'always'],
      ['status', 'dead', 1, 'bad request'],
    ]);
    expect(letters.find(({ reason }) => reason === 'no such customer')?.error).toMatchObject({
      cause: { message: 'why' },
    });
    expect(letters.find(({ reason }) => reason === 'attempts')?.error).toMatchObject({ name: 'TypeError' });
    expect([tries.get('later'), tries.get('error')]).toEqual([1, 2]);
    expect(await delivery.stats()).toMatchObject({ delivered: 2, deadLettered: 3, released: 1 });
  });

  test('a batch fails in part, by its result and by single words', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['1', '2', '3', '4', '5']);
    const batches: number[][] = [];
    const delivery = link.wal.processBatch(
      (records, { ack, fail, attempt, deliveryId }) => {
        batches.push(records.map(({ id }) => id));
        expect(attempt(records[0]?.id ?? 0)).toBeGreaterThan(0);
        expect(() => ack(99)).toThrow(RangeError);
        if (records.length === 1) return undefined;
        expect(deliveryId(2)).toBe(`${evaq.storeId}:wal:2`);
        ack(1);
        fail(2, new DeadLetterError('two'));
        return {
          failed: [
            { id: 3, error: new DeadLetterError('three') },
            { id: 1, error: new Error('too late') },
          ],
        };
      },
      { batch: { maxRecords: 10 } },
    );
    await delivery.drained();
    expect(batches).toEqual([[1, 2, 3, 4, 5]]);
    const reasons = (await evaq.deadLetters.read()).map(({ reason }) => reason);
    expect(new Set(reasons)).toEqual(new Set(['three', 'two']));
  });

  test('a batch that throws is halved', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['1', '2', '3', '4']);
    const delivery = link.wal.processBatch(
      (records) => {
        if (records.some(({ id }) => id === 3)) throw new Error('three');
      },
      { batch: { maxRecords: 10 }, retry: { maxAttempts: 1 } },
    );
    await delivery.drained();
    expect(await contentOf(evaq.deadLetters)).toEqual({ 1: '3' });
    expect(await delivery.stats()).toMatchObject({ delivered: 3, deadLettered: 1, failed: 1 });
  });

  test('classify, probe and the key of an order are asked where they are', async () => {
    const { evaq, link } = await linked();
    for (const [text, key] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
    ] as const) {
      await evaq.wal.push(text, { headers: { key } });
    }
    const order: string[] = [];
    const asked: unknown[] = [];
    const delivery = link.wal.process(
      async ({ payload }, { attempt }) => {
        const text = payload.toString();
        order.push(`${text}.${attempt}`);
        if (text === 'a1' && attempt === 1) throw { odd: 1 };
        if (text === 'b1') throw 'unwanted';
      },
      {
        order: { header: 'key' },
        retry: {
          ...AT_ONCE,
          classify: (error, { id }, attempt) => {
            asked.push([error, id, attempt]);
            return error === 'unwanted' ? 'drop' : 'retry';
          },
        },
      },
    );
    await delivery.drained();
    expect(order.filter((text) => text.startsWith('a'))).toEqual(['a1.1', 'a1.2', 'a2.1']);
    expect(asked).toContainEqual([{ odd: 1 }, 1, 1]);
    expect(asked).toContainEqual(['unwanted', 3, 1]);
    expect(await delivery.stats()).toMatchObject({ delivered: 2, dropped: 1 });
    await delivery.stop();

    let probes = 0;
    await evaq.wal.push('x');
    const probed = link.wal.process(
      () => {
        if (probes === 0) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      },
      {
        retry: AT_ONCE,
        breaker: {
          failures: 1,
          openMs: 1,
          probe: async () => {
            probes++;
          },
        },
      },
    );
    await probed.drained();
    expect(probes).toBe(1);
  });

  test('its signal is aborted when its time is over, and by a stop', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.push('slow');
    const reasons: unknown[] = [];
    const handler = (_: QueueRecord, { signal }: { readonly signal: AbortSignal }): Promise<void> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason);
          reject(signal.reason);
        });
      });
    const delivery = link.wal.process(handler, { timeoutMs: 10, retry: { maxAttempts: 1 } });
    await delivery.drained();
    expect(reasons).toMatchObject([{ name: 'HandlerTimeout', code: 'EVAQ_HANDLER_TIMEOUT' }]);
    expect((await evaq.deadLetters.read())[0]).toMatchObject({ reason: 'timeout' });
    await delivery.stop();

    await evaq.wal.push('again');
    let started: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const controller = new AbortController();
    const second = link.wal.process(
      (record, context) => {
        started();
        return handler(record, context);
      },
      { signal: controller.signal },
    );
    await running;
    await second.stop({ graceMs: 0 });
    expect(reasons[1]).toMatchObject({ code: 'EVAQ_CLOSED' });
    expect(await contentOf(evaq.wal)).toEqual({ 2: 'again' });
    const third = link.wal.process(() => undefined, { signal: AbortSignal.abort() });
    expect(await third.done).toMatchObject({ delivered: 0 });
  });

  test('a handler may pop or move its own record', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.pushMany(['pop', 'move']);
    const delivery = link.wal.process(async ({ id, payload }) => {
      if (payload.toString() === 'pop') await link.wal.pop(id);
      else await link.wal.deadLetter(id, { reason: 'moved' });
    });
    await delivery.drained();
    expect(await contentOf(evaq.deadLetters)).toEqual({ 1: 'move' });
  });

  test('is paused and goes on; two share a queue; what cannot be is told', async () => {
    const { evaq, link } = await linked();
    const seen: number[] = [];
    const delivery = link.wal.process(({ id }) => seen.push(id));
    delivery.pause();
    await link.queueNames();
    await evaq.wal.push('x');
    expect((await delivery.stats()).state).toBe('paused');
    expect(seen).toEqual([]);
    delivery.resume();
    await delivery.drained();
    expect(seen).toEqual([1]);
    const ordered = link.wal.process(() => undefined, { order: 'fifo' });
    await expect(ordered.done).rejects.toThrow(/delivered in order/);
    await expect(ordered.drained()).rejects.toThrow(/delivered in order/);
    await ordered.stop();
    const here = evaq.wal.process(() => undefined);
    await evaq.wal.push('y');
    await here.drained();
    expect(() => link.wal.process(() => undefined, { concurency: 1 } as object)).toThrow(/did you mean 'concurrency'/);
    await expect(callUntyped(link.wal, 'process', () => undefined, { order: { by: 'x' } })).rejects.toThrow(
      /\{ header \} or a function/,
    );
    await expect(callUntyped(link.wal, 'process', 3)).rejects.toThrow(TypeError);
  });

  test('ends with the store: handlers end first', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.push('x');
    let ended = 0;
    let started: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const delivery = link.wal.process(async () => {
      started();
      await link.wal.push('from the handler');
      ended++;
    });
    await running;
    await evaq.close();
    expect(ended).toBe(1);
    expect(await delivery.done).toMatchObject({ delivered: 1 });
  });

  test('a link that is closed lets handlers end', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.push('x');
    let started: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const delivery = link.wal.process(async () => {
      started();
      await link.queueNames();
    });
    await running;
    await link.close();
    expect(await delivery.done).toMatchObject({ delivered: 1 });
    expect(evaq.wal.size).toBe(0);
  });
});

describe('a link that closes', () => {
  test('begins no delivery any more, while the handlers that there are go on', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.push('a');
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    link.wal.process(async () => {
      begin();
      await released;
      // A handler's own calls are let in until it has ended.
      await link.wal.push('b');
    });
    await begun;
    const closing = link.close();
    expect(() => link.deadLetters.process(() => undefined)).toThrow(expect.objectContaining({ code: 'EVAQ_CLOSED' }));
    expect(() => link.wal.processBatch(() => undefined)).toThrow(expect.objectContaining({ code: 'EVAQ_CLOSED' }));
    release();
    await closing;
    expect(await contentOf(evaq.wal)).toEqual({ 2: 'b' });
  });

  test('options of a stop that no message can carry are a TypeError, and nothing else is lost', async () => {
    const { link } = await linked();
    const delivery = link.wal.process(() => undefined, { hold: false });
    const stopped = callUntyped(delivery, 'stop', { graceMs: () => 1 });
    const pushed = link.wal.push('a');
    await expect(stopped).rejects.toThrow(TypeError);
    expect(await pushed).toBe(1);
    await delivery.stop();
  });
});
