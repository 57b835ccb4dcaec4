/**
 * Puts reports where readers look: the tables of `bench/README.md` and of README, and beside them the charts and the figures that a later run compares itself
 * with. Reports of one machine and one size can be published together, each with rows of its own.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchReport } from '../harness/bench-report.js';
import { figure, pairedRatio } from '../harness/goal.js';
import type { Row } from '../harness/row.js';
import type { CaseResult } from '../harness/run-case.js';
import { SCALES } from '../harness/scale.js';
import { putBetween } from './marked-place.js';
import { digits, microseconds, short } from './number-text.js';
import { drawRates, type RateChart } from './rate-charts.js';
import { readmeSpeed } from './readme-speed.js';
import { machineText } from './text-report.js';

/** One report out of several. Of a case that several have, the one given last counts. Throws where they do not belong together. */
export function mergeReports(reports: readonly BenchReport[]): BenchReport {
  const [first] = reports;
  if (first === undefined) throw new RangeError('there is no report to publish');
  const byName = new Map<string, CaseResult>();
  for (const { machine, scale, cases } of reports) {
    if (machine.cpu !== first.machine.cpu || machine.node !== first.machine.node || scale !== first.scale) {
      throw new Error('the reports are of different machines, versions of Node, or sizes');
    }
    for (const one of cases) byName.set(`${one.row}: ${one.label}`, one);
  }
  return {
    ...first,
    seconds: reports.reduce((sum, { seconds }) => sum + seconds, 0),
    cases: [...byName.values()],
  };
}

/**
 * Writes `README.md` and, in `published`, `report.json` and the pictures, all in `bench`, the folder of the bench; and the table of the README beside that
 * folder, if there is one. The goals are judged anew, as they are worded now. Resolves with the report as it is published.
 */
export async function publish(rows: readonly Row[], measured: BenchReport, bench: string): Promise<BenchReport> {
  const report = judged(rows, measured);
  const folder = join(bench, 'published');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report)}\n`);
  const charts = await drawRates(report);
  for (const { name, svg } of charts) writeFileSync(join(folder, `rates-${name}.svg`), svg);
  putBetween(join(bench, 'README.md'), 'results', resultsText(rows, report, charts));
  const readme = join(bench, '../README.md');
  const speed = readmeSpeed(report);
  if (speed !== undefined && existsSync(readme)) {
    putBetween(readme, 'speed', [speed, ...picturesText(charts, 'bench/published')].join('\n\n'));
  }
  return report;
}

/** The same figures under the goals of today; those that cannot be judged any more stay out. */
export function judged(rows: readonly Row[], report: BenchReport): BenchReport {
  const cases = report.cases.map((result) => {
    const all = rows.find(({ name }) => name === result.row)?.cases(SCALES[report.scale]);
    const one = all?.find(({ label }) => label === result.label);
    return one === undefined
      ? result
      : { ...result, goals: one.goals.flatMap((goal) => goal(result.contenders) ?? []) };
  });
  return { ...report, cases };
}

function picturesText(charts: readonly RateChart[], folder: string): string[] {
  return charts.map(({ name, alt }) => `![${alt}](${folder}/rates-${name}.svg)`);
}

/** The results as Markdown. */
export function resultsText(rows: readonly Row[], report: BenchReport, charts: readonly RateChart[]): string {
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  const parts = [
    `\`\`\`\n${machineText(report.machine)}\nsize ${report.scale}, ${report.rounds} rounds, ${Math.round(report.seconds / 60)} min\n${versions.join(', ')}\n\`\`\``,
    ...picturesText(charts, 'published'),
  ];
  for (const row of rows) {
    const results = report.cases.filter((one) => one.row === row.name);
    if (results.length > 0) parts.push(`### ${row.title}\n\n\`${row.name}\`\n\n${rowTable(row, results)}`);
  }
  parts.push(`### Goals\n\n${goalsTable(report)}`);
  return parts.join('\n\n');
}

function rowTable(row: Row, results: readonly CaseResult[]): string {
  const { metric, unit, better } = row.primary;
  const lines = [
    [
      'case',
      'contender',
      'ours is',
      metric === 'rate' ? row.unit : `${metric}, ${unit}`,
      'p50',
      'p99',
      'p99.9',
      'max',
      'more',
    ],
  ];
  for (const result of results) {
    const names = Object.keys(result.contenders);
    const ours = result.contenders[names[0] ?? ''];
    for (const [at, name] of names.entries()) {
      const measured = result.contenders[name];
      const theirs = figure(measured, metric);
      if (measured === undefined || theirs === undefined) continue;
      const paired = pairedRatio(ours, measured, metric) ?? Number.NaN;
      const { latency } = measured;
      const times = latency === undefined ? [] : [latency.p50, latency.p99, latency.p999, latency.max];
      const more = Object.entries(measured.metrics).filter(([key]) => key !== metric);
      lines.push([
        at === 0 ? result.label : '',
        at === 0 ? `**${name}**` : name,
        at === 0 ? '' : `${digits(better === 'higher' ? paired : 1 / paired)} ×`,
        short(theirs.median),
        ...Array.from({ length: 4 }, (_, i) => (times[i] === undefined ? '' : microseconds(times[i]))),
        more.map(([key, { median }]) => `${key} ${short(median)}`).join(', '),
      ]);
    }
  }
  return markdown(lines);
}

function goalsTable({ cases }: BenchReport): string {
  const lines = [['', 'goal', 'reached', 'row', 'case']];
  let met = 0;
  for (const { row, label, goals } of cases) {
    for (const goal of goals) {
      if (goal.met) met++;
      lines.push([goal.met ? 'met' : `missed (${digits(goal.share)})`, goal.text, digits(goal.reached), row, label]);
    }
  }
  return `${met} of ${lines.length - 1} met.\n\n${markdown(lines)}`;
}

/** Columns that are empty throughout are left out. */
function markdown(lines: readonly (readonly string[])[]): string {
  const [head = []] = lines;
  const kept = head.map((_, column) => column).filter((column) => lines.slice(1).some((line) => line[column] !== ''));
  const row = (line: readonly string[]): string =>
    `| ${kept.map((column) => (line[column] ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return [row(head), `|${kept.map(() => '---|').join('')}`, ...lines.slice(1).map(row)].join('\n');
}
