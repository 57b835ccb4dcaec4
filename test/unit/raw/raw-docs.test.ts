/** Holds docs/raw.md to the code: its program runs as it stands, and prints what the page shows. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/raw.md'), 'utf8');

test('the dump of docs/raw.md prints what the page shows', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-dump-'));
  const bundle = join(root, 'node_modules', `.dump-${process.pid}.mjs`);
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
    rmSync(bundle, { force: true });
  });
  {
    await using evaq = await Evaq.open(join(folder, 'orders'));
    await evaq.wal.pushMany(['apples', 'pears', 'plums']);
    await evaq.wal.remove(2);
  }
  // Once more, for a segment that is not sealed.
  await (await Evaq.open(join(folder, 'orders'))).close();
  const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const [, shown = ''] = /^```text\n([\s\S]*?)^```$/m.exec(page) ?? [];
  writeFileSync(join(folder, 'dump.mjs'), code);
  await build({
    entryPoints: [join(folder, 'dump.mjs')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    alias: { 'evaq/raw': join(root, 'src/raw.ts') },
    external: ['fs-ext', 'fs-native-extensions', 'crc-32', 'sorted-btree', '@msgpack/msgpack'],
    outfile: bundle,
    logLevel: 'error',
  });
  const printed = execFileSync(process.execPath, [bundle, './orders', 'wal'], { cwd: folder, encoding: 'utf8' });
  expect(printed).toBe(shown);
});

test('the entry has what the page names', async () => {
  const raw = await import('../../../src/raw.js');
  expect(Object.keys(raw)).toEqual(
    expect.arrayContaining(['listSegments', 'RawSegment', 'RawTombstones', 'verifyStore']),
  );
});
