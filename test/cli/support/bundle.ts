/**
 * Bundles a TypeScript file into one that plain Node runs, for child processes that are to be killed. Written under
 * node_modules/.cache, from where the dependencies resolve.
 */
import { mkdirSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const projectRoot: string = join(dirname(fileURLToPath(import.meta.url)), '../../..');

export async function bundle(entry: string): Promise<string> {
  const folder = join(projectRoot, 'node_modules/.cache/evaq-test');
  mkdirSync(folder, { recursive: true });
  const out = join(folder, `${basename(entry, '.ts')}.mjs`);
  const draft = `${out}.${process.pid}.mjs`;
  await build({
    entryPoints: [entry],
    outfile: draft,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    external: ['fs-ext', 'crc-32', 'sorted-btree', '@msgpack/msgpack'],
    banner: {
      js: "import { createRequire as evaqCreateRequire } from 'node:module';\nconst require = evaqCreateRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  // Test files that run at the same time make the same bundle.
  renameSync(draft, out);
  return out;
}
