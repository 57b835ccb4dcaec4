/**
 * The bench: reads its options, runs the rows one after the other, prints as it goes, and leaves a report and a chart.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { compare } from './harness/baseline.js';
import { type BenchReport, REPORT_FORMAT, readReport } from './harness/bench-report.js';
import { describeMachine, type Machine } from './harness/machine.js';
import { buildOlder } from './harness/older-version.js';
import { type CaseResult, runCase } from './harness/run-case.js';
import { SCALES, type ScaleName } from './harness/scale.js';
import { sideBySide } from './harness/side-by-side.js';
import { machineLine } from './report/chart-frame.js';
import { drawGrowth } from './report/growth-chart.js';
import { mergeReports, publish } from './report/publish.js';
import { publishGrowth, readGrowth } from './report/publish-growth.js';
import { drawRates } from './report/rate-charts.js';
import { changesText, goalsText, machineText, referenceText, rowText, sideBySideText } from './report/text-report.js';
import { ALL_ROWS, rowNamed } from './rows/all-rows.js';
import { type GrowthPoint, measureGrowth } from './rows/growth.js';

/** The folder of the bundle that this is: `bench/dist/run-<pid>`. */
const HERE = fileURLToPath(new URL('.', import.meta.url));
const BENCH = join(HERE, '../..');
const GROWTH_MAX = 10_000_000;

interface Options {
  readonly only?: string[];
  readonly size: ScaleName;
  readonly quick?: true;
  readonly peers: boolean;
  readonly dir: string;
  readonly out: string;
  readonly engine: string;
  readonly baseline?: string;
  readonly compare?: string;
  readonly growth?: number | true;
  readonly cpuProf?: string;
  readonly list?: true;
  readonly publish?: string[];
}

