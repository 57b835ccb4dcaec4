// Builds dist/: the library by the TypeScript compiler, file for file, and the CLI as one bundle, so that what only the
// CLI needs (argument parsing, tables, progress bars) stays out of the library's dependencies.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
if (!existsSync(join(root, 'node_modules', 'typescript'))) {
  console.error('evaq: the build needs the development dependencies; run npm ci without --omit=dev');
  process.exit(1);
}
const { build } = await import('esbuild');

rmSync(join(root, 'dist'), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});

// For CommonJS: Node.js requires modules since 20.19, so the entries only pass on what those export. Their types are written once more, as
// TypeScript takes a declaration file for what it stands beside; else `require` would be refused where it works.
const declared = new Set();
const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
for (const { import: entry } of Object.values(entries)) {
  if (entry === undefined) continue;
  const name = basename(entry.default, '.js');
  const common = join(root, entry.default.replace(/\.js$/, '.cjs'));
  writeFileSync(common, `'use strict';\nmodule.exports = require('./${name}.js');\n`);
  declare(join(root, entry.types));
}

function declare(file) {
  if (declared.has(file)) return;
  declared.add(file);
  const text = readFileSync(file, 'utf8');
  const common = text.replaceAll(/(['"])(\.{1,2}\/[^'"]+)\.js\1/g, (_whole, quote, path) => {
    declare(resolve(dirname(file), `${path}.d.ts`));
    return `${quote}${path}.cjs${quote}`;
  });
  writeFileSync(file.replace(/\.d\.ts$/, '.d.cts'), common);
}

const cli = join(root, 'dist/cli/main.js');
await build({
  entryPoints: [join(root, 'src/cli/main.ts')],
  outfile: cli,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  external: [
    'fs-ext',
    'fs-native-extensions',
    'crc-32',
    'sorted-btree',
    '@msgpack/msgpack',
    'prom-client',
    '@nats-io/transport-node',
  ],
  // The bundled packages are CommonJS and call require for Node's own modules.
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as evaqCreateRequire } from 'node:module';\nconst require = evaqCreateRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
chmodSync(cli, 0o755);
