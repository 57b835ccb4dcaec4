/** The programs that README and the pages in docs list whole run where evaq is installed, and do what the pages say. Needs a build. */
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Installed, installPacked } from './support/installed.js';
import { listingsOf, PAGES, placeOf } from './support/listings.js';
import { filesOf, output, printed, serverOf, start } from './support/programs.js';

let installed: Installed;
beforeAll(async () => {
  installed = await installPacked();
});
afterAll(() => installed.remove());

test('are all run here or by the test of their page', () => {
  const known = {
    'README.md': ['outbox.mjs'],
    'docs/delivery.md': ['deliver.mjs'],
    'docs/forwarding.md': ['forward.mjs'],
    'docs/limits.md': ['limits.mjs'],
    // Run by raw-docs.test.ts.
    'docs/raw.md': ['dump.mjs'],
    'docs/workers.md': ['main.mjs', 'worker.mjs', 'cluster.mjs'],
  };
  const listings = PAGES.flatMap(listingsOf);
  const files = Object.fromEntries(
    Object.keys(known).map((name) => [name, listings.flatMap(({ page, file }) => (page === name ? (file ?? []) : []))]),
  );
  expect(files).toEqual(known);
  expect(listings.filter(({ page, file }) => file !== undefined && !(page in known))).toEqual([]);
  // What opens a store by itself is a program, but for the first of README, whose store the others use.
  const nameless = listings.filter(
    ({ language, code, file }) => language === 'js' && file === undefined && /^import[\s\S]*\bEvaq\.open\(/m.test(code),
  );
  expect(nameless.map(placeOf)).toEqual(listings.slice(0, 1).map(placeOf));
});

test('README, outbox.mjs: safe, tried again, arrived; ended by its signal; and what a kill has left arrives by the next', async () => {
  const folder = filesOf(installed, 'README.md');
  const first = start(folder, 'outbox.mjs');
  expect(await printed(first, /^record [123] has arrived, at try \d+$/, 3)).toHaveLength(3);
  first.kill('SIGTERM');
  expect(await once(first, 'exit')).toEqual([null, 'SIGTERM']);

  // Nobody answers yet: it is killed before anything has arrived.
  const deaf = await serverOf(() => 503);
  const second = start(folder, 'outbox.mjs', deaf.url);
  await printed(second, /^order 19 is safe: record 6$/, 1);
  second.kill('SIGKILL');
  expect(await once(second, 'exit')).toEqual([null, 'SIGKILL']);

  const ground = await serverOf((count) => (count % 2 === 0 ? 204 : 500));
  const third = start(folder, 'outbox.mjs', ground.url);
  await printed(third, /^record [4-9] has arrived/, 6);
  third.kill('SIGINT');
  expect(await once(third, 'exit')).toEqual([null, 'SIGINT']);
  // Each key again and again until it was taken: as many as there are records.
  expect(new Set(ground.keys).size).toBe(6);
  const cli = join(installed.root, 'dist/cli/main.js');
  expect(await output(folder, cli, 'cat', './outbox')).toBe('');
});

test('docs/delivery.md', async () => {
  const ground = await serverOf((count) => (count === 1 ? 500 : 204));
  const folder = filesOf(installed, 'docs/delivery.md', {
    'http://127.0.0.1:8080/orders': ground.url,
    // Somebody pushes: the page is about what comes after.
    'closeOnSignal(evaq, delivery);':
      "closeOnSignal(evaq, delivery);\nawait evaq.wal.push('tea');\nawait delivery.drained();\nconsole.log('drained');",
  });
  const child = start(folder, 'deliver.mjs');
  await printed(child, /^drained$/, 1);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  expect(ground.bodies).toEqual(['tea', 'tea']);
  expect(ground.keys[0]).toMatch(/^[\w-]+:wal:1$/);
  expect(ground.keys[1]).toBe(ground.keys[0]);
});

test('docs/forwarding.md', async () => {
  const ground = await serverOf(() => 204);
  const folder = filesOf(installed, 'docs/forwarding.md', { 'http://127.0.0.1:8080/orders': ground.url });
  expect(await output(folder, 'forward.mjs')).toBe('');
  expect(ground.bodies).toHaveLength(1);
  expect(JSON.parse(ground.bodies[0] ?? '')).toMatchObject({ id: 1, payload: '{"order":1}' });
});

test('docs/limits.md', async () => {
  const text = await output(filesOf(installed, 'docs/limits.md'), 'limits.mjs');
  expect(text).toContain('usedRecords: 1');
});

test('docs/workers.md: threads, and a cluster', async () => {
  const folder = filesOf(installed, 'docs/workers.md');
  const lines = (await output(folder, 'main.mjs')).trim().split('\n').sort();
  expect(lines).toEqual(['1 from a thread', '2 from a thread', '3 from a thread', '4 from a thread']);

  const cluster = start(folder, 'cluster.mjs');
  const ids = await printed(cluster, /^\d+$/, 4);
  expect(new Set(ids).size).toBe(4);
  cluster.kill('SIGTERM');
  expect(await once(cluster, 'exit')).toEqual([null, 'SIGTERM']);
});
