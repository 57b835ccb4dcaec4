// Packs evaq and uses the tarball as its users do: what attw and publint say of it, and fresh projects, installed by npm without scripts and by
// pnpm, that push, pop and close as ES modules, as CommonJS, as bundles; the examples; and TypeScript in every module resolution. Needs a build. Where no
// registry can be reached the fresh projects are skipped, and that is said.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { build } from 'esbuild';
import { publint } from 'publint';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const PNPM = 'pnpm@10.34.9';
const NO_REGISTRY =
  /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED)\b/;
/** The default waits for minutes for a registry that is not there. */
const FEW_RETRIES = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=2000'];
/** Of one command: only to end one that would hang. */
const TIMEOUT_MS = 300_000;

/** What every program does, and prints when it is done. */
const USE = `
async function use(dir) {
  const evaq = await Evaq.open(dir);
  if (typeof registerMetrics !== 'function' || typeof instrument !== 'function' || typeof forward !== 'function') throw new Error('no entries');
  const sinks = [kafkaSink, mqttSink, natsSink, postgresSink, rabbitmqSink, redisSink, s3Sink];
  if (sinks.some((sink) => typeof sink !== 'function')) throw new Error('no sinks');
  await forward(evaq.wal, httpSink({ url: 'http://127.0.0.1:9/' })).stop();
  const id = await evaq.wal.push('text');
  const record = await evaq.wal.pop(id);
  await evaq.close();
  const reader = await ReadOnlyEvaq.open(dir);
  await reader.close();
  console.log(record.payload.toString(), new SimDisk({ seed: 1 }).steps);
}
`;
const SAID = 'text 0';
const ESM = `import { Evaq } from 'evaq';\nimport { ReadOnlyEvaq } from 'evaq/raw';\nimport { SimDisk } from 'evaq/sim';\nimport { registerMetrics } from 'evaq/prometheus';\nimport { instrument } from 'evaq/otel';\nimport { forward } from 'evaq/forward';\nimport { httpSink } from 'evaq/forward/http';\nimport { kafkaSink } from 'evaq/forward/kafka';\nimport { mqttSink } from 'evaq/forward/mqtt';\nimport { natsSink } from 'evaq/forward/nats';\nimport { postgresSink } from 'evaq/forward/postgres';\nimport { rabbitmqSink } from 'evaq/forward/rabbitmq';\nimport { redisSink } from 'evaq/forward/redis';\nimport { s3Sink } from 'evaq/forward/s3';\n${USE}\nawait use(process.argv[2]);\n`;
const CJS = `const { Evaq } = require('evaq');\nconst { ReadOnlyEvaq } = require('evaq/raw');\nconst { SimDisk } = require('evaq/sim');\nconst { registerMetrics } = require('evaq/prometheus');\nconst { instrument } = require('evaq/otel');\nconst { forward } = require('evaq/forward');\nconst { httpSink } = require('evaq/forward/http');\nconst { kafkaSink } = require('evaq/forward/kafka');\nconst { mqttSink } = require('evaq/forward/mqtt');\nconst { natsSink } = require('evaq/forward/nats');\nconst { postgresSink } = require('evaq/forward/postgres');\nconst { rabbitmqSink } = require('evaq/forward/rabbitmq');\nconst { redisSink } = require('evaq/forward/redis');\nconst { s3Sink } = require('evaq/forward/s3');\n${USE}\nuse(process.argv[2]);\n`;
const TYPED = `import { Evaq, EvaqError, type EvaqOptions, type QueueRecord } from 'evaq';
import { ReadOnlyEvaq } from 'evaq/raw';
import { SimDisk } from 'evaq/sim';
import { registerMetrics, type MetricsOptions } from 'evaq/prometheus';
import { instrument, type InstrumentOptions } from 'evaq/otel';
import { forward, type Sink } from 'evaq/forward';
import { httpSink, type HttpSinkOptions } from 'evaq/forward/http';
import { kafkaSink } from 'evaq/forward/kafka';
import { mqttSink } from 'evaq/forward/mqtt';
import { natsSink } from 'evaq/forward/nats';
import { postgresSink } from 'evaq/forward/postgres';
import { rabbitmqSink } from 'evaq/forward/rabbitmq';
import { redisSink } from 'evaq/forward/redis';
import { s3Sink } from 'evaq/forward/s3';
/** A sink that is there. */
export const sinkOf = (options: HttpSinkOptions): Sink => httpSink(options);
export const begin = (evaq: Evaq, sink: Sink): Promise<void> => forward(evaq.wal, sink).drained();
export const sinks = [kafkaSink, mqttSink, natsSink, postgresSink, rabbitmqSink, redisSink, s3Sink];
/** With what the caller has. */
export function observe(evaq: Evaq, metrics: MetricsOptions, traces: InstrumentOptions): (() => void)[] {
  return [registerMetrics(evaq, metrics), instrument(evaq, traces)];
}
const options: EvaqOptions = { create: true, lockTimeoutMs: 1 };
export async function use(dir: string): Promise<string> {
  const evaq: Evaq = await Evaq.open(dir, options);
  const record: QueueRecord = await evaq.wal.pop(await evaq.wal.push('text'));
  await evaq.close();
  const reader: ReadOnlyEvaq = await ReadOnlyEvaq.open(dir);
  await reader.close();
  const disk: SimDisk = new SimDisk({ seed: 1 });
  // @ts-expect-error: so that a package without types is found out.
  const wrong: number = await evaq.wal.push(new EvaqError('EVAQ_IO', ''));
  return record.payload.toString() + disk.steps + wrong;
}
`;
/** Each with the kinds of file that it tells apart. */
const RESOLUTIONS = [
  { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0', files: ['typed.ts'] },
  { module: 'node16', moduleResolution: 'node16', files: ['typed.mts', 'typed.cts'] },
  { module: 'nodenext', moduleResolution: 'nodenext', files: ['typed.mts', 'typed.cts'] },
  { module: 'esnext', moduleResolution: 'bundler', files: ['typed.ts'] },
];

let failures = 0;
const work = mkdtempSync(join(tmpdir(), 'evaq-package-'));
try {
  const tarball = pack();
  await step('publint', () => lintPackage(tarball));
  await step('attw', () => checkTypes(tarball));
  await checkProjects(tarball);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

async function step(what, check) {
  try {
    await check();
    console.log(`check-package: ${what}: ok`);
  } catch (error) {
    failures++;
    console.log(`check-package: ${what}: FAILED\n${error.message}`);
  }
}

function pack() {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', work));
  for (const file of ['dist/evaq.js', 'dist/evaq.cjs', 'dist/cli/main.js', 'README.md', 'LICENSE'])
    if (!packed.files.some(({ path }) => path === file)) throw new Error(`${file} is not in the package: is it built?`);
  return join(work, packed.filename);
}

async function lintPackage(tarball) {
  const bytes = readFileSync(tarball);
  const { messages } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer }, strict: true });
  if (messages.length > 0) throw new Error(JSON.stringify(messages, null, 2));
}

