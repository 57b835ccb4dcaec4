/** Stores in worker threads: any number of them, beside the main thread, with the package loaded more than once. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const ENTRY = join(ROOT, 'dist/evaq.js');

/** A thread that opens a store, pushes, and closes or stays; a copy of the package as its `entry` is loaded as a second one. */
const THREAD = `
  import { parentPort, workerData } from 'node:worker_threads';
  const { entry, path, stays } = workerData;
  const { Evaq } = await import(entry);
  try {
    const evaq = await Evaq.open(path);
    await evaq.wal.push('from a thread');
    if (stays) setInterval(() => undefined, 1000);
    else await evaq.close();
    parentPort.postMessage('opened');
  } catch ({ code, message, hint }) {
    parentPort.postMessage([code, /this very process/.test(message), /Stop it/.test(hint)].join(' '));
  }
`;

/** What the programs begin with. Whatever they log is what they have found. */
const PRELUDE = `
  import { Worker } from 'node:worker_threads';
  const [entry, copy, thread, dir] = process.argv.slice(2);
  const { Evaq } = await import(entry);
  function start(path, more = {}) {
    const worker = new Worker(new URL(thread), { workerData: { entry, path, ...more } });
    const said = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    return { worker, said, over: new Promise((resolve) => worker.once('exit', resolve)) };
  }
  async function run(path, more) {
    const { said, over } = start(path, more);
    console.log(await said);
    await over;
  }
`;

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'evaq-threads-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Runs it in a process of its own: a crash shows as a failure of that. */
function found(program: string): string[] {
  const copy = join(dir, 'copy');
  writeFileSync(join(dir, 'thread.mjs'), THREAD);
  writeFileSync(join(dir, 'main.mjs'), `${PRELUDE}\n${program}`);
  const urls = [ENTRY, join(copy, 'dist/evaq.js'), join(dir, 'thread.mjs')].map((path) => pathToFileURL(path).href);
  const args = [join(dir, 'main.mjs'), ...urls, join(dir, 'stores-')];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n');
}

/** A second copy of evaq with all that it depends on, as where two packages need different versions. */
function copyPackage(): void {
  const packages = DEPENDENCIES.map((name) => join('node_modules', name));
  // fs-ext is optional.
  for (const path of ['package.json', 'dist', ...packages].filter((one) => existsSync(join(ROOT, one))))
    cpSync(join(ROOT, path), join(dir, 'copy', path), { recursive: true });
}

const DEPENDENCIES: readonly string[] =
  'fs-native-extensions require-addon which-runtime bare-addon-resolve bare-module-resolve bare-semver fs-ext nan crc-32 sorted-btree @msgpack'.split(
    ' ',
  );

describe.skipIf(!existsSync(ENTRY))('worker threads (needs a build)', () => {
  test('open stores one after the other, and at once, beside a store of the main thread', () => {
    const said = found(`
      const main = await Evaq.open(dir + 'main');
      for (let i = 0; i < 3; i++) await run(dir + 'thread');
      await Promise.all([1, 2, 3, 4].map((i) => run(dir + i)));
      await main.wal.push('x');
      await main.close();
      console.log('over');
    `);
    expect(said).toEqual([...Array(7).fill('opened'), 'over']);
  });

  test('and so do those that come first, with the main thread after them', () => {
    const said = found(`
      await run(dir + 'a');
      const main = await Evaq.open(dir + 'a');
      console.log(main.wal.size);
      await main.close();
      await run(dir + 'a');
    `);
    expect(said).toEqual(['opened', '1', 'opened']);
  });

  test('a store of one thread is locked for the others, in this very process; and is free when the thread is terminated', () => {
    const said = found(`
      const main = await Evaq.open(dir + 'm');
      await run(dir + 'm');
      await main.close();
      const holder = start(dir + 'm', { stays: true });
      console.log(await holder.said);
      await run(dir + 'm');
      const refused = await Evaq.open(dir + 'm').catch((error) => error);
      console.log(refused.code, /this very process/.test(refused.message));
      await holder.worker.terminate();
      await run(dir + 'm');
    `);
    const refused = 'EVAQ_LOCKED true false';
    expect(said).toEqual([refused, 'opened', refused, 'EVAQ_LOCKED true', 'opened']);
  });

  test('two copies of the package in one process do not crash it, and exclude each other', () => {
    copyPackage();
    const said = found(`
      const second = await import(copy);
      const main = await Evaq.open(dir + 'm');
      const other = await second.Evaq.open(dir + 'o');
      const refused = await second.Evaq.open(dir + 'm').catch((error) => error);
      console.log(refused.code);
      await run(dir + 't', { entry: copy });
      await run(dir + 'm', { entry: copy });
      await main.close();
      await other.close();
      console.log('over');
    `);
    expect(said).toEqual(['EVAQ_LOCKED', 'opened', 'EVAQ_LOCKED true false', 'over']);
  });
});
