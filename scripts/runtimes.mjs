// Runs the main calls of evaq, as it is packed, in the runtimes that people have: on Node.js 20.19, 22, 24 and 26, which come as npm packages, in
// the main thread and in workers, by node:test, under Jest and under vitest in each of its pools, with clocks that stand still. Needs a build.
// Where no registry can be reached all of it is skipped, and that is said. `node scripts/runtimes.mjs 24` runs one Node alone.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const NODES = ['20.19', '22', '24', '26'].filter((one) => process.argv.length < 3 || process.argv.includes(one));
const RUNNERS = ['jest@30.5.2', '@sinonjs/fake-timers@15.5.0', `vitest@${devDependencies.vitest}`];
const NO_REGISTRY =
  /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED)\b/;
const INSTALL = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-bin-links', '--fetch-retries=1'];
/** Of one run: only to end one that would hang. */
const TIMEOUT_MS = 60_000;

const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--ci', '--runInBand', '--config'];
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--pool'];
/** By name: the arguments of Node, what its output shows where all is well, and from which Node on that is to be. */
const RUNS = {
  'an ES module': [['plain.mjs'], /^done$/m],
  CommonJS: [['plain.cjs'], /^done$/m],
  'worker threads': [['worker-thread.mjs'], /^done$/m],
  'loaded under a clock that stands still': [['late-clock.mjs'], /^done$/m],
  'what holds the process': [['exits.mjs'], /^done$/m],
  'node:test': [['--test', 'node.test.mjs'], /^(?:#|ℹ) pass 2$/m],
  'Jest, ES modules': [[...jest, 'jest.esm.json'], /^Tests: +3 passed, 3 total$/m],
  'Jest, clocks that stand still from the start': [[...jest, 'jest.clocks.json'], /^Tests: +3 passed, 3 total$/m],
  'Jest, CommonJS that imports it': [[...jest, 'jest.import.json'], /^Tests: +1 passed, 1 total$/m],
  // An older Node cannot link an ES module for `require` in a realm.
  'Jest, CommonJS that requires it': [[...jest, 'jest.cjs.json'], /^Tests: +2 passed, 2 total$/m, 24],
  'vitest, forks': [[...vitest, 'forks', 'vitest'], /^ *Tests +4 passed \(4\)$/m],
  'vitest, threads': [[...vitest, 'threads', 'vitest'], /^ *Tests +4 passed \(4\)$/m],
  'vitest, vmThreads': [[...vitest, 'vmThreads', 'vitest'], /^ *Tests +4 passed \(4\)$/m],
};

const work = mkdtempSync(join(tmpdir(), 'evaq-runtimes-'));
const environment = {
  // What a nested npm would take for its own. Where packages come from is the same for both.
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(?:npm_(?!config_(?:registry|cache)$)|NODE_|VITEST|JEST)/i.test(name),
    ),
  ),
  CI: 'true',
  NO_COLOR: '1',
};
let failures = 0;
try {
  const nodes = install();
  for (const node of nodes) await tryAll(node);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

/** The project that all of it runs in; resolves with the folders of Node, none where there is no registry. */
function install() {
  const [packed] = JSON.parse(npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', work));
  cpSync(join(root, 'scripts/runtimes'), work, { recursive: true });
  writeFileSync(join(work, 'package.json'), JSON.stringify({ name: 'runtimes', version: '1.0.0', private: true }));
  const base = { testEnvironment: 'node', transform: {}, moduleFileExtensions: ['js', 'mjs', 'cjs', 'json', 'node'] };
  const configs = {
    esm: { ...base, testMatch: ['**/esm.jest.mjs'] },
    clocks: { ...base, testMatch: ['**/esm.jest.mjs'], fakeTimers: { enableGlobally: true } },
    cjs: { ...base, testMatch: ['**/cjs.jest.cjs'] },
    import: { ...base, testMatch: ['**/import.jest.cjs'] },
  };
  for (const [name, config] of Object.entries(configs))
    writeFileSync(join(work, `jest.${name}.json`), JSON.stringify(config));
  const package_ = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  try {
    npm(work, ...INSTALL, join(work, packed.filename), ...RUNNERS);
    // Each in a folder of its own: npm would refuse one that is not the other's engine.
    return NODES.map((version) => {
      const dir = join(work, `node-${version}`);
      mkdirSync(dir);
      writeFileSync(join(dir, 'package.json'), '{}');
      npm(dir, ...INSTALL, `${package_}@${version}`);
      return { version, path: join(dir, 'node_modules', package_, 'bin/node') };
    });
  } catch (error) {
    if (!NO_REGISTRY.test(error.message)) throw error;
    console.log('runtimes: no registry can be reached: the runtimes are skipped');
    return [];
  }
}

/** Two at a time. */
async function tryAll({ version, path }) {
  const left = Object.entries(RUNS).filter(([, [, , since = 0]]) => Number.parseInt(version, 10) >= since);
  const lane = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [name, [args, passed]] = next;
      const { code, output } = await run(path, args);
      const isRight = code === 0 && passed.test(output);
      if (!isRight) failures++;
      console.log(`runtimes: Node ${version}: ${name}: ${isRight ? 'ok' : `FAILED (${code})\n${output}`}`);
    }
  };
  await Promise.all([lane(), lane()]);
}

/** Resolves with how it ended and all that it said. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: work, env: environment, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: signal ?? code, output }));
  });
}

function npm(cwd, ...args) {
  const { status, stdout, stderr, error } = spawnSync('npm', args, {
    cwd,
    env: environment,
    encoding: 'utf8',
    timeout: 240_000,
  });
  if (status === 0) return stdout;
  throw new Error(`npm ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}`);
}
