// Runs the crash properties with fresh seeds, or the histories of several clients: npm run torture -- --minutes 10 [--seed 1] [--histories]
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string' },
    histories: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run torture -- [--minutes N] [--seed N] [--histories]');
  process.exit(2);
}
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outdir = join(root, 'node_modules', '.cache', 'evaq');
mkdirSync(outdir, { recursive: true });
const outfile = join(outdir, `torture-${process.pid}.mjs`);
await build({
  entryPoints: [join(root, 'test/property/support/torture.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'warning',
});
const { torture, tortureHistories } = await import(pathToFileURL(outfile).href);
process.exitCode = (await (values.histories ? tortureHistories : torture)(minutes, seed)) ? 0 : 1;
