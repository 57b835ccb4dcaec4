/** Dead letters over a link whose two ends are in one thread. What becomes of them is a matter of test/property/letters.test.ts; here is what only a link has. */
import { describe, expect, test } from 'vitest';
import { Evaq, type LinkedEvaq, type MoveProgress } from '../../../src/evaq.js';
import { callUntyped, openReal, rejection } from '../store/store-fixture.js';
import { linked, linkedReal } from './link-fixture.js';

/** With so many dead letters of the WAL queue. */
async function withLetters(count: number): Promise<{ evaq: Evaq; link: LinkedEvaq; die: () => void }> {
  const all = await linked();
  const { evaq } = all;
  await evaq.wal.pushMany(Array.from({ length: count }, (_, i) => `${i + 1}`));
  for (let id = 1; id <= count; id++) {
    const error = Object.assign(new Error('no'), { code: id % 2 === 0 ? 'E_EVEN' : 'E_ODD' });
    await evaq.wal.deadLetter(id, { reason: 'refused', error });
  }
  return all;
}

describe('dead letters over a link', () => {
  test('are shown as they are in the store', async () => {
    const { evaq, link } = await withLetters(3);
    const here: unknown[] = [];
    for await (const letter of evaq.wal.deadLetters.list({ from: 2 })) here.push(letter);
    const there: unknown[] = [];
    for await (const letter of link.wal.deadLetters.list({ from: 2 })) there.push(letter);
    expect(there).toEqual(here);
    expect(await link.wal.deadLetters.summary()).toEqual(await evaq.wal.deadLetters.summary());
    expect(link.wal.deadLetters.name).toBe('dead-letters');
    expect((await link.queue('jobs')).deadLetters.name).toBe('jobs.dead');
  });

  test('a function is asked in its own thread, about what list shows, and what it throws comes out as it is', async () => {
    const { evaq, link } = await withLetters(4);
    const asked: unknown[] = [];
    const result = await link.wal.deadLetters.redrive(({ id, code, queue }) => {
      asked.push([id, code, queue]);
      return Promise.resolve(code === 'E_EVEN');
    });
    expect(asked).toEqual([
      [1, 'E_ODD', 'wal'],
      [2, 'E_EVEN', 'wal'],
      [3, 'E_ODD', 'wal'],
      [4, 'E_EVEN', 'wal'],
    ]);
    expect(result).toEqual({ moved: 2, queues: { wal: 2 }, gone: 0, refused: 0, refusedIds: [] });
    const refusal = Object.assign(new RangeError('not this one'), { code: 'E_MINE' });
    const failing = link.wal.deadLetters.purge(() => {
      throw refusal;
    });
    await expect(failing).rejects.toMatchObject({ name: 'RangeError', message: 'not this one', code: 'E_MINE' });
    expect(evaq.deadLetters.size).toBe(2);
    expect(await link.wal.redrive(({ id }) => id === 3)).toHaveLength(1);
  });

  test('onProgress is told after each batch; what it throws ends the call, and comes out as itself', async () => {
    const { evaq, link } = await withLetters(40);
    const told: MoveProgress[] = [];
    const options = { ratePerSecond: 20, onProgress: (progress: MoveProgress) => told.push(progress) };
    expect(await link.wal.deadLetters.redrive([1, 2, 3, 4], options)).toMatchObject({ moved: 4 });
    expect(told.map(({ moved }) => moved)).toEqual([2, 4]);
    expect(told[0]).toMatchObject({ total: 4, batch: [{ id: 1, queue: 'wal' }, { id: 2 }] });
    const mine = new Error('enough');
    const ended = link.wal.deadLetters.redrive('all', {
      ratePerSecond: 10,
      onProgress: () => {
        throw mine;
      },
    });
    await expect(ended).rejects.toBe(mine);
    expect(evaq.deadLetters.size).toBeGreaterThan(0);
  });

  test('signals: aborted before nothing is done; aborted later it ends between two batches, with the reason', async () => {
    const { evaq, link } = await withLetters(6);
    const { deadLetters } = link.wal;
    const reason = new Error('not now');
    const aborted = { signal: AbortSignal.abort(reason) };
    await expect(deadLetters.summary(aborted)).rejects.toBe(reason);
    await expect(deadLetters.redrive('all', aborted)).rejects.toBe(reason);
    await expect(deadLetters.purge('all', aborted)).rejects.toBe(reason);
    await expect(deadLetters.list(aborted).next()).rejects.toBe(reason);
    expect(evaq.deadLetters.size).toBe(6);
    const later = new AbortController();
    const redriven = deadLetters.redrive('all', {
      ratePerSecond: 10,
      signal: later.signal,
      onProgress: () => later.abort(reason),
    });
    await expect(redriven).rejects.toBe(reason);
    expect(evaq.deadLetters.size).toBeGreaterThan(0);
  });

  test('wrong arguments are refused with the words of the store', async () => {
    const { evaq, link } = await withLetters(1);
    for (const [method, args] of [
      ['redrive', [3]],
      ['redrive', [{}]],
      ['redrive', ['all', { rate: 3 }]],
      ['redrive', ['all', { limit: -1 }]],
      ['redrive', ['all', {}, 1]],
      ['purge', []],
      ['purge', [[-1]]],
      ['purge', ['all', { dryRun: 1 }]],
      ['summary', [{ signal: 3 }]],
    ] as const) {
      const here = callUntyped(evaq.wal.deadLetters, method, ...args).catch(String);
      const there = callUntyped(link.wal.deadLetters, method, ...args).catch(String);
      expect(await there).toBe(await here);
      expect(await there).toMatch(/^(?:Type|Range)Error/);
    }
    await expect(callUntyped(link.wal.deadLetters.list({ limit: -1 }), 'next')).rejects.toThrow(RangeError);
  });

  test('of a thread that dies: a redrive at a pace ends between two batches, and one that asks it ends, too', async () => {
    const { evaq, link, die } = await withLetters(8);
    let asked = 0;
    const asking = link.wal.deadLetters.purge(() => {
      asked++;
      return new Promise<boolean>(() => undefined);
    });
    const paced = link.wal.deadLetters.redrive('all', { ratePerSecond: 10 });
    while (evaq.wal.size === 0 || asked === 0) await new Promise((resolve) => setImmediate(resolve));
    die();
    await rejection(paced, 'EVAQ_FAILED');
    await rejection(asking, 'EVAQ_FAILED');
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    const left = evaq.deadLetters.size;
    expect(left).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(evaq.deadLetters.size).toBe(left);
  });

  test('from a close on they reject with EVAQ_CLOSED', async () => {
    const { link } = await withLetters(1);
    const { deadLetters } = link.wal;
    await link.close();
    await rejection(deadLetters.summary(), 'EVAQ_CLOSED');
    await rejection(deadLetters.redrive(), 'EVAQ_CLOSED');
    await rejection(deadLetters.purge('all'), 'EVAQ_CLOSED');
    await rejection(deadLetters.list().next(), 'EVAQ_CLOSED');
  });
});

