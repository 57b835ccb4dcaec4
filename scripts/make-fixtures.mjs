// Writes the golden stores under test/fixtures: what this version of the engine leaves on disk, for every later version to
// read. Run it once for a new format version, look at the result, commit it, and never touch it again: `node
// scripts/make-fixtures.mjs`. Clock and chance are fixed, so a second run writes the same bytes.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const fixtures = join(root, 'test/fixtures');
const bundle = join(root, 'node_modules', `.make-fixtures-${process.pid}.mjs`);

await build({
  stdin: {
    contents: `export { Evaq } from './src/evaq.ts'; export { nodeVfs } from './src/vfs/node-vfs.ts';`,
    resolveDir: root,
    loader: 'ts',
  },
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  outfile: bundle,
  logLevel: 'error',
});
const { Evaq, nodeVfs } = await import(bundle).finally(() => rmSync(bundle));

let clock = 0;
let chance = 0;
const host = {
  now: () => clock,
  elapsed: () => 0,
  after: () => () => undefined,
  soon: (action) => process.nextTick(action),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
  random: (target) => {
    for (let i = 0; i < target.length; i++) target[i] = ++chance & 0xff;
  },
};
const options = { ports: { vfs: nodeVfs, host }, gc: false };

/** A store that was closed: sealed segments, a rewritten one, moves both ways, a named queue, headers, an empty payload, a large one. */
async function clean(dir) {
  clock = 1_700_000_000_000;
  chance = 0;
  let evaq = await Evaq.open(dir, options);
  await evaq.wal.push('first');
  await evaq.wal.push('');
  clock += 1000;
  await evaq.wal.push('third', { headers: { 'content-type': 'text/plain', trace: 'ä' } });
  await evaq.wal.pushMany(['a', 'bb', 'ccc']);
  await evaq.wal.push(Buffer.from(Array.from({ length: 300 }, (_, i) => i & 0xff)));
  await evaq.close();

  clock += 60_000;
  evaq = await Evaq.open(dir, options);
  await evaq.wal.push('eighth');
  await evaq.wal.removeMany([2, 4, 5]);
  await evaq.wal.compact();
  const error = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
  await evaq.deadLetter(6, { reason: 'no route', error, delayMs: 5000 });
  await evaq.deadLetter(3, { reason: 'rejected' });
  await evaq.pushRetryItem('never in the wal');
  clock += 1000;
  await evaq.redrive([2]);
  const audit = await evaq.queue('audit.v1');
  await audit.push('in a named queue');
  // Large enough for a commit that is summed by its heads.
  await audit.push(Buffer.from(Array.from({ length: 600 }, (_, i) => (i * 7) & 0xff)));
  await evaq.close();
}

/**
 * A store whose machine lost power: a torn commit at the end of the WAL queue, records without a footer, and a move whose record
 * had arrived in the dead letters, while the tombstone of its origin had not reached the disk.
 */
async function crashed(dir) {
  clock = 1_700_000_000_000;
  chance = 100;
  let evaq = await Evaq.open(dir, options);
  for (const payload of ['one', 'two', 'three', 'four']) await evaq.wal.push(payload);
  await evaq.close();

  clock += 60_000;
  evaq = await Evaq.open(dir, options);
  await evaq.wal.pushMany(['five', 'six']);
  await evaq.wal.remove(3);
  const before = filesOf(dir);
  await evaq.deadLetter(5, { reason: 'too old' });
  const files = filesOf(dir);
  await evaq.close();

  for (const [path, bytes] of before) if (/wal\/.*\.tomb$/.test(path)) files.set(path, bytes);
  const segment = [...files.keys()].filter((path) => /wal\/.*\.seg$/.test(path)).at(-1);
  // The first 60 bytes of the commit that stands there already: intact at its own place, torn at this one.
  const bytes = files.get(segment);
  let end = bytes.length;
  while (bytes[end - 1] === 0) end--;
  files.set(segment, Buffer.concat([bytes.subarray(0, end), bytes.subarray(128 + 48, 128 + 48 + 60)]));
  return files;
}

function filesOf(dir, below = '') {
  const files = new Map();
  for (const name of readdirSync(join(dir, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    if (path === 'LOCK') continue;
    if (statSync(join(dir, path)).isDirectory()) for (const [at, bytes] of filesOf(dir, path)) files.set(at, bytes);
    else files.set(path, readFileSync(join(dir, path)));
  }
  return files;
}

/** `file <path> <bytes>`, then its content in hex, 32 bytes a line; what is not written down is zero. */
function textOf(files) {
  const lines = [];
  for (const [path, bytes] of files) {
    lines.push(`file ${path} ${bytes.length}`);
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    for (let at = 0; at < end; at += 32) lines.push(bytes.subarray(at, Math.min(at + 32, end)).toString('hex'));
  }
  return `${lines.join('\n')}\n`;
}

for (const [name, make] of Object.entries({ clean, crashed })) {
  const dir = mkdtempSync(join(tmpdir(), 'evaq-fixture-'));
  try {
    const files = (await make(dir)) ?? filesOf(dir);
    const path = join(fixtures, `v1-${name}.txt`);
    const text = textOf(files);
    const had = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
    writeFileSync(path, text);
    console.log(`${path}: ${text.length} B, ${had === undefined ? 'new' : had === text ? 'as before' : 'CHANGED'}`);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
