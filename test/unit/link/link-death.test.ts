/** A link whose other end dies: closing its port without a word is what the death of a thread comes to. */
import { describe, expect, test } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { openReal, rejection } from '../store/store-fixture.js';
import { thread } from './link-fixture.js';

/** A handler that never ends, and a promise of its being called so many times. */
function hanging(times: number): { readonly handler: () => Promise<void>; readonly begun: Promise<void> } {
  let called = 0;
  let tell: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const handler = (): Promise<void> => {
    if (++called === times) tell();
    return new Promise(() => undefined);
  };
  return { handler, begun };
}

/** In which the other end hears of it. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function store(): Promise<Evaq> {
  return openReal({ durability: 'os' });
}

describe('a thread that dies', () => {
  test('P16: in a handler: the record comes again, alone and first, and the death has cost an attempt', async () => {
    const evaq = await store();
    const { link, die } = await thread(evaq);
    await evaq.wal.pushMany(['a', 'b', 'c', 'd']);
    const { handler, begun } = hanging(2);
    const lost = link.wal.process(handler, { concurrency: 2 });
    await begun;
    die();
    await rejection(lost.done, 'EVAQ_FAILED');
    // That delivery is over where the store is, and nobody else delivers.
    await turns(200);
    const seen: number[][] = [];
    let running = 0;
    const delivery = evaq.wal.process(async ({ id }, { attempt, crashes }) => {
      running++;
      await Promise.resolve();
      seen.push([id, attempt, crashes, running]);
      running--;
    });
    await delivery.drained();
    expect(seen.filter(([, attempt]) => attempt === 2)).toEqual([
      [1, 2, 1, 1],
      [2, 2, 1, 1],
    ]);
    expect(seen.filter(([, attempt]) => attempt === 1).map(([id]) => id)).toEqual([3, 4]);
  });

  test('P16: the same where another delivery goes on all the time', async () => {
    const evaq = await store();
    const { link, die } = await thread(evaq);
    await evaq.wal.pushMany(['a', 'b']);
    const { handler, begun } = hanging(2);
    link.wal.process(handler);
    await begun;
    const seen: unknown[] = [];
    let running = 0;
    const delivery = evaq.wal.process(async ({ id }, { attempt, crashes }) => {
      running++;
      await Promise.resolve();
      seen.push([id, attempt, crashes, running]);
      running--;
    });
    die();
    await delivery.drained();
    expect(seen).toEqual([
      [1, 2, 1, 1],
      [2, 2, 1, 1],
    ]);
  });

  test('P16: of a record that kills each: it is a dead letter after maxCrashes, and none of its neighbours is', async () => {
    const evaq = await store();
    await evaq.wal.pushMany(['1', '2', 'killer', '4', '5']);
    let deaths = 0;
    for (let left = 10; evaq.wal.size > 0 && left > 0; left--) {
      const { link, die } = await thread(evaq);
      const delivery = link.wal.process(
        ({ payload }) => {
          if (payload.toString() !== 'killer') return undefined;
          deaths++;
          die();
          return new Promise(() => undefined);
        },
        { concurrency: 5 },
      );
      await delivery.drained().catch(() => undefined);
    }
    expect(deaths).toBe(3);
    const letters = await evaq.deadLetters.read();
    expect(letters.map(({ payload, reason, attempts }) => [payload.toString(), reason, attempts])).toEqual([
      ['killer', 'crashed', 3],
    ]);
  });

  test('in a batch: what it had acknowledged has arrived, the others come again one by one', async () => {
    const evaq = await store();
    const { link, die } = await thread(evaq);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    let acknowledged: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      acknowledged = resolve;
    });
    const lost = link.wal.processBatch(async (_, { ack }) => {
      ack(2);
      await link.queueNames();
      acknowledged();
      await new Promise(() => undefined);
    });
    await begun;
    die();
    await lost.done.catch(() => undefined);
    const batches: number[][] = [];
    const delivery = evaq.wal.processBatch((records) => {
      batches.push(records.map(({ id }) => id));
    });
    await delivery.drained();
    expect(batches).toEqual([[1], [3]]);
  });

  test('while it waits: a pop that waits gives its record back', async () => {
    const evaq = await store();
    const { link, die } = await thread(evaq);
    await evaq.wal.push('a');
    let end: () => void = () => undefined;
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const delivery = evaq.wal.process(() => {
      begin();
      return new Promise<void>((_, reject) => {
        end = () => reject(new Error('not now'));
      });
    });
    await begun;
    // The handler has it: the pop waits.
    const popped = link.wal.pop(1);
    await link.queueNames();
    die();
    await rejection(popped, 'EVAQ_FAILED');
    await turns(20);
    const stopped = delivery.stop();
    end();
    await stopped;
    expect(evaq.wal.size).toBe(1);
    expect((await evaq.wal.get(1))?.payload.toString()).toBe('a');
  });

  test('with pushes under way: each rejects, and says whether it was made or not known; the store goes on', async () => {
    const evaq = await store();
    const { link, die } = await thread(evaq);
    // More than the window: some are not even sent.
    const pushes = Array.from({ length: 30 }, () => link.wal.push(Buffer.alloc(100_000)));
    const codes = pushes.map((push) => push.then(String, (error: { readonly code: string }) => error.code));
    await new Promise((resolve) => setImmediate(resolve));
    die();
    const all = await Promise.all(codes);
    for (const code of all) expect(code).toMatch(/^(?:\d+|EVAQ_FAILED|EVAQ_CLOSED)$/);
    expect(all.at(-1)).toBe('EVAQ_CLOSED');
    const acknowledged = all.filter((code) => /^\d+$/.test(code)).map(Number);
    await evaq.wal.flush();
    for (const id of acknowledged) expect(await evaq.wal.get(id)).toBeDefined();
    expect(evaq.wal.size).toBeGreaterThanOrEqual(acknowledged.length);
    expect(await evaq.wal.push('on')).toBeGreaterThan(0);
  });

  test('in the middle of iterations: none of them goes on', async () => {
    const evaq = await store();
    const { link, die } = await thread(evaq);
    await evaq.wal.push('a');
    const tail = link.wal.tail();
    expect((await tail.next()).value?.id).toBe(1);
    const next = tail.next();
    await link.queueNames();
    die();
    await rejection(next, 'EVAQ_FAILED');
    await evaq.wal.push('b');
    expect(evaq.wal.size).toBe(2);
  });
});
