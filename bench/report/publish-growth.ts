/** Puts a run of `--growth` where readers look: a table in `bench/README.md`, and beside it the picture and the figures. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../harness/machine.js';
import type { GrowthPoint } from '../rows/growth.js';
import { machineLine } from './chart-frame.js';
import { drawGrowth } from './growth-chart.js';
import { putBetween } from './marked-place.js';
import { digits, microseconds } from './number-text.js';

export interface GrowthReport {
  readonly machine: Pick<Machine, 'at' | 'cpu' | 'fileSystem' | 'node'>;
  readonly points: readonly GrowthPoint[];
}

/** `undefined`: the file is no report of growth. */
export function readGrowth(path: string): GrowthReport | undefined {
  const report: GrowthReport | { readonly points: undefined } = JSON.parse(readFileSync(path, 'utf8'));
  return report.points === undefined ? undefined : report;
}

/** `bench` is the folder of the bench. */
export async function publishGrowth(report: GrowthReport, bench: string): Promise<void> {
  const folder = join(bench, 'published');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'growth.json'), `${JSON.stringify(report)}\n`);
  const chart = await drawGrowth(report.points, machineLine(report.machine));
  if (chart !== undefined) writeFileSync(join(folder, 'growth.svg'), chart);
  putBetween(join(bench, 'README.md'), 'growth', growthText(report));
}

function growthText({ machine, points }: GrowthReport): string {
  const lines = points.map((point) => {
    const power = Math.round(Math.log10(point.records));
    const cells = [
      `10^${power}`,
      microseconds(point.pushP50Us),
      microseconds(point.pushP99Us),
      `${digits(point.openMs)} ms`,
      `${digits(point.heapMiB)} MiB`,
      `${digits(point.rssMiB)} MiB`,
      `${digits(point.diskBytesPerRecord)} B`,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const last = points.at(-1);
  const alt =
    last === undefined
      ? ''
      : `: with ${last.records.toLocaleString('en-GB')} records a push takes ${microseconds(last.pushP50Us)}, an open ${digits(last.openMs)} ms, the heap ${digits(last.heapMiB)} MiB`;
  return `Measured on ${machineLine(machine)}.

| records in the queue | durable push, p50 | p99 | open | heap and buffers | RSS | on disk, a record |
|---|---:|---:|---:|---:|---:|---:|
${lines.join('\n')}

![What a growing backlog costs, in pushes, opening, memory and disk${alt}](published/growth.svg)`;
}
