// Runs the bench: makes sure that the library is built and the peers are installed, bundles the bench, and starts it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const args = process.argv.slice(2);
const engine = join(root, 'dist/evaq.js');

if (!existsSync(engine)) {
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')]);
} else if (newest(join(root, 'src')) > statSync(engine).mtimeMs && !args.includes('--engine')) {
  console.error('note: src/ is newer than dist/, which is what is measured; npm run build makes it anew');
}
if (!['--no-peers', '--help', '-h', '--list'].some((flag) => args.includes(flag))) installPeers();

// A folder of its own, so that runs at the same time do not take the ground from under each other.
const bundle = join(here, `dist/run-${process.pid}`);
await build({
  entryPoints: [join(here, 'main.ts'), join(here, 'child.ts')],
  outdir: bundle,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  sourcemap: true,
  logLevel: 'warning',
});
try {
  process.exitCode = run(process.execPath, ['--enable-source-maps', join(bundle, 'main.mjs'), ...args]);
} finally {
  rmSync(bundle, { recursive: true, force: true });
}

/** The peers are optional dependencies: one that cannot be installed is left out by npm, and then by the bench. */
function installPeers() {
  const installed = join(here, 'node_modules/.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(here, 'package-lock.json')).mtimeMs) return;
  console.error('installing the peers into bench/node_modules (a native one may be compiled: some minutes) ...');
  const prefix = join(dirname(process.execPath), '..');
  const headers = existsSync(join(prefix, 'include/node/node.h')) ? { npm_config_nodedir: prefix } : {};
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const flags = ['--prefix', here, '--no-audit', '--no-fund'];
  // npm ci insists on the optional packages of every platform, which not every registry has.
  let status = run(npm, ['ci', ...flags], headers);
  if (status !== 0) status = run(npm, ['install', '--no-package-lock', ...flags], headers);
  if (status !== 0) console.error('the peers could not be installed; going on with those that are there');
}

/** @returns {number} the exit status */
function run(command, parameters, env = {}) {
  const { status, error } = spawnSync(command, parameters, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    shell: command.endsWith('.cmd'),
  });
  if (error !== undefined) console.error(error.message);
  return status ?? 1;
}

/** @returns {number} the time of the newest file in a folder */
function newest(dir) {
  let latest = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) latest = Math.max(latest, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs);
  }
  return latest;
}
