/** What readers, raw segments and `verifyStore` are called with is looked at like what a writer is called with. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { RawSegment, ReadOnlyEvaq, verifyStore } from '../../../src/raw.js';
import { callUntyped, newPath, openReal } from '../store/store-fixture.js';

const REASON = new Error('not any more');
const ABORT = new AbortController();
const NO_OPTIONS: readonly unknown[] = [null, 'sync', 5, true, [3], new Map(), new Date(0), ABORT, () => 1];

/** A closed store with three records, and one of its segments. */
async function newStore(): Promise<{ path: string; segment: string }> {
  const evaq = await openReal();
  await evaq.wal.pushMany(['a', 'b', 'c']);
  await evaq.close();
  const folder = join(evaq.path, 'queues', 'wal');
  const name = readdirSync(folder).find((one) => one.endsWith('.seg')) ?? '';
  return { path: evaq.path, segment: join(folder, name) };
}

async function withReader<T>(use: (reader: ReadOnlyEvaq) => Promise<T>): Promise<T> {
  const { path } = await newStore();
  const reader = await Evaq.openReadOnly(path);
  try {
    return await use(reader);
  } finally {
    await reader.close();
  }
}

describe.each<[string, (reader: ReadOnlyEvaq) => object, readonly unknown[], string]>([
  ['get', ({ wal }) => wal, [1], 'signal'],
  ['read', ({ wal }) => wal, [], 'maxRecords'],
  ['stats', ({ wal }) => wal, [], 'signal'],
  ['queueNames', (reader) => reader, [], 'signal'],
  ['queue', (reader) => reader, ['wal'], 'signal'],
  ['freeBytes', (reader) => reader, [], 'signal'],
  ['close', (reader) => reader, [], 'signal'],
])('%s of a reader', (method, targetOf, before, some) => {
  it('takes no word, number, list or other object for its options, no other option, and no argument too many', async () => {
    await withReader(async (reader) => {
      const call = (...more: unknown[]): Promise<unknown> => callUntyped(targetOf(reader), method, ...before, ...more);
      for (const value of NO_OPTIONS) await expect(call(value), String(value)).rejects.toThrow(TypeError);
      await expect(call({ [`${some}s`]: 1 })).rejects.toThrow(new RegExp(`did you mean '${some}'`));
      await expect(call({}, 1)).rejects.toThrow(/takes at most \d arguments?, got \d/);
      await expect(call({ signal: ABORT })).rejects.toThrow(/signal must be an AbortSignal/);
      // None of it has closed it.
      expect(await reader.wal.get(1)).toBeDefined();
    });
  });

  it('aborted before the call does nothing; no listener is left behind', async () => {
    await withReader(async (reader) => {
      const call = (signal: AbortSignal): Promise<unknown> =>
        callUntyped(targetOf(reader), method, ...before, { signal });
      await expect(call(AbortSignal.abort(REASON))).rejects.toBe(REASON);
      expect(await reader.wal.get(1)).toBeDefined();
      const controller = new AbortController();
      let listeners = 0;
      const { signal } = controller;
      const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
      signal.addEventListener = (...args: Parameters<typeof add>): void => {
        listeners++;
        add(...args);
      };
      signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
        listeners--;
        remove(...args);
      };
      await call(signal);
      expect(listeners).toBe(0);
    });
  });
});

it.each(['records', 'tail'])('%s of a reader: what is wrong shows at the first step', async (method) => {
  await withReader(async ({ wal }) => {
    for (const value of [...NO_OPTIONS, { form: 1 }, { signal: ABORT }]) {
      const iteration: AsyncGenerator<unknown> = Reflect.apply(Reflect.get(wal, method), wal, [value]);
      await expect(iteration.next(), String(value)).rejects.toThrow(TypeError);
    }
  });
});

