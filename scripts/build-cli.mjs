// Bundles the CLI, so that what only the CLI needs (argument parsing, tables, progress bars) stays out of the library's dependencies. It is in parts, so
// that a command starts without what only others need; `test/cli/start.test.ts` holds every command to that. `node scripts/build-cli.mjs FOLDER`.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The parser of arguments can start programs for subcommands, which this one has none of; Node's part for that is not loaded for it. */
const withoutProcesses = {
  name: 'without-processes',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:child_process$/ }, ({ importer }) => {
      return /[\\/]commander[\\/]/.test(importer) ? { path: 'none', namespace: 'processes' } : undefined;
    });
    onLoad({ filter: /./, namespace: 'processes' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/**
 * In two steps: bundled as modules, which can be cut into parts, and each part rewritten for CommonJS, which Node starts in two thirds of the time.
 * The libraries are in it, those that the engine depends on, too: to look for many small files takes longer than to run them. What is native, or the
 * user's, stays outside.
 */
export async function buildCli(folder) {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'src/cli/main.ts')],
    outdir: folder,
    chunkNames: 'parts/[name]-[hash]',
    splitting: true,
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    mainFields: ['module', 'main'],
    external: ['fs-ext', 'fs-native-extensions', 'prom-client', '@nats-io/transport-node'],
    plugins: [withoutProcesses],
    logLevel: 'warning',
  });
  mkdirSync(join(folder, 'parts'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  for (const { path, text } of outputFiles) {
    const isMain = path === join(folder, 'main.js');
    const { code } = await transform(text, {
      format: 'cjs',
      platform: 'node',
      target: 'node20.19',
      // Names stay: they are what a stack trace tells.
      minifyWhitespace: true,
      minifySyntax: true,
      logOverride: { 'empty-import-meta': 'silent' },
    });
    // What the parts have of each other is got by a getter of each name. A copy of those, made for strangers, asks by a name that it has to look up: in
    // a loop over records that is a fifth of the time.
    const direct = code.replace(/\bmodule\.exports=__toCommonJS\((\w+)\)/, 'module.exports=$1');
    // Of what is the user's, which may be a module, `import` stays.
    const common = direct.replaceAll(/\bimport\(("\.[^"]+")\)/g, 'Promise.resolve().then(()=>require($1))');
    writeFileSync(path, isMain ? `#!/usr/bin/env node\n${common}` : common);
  }
  chmodSync(join(folder, 'main.js'), 0o755);
}

const [, script = '', to] = process.argv;
if (to !== undefined && resolve(script) === fileURLToPath(import.meta.url)) await buildCli(resolve(to));