async function checkTypes(tarball) {
  const { types, problems } = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(tarball))));
  if (types === false || problems.length > 0) throw new Error(JSON.stringify({ types, problems }, null, 2));
}

async function checkProjects(tarball) {
  const npm = newProject('npm');
  try {
    const types = `@types/node@${devDependencies['@types/node']}`;
    run(npm, 'npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', ...FEW_RETRIES, tarball, types);
  } catch (error) {
    if (!NO_REGISTRY.test(error.message)) throw error;
    console.log('check-package: no registry can be reached: what needs fresh projects is skipped');
    return;
  }
  for (const program of ['program.mjs', 'program.cjs'])
    await step(`npm without scripts, ${program}`, () => expectUse(npm, program));
  await step('the command line', () => expectCommand(npm));
  await step('the examples', () => expectExamples(npm));
  for (const format of ['cjs', 'esm']) await step(`a bundle by esbuild, ${format}`, () => expectBundle(npm, format));
  for (const resolution of RESOLUTIONS)
    await step(`TypeScript, ${resolution.moduleResolution}`, () => expectTypes(npm, resolution));
  const pnpm = newProject('pnpm');
  await step('pnpm installs it', () => run(pnpm, 'npx', '--yes', PNPM, 'add', '--ignore-scripts', tarball));
  for (const program of ['program.mjs', 'program.cjs']) await step(`pnpm, ${program}`, () => expectUse(pnpm, program));
}

/** With all the sources, and nothing installed. */
function newProject(name) {
  const dir = join(work, name);
  mkdirSync(dir);
  const files = { 'program.mjs': ESM, 'program.cjs': CJS, 'typed.ts': TYPED, 'typed.mts': TYPED, 'typed.cts': TYPED };
  files['package.json'] = JSON.stringify({ name, version: '1.0.0', private: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
  return dir;
}

function expectUse(project, program) {
  const said = run(project, process.execPath, program, join(project, `store-of-${basename(program)}`)).trim();
  if (said !== SAID) throw new Error(`${program} said ${JSON.stringify(said)}`);
}

function expectCommand(project) {
  const evaq = join(project, 'node_modules/.bin/evaq');
  const store = join(project, 'store-of-the-command');
  // One record a line of its input.
  runWith('text\n', project, evaq, 'push', store);
  const said = run(project, evaq, 'cat', store).trim();
  if (said !== 'text') throw new Error(`evaq cat said ${JSON.stringify(said)}`);
}

/** Each as its readers run it: copied out of the package. What needs a server, or goes on until it is stopped, has tests of its own. */
function expectExamples(project) {
  const packed = join(project, 'node_modules/evaq/examples');
  const examples = readdirSync(packed).filter((name) => name.endsWith('.mjs') && name !== 'outbox.mjs');
  if (examples.length < 8) throw new Error(`only ${examples.join(', ')}`);
  for (const example of examples) {
    copyFileSync(join(packed, example), join(project, example));
    if (run(project, process.execPath, example).trim() === '') throw new Error(`${example} said nothing`);
  }
}

async function expectBundle(project, format) {
  const outfile = join(project, `bundle-${format}.${format === 'cjs' ? 'cjs' : 'mjs'}`);
  await build({
    entryPoints: [join(project, format === 'cjs' ? 'program.cjs' : 'program.mjs')],
    outfile,
    bundle: true,
    platform: 'node',
    format,
    external: ['fs-native-extensions'],
    logLevel: 'error',
  });
  expectUse(project, basename(outfile));
}

function expectTypes(project, { files, ...resolution }) {
  const config = `tsconfig.${resolution.moduleResolution}.json`;
  const compilerOptions = {
    ...resolution,
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
  };
  writeFileSync(join(project, config), JSON.stringify({ compilerOptions, files }));
  run(project, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', config);
}

function run(cwd, command, ...args) {
  return runWith('', cwd, command, ...args);
}

function runWith(input, cwd, command, ...args) {
  // A nested npm would take the settings of the one that runs this for its own. Where packages come from is the same for both.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(?!config_(?:registry|cache)$)/i.test(name)),
  );
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    input,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  if (status === 0) return stdout;
  const line = `${basename(command)} ${args.join(' ')}`;
  throw new Error(`${line}: ${error?.message ?? signal ?? `exit ${status}`}\n${stdout}${stderr}`);
}