describe('the key of an order over a link', () => {
  test('what a function throws, or a key that is none, is the failure of its record', async () => {
    const { evaq, link } = await linkedReal();
    await evaq.wal.pushMany(['a', 'throws', 'number', 'a']);
    const seen: number[] = [];
    const order = ({ payload }: { readonly payload: Buffer }): string => {
      const text = payload.toString();
      if (text === 'throws') throw Object.assign(new Error('no key'), { code: 'E_KEY' });
      return text === 'number' ? JSON.parse('3') : text;
    };
    const delivery = link.evacuate(({ id }) => void seen.push(id), {
      order,
      retry: { maxAttempts: 1 },
      breaker: false,
    });
    await delivery.drained();
    expect(seen).toEqual([1, 4]);
    const letters: unknown[] = [];
    for await (const { id, error } of evaq.wal.deadLetters.list()) letters.push([id, error?.name, error?.code]);
    expect(letters).toHaveLength(2);
    expect(letters).toEqual(
      expect.arrayContaining([
        [expect.any(Number), 'Error', 'E_KEY'],
        [expect.any(Number), 'TypeError', undefined],
      ]),
    );
  });

  test('P14: the store closes though a thread never answers', async () => {
    const evaq = await openReal({ durability: 'os' });
    const port = evaq.connect();
    const link = await Evaq.attach(port);
    await evaq.wal.pushMany(['a', 'b']);
    const delivery = link.evacuate(() => undefined, { order: () => 'k' });
    await new Promise((resolve) => setImmediate(resolve));
    // As of a thread that is busy: nothing of it comes any more, and it is there.
    port.postMessage = () => undefined;
    await evaq.wal.push('c');
    await evaq.close();
    await delivery.done.catch(() => undefined);
  });
});
