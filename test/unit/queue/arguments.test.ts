/** What is no argument of a call is refused, before anything is done: nothing that a caller says is dropped in silence. */
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { callUntyped, contentOf, newDisk, newPath, openReal, openSim } from '../store/store-fixture.js';

const ABORT = new AbortController();
/** What is no options object, whatever the call. */
const NO_OPTIONS: readonly unknown[] = [
  null,
  'sync',
  5,
  true,
  ['from', 3],
  Buffer.from('x'),
  new Map(),
  new Date(0),
  ABORT,
  () => 1,
];

/** Calls of a queue that take options, with arguments in front of them that are right. */
const CALLS: readonly (readonly [method: string, before: readonly unknown[], some: string])[] = [
  ['push', ['x'], 'headers'],
  ['pushMany', [['x']], 'headers'],
  ['get', [1], 'signal'],
  ['pop', [1], 'signal'],
  ['read', [], 'maxRecords'],
  ['remove', [1], 'signal'],
  ['removeMany', [[1]], 'signal'],
  ['removeThrough', [1], 'signal'],
  ['deadLetter', [1], 'reason'],
  ['redrive', [[1]], 'signal'],
  ['flush', [], 'signal'],
  ['compact', [], 'signal'],
];

describe.each(CALLS)('%s', (method, before, some) => {
  it('takes no word, number, list or other object for its options', async () => {
    const { wal } = await openReal();
    for (const value of NO_OPTIONS) {
      await expect(callUntyped(wal, method, ...before, value), String(value)).rejects.toThrow(TypeError);
    }
    expect(wal.stats().nextId).toBe(1);
  });

  it('names an option that it does not know, and the one that may be meant', async () => {
    const { wal } = await openReal();
    const call = callUntyped(wal, method, ...before, { [`${some}s`]: 1 });
    await expect(call).rejects.toThrow(new RegExp(`${method}: there is no option '${some}s'; did you mean '${some}'`));
    await expect(callUntyped(wal, method, ...before, { zzz: 1 })).rejects.toThrow(
      /there is no option 'zzz' \(options: /,
    );
    expect(wal.stats().nextId).toBe(1);
  });

  it('takes no argument too many', async () => {
    const { wal } = await openReal();
    await expect(callUntyped(wal, method, ...before, { reason: 'x' }, 1)).rejects.toThrow(
      /takes at most \d arguments?/,
    );
    expect(wal.stats().nextId).toBe(1);
  });

  it('takes a signal of any realm, and nothing else for one; aborted before the call it does nothing', async () => {
    const { wal } = await openReal();
    const reason = new Error('not any more');
    const options = method === 'deadLetter' ? { reason: 'x' } : {};
    const call = (signal: unknown): Promise<unknown> => callUntyped(wal, method, ...before, { ...options, signal });
    await expect(call(AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(call(ABORT)).rejects.toThrow(/signal must be an AbortSignal.*its signal is meant/);
    await expect(call('x')).rejects.toThrow(TypeError);
    expect(wal.stats().nextId).toBe(1);
    const foreign: unknown = runInNewContext(
      '({ aborted: true, reason, addEventListener() {}, removeEventListener() {} })',
      { reason },
    );
    await expect(call(foreign)).rejects.toBe(reason);
  });
});

it.each(['records', 'tail'])('%s: what is wrong shows at the first step', async (method) => {
  const { wal } = await openReal();
  for (const value of [...NO_OPTIONS, { form: 1 }, { signal: ABORT }]) {
    const iteration: AsyncGenerator<unknown> = Reflect.apply(Reflect.get(wal, method), wal, [value]);
    await expect(iteration.next(), String(value)).rejects.toThrow(TypeError);
  }
});

it('pushSync throws before it pushes', async () => {
  const { wal } = await openReal();
  const call = (...args: unknown[]): unknown => Reflect.apply(Reflect.get(wal, 'pushSync'), wal, args);
  expect(() => call('x', 'y')).toThrow(TypeError);
  expect(() => call('x', { header: {} })).toThrow(/did you mean 'headers'/);
  expect(() => call('x', {}, 1)).toThrow(TypeError);
  expect(wal.stats().nextId).toBe(1);
  expect(wal.pushSync('x', { headers: { a: 'b' } })).toBe(1);
  expect((await wal.get(1))?.headers).toEqual({ a: 'b' });
});

describe('opening', () => {
  it.each<[string, unknown, RegExp]>([
    ['a misspelt option', { durabilty: 'os' }, /there is no option 'durabilty'; did you mean 'durability'/],
    ['ports without any', { ports: {} }, /ports.vfs must be an object, got undefined/],
    ['a word', 'os', /options must be an object, got "os"/],
    ['an onProgress that is none', { onProgress: 'bar' }, /onProgress must be a function, got "bar"/],
    [
      'a misspelt part of gc',
      { gc: { liveShare: 0.5 } },
      /gc: there is no option 'liveShare'; did you mean 'liveShareMax'/,
    ],
    ['a misspelt interval', { durability: { intervalMs: 5, x: 1 } }, /durability: there is no option 'x'/],
  ])('%s is a TypeError, and nothing is made', async (_what, options, message) => {
    const path = newPath();
    await expect(callUntyped(Evaq, 'open', path, options)).rejects.toThrow(message);
    await expect(callUntyped(Evaq, 'open', path, options)).rejects.toThrow(TypeError);
    await expect(Evaq.openReadOnly(path)).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  });

  it('takes a file URL, as a text too, and no other', async () => {
    const path = newPath();
    for (const url of [pathToFileURL(path), pathToFileURL(path).href]) {
      const evaq = await Evaq.open(url);
      expect(evaq.path).toBe(path);
      await evaq.close();
      await (await Evaq.openReadOnly(url)).close();
    }
    for (const wrong of [new URL('http://localhost/x'), Buffer.from(path), 'a\0b', 7, null]) {
      await expect(callUntyped(Evaq, 'open', wrong)).rejects.toThrow(TypeError);
      await expect(callUntyped(Evaq, 'openReadOnly', wrong)).rejects.toThrow(TypeError);
    }
  });

  it('new Evaq says how a store is opened', () => {
    expect(() => Reflect.construct(Evaq, ['/nowhere'])).toThrow(/opened by Evaq.open/);
  });

  it('an aborted signal opens nothing; one that is aborted meanwhile leaves no lock behind', async () => {
    const path = newPath();
    const reason = new Error('too late');
    await expect(Evaq.open(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(Evaq.openReadOnly(path)).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
    const controller = new AbortController();
    const opening = Evaq.open(path, { signal: controller.signal });
    controller.abort(reason);
    await expect(opening).rejects.toBe(reason);
    await openReal({}, path);
  });

  it('that is aborted at any step of it has let go of the lock when it rejects', async () => {
    const reason = new Error('too late');
    const outcomes = { opened: 0, aborted: 0 };
    for (let steps = 1; outcomes.opened === 0; steps += 3) {
      const disk = newDisk();
      const writer = await openSim(disk);
      await writer.wal.pushMany(['a', 'b']);
      disk.kill();
      const controller = new AbortController();
      let left = steps;
      disk.observe(() => {
        if (--left === 0) controller.abort(reason);
      });
      const opened = await openSim(disk, { signal: controller.signal }).catch((error: unknown) => error);
      if (opened instanceof Evaq) {
        outcomes.opened++;
        await opened.close();
      } else {
        expect(opened, `after ${steps} steps`).toBe(reason);
        outcomes.aborted++;
      }
      expect(disk.openHandles(), `after ${steps} steps`).toEqual([]);
      const again = await openSim(disk);
      expect(again.wal.size).toBe(2);
      await again.close();
    }
    expect(outcomes.aborted).toBeGreaterThan(20);
  });

  it('what onProgress throws comes out as itself, and the store opens afterwards', async () => {
    const evaq = await openReal({ durability: 'os' });
    const { path } = evaq;
    for (let i = 0; i < 3; i++) await evaq.wal.push(Buffer.alloc(12_000_000));
    await evaq.close();
    // It looks like an error of the disk, and is none of the store's.
    const mine = Object.assign(new Error('the progress bar is broken'), { code: 'EIO', errno: -5 });
    // A footer that is gone makes it scan.
    const { truncateSync, readdirSync, statSync } = await import('node:fs');
    const folder = `${path}/queues/wal`;
    for (const name of readdirSync(folder).filter((one) => one.endsWith('.seg'))) {
      truncateSync(`${folder}/${name}`, statSync(`${folder}/${name}`).size - 4);
    }
    const throwing = (): never => {
      throw mine;
    };
    await expect(Evaq.open(path, { onProgress: throwing, onCorruption: 'quarantine' })).rejects.toBe(mine);
    const rejecting = (): Promise<never> => Promise.reject(mine);
    await expect(callUntyped(Evaq, 'open', path, { onProgress: rejecting, onCorruption: 'quarantine' })).rejects.toBe(
      mine,
    );
    expect((await openReal({ onCorruption: 'quarantine' }, path)).wal.size).toBe(3);
  });
});

describe('options of a queue that is open', () => {
  it('may be repeated or left out, and nothing else', async () => {
    const evaq = await openReal();
    const queue = await evaq.queue('jobs', { durability: 'os', segmentBytes: 1 << 20 });
    expect(await evaq.queue('jobs')).toBe(queue);
    expect(await evaq.queue('jobs', { durability: 'os' })).toBe(queue);
    await expect(evaq.queue('jobs', { durability: 'sync' })).rejects.toThrow(
      /'jobs' is open with another durability \("os"\)/,
    );
    await expect(evaq.queue('jobs', { gc: false })).rejects.toThrow(/another gc/);
    await expect(evaq.queue('wal', { segmentBytes: 1 << 20 })).rejects.toThrow(/another segmentBytes/);
    await expect(callUntyped(evaq, 'queue', 'jobs', 'os')).rejects.toThrow(TypeError);
    await expect(callUntyped(evaq, 'queue', 'other', { segmentbytes: 1 << 20 })).rejects.toThrow(/'segmentBytes'/);
    expect(evaq.queueNames()).toEqual(['dead-letters', 'jobs', 'wal']);
  });
});

describe('names of queues', () => {
  it('that a file system could not keep apart, or at all, are refused when they are made', async () => {
    const evaq = await openReal();
    await evaq.queue('orders');
    for (const name of ['Orders', 'ORDERS', 'WAL', 'Dead-Letters', 'con', 'NUL', 'com1', 'aux.jobs', 'jobs.']) {
      await expect(evaq.queue(name), name).rejects.toMatchObject({ code: 'EVAQ_QUEUE_NAME', details: { queue: name } });
    }
    expect(evaq.queueNames()).toEqual(['dead-letters', 'orders', 'wal']);
  });

  it('are kept apart from those of the dead letters that a queue may have', async () => {
    const evaq = await openReal();
    await evaq.queue('Orders.dead');
    await expect(evaq.queue('orders')).rejects.toMatchObject({ code: 'EVAQ_QUEUE_NAME' });
    await evaq.queue('jobs');
    await expect(evaq.queue('Jobs.dead')).rejects.toMatchObject({ code: 'EVAQ_QUEUE_NAME' });
    await evaq.queue('jobs.dead');
    // The longest name has dead letters, too, and so has one that would not be made today.
    const longest = await evaq.queue('x'.repeat(64));
    await longest.deadLetter(await longest.push('x'), { reason: 'x' });
    expect((await evaq.queue(`${'x'.repeat(64)}.dead`)).size).toBe(1);
    await expect(evaq.queue('x'.repeat(65))).rejects.toMatchObject({ code: 'EVAQ_QUEUE_NAME' });
    await evaq.close();
    const { mkdirSync } = await import('node:fs');
    for (const name of ['JOBS', 'nul']) mkdirSync(`${evaq.path}/queues/${name}`);
    const again = await openReal({}, evaq.path);
    for (const name of ['JOBS', 'nul']) {
      const queue = await again.queue(name);
      await queue.deadLetter(await queue.push('x'), { reason: 'x' });
      expect((await again.queue(`${name}.dead`)).size).toBe(1);
    }
  });

  it('are served where they are there already', async () => {
    const path = newPath();
    await (await openReal({}, path)).close();
    const { mkdirSync } = await import('node:fs');
    for (const name of ['Orders', 'orders', 'con']) mkdirSync(`${path}/queues/${name}`);
    const evaq = await openReal({}, path);
    for (const name of ['Orders', 'orders', 'con']) {
      const queue = await evaq.queue(name);
      await queue.push(name);
      expect((await queue.get(1))?.payload.toString()).toBe(name);
    }
  });
});

describe('headers', () => {
  it.each<[string, () => unknown]>([
    ['an object', () => ({ a: 'b', c: 'd' })],
    [
      'a Map',
      () =>
        new Map([
          ['a', 'b'],
          ['c', 'd'],
        ]),
    ],
    ['Headers', () => new Headers({ a: 'b', c: 'd' })],
    [
      'entries',
      () => [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    ['an object of another realm', () => runInNewContext("({ a: 'b', c: 'd' })")],
    ['a Map of another realm', () => runInNewContext("new Map([['a', 'b'], ['c', 'd']])")],
    ['an object without a prototype', () => Object.assign(Object.create(null), { a: 'b', c: 'd' })],
  ])('may be %s', async (_what, make) => {
    const { wal } = await openReal();
    await callUntyped(wal, 'push', 'x', { headers: make() });
    await callUntyped(wal, 'pushMany', ['x', { payload: 'y', headers: { own: '1' } }], { headers: make() });
    expect((await wal.get(1))?.headers).toEqual({ a: 'b', c: 'd' });
    expect((await wal.get(2))?.headers).toEqual({ a: 'b', c: 'd' });
    expect((await wal.get(3))?.headers).toEqual({ own: '1' });
  });

  it.each<[string, unknown]>([
    ['a list of words', ['a', 'b']],
    ['a Date', new Date(0)],
    ['bytes', Buffer.from('ab')],
    ['a value that is a list', { a: ['b'] }],
    ['a value that is nothing', { a: undefined }],
    ['half of a character', { a: '\ud800' }],
    ['half of a character in a name', { '\udc00': 'a' }],
    [
      'two texts of one name',
      [
        ['a', 'b'],
        ['a', 'c'],
      ],
    ],
    ['a symbol for a name', { [Symbol('a')]: 'b' }],
    ['null', null],
  ])('may not be %s', async (_what, headers) => {
    const { wal } = await openReal();
    await expect(callUntyped(wal, 'push', 'x', { headers })).rejects.toThrow(TypeError);
    await expect(callUntyped(wal, 'pushMany', ['x'], { headers })).rejects.toThrow(TypeError);
    expect(wal.stats().nextId).toBe(1);
  });

  it('come back under every name', async () => {
    const { wal } = await openReal();
    const headers = Object.fromEntries(
      ['', '__proto__', 'constructor', '0', 'a b', 'ü', '\u0000', '😀'].map((name) => [name, `of ${name}`]),
    );
    Object.defineProperty(headers, '__proto__', { value: 'proto', enumerable: true });
    await wal.push('x', { headers });
    const back = (await wal.get(1))?.headers ?? {};
    expect(new Map(Object.entries(back))).toEqual(new Map(Object.entries(headers)));
  });
});

describe('payloads', () => {
  it('of many may be any iterable, and of nothing nothing is written', async () => {
    const { wal } = await openReal();
    expect(await wal.pushMany(new Set(['a', 'b']))).toEqual({ firstId: 1, lastId: 2 });
    function* some(): Generator<string> {
      yield 'c';
      yield 'd';
    }
    expect(await wal.pushMany(some())).toEqual({ firstId: 3, lastId: 4 });
    expect(await wal.pushMany([])).toEqual({ firstId: 5, lastId: 4 });
    for (const wrong of ['abc', Buffer.from('abc'), { a: 1 }, 7, null, new Map([['a', 'b']])]) {
      await expect(callUntyped(wal, 'pushMany', wrong)).rejects.toThrow(TypeError);
    }
    await expect(callUntyped(wal, 'pushMany', [{ payload: 'x', header: {} }])).rejects.toThrow(
      /payloads\[0\]: there is no option 'header'/,
    );
    expect(wal.size).toBe(4);
    const mine = new Error('mine');
    function* broken(): Generator<string> {
      yield 'e';
      throw mine;
    }
    await expect(wal.pushMany(broken())).rejects.toBe(mine);
    expect(wal.size).toBe(4);
  });

  it('that are made one by one in the same buffer are each what it held', async () => {
    const { wal } = await openReal();
    const buffer = Buffer.alloc(3);
    function* some(): Generator<Uint8Array> {
      for (const text of ['abc', 'def', 'ghi']) {
        buffer.write(text);
        yield buffer;
      }
    }
    await wal.pushMany(some());
    expect(await contentOf(wal)).toEqual({ 1: 'abc', 2: 'def', 3: 'ghi' });
  });

  it('of nothing, too, need a store that is open, and a signal that is not aborted', async () => {
    const evaq = await openReal();
    const reason = new Error('not any more');
    await expect(evaq.wal.pushMany([], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await evaq.close();
    await expect(evaq.wal.pushMany([])).rejects.toMatchObject({ code: 'EVAQ_CLOSED' });
  });

  it('without an end are refused when they are too many', async () => {
    const { wal } = await openReal({ recordBytesMax: 512 * 1024 * 1024 });
    const large = Buffer.alloc(400 * 1024 * 1024);
    let taken = 0;
    const endless: Iterable<Uint8Array> = {
      [Symbol.iterator]: () => ({
        next: () => {
          taken++;
          return { done: false, value: large };
        },
      }),
    };
    await expect(wal.pushMany(endless)).rejects.toMatchObject({ code: 'EVAQ_RECORD_TOO_LARGE' });
    expect(taken).toBe(3);
  });

  it('that UTF-8 cannot say are refused, and not changed', async () => {
    const { wal } = await openReal();
    for (const text of ['\ud800', 'a\udc00', '\udc00\ud800']) {
      await expect(wal.push(text)).rejects.toThrow(/half of a surrogate pair at index \d/);
      await expect(wal.pushMany(['x', text])).rejects.toThrow(TypeError);
      expect(() => wal.pushSync(text)).toThrow(TypeError);
    }
    await wal.push('\ufffd 😀');
    expect((await wal.get(1))?.payload.toString()).toBe('\ufffd 😀');
  });
});

it('a list of IDs is that of the call, whatever becomes of it', async () => {
  const evaq = await openReal();
  await evaq.wal.pushMany(['a', 'b', 'c', 'd']);
  const ids = [1, 2];
  for (const id of ids) await evaq.deadLetter(id, { reason: 'x' });
  const redriven = evaq.redrive(ids);
  ids.length = 0;
  expect(await redriven).toEqual([5, 6]);
  const jobs = await evaq.queue('jobs');
  await jobs.deadLetter(await jobs.push('e'), { reason: 'x' });
  await evaq.close();
  // The queue of dead letters is opened first.
  const again = await openReal({}, evaq.path);
  const jobIds = [1];
  const moved = (await again.queue('jobs')).redrive(jobIds);
  jobIds.length = 0;
  expect(await moved).toEqual([2]);
  const done = [1, 2];
  const last = again.doneRetryItems(done);
  done.push(99);
  expect(await last).toBe(2);
  const many = [3, 4];
  const removed = again.wal.removeMany(many);
  many.length = 0;
  expect(await removed).toBe(2);
});

it.each(['close', 'shutdown'])(
  '%s takes a signal: aborted before, the store stays open; later, closing goes on',
  async (how) => {
    const evaq = await openReal();
    const reason = new Error('not any more');
    const call = (...args: unknown[]): Promise<unknown> => callUntyped(evaq, how, ...args);
    for (const value of ['SIGTERM', 5, null]) await expect(call(value)).rejects.toThrow(TypeError);
    await expect(call({}, 1)).rejects.toThrow(/takes at most 1 argument, got 2/);
    await expect(call({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await evaq.wal.push('x');
    const controller = new AbortController();
    const closing = call({ signal: controller.signal });
    controller.abort(reason);
    await expect(closing).rejects.toBe(reason);
    await evaq.close();
    await openReal({}, evaq.path);
  },
);