async function main(): Promise<void> {
  const options = parseOptions();
  if (options.list === true) {
    for (const row of ALL_ROWS) console.log(`${row.name.padEnd(18)} ${row.title}`);
    return;
  }
  if (options.publish !== undefined) {
    await publishAll(options.publish);
    return;
  }
  const scale = SCALES[options.quick === true ? 'quick' : options.size];
  const rows = options.only === undefined ? ALL_ROWS : options.only.map(rowNamed);
  const before = options.baseline === undefined ? undefined : readReport(options.baseline);
  if (before !== undefined && before.scale !== scale.name) {
    throw new Error(`${options.baseline} is of size ${before.scale}, this run of size ${scale.name}`);
  }
  const started = performance.now();
  const dir = join(resolve(options.dir), `bench-${process.pid}`);
  mkdirSync(dir, { recursive: true });
  mkdirSync(options.out, { recursive: true });
  process.once('SIGINT', () => {
    rmSync(dir, { recursive: true, force: true });
    process.exit(130);
  });
  try {
    const machine = describeMachine(dir, scale.name === 'smoke' ? 20 : 1000);
    console.log(machineText(machine));
    if (/^(tmpfs|ramfs|type 0x1021994)$/.test(machine.fileSystem)) {
      console.log('That is memory, not a disk: durable figures mean nothing here. Use --dir.');
    }
    const name = machine.at.replaceAll(':', '').slice(0, 17);
    const common = { engine: resolve(options.engine), dir };
    if (options.growth !== undefined) {
      const recordsMax = options.growth === true ? GROWTH_MAX : options.growth;
      await runGrowth(machine, join(options.out, `growth-${name}`), {
        ...common,
        recordsMax,
        roundMs: scale.roundMs,
        rounds: scale.rounds,
      });
      return;
    }

    const older =
      options.compare === undefined ? undefined : buildOlder(options.compare, join(BENCH, '..'), join(dir, 'older'));
    const cases: CaseResult[] = [];
    for (const row of rows) {
      const results: CaseResult[] = [];
      const rowStarted = performance.now();
      for (const caseIndex of row.cases(scale).keys()) {
        const result = await runCase(row, caseIndex, {
          ...common,
          scale,
          peers: options.peers,
          older,
          cpuProfDir: options.cpuProf === undefined ? undefined : resolve(options.cpuProf),
        });
        results.push(result);
      }
      cases.push(...results);
      console.log(`${rowText(row, results)}\n(${((performance.now() - rowStarted) / 1000).toFixed(1)} s)`);
    }
    const report: BenchReport = {
      format: REPORT_FORMAT,
      machine,
      scale: scale.name,
      rounds: scale.rounds,
      seconds: Math.round((performance.now() - started) / 1000),
      versions: versions(),
      cases,
    };
    console.log(goalsText(rows, report));
    console.log(referenceText());
    reportAbsent(cases);
    if (before !== undefined) console.log(changesText(compare(rows, report, before), options.baseline ?? ''));
    if (older !== undefined) console.log(sideBySideText(sideBySide(rows, report, older.name), older.name));
    const path = join(options.out, `${scale.name}-${name}`);
    writeFileSync(`${path}.json`, `${JSON.stringify(report, undefined, 1)}\n`);
    const charts = await drawRates(report);
    for (const { name: subject, svg } of charts) writeFileSync(`${path}-${subject}.svg`, svg);
    const drawn =
      charts.length === 0 ? ' (no charts: nothing to compare with, or what draws is not installed)' : `, ${path}-*.svg`;
    console.log(`\n${report.seconds} s; ${path}.json${drawn}`);
    if (cases.some((one) => Object.values(one.absent).some((reason) => reason.startsWith('failed'))))
      process.exitCode = 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function parseOptions(): Options {
  const count = (text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 1000) throw new InvalidArgumentError('a count from 1000 up');
    return value;
  };
  const command = new Command('bench')
    .description('Measures evaq against the disk it writes to, and against LMDB, LevelDB and SQLite.')
    .option('--only <row...>', 'run these rows only (see --list)')
    .addOption(new Option('--size <size>', 'how much is done').choices(['smoke', 'quick', 'full']).default('full'))
    .option('--quick', 'the same as --size quick: everything in a few minutes')
    .option('--no-peers', 'ours and the device only; installs nothing')
    .option('--dir <folder>', 'where to write: the disk that is measured', join(BENCH, 'dist/scratch'))
    .option('--out <folder>', 'where reports and charts go', join(BENCH, 'dist/results'))
    .option('--engine <file>', 'another build of the library', join(BENCH, '../dist/evaq.js'))
    .option('--baseline <file>', 'compare with the report of an earlier run')
    .option('--compare <revision>', 'build another revision of evaq, as git knows it, and let the two take turns')
    .option('--growth [records]', 'instead of the rows: how cost grows with the backlog, up to so many records', count)
    .option('--cpu-prof <folder>', 'leave CPU profiles of our processes there')
    .option(
      '--publish <report...>',
      'instead of the rows: put the figures of these reports into bench/README.md and bench/published',
    )
    .option('--list', 'name the rows');
  command.parse();
  return command.opts<Options>();
}

/** Reports of rows go into one table; of growth the last counts. */
async function publishAll(paths: readonly string[]): Promise<void> {
  const reports: string[] = [];
  for (const path of paths) {
    const growth = readGrowth(path);
    if (growth === undefined) reports.push(path);
    else await publishGrowth(growth, BENCH);
  }
  if (reports.length > 0) await publish(ALL_ROWS, mergeReports(reports.map(readReport)), BENCH);
}

async function runGrowth(
  machine: Machine,
  path: string,
  options: Omit<Parameters<typeof measureGrowth>[0], 'onPoint'>,
): Promise<void> {
  const points: GrowthPoint[] = await measureGrowth({
    ...options,
    onPoint: (point) =>
      console.log(
        Object.entries(point)
          .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
          .join('  '),
      ),
  });
  writeFileSync(`${path}.json`, `${JSON.stringify({ machine, points }, undefined, 1)}\n`);
  const chart = await drawGrowth(points, machineLine(machine));
  if (chart !== undefined) writeFileSync(`${path}.svg`, chart);
  console.log(`${path}.json${chart === undefined ? '' : `, ${path}.svg`}`);
}

/** Each missing contender once, with its reason. */
function reportAbsent(cases: readonly CaseResult[]): void {
  const reasons = new Map<string, string>();
  for (const { absent } of cases) for (const [name, reason] of Object.entries(absent)) reasons.set(name, reason);
  for (const [name, reason] of reasons) console.log(`left out: ${name} (${reason})`);
}

/** Versions of the library and of what `bench/package.json` pins. */
function versions(): Record<string, string> {
  const read = (path: string): Record<string, unknown> => {
    const parsed: Record<string, unknown> = JSON.parse(readFileSync(join(BENCH, path), 'utf8'));
    return parsed;
  };
  const found: Record<string, string> = { evaq: String(read('../package.json')['version']) };
  for (const group of ['dependencies', 'optionalDependencies']) {
    Object.assign(found, read('package.json')[group]);
  }
  return found;
}

await main();
