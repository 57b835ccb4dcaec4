// Builds dist/: the library by the TypeScript compiler, file for file, and the CLI as a bundle.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
if (!existsSync(join(root, 'node_modules', 'typescript'))) {
  console.error('evaq: the build needs the development dependencies; run npm ci without --omit=dev');
  process.exit(1);
}
const { buildCli } = await import('./build-cli.mjs');

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

await buildCli(join(root, 'dist/cli'));
