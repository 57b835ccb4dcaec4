/**
 * Rows about reading: everything in order, and single records at random.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { contenderNamed } from '../contenders/all-contenders.js';
import { readAt } from '../contenders/device-contender.js';
import { EvaqDriver, openEvaq } from '../contenders/evaq-contender.js';
import { removeAndSettle } from '../harness/disk.js';
import { above, atLeast, atMost, PEERS } from '../harness/goal.js';
import {
  type Case,
  countLabel,
  numberParam,
  RATE,
  type Row,
  type Run,
  type Running,
  sizeLabel,
} from '../harness/row.js';
import { LatencyRecorder, type Sample } from '../harness/sample.js';
import { timeBoxed } from '../harness/time-box.js';
import { fill } from './fresh-store.js';

const BY_RECORD = 'evaq records()';

/** Reading is not bound by syncs and needs no more than this to be told. */
const SMALL_RECORDS_MAX = 2_000_000;

const readEverything: Row = {
  name: 'read',
  title: 'Read everything in order, in chunks by read() and one by one by records(); from the page cache',
  unit: 'records/s',
  primary: RATE,
  cases: (scale) =>
    scale.sizes.map((size): Case => {
      const records = Math.min(SMALL_RECORDS_MAX, Math.floor(scale.dataBytes / size));
      return {
        label: sizeLabel(size),
        params: { size, records },
        contenders: ['evaq', BY_RECORD, 'device', ...PEERS],
        goals: [
          ...(size === 100 ? [above({ metric: 'rate', limit: 3_000_000, unit: 'records/s' })] : []),
          ...(size >= 16 * 1024 ? [atLeast({ against: 'device', factor: 0.5 })] : []),
        ],
      };
    }),
  async start(run) {
    const size = numberParam(run.params, 'size');
    const records = numberParam(run.params, 'records');
    const open = contenderNamed(run.contender === BY_RECORD ? 'evaq' : run.contender);
    const dir = run.scratch();
    const filling = await open({ dir, mode: 'os', engine: run.engine });
    await fill(filling, records, size);
    if (run.contender === 'device')
      return { round: () => readRound(() => filling.readAll(), records, size), end: () => filling.close() };
    await filling.close();
    const driver = await open({ dir, mode: 'os', engine: run.engine });
    const byRecord = run.contender === BY_RECORD && driver instanceof EvaqDriver ? driver : undefined;
    return {
      round: () => readRound(() => (byRecord === undefined ? driver.readAll() : iterate(byRecord)), records, size),
      async end() {
        await driver.close();
        removeAndSettle(dir);
      },
    };
  },
};

async function readRound(
  read: () => Promise<{ records: number; bytes: number }>,
  records: number,
  size: number,
): Promise<Sample> {
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const { bytes } = await read();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  if (bytes !== records * size) throw new Error(`${bytes} bytes were read instead of ${records * size}`);
  return { ops: records, seconds, bytes, cpuUs: user + system };
}

async function iterate(driver: EvaqDriver): Promise<{ records: number; bytes: number }> {
  let records = 0;
  let bytes = 0;
  for await (const record of driver.queue.records()) {
    records++;
    bytes += record.payload.length;
  }
  return { records, bytes };
}

const GET_BYTES = 4096;
const SIZE = 100;

const getRandom: Row = {
  name: 'get',
  title: 'get(id) at random (100 B) against a plain read of 4 KiB at a random place; from the page cache',
  unit: 'gets/s',
  primary: { metric: 'p99Us', better: 'lower', unit: 'us' },
  cases: (scale) =>
    scale.populations.slice(-1).map(
      (records): Case => ({
        label: `${countLabel(records)} records`,
        params: { records },
        contenders: ['evaq', 'device'],
        goals: [atMost({ metric: 'p99Us', against: 'device', factor: 2 })],
      }),
    ),
  start: (run) => (run.contender === 'device' ? startDeviceGets(run) : startGets(run)),
};

async function startGets(run: Run): Promise<Running> {
  const records = numberParam(run.params, 'records');
  const dir = run.scratch();
  await run.task('fill', { dir, records, size: SIZE, mode: 'os', end: 'close' });
  const driver = await openEvaq({ dir, mode: 'sync', engine: run.engine });
  if (!(driver instanceof EvaqDriver)) throw new TypeError('not ours');
  const { queue } = driver;
  const get = async (): Promise<void> => {
    const record = await queue.get(1 + Math.floor(Math.random() * records));
    if (record?.payload.length !== SIZE) throw new Error('a record is missing');
  };
  return {
    round: () => getRound(run, get),
    async end() {
      await driver.close();
      removeAndSettle(dir);
    },
  };
}

async function startDeviceGets(run: Run): Promise<Running> {
  const dir = run.scratch();
  const bytes = numberParam(run.params, 'records') * SIZE;
  const path = join(dir, 'device');
  const piece = Buffer.alloc(1024 * 1024, 1);
  const fd = fs.openSync(path, 'w+');
  for (let at = 0; at < bytes; at += piece.length) fs.writeSync(fd, piece, 0, Math.min(piece.length, bytes - at), at);
  const pages = Math.max(1, Math.floor(bytes / GET_BYTES));
  const get = async (): Promise<void> => {
    await readAt(fd, Buffer.allocUnsafe(GET_BYTES), Math.floor(Math.random() * pages) * GET_BYTES);
  };
  return {
    round: () => getRound(run, get),
    async end() {
      fs.closeSync(fd);
      removeAndSettle(dir);
    },
  };
}

async function getRound(run: Run, get: () => Promise<void>): Promise<Sample> {
  const latency = new LatencyRecorder();
  const sample = await timeBoxed(run.scale, SIZE, async () => {
    const started = performance.now();
    await get();
    latency.record(started);
    return 1;
  });
  const result = latency.result();
  return { ...sample, latency: result, metrics: { p99Us: result?.p99 ?? Number.NaN } };
}

export const READ_ROWS: readonly Row[] = [readEverything, getRandom];
