/**
 * The report for the terminal: ratios first, then what they are made of, then the goals.
 */
import Table from 'cli-table3';
import type { Change } from '../harness/baseline.js';
import type { BenchReport } from '../harness/bench-report.js';
import { figure, pairedRatio, type Verdict } from '../harness/goal.js';
import type { Machine } from '../harness/machine.js';
import type { Row } from '../harness/row.js';
import type { CaseResult } from '../harness/run-case.js';
import type { Measured } from '../harness/sample.js';
import { EVIDENCE, type Gain } from '../harness/side-by-side.js';
import { digits, microseconds, short } from './number-text.js';
import { REFERENCE_NOTE, REFERENCES } from './reference-figures.js';

export function machineText(machine: Machine): string {
  const { p50, p99, max } = machine.syncUs;
  return [
    `${machine.at}  ${machine.system}  Node ${machine.node}`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB  ${machine.fileSystem}`,
    ...(machine.loadAverage > machine.cores / 2
      ? [`The machine is busy (load ${digits(machine.loadAverage)}): the figures are not worth keeping.`]
      : []),
    `append + fdatasync (blocking): median ${microseconds(p50)}, p99 ${microseconds(p99)}, max ${microseconds(max)}`,
  ].join('\n');
}

/** A row's cases, a line for each contender. */
export function rowText(row: Row, results: readonly CaseResult[]): string {
  const { metric, unit, better } = row.primary;
  const shown = metric === 'rate' ? row.unit : unit;
  const table = newTable([
    'case',
    'contender',
    'ours is',
    `${metric === 'rate' ? '' : `${metric}, `}${shown}`,
    'min .. max',
    'MiB/s',
    'CPU µs/op',
    'p50',
    'p99',
    'p99.9',
    'max',
    'RSS / heap MiB',
  ]);
  const notes: string[] = [];
  for (const result of results) {
    const names = Object.keys(result.contenders);
    const ours = figure(result.contenders[names[0] ?? ''], metric);
    for (const [at, name] of names.entries()) {
      const measured = result.contenders[name];
      const theirs = figure(measured, metric);
      if (measured === undefined || theirs === undefined || ours === undefined) continue;
      const paired = pairedRatio(result.contenders[names[0] ?? ''], measured, metric) ?? Number.NaN;
      const ratio = better === 'higher' ? paired : 1 / paired;
      table.push([
        at === 0 ? result.label : '',
        name,
        at === 0 ? '' : `${digits(ratio)} x`,
        short(theirs.median),
        `${short(theirs.min)} .. ${short(theirs.max)}`,
        metric === 'rate' ? short(measured.mibPerSecond.median) : '',
        measured.cpuUsPerOp === undefined ? '' : digits(measured.cpuUsPerOp.median),
        ...latencyCells(measured),
        memoryCell(measured),
      ]);
      const more = Object.entries(measured.metrics).filter(([key]) => key !== metric);
      if (more.length > 0) {
        const listed = more.map(([key, spread]) => `${key} ${short(spread.median)}`).join(', ');
        notes.push(`  ${result.label}, ${name}: ${listed}`);
      }
    }
    for (const [name, reason] of Object.entries(result.absent)) {
      if (reason.startsWith('failed')) notes.push(`  ${result.label}, ${name} ${reason}`);
    }
  }
  return [`\n${row.title}  [${row.name}]`, table.toString(), ...notes].join('\n');
}

export function goalsText(rows: readonly Row[], report: BenchReport): string {
  const table = newTable(['', 'reached', 'goal', 'row', 'case']);
  let met = 0;
  let all = 0;
  for (const result of report.cases) {
    for (const goal of result.goals) {
      all++;
      if (goal.met) met++;
      const row = rows.find((one) => one.name === result.row);
      table.push([mark(goal), digits(goal.reached), goal.text, row?.name ?? result.row, result.label]);
    }
  }
  const caution =
    report.scale === 'smoke' ? ' (a smoke run only shows that everything runs: its figures mean nothing)' : '';
  return `\nGoals: ${met} of ${all} met${caution}\n${table.toString()}`;
}

export function referenceText(): string {
  const table = newTable(['for orientation', 'figure', 'of']);
  for (const { name, figures } of REFERENCES) for (const one of figures) table.push([one.what, one.figure, name]);
  return `\nReference figures: ${REFERENCE_NOTE}\n${table.toString()}`;
}

export function changesText(changes: readonly Change[], path: string): string {
  const table = newTable(['', 'gain', 'row', 'case', 'contender', 'figure']);
  for (const change of changes) {
    const what = `${change.metric}${change.relativeToDevice ? ' / device' : ''}`;
    table.push([
      change.verdict === 'same' ? '' : change.verdict.toUpperCase(),
      `${digits(change.gain)} x`,
      change.row,
      change.label,
      change.contender,
      what,
    ]);
  }
  const worse = changes.filter((change) => change.verdict === 'worse').length;
  return `\nAgainst ${path}: ${worse} worse by more than the noise\n${table.toString()}`;
}

/** Two versions that took turns. */
export function sideBySideText(gains: readonly Gain[], older: string): string {
  const table = newTable(['', 'new by old', 'rounds', 'row', 'case', 'contender', 'figure']);
  for (const { verdict, gain, row, label, contender, metric } of gains) {
    const shown = verdict === 'no evidence' ? '' : verdict.toUpperCase();
    table.push([
      shown,
      `${digits(gain.median)} x`,
      `${digits(gain.min)} .. ${digits(gain.max)}`,
      row,
      label,
      contender,
      metric,
    ]);
  }
  return `\nBeside ${older}, by turns; less than ${EVIDENCE} x is no evidence by one run\n${table.toString()}`;
}

function mark(goal: Verdict): string {
  return goal.met ? 'met' : `MISSED (${digits(goal.share)})`;
}

function latencyCells({ latency }: Measured): string[] {
  if (latency === undefined) return ['', '', '', ''];
  return [latency.p50, latency.p99, latency.p999, latency.max].map(microseconds);
}

function memoryCell({ memory }: Measured): string {
  return memory === undefined ? '' : `${digits(memory.rss / 2 ** 20)} / ${digits(memory.heapUsed / 2 ** 20)}`;
}

function newTable(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [], compact: true } });
}
