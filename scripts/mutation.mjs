// Mutation testing of rooms or files with the quick tests: npm run mutation -- tombstone queue/claims.ts [--sample 30] [--test-ms 400] [--mutant-ms 8000]
// What makes the changes is installed into mutation/node_modules when it is wanted. See docs/mutation.md.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { flag, scriptOptions, text, wholeFromZero } from './script-options.mjs';

const options = scriptOptions(
  'mutation -- [room or file ...] [--sample N] [--test-ms N] [--mutant-ms N] [--tests TEXT,...] [--again] [--waits]',
  {
    sample: wholeFromZero(0),
    'test-ms': wholeFromZero(400),
    'mutant-ms': wholeFromZero(8000),
    tests: text(''),
    again: flag(),
    waits: flag(),
  },
  { positionals: true },
);
const { sample, 'test-ms': testMs, 'mutant-ms': mutantMs, again, waits, positionals } = options;
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const home = join(root, 'mutation');
install();
mkdirSync(join(home, 'dist'), { recursive: true });
const folder = mkdtempSync(join(home, 'dist', 'run-'));
try {
  const outfile = join(folder, 'main.mjs');
  await build({
    entryPoints: [join(home, 'main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    logLevel: 'warning',
  });
  const { mutation, ROOMS } = await import(pathToFileURL(outfile).href);
  const where =
    positionals.length === 0
      ? [...ROOMS, ...(waits ? ['layout', 'intake'] : [])]
      : positionals.map((one) => one.replace(/^src\//, ''));
  const tests = options.tests.split(',').filter((text) => text !== '');
  const ok = await mutation({ root, where, sample, testMs, mutantMs, tests, again, waits });
  process.exitCode = ok ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function install() {
  const installed = join(home, 'node_modules/.package-lock.json');
  const lock = join(home, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status } = spawnSync(npm, ['ci', '--prefix', home, '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('mutation/ could not be installed');
}