describe.each<[string, object, string, string]>([
  ['openReadOnly', Evaq, 'openReadOnly', 'onCorruption'],
  ['ReadOnlyEvaq.open', ReadOnlyEvaq, 'open', 'onCorruption'],
  ['RawSegment.open', RawSegment, 'open', 'vfs'],
  ['verifyStore', { verifyStore }, 'verifyStore', 'onProgress'],
])('%s', (_what, target, method, some) => {
  const call = (...args: unknown[]): Promise<unknown> => callUntyped(target, method, ...args);

  it('takes a path or a file URL, options of its own, and no more', async () => {
    const { path, segment } = await newStore();
    const it = method === 'open' && target === RawSegment ? segment : path;
    for (const wrong of [
      '',
      7,
      null,
      undefined,
      {},
      Buffer.from(it),
      `${it}\0`,
      '\ud800',
      new URL('http://localhost/x'),
      'http://localhost/x',
      `${pathToFileURL(it).href}%00`,
      `${pathToFileURL(it).href}#part`,
      `${pathToFileURL(it).href}?query`,
    ]) {
      await expect(call(wrong), inspect(wrong)).rejects.toThrow(TypeError);
    }
    for (const value of NO_OPTIONS) await expect(call(it, value), String(value)).rejects.toThrow(TypeError);
    await expect(call(it, { [`${some}x`]: 1 })).rejects.toThrow(new RegExp(`did you mean '${some}'`));
    await expect(call(it, {}, 1)).rejects.toThrow(/takes at most 2 arguments, got 3/);
    await expect(call(it, { signal: 'x' })).rejects.toThrow(/signal must be an AbortSignal/);
    await expect(call(it, { signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON);
    for (const right of [it, pathToFileURL(it), String(pathToFileURL(it))]) {
      const opened: unknown = await call(right, { signal: ABORT.signal });
      expect(opened).toMatchObject({ path: it });
      if (typeof opened === 'object' && opened !== null && 'close' in opened) await callUntyped(opened, 'close');
    }
  });
});

it('what onProgress of verifyStore throws comes out as itself, also where it looks like an error of the disk', async () => {
  const { path } = await newStore();
  const mine = Object.assign(new Error('ENOSPC: of my own log'), { code: 'ENOSPC', errno: -28 });
  const throwing = (): never => {
    throw mine;
  };
  await expect(verifyStore(path, { onProgress: throwing })).rejects.toBe(mine);
  await expect(callUntyped({ verifyStore }, 'verifyStore', path, { onProgress: 'bar' })).rejects.toThrow(
    /onProgress must be a function, got "bar"/,
  );
  expect((await verifyStore(path)).damage).toEqual([]);
});

it('iterations of a raw segment end with their signal, and take nothing else', async () => {
  const { segment } = await newStore();
  const raw = await RawSegment.open(segment);
  for (const method of ['records', 'commits']) {
    const steps = (...args: unknown[]): AsyncGenerator<unknown> => Reflect.apply(Reflect.get(raw, method), raw, args);
    for (const value of NO_OPTIONS) await expect(steps(value).next(), String(value)).rejects.toThrow(TypeError);
    await expect(steps({}, 1).next()).rejects.toThrow(TypeError);
    await expect(steps({ signal: AbortSignal.abort(REASON) }).next()).rejects.toBe(REASON);
    expect((await steps({ signal: ABORT.signal }).next()).done).toBe(false);
  }
  await raw.close();
});

it('classes that are opened say so when they are made', () => {
  for (const one of [Evaq, ReadOnlyEvaq, RawSegment]) {
    expect(() => Reflect.construct(one, ['/nowhere'])).toThrow(/opened .*by .*open/);
    expect(() => Reflect.construct(one, [])).toThrow(TypeError);
  }
});

it('ports that are none are told by name', async () => {
  const path = newPath();
  for (const open of ['open', 'openReadOnly']) {
    for (const [ports, message] of [
      [{}, /ports.vfs must be an object, got undefined/],
      [{ vfs: {}, host: {} }, /ports.vfs must have a function list/],
      [null, /ports must be an object, got null/],
    ] as const) {
      await expect(callUntyped(Evaq, open, path, { ports })).rejects.toThrow(message);
      await expect(callUntyped(Evaq, open, path, { ports })).rejects.toThrow(TypeError);
    }
  }
});
