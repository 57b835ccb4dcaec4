// Bundles the CLI, so that what only the CLI needs (argument parsing, tables, progress bars) stays out of the library's dependencies. It is in parts, so
// that a command starts without what only others need; `test/cli/start.test.ts` holds every command to that. `node scripts/build-cli.mjs FOLDER`.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { planPacks } from './cli-packs.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const MAIN = 'src/cli/main.ts';

/** What is loaded when something of it is used: commands that have the engine that writes mostly do without. */
const LAZY = [
  'src/delivery/delivery.ts',
  'src/delivery/delivery-options.ts',
  'src/delivery/invocation.ts',
  'src/frame/metadata.ts',
  'src/gc/copier.ts',
  'src/gc/gc-plan.ts',
  'src/log/live-bytes-count.ts',
  'src/log/segment-walk.ts',
  'src/queue/limited-pushes.ts',
  'src/queue/record-expiry.ts',
  'src/raw/raw-segment.ts',
  'src/raw/read-only-evaq.ts',
  'src/raw/repair-store-file.ts',
  'src/raw/verify.ts',
  'src/store/backup.ts',
  'src/store/deliveries.ts',
  'src/store/letter-calls.ts',
  'src/store/links.ts',
  'src/store/move-many.ts',
];
/** What those need and others do as well: cut off, so that it is not lazy with them. */
const CUT = ['src/frame/commit-builder.ts', 'src/queue/push-line.ts'];
/** Parts of Node that take a millisecond or more to load, likewise. */
const LAZY_IN_NODE = ['node:crypto', 'node:worker_threads', 'node:zlib'];

const COMMON = {
  absWorkingDir: root,
  bundle: true,
  write: false,
  platform: 'node',
  target: 'node20.19',
  external: ['fs-ext', 'fs-native-extensions', 'prom-client', '@nats-io/transport-node'],
  logLevel: 'warning',
};

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
 * In two steps: bundled as modules, which can be cut into parts, and the parts put together for CommonJS, which Node starts in two thirds of the time.
 * The libraries are in it, those that the engine depends on, too: to look for many small files takes longer than to run them. What is native, or the
 * user's, stays outside.
 */
export async function buildCli(folder) {
  const { outputFiles, metafile } = await build({
    ...COMMON,
    entryPoints: [MAIN, ...LAZY, ...CUT],
    outdir: 'cli',
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    splitting: true,
    metafile: true,
    format: 'esm',
    // What is never run is known before it is cut into parts.
    minifySyntax: true,
    mainFields: ['module', 'main'],
    plugins: [withoutProcesses],
  });
  const texts = new Map(outputFiles.map(({ path, text }) => [basename(path), text]));
  const packs = packsOf(metafile.outputs);
  mkdirSync(join(folder, 'parts'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  await Promise.all(
    packs.map(async (pack) => {
      const isMain = pack.file === 'main.js';
      const code = await packed(pack, packs, texts);
      writeFileSync(join(folder, isMain ? '' : 'parts', pack.file), isMain ? `#!/usr/bin/env node\n${code}` : code);
    }),
  );
  chmodSync(join(folder, 'main.js'), 0o755);
}

/** Each with the name of its file, and by what name it exports what the parts in it do. */
function packsOf(byPath) {
  const outputs = {};
  for (const [path, { imports, ...rest }] of Object.entries(byPath)) {
    outputs[basename(path)] = { ...rest, imports: imports.map((one) => ({ ...one, path: basename(one.path) })) };
  }
  return planPacks(outputs, 'main.js', LAZY).map(({ names, isLazy }) => {
    const isChunk = (name) => name.startsWith('chunk-');
    // What is loaded by `import()` keeps its names; it is the only such in its pack.
    const ordered = [...names.filter((name) => !isChunk(name)), ...names.filter(isChunk)];
    const taken = new Set();
    const exports = new Map();
    for (const [i, name] of ordered.entries()) {
      exports.set(name, new Map(outputs[name].exports.map((own) => [own, taken.has(own) ? `${own}$${i}` : own])));
      for (const alias of exports.get(name).values()) taken.add(alias);
    }
    return { file: ordered[0], isLazy, exports };
  });
}

/** The parts of a pack as one CommonJS module. */
async function packed(pack, packs, texts) {
  const { outputFiles } = await build({
    ...COMMON,
    entryPoints: ['pack'],
    outdir: 'cli',
    format: 'cjs',
    // Names stay: they are what a stack trace tells.
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [packing(pack, packs, texts)],
    logOverride: { 'empty-import-meta': 'silent', 'ignored-bare-import': 'silent' },
  });
  const lazyFiles = packs.filter(({ isLazy }) => isLazy).map(({ file }) => file);
  const code = outputFiles[0].text
    // What the parts have of each other is got by a getter of each name. A copy of those, made for strangers, asks by a name that it has to look up: in a
    // loop over records that is a fifth of the time.
    .replace(/\bmodule\.exports=__toCommonJS\((\w+)\)/, 'module.exports=$1')
    // Of what is the user's, which may be a module, `import` stays.
    .replaceAll(/\bimport\(("\.[^"]+")\)/g, 'Promise.resolve().then(()=>require($1))');
  return withLazy(
    code,
    (from) => LAZY_IN_NODE.includes(from) || lazyFiles.includes(from.replace(/^\.\/(parts\/)?/, '')),
  );
}

function packing(pack, packs, texts) {
  const prefix = pack.file === 'main.js' ? './parts/' : './';
  const packOf = (part) => packs.find(({ exports }) => exports.has(part));
  const names = (part) => [...packOf(part).exports.get(part)];
  return {
    name: 'packing',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^pack$/ }, () => ({ path: pack.file, namespace: 'pack' }));
      onResolve({ filter: /^\.\// }, ({ path, kind, namespace }) => {
        const part = basename(path);
        const other = packOf(part);
        if (namespace === 'bridge') return { path: prefix + part, external: true };
        if (kind === 'dynamic-import') return { path: prefix + other.file, external: true };
        return { path: part, namespace: other === pack ? 'part' : 'bridge', sideEffects: other === pack };
      });
      onLoad({ filter: /./, namespace: 'pack' }, () => ({
        contents: [...pack.exports.keys()]
          .map((part) => {
            const list = names(part).map(([own, alias]) => `${own} as ${alias}`);
            return `import "./${part}";export {${list.join(',')}} from "./${part}";`;
          })
          .join('\n'),
      }));
      onLoad({ filter: /./, namespace: 'part' }, ({ path }) => ({ contents: texts.get(path) }));
      onLoad({ filter: /./, namespace: 'bridge' }, ({ path }) => {
        const list = names(path).map(([own, alias]) => `${alias} as ${own}`);
        return { contents: `export {${list.join(',')}} from "./${packOf(path).file}";` };
      });
    },
  };
}

/** `code` where what `isLazy` says is loaded by who uses it first. */
function withLazy(code, isLazy) {
  const loads = [];
  let lazy = code.replaceAll(
    /\b(import_\w+)=((?:__toESM\()?require\("([^"]+)"\)\)?)(?=[,;])/g,
    (all, name, load, from) => {
      if (!isLazy(from)) return all;
      loads.push([name, load]);
      return `${name}$`;
    },
  );
  for (const [name] of loads) lazy = lazy.replaceAll(new RegExp(`\\b${name}\\.`, 'g'), `(${name}()).`);
  return lazy + loads.map(([name, load]) => `function ${name}(){return ${name}$??=${load}}`).join('');
}

const [, script = '', to] = process.argv;
if (to !== undefined && resolve(script) === fileURLToPath(import.meta.url)) await buildCli(resolve(to));
