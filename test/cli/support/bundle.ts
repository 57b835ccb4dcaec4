/**
 * Bundles a TypeScript file into one that plain Node runs, for child processes that are to be killed. Written under
 * node_modules/.cache, from where the dependencies resolve.
 */
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

export const projectRoot: string = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** A change to one file of the source while it is bundled; the tree is never touched. */
export interface Plant {
  /** For the name of the bundle. */
  readonly name: string;
  /** The end of the file's path. */
  readonly file: string;
  /** Must occur in it. */
  readonly find: string;
  readonly put: string;
}

export async function bundle(entry: string, plant?: Plant): Promise<string> {
  const folder = join(projectRoot, 'node_modules/.cache/evaq-test');
  mkdirSync(folder, { recursive: true });
  const out = join(folder, `${basename(entry, '.ts')}${plant === undefined ? '' : `-${plant.name}`}.mjs`);
  const draft = `${out}.${process.pid}.mjs`;
  await build({
    entryPoints: [entry],
    outfile: draft,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    external: ['fs-ext', 'fs-native-extensions', 'crc-32', 'sorted-btree', '@msgpack/msgpack', 'prom-client'],
    banner: {
      js: "import { createRequire as evaqCreateRequire } from 'node:module';\nconst require = evaqCreateRequire(import.meta.url);",
    },
    logLevel: 'warning',
    plugins: plant === undefined ? [] : [planting(plant)],
  });
  // Test files that run at the same time make the same bundle.
  renameSync(draft, out);
  return out;
}

function planting({ name, file, find, put }: Plant): Plugin {
  return {
    name,
    setup(builder) {
      let planted = false;
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.endsWith(file)) return undefined;
        const text = readFileSync(path, 'utf8');
        if (!text.includes(find)) throw new Error(`the plant in ${file} has lost its place: ${find}`);
        planted = true;
        return { contents: text.replace(find, () => put), loader: 'ts' };
      });
      builder.onEnd(() => {
        if (!planted) throw new Error(`${file} is not in the bundle`);
      });
    },
  };
}
