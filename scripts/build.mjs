// Builds dist/: the library by the TypeScript compiler, file for file, and the CLI as one bundle, so that what only the
// CLI needs (argument parsing, tables, progress bars) stays out of the library's dependencies.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

const cli = join(root, 'dist/cli/main.js');
await build({
  entryPoints: [join(root, 'src/cli/main.ts')],
  outfile: cli,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  external: ['fs-ext', 'crc-32', 'sorted-btree', '@msgpack/msgpack'],
  // The bundled packages are CommonJS and call require for Node's own modules.
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as evaqCreateRequire } from 'node:module';\nconst require = evaqCreateRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
chmodSync(cli, 0o755);
