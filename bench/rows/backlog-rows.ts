/**
 * Rows about what a backlog costs: opening, memory, the latency of a push.
 */
import { openEvaq } from '../contenders/evaq-contender.js';
import { removeAndSettle } from '../harness/disk.js';
import { above, below, flat } from '../harness/goal.js';
import { PayloadSource } from '../harness/payloads.js';
import {
  type Case,
  countLabel,
  numberParam,
  type Row,
  type Run,
  type Running,
  sizeLabel,
  textParam,
} from '../harness/row.js';
import { LatencyRecorder, type Sample } from '../harness/sample.js';
import { timeBoxed } from '../harness/time-box.js';

const SIZE = 100;

const open: Row = {
  name: 'open',
  slow: true,
  title:
    'Open in a new process: after a clean close, after a kill (half a segment not sealed), and by scanning one that has no footer (100 B)',
  unit: 'opens/s',
  primary: { metric: 'openMs', better: 'lower', unit: 'ms' },
  cases: (scale) => [
    ...scale.populations.flatMap((records): Case[] => [
      {
        label: `${countLabel(records)} records, closed`,
        params: { records, end: 'close' },
        contenders: ['evaq'],
        goals: [below({ metric: 'openMs', limit: 50, unit: 'ms' })],
      },
      {
        label: `${countLabel(records)} records, killed`,
        params: { records, end: 'kill' },
        contenders: ['evaq'],
        goals: [below({ metric: 'openMs', limit: 300, unit: 'ms' })],
      },
    ]),
    {
      label: `scan of ${sizeLabel(scale.dataBytes)}`,
      params: { records: Math.floor(scale.dataBytes / SIZE), end: 'scan' },
      contenders: ['evaq'],
      goals: [above({ metric: 'scanGBps', limit: 1, unit: 'GB/s' })],
    },
  ],
  async start(run) {
    const records = numberParam(run.params, 'records');
    if (textParam(run.params, 'end') === 'scan') return { round: () => scanRound(run, records) };
    const dir = run.scratch();
    await run.task('fill', { dir, records, size: SIZE, mode: 'sync', end: 'close' });
    return {
      async round() {
        if (textParam(run.params, 'end') === 'kill') {
          const extra = Math.floor(run.scale.segmentBytes / 2 / SIZE);
          await run.task('fill', { dir, records: extra, size: SIZE, mode: 'sync', end: 'kill' });
        }
        return openSample(run, dir);
      },
      async end() {
        removeAndSettle(dir);
      },
    };
  },
};

/** One segment of up to 1 GiB that was never sealed: opening reads all of it. */
async function scanRound(run: Run, records: number): Promise<Sample> {
  const dir = run.scratch();
  try {
    await run.task('fill', { dir, records, size: SIZE, mode: 'sync', end: 'kill', segmentBytes: 1024 ** 3 });
    return await openSample(run, dir);
  } finally {
    removeAndSettle(dir);
  }
}

async function openSample(run: Run, dir: string): Promise<Sample> {
  const found = await run.task('open', { dir });
  if (found?.['openMs'] === undefined) throw new Error('the store was not opened');
  const { openMs, fileBytes = 0 } = found;
  return {
    ops: 1,
    seconds: openMs / 1000,
    bytes: fileBytes,
    metrics: { ...found, ...(found['scanned'] === 0 ? {} : { scanGBps: fileBytes / openMs / 1e6 }) },
  };
}

const memory: Row = {
  name: 'memory',
  slow: true,
  title: 'Memory per live record (100 B): heap and buffers, after a forced garbage collection',
  unit: 'fills/s',
  primary: { metric: 'bytesPerRecord', better: 'lower', unit: 'B' },
  cases: (scale) =>
    scale.populations.slice(-1).map(
      (records): Case => ({
        label: `${countLabel(records)} records`,
        params: { records },
        contenders: ['evaq'],
        goals: [
          below({ metric: 'bytesPerRecord', limit: 2, unit: 'B' }),
          below({ metric: 'bytesPerRecordWithHoles', limit: 2, unit: 'B' }),
        ],
      }),
    ),
  async start(run) {
    const records = numberParam(run.params, 'records');
    return {
      async round() {
        const dir = run.scratch();
        try {
          const started = performance.now();
          const metrics = await run.task('memory', { dir, records, size: SIZE });
          if (metrics === undefined) throw new Error('the task died');
          return { ops: 1, seconds: (performance.now() - started) / 1000, bytes: records * SIZE, metrics };
        } finally {
          removeAndSettle(dir);
        }
      },
    };
  },
};

const PREFIX = 'backlog of ';

const backlog: Row = {
  name: 'backlog',
  title: 'Latency of a durable push (100 B) in front of a backlog',
  unit: 'records/s',
  primary: { metric: 'p50Us', better: 'lower', unit: 'us' },
  cases: (scale) => [
    {
      label: `${countLabel(scale.backlogs[0] ?? 0)} to ${countLabel(scale.backlogs.at(-1) ?? 0)} records`,
      params: {},
      contenders: scale.backlogs.map((records) => `${PREFIX}${countLabel(records)}`),
      goals: [flat('p50Us', 1.15), flat('p99Us', 1.5)],
    },
  ],
  async start(run): Promise<Running> {
    const records = run.scale.backlogs.find((count) => run.contender === `${PREFIX}${countLabel(count)}`) ?? 0;
    const dir = run.scratch();
    await run.task('fill', { dir, records, size: SIZE, mode: 'os', end: 'close' });
    const driver = await openEvaq({ dir, mode: 'sync', engine: run.engine });
    const source = new PayloadSource(SIZE);
    return {
      async round() {
        const latency = new LatencyRecorder();
        const sample = await timeBoxed(run.scale, SIZE, async () => {
          const started = performance.now();
          await driver.push(source.one());
          latency.record(started);
          return 1;
        });
        const result = latency.result();
        return { ...sample, latency: result, metrics: { p50Us: result?.p50 ?? 0, p99Us: result?.p99 ?? 0 } };
      },
      async end() {
        await driver.close();
        removeAndSettle(dir);
      },
    };
  },
};

export const BACKLOG_ROWS: readonly Row[] = [open, memory, backlog];
