// Leaves one wait for the disk after the other out of the engine, and hunts: npm run sync-mutants -- [--only move.ts] [--rounds 3] [--list]
import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { flag, positive, scriptOptions, text } from './script-options.mjs';

const { only, rounds, list } = scriptOptions('sync-mutants -- [--only TEXT] [--rounds N] [--list]', {
  only: text(''),
  rounds: positive(1),
  list: flag(),
});
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(join(root, 'node_modules', '.sync-mutants-'));
try {
  const outfile = join(folder, 'sync-mutants.mjs');
  await build({
    entryPoints: [join(root, 'test/property/support/sync-mutants.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'warning',
    // Where the sources are: a bundle lies elsewhere.
    define: {
      'import.meta.url': JSON.stringify(pathToFileURL(join(root, 'test/property/support/sync-sites.ts')).href),
    },
  });
  const { huntAll } = await import(pathToFileURL(outfile).href);
  process.exitCode = (await huntAll(folder, { only, rounds, list })) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
