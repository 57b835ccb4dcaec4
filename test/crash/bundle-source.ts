/**
 * Programs of the tests that run as processes of their own: bundled from the sources as they are, so that no test can
 * pass or fail on a build that is out of date.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root: string = fileURLToPath(new URL('../../', import.meta.url));

/** A new folder below `node_modules`, from where the packages that stay outside of a bundle are found. */
export function makeBundleFolder(): string {
  const parent = path.join(root, 'node_modules', '.cache');
  fs.mkdirSync(parent, { recursive: true });
  return fs.mkdtempSync(path.join(parent, 'evaq-test-'));
}

/** Bundles the module at `entry` (from the root of the project) to `outfile`. */
export async function bundleSource(entry: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [path.join(root, entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    external: ['fs-ext', 'crc-32', 'sorted-btree', '@msgpack/msgpack'],
    // The bundled packages are CommonJS and call require for Node's own modules.
    banner: {
      js: "import { createRequire as evaqCreateRequire } from 'node:module';\nconst require = evaqCreateRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
}
