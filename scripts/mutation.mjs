// Mutation testing of rooms or files with the quick tests: npm run mutation -- tombstone queue/claims.ts [--sample 30] [--test-ms 400] [--mutant-ms 8000]
// What makes the changes is installed into mutation/node_modules when it is wanted. See docs/mutation.md.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string', default: '0' },
    'test-ms': { type: 'string', default: '400' },
    'mutant-ms': { type: 'string', default: '8000' },
    tests: { type: 'string', default: '' },
    again: { type: 'boolean', default: false },
    waits: { type: 'boolean', default: false },
  },
});
const numbers = [values.sample, values['test-ms'], values['mutant-ms']].map(Number);
const [sample = 0, testMs = 0, mutantMs = 0] = numbers;
if (numbers.some((one) => !(one >= 0))) {
  console.error(
    'usage: npm run mutation -- [room or file ...] [--sample N] [--test-ms N] [--mutant-ms N] [--tests TEXT,...] [--again] [--waits]',
  );
  process.exit(2);
}
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
      ? [...ROOMS, ...(values.waits ? ['layout', 'intake'] : [])]
      : positionals.map((one) => one.replace(/^src\//, ''));
  const tests = values.tests.split(',').filter((text) => text !== '');
  const ok = await mutation({ root, where, sample, testMs, mutantMs, tests, again: values.again, waits: values.waits });
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
