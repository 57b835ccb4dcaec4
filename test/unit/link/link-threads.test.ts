/** Links to real worker threads: they work, they are terminated, and they end by themselves. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { bundle, projectRoot } from '../../cli/support/bundle.js';
import { newPath, openReal } from '../store/store-fixture.js';

/** The library as the threads load it. */
let library = '';
beforeAll(async () => {
  library = pathToFileURL(await bundle(join(projectRoot, 'src/evaq.ts'))).href;
}, 60_000);

const workers: Worker[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.terminate();
});

interface Thread {
  readonly worker: Worker;
  /** The next thing that it says. */
  readonly said: () => Promise<unknown>;
  readonly over: Promise<number>;
}

/** A thread that runs `body`, with `evaq` attached, and `say` for what it has to tell. */
function start(evaq: Evaq, body: string, more: object = {}): Thread {
  const port = evaq.connect();
  const code = `(async () => {
    const { parentPort, workerData } = require('node:worker_threads');
    const { Evaq } = await import(workerData.entry);
    const say = (what) => parentPort.postMessage(what);
    const evaq = workerData.port && await Evaq.attach(workerData.port);
    ${body}
  })()`;
  const worker = new Worker(code, { eval: true, workerData: { port, entry: library, ...more }, transferList: [port] });
  workers.push(worker);
  const heard: unknown[] = [];
  const waiting: ((what: unknown) => void)[] = [];
  worker.on('message', (what) => {
    const tell = waiting.shift();
    if (tell === undefined) heard.push(what);
    else tell(what);
  });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  failed.catch(() => undefined);
  const said = (): Promise<unknown> =>
    heard.length > 0
      ? Promise.resolve(heard.shift())
      : Promise.race([failed, new Promise((resolve) => waiting.push(resolve))]);
  const over = new Promise<number>((resolve) => worker.once('exit', resolve));
  return { worker, said, over };
}

describe('worker threads with a store that the main thread has', () => {
  test('push and deliver, and each record arrives once', async () => {
    const evaq = await openReal({ durability: 'os' });
    const pushing = [1, 2].map(() =>
      start(
        evaq,
        `const ids = await Promise.all(Array.from({ length: 500 }, (_, i) => evaq.wal.push(String(i))));
         say(ids);`,
      ),
    );
    const ids = (await Promise.all(pushing.map(({ said }) => said()))).flat();
    expect(new Set(ids)).toEqual(new Set(Array.from({ length: 1000 }, (_, i) => i + 1)));
    const delivering = [1, 2].map(() =>
      start(
        evaq,
        `const seen = [];
         const delivery = evaq.wal.process(({ id }) => { seen.push(id); });
         await delivery.drained();
         say(seen);
         await evaq.close();`,
      ),
    );
    const seen = (await Promise.all(delivering.map(({ said }) => said()))).flat();
    expect(seen).toHaveLength(1000);
    expect(new Set(seen)).toEqual(new Set(ids));
    expect(evaq.wal.size).toBe(0);
    await Promise.all([...pushing, ...delivering].map(({ over }) => over));
  });

  test('one that is terminated in a handler gives its record back; pushes that it had made are there, the others are whole or gone', async () => {
    const evaq = await openReal({ durability: 'os' });
    await evaq.wal.push('victim');
    const victim = start(
      evaq,
      `evaq.wal.process(() => { say('in the handler'); return new Promise(() => {}); });
       const queue = await evaq.queue('pushed');
       for (let n = 0; ; n++) {
         await Promise.all(Array.from({ length: 64 }, () => queue.push('x'.repeat(1000))));
         if (n === 3) say('pushed 256');
       }`,
    );
    const first = await victim.said();
    const second = await victim.said();
    expect(new Set([first, second])).toEqual(new Set(['in the handler', 'pushed 256']));
    await victim.worker.terminate();
    const tries: unknown[] = [];
    const delivery = evaq.wal.process(({ payload }, { attempt, crashes }) => {
      tries.push([payload.toString(), attempt, crashes]);
    });
    await delivery.drained();
    expect(tries).toEqual([['victim', 2, 1]]);
    const pushed = await evaq.queue('pushed');
    expect(pushed.size).toBeGreaterThanOrEqual(256);
    for await (const { payload } of pushed.records()) expect(payload.length).toBe(1000);
    expect(await pushed.push('on')).toBeGreaterThan(256);
  });

  test('a link holds its thread while a call or a delivery waits, and no longer', async () => {
    const evaq = await openReal({ durability: 'os' });
    const idle = start(evaq, `await evaq.wal.push('x'); say('pushed');`);
    expect(await idle.said()).toBe('pushed');
    expect(await idle.over).toBe(0);
    const loose = start(evaq, `evaq.wal.process(({ id }) => say(id), { hold: false }); await evaq.wal.size;`);
    expect(await loose.over).toBe(0);
    const held = start(evaq, `evaq.wal.process(({ payload }) => { say(payload.toString()); return evaq.wal.size; });`);
    expect(await held.said()).toBe('x');
    await evaq.wal.push('later');
    expect(await held.said()).toBe('later');
    await evaq.close();
    expect(await held.over).toBe(0);
  });

  test('one that opens the store itself is told of connect', async () => {
    const path = newPath();
    const evaq = await openReal({}, path);
    const thread = start(
      evaq,
      `const error = await Evaq.open(workerData.path).catch((error) => error); say([error.code, error.message, error.hint]);`,
      { path },
    );
    const refused = await thread.said();
    expect(refused).toMatchObject([
      'EVAQ_LOCKED',
      expect.stringMatching(/in this very process.*evaq\.connect\(\)/),
      expect.stringContaining('evaq.connect()'),
    ]);
  });
});
