/**
 * The table of README.md: what most people ask about, and of each row the case in which another store is furthest ahead. All of it out of one report.
 */
import type { BenchReport } from '../harness/bench-report.js';
import { bestPeer, figure, pairedRatio } from '../harness/goal.js';
import type { CaseResult } from '../harness/run-case.js';
import { storesText } from './chart-frame.js';
import { digits, short } from './number-text.js';
import { comparedCases } from './rate-charts.js';

interface Line {
  readonly text: string;
  readonly row: string;
  readonly label: string;
  /** What stands below evaq, where that is more than its rate. */
  readonly ours?: (result: CaseResult) => string;
  /** What stands below another store. */
  readonly theirs?: (result: CaseResult, name: string) => string;
}

const COLUMNS: readonly (readonly [string, string])[] = [
  ['LMDB', 'lmdb'],
  ['LevelDB', 'leveldb'],
  ['SQLite', 'sqlite'],
];

const rateOf = ({ contenders }: CaseResult, name: string): string => {
  const rate = contenders[name]?.rate.median;
  return rate === undefined ? '' : short(rate);
};
const metricOf = ({ contenders }: CaseResult, name: string, metric: string): number =>
  figure(contenders[name], metric)?.median ?? Number.NaN;
const spaceOf = (kib: number): string => (kib >= 1024 ? `${short(kib / 1024)} MiB` : `${digits(kib)} KiB`);

const LINES: readonly Line[] = [
  { text: 'durable pushes of 100 B, 256 callers', row: 'push-concurrent', label: '100 B, 256 callers' },
  {
    text: 'the same, one at a time (`pushSync` blocks its thread, as SQLite does)',
    row: 'push-one',
    label: '100 B',
    ours: (result) => `${rateOf(result, 'evaq')}; \`pushSync\` ${rateOf(result, 'evaq pushSync')}`,
  },
  { text: 'durable batches of 1000 of 1 KiB', row: 'push-many', label: '1 KiB, batches of 1000' },
  { text: 'push and remove, not waiting for the disk, pairs of 1 KiB', row: 'push-remove', label: "1 KiB, mode 'os'" },
  { text: 'durable removal of a million random IDs', row: 'remove', label: 'random IDs' },
  { text: 'reading all in chunks, 100 B', row: 'read', label: '100 B' },
  {
    text: 'left on disk after 512 MiB came and went',
    row: 'emptied',
    label: '512 MiB pushed and removed',
    ours: (result) =>
      `${spaceOf(metricOf(result, 'evaq', 'leftKiB'))}, and a pool of ${spaceOf(metricOf(result, 'evaq', 'poolKiB'))}`,
    theirs: (result, name) => spaceOf(metricOf(result, name, 'leftKiB')),
  },
];

/** What is behind in which rows, as people say it. */
const BEHIND: Readonly<Record<string, string>> = {
  'push-one': 'durable push, one at a time',
  'push-concurrent': 'durable push',
  'push-many': 'durable `pushMany`',
  'push-os': 'push, not waiting for the disk',
  'push-many-os': '`pushMany`, not waiting for the disk',
  'push-remove': 'push and remove, pairs',
  remove: 'durable removal',
  read: 'reading all in chunks',
};

/** As Markdown, `undefined` where the report has none of it. */
export function readmeSpeed(report: BenchReport): string | undefined {
  const usual = LINES.flatMap((line) => {
    const result = report.cases.find(({ row, label }) => row === line.row && label === line.label);
    return result === undefined ? [] : [lineOf(line, result)];
  });
  const behind = Object.entries(BEHIND).flatMap(([row, called]) => {
    const worst = comparedCases(row, report).at(-1);
    if (worst === undefined || worst.ratio >= 1) return [];
    const { result } = worst;
    return [lineOf({ text: `${called}, ${result.label}`, row, label: result.label }, result)];
  });
  if (usual.length === 0) return undefined;
  const table = [
    `| records a second | evaq | ${COLUMNS.map(([name]) => name).join(' | ')} | evaq by the best other |`,
    '|---|---:|---:|---:|---:|---:|',
    ...usual,
    ...(behind.length === 0 ? [] : ['| **where evaq is furthest behind, row by row** | | | | | |', ...behind]),
  ];
  return [machineText(report), table.join('\n'), ...growingText(report)].join('\n\n');
}

function lineOf({ text, ours, theirs = rateOf }: Line, result: CaseResult): string {
  const best = bestPeer(result.contenders, 'rate')?.name ?? '';
  const ratio = theirs === rateOf ? pairedRatio(result.contenders['evaq'], result.contenders[best], 'rate') : undefined;
  const shown = ratio === undefined ? '' : ratio < 1 ? `**${digits(ratio)} ×**` : `${digits(ratio)} ×`;
  const others = COLUMNS.map(([, name]) => (name in result.contenders ? theirs(result, name) : ''));
  return `| ${[text, ours?.(result) ?? rateOf(result, 'evaq'), ...others, shown].join(' | ')} |`;
}

function machineText({ machine, versions, rounds }: BenchReport): string {
  const date = new Date(machine.at).toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' });
  const sync = digits(machine.syncUs.p50 / 1000);
  return `On ${date}, on ${machine.cores} cores of ${machine.cpu} and a disk that takes ${sync} ms for a sync, medians of ${rounds} rounds in which all
took turns: ${storesText(versions)}.`;
}

/** What there is nobody to compare with for. */
function growingText({ cases }: BenchReport): string[] {
  const ours = (row: string, label: string, metric: string): number | undefined =>
    cases.flatMap((one) => (one.row === row && one.label === label ? [metricOf(one, 'evaq', metric)] : []))[0];
  const closed = ours('open', '10 M records, closed', 'openMs');
  const killed = ours('open', '10 M records, killed', 'openMs');
  const memory = ours('memory', '10 M records', 'bytesPerRecord');
  const parts = [
    ...(closed === undefined ? [] : [`Ten million records open in ${digits(closed)} ms in a new process`]),
    ...(killed === undefined ? [] : [`in ${digits(killed)} ms after a kill`]),
    ...(memory === undefined ? [] : [`and take ${digits(memory)} B of memory each`]),
  ];
  return parts.length === 0 ? [] : [`${parts.join(', ')}.`];
}
