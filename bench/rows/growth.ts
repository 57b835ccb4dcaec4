/**
 * How push latency, opening, memory and disk grow with the backlog: powers of ten, one store after the other.
 */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { removeAndSettle } from '../harness/disk.js';
import { spreadOf } from '../harness/sample.js';
import { Worker } from '../harness/worker.js';

export interface GrowthPoint {
  readonly records: number;
  readonly pushP50Us: number;
  readonly pushP99Us: number;
  /** Median of several opens, each in a new process. */
  readonly openMs: number;
  readonly heapMiB: number;
  readonly rssMiB: number;
  readonly diskBytesPerRecord: number;
}

export interface GrowthOptions {
  readonly engine: string;
  readonly dir: string;
  readonly recordsMax: number;
  readonly roundMs: number;
  readonly rounds: number;
  readonly onPoint: (point: GrowthPoint) => void;
}

export async function measureGrowth(options: GrowthOptions): Promise<GrowthPoint[]> {
  const { recordsMax, rounds, onPoint } = options;
  const points: GrowthPoint[] = [];
  for (let records = 1000; records <= recordsMax; records *= 10) {
    mkdirSync(options.dir, { recursive: true });
    const dir = mkdtempSync(join(options.dir, 'growth-'));
    try {
      const grown = await task(options, 'grow', { dir, records, size: 100, roundMs: options.roundMs });
      const opens: number[] = [];
      for (let i = 0; i < rounds; i++) opens.push((await task(options, 'open', { dir }))['openMs'] ?? Number.NaN);
      const point: GrowthPoint = {
        records,
        pushP50Us: grown['pushP50Us'] ?? Number.NaN,
        pushP99Us: grown['pushP99Us'] ?? Number.NaN,
        openMs: spreadOf(opens).median,
        heapMiB: grown['heapMiB'] ?? Number.NaN,
        rssMiB: grown['rssMiB'] ?? Number.NaN,
        diskBytesPerRecord: grown['diskBytesPerRecord'] ?? Number.NaN,
      };
      points.push(point);
      onPoint(point);
    } finally {
      removeAndSettle(dir);
    }
  }
  return points;
}

async function task(
  options: GrowthOptions,
  name: string,
  params: Readonly<Record<string, number | string>>,
): Promise<Readonly<Record<string, number>>> {
  const worker = new Worker();
  try {
    const result = await worker.ask<Record<string, number>>({
      order: 'task',
      task: name,
      engine: options.engine,
      params,
    });
    if (result === undefined) throw new Error(`the process of task '${name}' died`);
    return result;
  } finally {
    await worker.close();
  }
}
