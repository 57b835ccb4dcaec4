/** One bundle of the quick tests and the engine, in which every change stands behind a switch, and the tests' runner is `worker/`. */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type { MutatedFile } from './mutants.js';

export async function bundleTests(
  root: string,
  outfile: string,
  tests: readonly string[],
  mutated: readonly MutatedFile[],
): Promise<void> {
  const imports = tests.map((test) => `  ${JSON.stringify(test)}: () => import(${JSON.stringify(`./${test}`)}),`);
  const worker = "import { work } from './mutation/worker/worker.ts';\nimport './test/seeded.ts';\n";
  await build({
    stdin: {
      contents: `${worker}await work({\n${imports.join('\n')}\n});\n`,
      resolveDir: root,
      sourcefile: 'mutation-entry.ts',
    },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    logLevel: 'error',
    plugins: [switches(root, mutated), ownVitest(root)],
  });
}

/** Sources with their switches; and every file knows where it is, though the bundle lies elsewhere. */
function switches(root: string, mutated: readonly MutatedFile[]): Plugin {
  const texts = new Map(mutated.map(({ file, text }) => [`src/${file}`, text]));
  return {
    name: 'switches',
    setup(builder) {
      builder.onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path }) => {
        const name = relative(root, path).replaceAll('\\', '/');
        let text = texts.get(name) ?? readFileSync(path, 'utf8');
        if (text.includes('import.meta.url')) {
          const url = JSON.stringify(pathToFileURL(path).href);
          text = `const ownUrl = ${url};\n${text.replaceAll('import.meta.url', 'ownUrl')}`;
        }
        // A test file's tests bear its name.
        if (name.endsWith('.test.ts')) text = text.replaceAll("from 'vitest'", `from 'vitest:${name}'`);
        return { contents: text, loader: 'ts' };
      });
    },
  };
}

function ownVitest(root: string): Plugin {
  const shim = join(root, 'mutation/worker/vitest.ts');
  return {
    name: 'own-vitest',
    setup(builder) {
      builder.onResolve({ filter: /^vitest$/ }, () => ({ path: shim }));
      builder.onResolve({ filter: /^vitest:/ }, ({ path }) => ({
        path: path.slice('vitest:'.length),
        namespace: 'vitest',
      }));
      builder.onLoad({ filter: /./, namespace: 'vitest' }, ({ path }) => ({
        contents: [
          `import { inFile } from ${JSON.stringify(shim)};`,
          `export { afterAll, expect, onTestFinished, vi } from ${JSON.stringify(shim)};`,
          `export const { describe, it, test, beforeEach, afterEach, beforeAll } = inFile(${JSON.stringify(path)});`,
        ].join('\n'),
        resolveDir: root,
        loader: 'ts',
      }));
    },
  };
}
