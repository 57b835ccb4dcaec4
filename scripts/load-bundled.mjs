// Bundles a module of the sources or of the tests, for scripts.
import { mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Resolves with the path of the bundle, which whoever asks for it removes. */
export async function bundleOf(file) {
  // Processes that only run a bundle do not need it.
  const { build } = await import('esbuild');
  const outdir = join(root, 'node_modules', '.cache', 'evaq');
  mkdirSync(outdir, { recursive: true });
  const outfile = join(outdir, `${basename(file, '.ts')}-${process.pid}.mjs`);
  await build({
    entryPoints: [join(root, file)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  return outfile;
}

export async function loadBundled(file) {
  const outfile = await bundleOf(file);
  try {
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(outfile, { force: true });
  }
}
