/**
 * Work that needs a process of its own: to be killed, to open a store cold, to have its memory weighed.
 */
import { performance } from 'node:perf_hooks';
import { EvaqDriver, openEvaq } from '../contenders/evaq-contender.js';
import { collectGarbage } from '../harness/collect-garbage.js';
import { diskUse, segmentFileBytes } from '../harness/disk.js';
import type { EngineModule } from '../harness/engine.js';
import { PayloadSource } from '../harness/payloads.js';
import { numberParam, textParam } from '../harness/row.js';
import { LatencyRecorder } from '../harness/sample.js';
import { fill as fillStore } from './fresh-store.js';

type Params = Readonly<Record<string, number | string>>;
export type Task = (engine: EngineModule, params: Params) => Promise<Record<string, number>>;

/** Fills a store, then closes it or dies with it. */
const fill: Task = async (engine, params) => {
  const { segmentBytes } = params;
  const driver = await openEvaq({
    dir: textParam(params, 'dir'),
    mode: textParam(params, 'mode') === 'sync' ? 'sync' : 'os',
    engine,
    segmentBytes: typeof segmentBytes === 'number' ? segmentBytes : undefined,
  });
  const started = performance.now();
  await fillStore(driver, numberParam(params, 'records'), numberParam(params, 'size'));
  const fillMs = performance.now() - started;
  if (textParam(params, 'end') === 'kill') {
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => undefined);
  }
  await driver.close();
  return { fillMs };
};

/** Opens a store, the first thing this process does. */
const open: Task = async (engine, params) => {
  const dir = textParam(params, 'dir');
  const fileBytes = segmentFileBytes(dir);
  const started = performance.now();
  const store = await engine.Evaq.open(dir);
  const openMs = performance.now() - started;
  const [wal] = store.recovery.queues.filter((queue) => queue.queue === 'wal');
  const scanned = wal?.scannedSegments ?? 0;
  const live = store.wal.size;
  const memory = collectGarbage();
  await store.close();
  return { openMs, scanned, live, fileBytes, rssMiB: memory.rss / 2 ** 20, heapMiB: memory.heapUsed / 2 ** 20 };
};

/** How much heap and buffers a live record costs, also when some are removed in every segment. */
const memory: Task = async (engine, params) => {
  const records = numberParam(params, 'records');
  const size = numberParam(params, 'size');
  const driver = await openEvaq({ dir: textParam(params, 'dir'), mode: 'os', engine });
  if (!(driver instanceof EvaqDriver)) throw new TypeError('not ours');
  // What is allocated once, and the code that is compiled, is there after the first tenth.
  const first = Math.floor(records / 10);
  await fillStore(driver, first, size);
  await driver.queue.flush();
  const before = collectGarbage();
  await fillStore(driver, records - first, size);
  await driver.queue.flush();
  const after = collectGarbage();
  const holes: number[] = [];
  for (let id = 500; id <= records; id += 1000) holes.push(id);
  await driver.remove(holes);
  const withHoles = collectGarbage();
  const use = diskUse(textParam(params, 'dir'));
  await driver.close();
  const perRecord = (now: typeof before): number =>
    (now.heapUsed + now.external - before.heapUsed - before.external) / (records - first);
  return {
    bytesPerRecord: perRecord(after),
    bytesPerRecordWithHoles: perRecord(withHoles),
    rssBytesPerRecord: (after.rss - before.rss) / (records - first),
    rssMiB: after.rss / 2 ** 20,
    heapMiB: after.heapUsed / 2 ** 20,
    diskBytesPerRecord: use.bytes / records,
  };
};

/** Fills a store, weighs it, and pushes on, durably and one at a time. */
const grow: Task = async (engine, params) => {
  const dir = textParam(params, 'dir');
  const records = numberParam(params, 'records');
  const size = numberParam(params, 'size');
  const filling = await openEvaq({ dir, mode: 'os', engine });
  await fillStore(filling, records, size);
  const held = collectGarbage();
  await filling.close();
  const diskBytesPerRecord = diskUse(dir).bytes / records;
  const driver = await openEvaq({ dir, mode: 'sync', engine });
  const source = new PayloadSource(size);
  const latency = new LatencyRecorder();
  const until = performance.now() + numberParam(params, 'roundMs');
  while (performance.now() < until) {
    const started = performance.now();
    await driver.push(source.one());
    latency.record(started);
  }
  await driver.close();
  const { p50 = Number.NaN, p99 = Number.NaN } = latency.result() ?? {};
  return {
    pushP50Us: p50,
    pushP99Us: p99,
    heapMiB: (held.heapUsed + held.external) / 2 ** 20,
    rssMiB: held.rss / 2 ** 20,
    diskBytesPerRecord,
  };
};

/** What records that wait cost once they are delivered: each in the queue, none in a handler but the first few, which do not end. */
const waiting: Task = async (engine, params) => {
  const records = numberParam(params, 'records');
  const driver = await openEvaq({ dir: textParam(params, 'dir'), mode: 'os', engine });
  if (!(driver instanceof EvaqDriver)) throw new TypeError('not ours');
  const { queue } = driver;
  const ends: (() => void)[] = [];
  const handler = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
  const delivery = queue.process(handler, { concurrency: 16, timeoutMs: 0 });
  const first = Math.floor(records / 10);
  await fillStore(driver, first, numberParam(params, 'size'));
  await queue.flush();
  const before = collectGarbage();
  await fillStore(driver, records - first, numberParam(params, 'size'));
  await queue.flush();
  const after = collectGarbage();
  const { inFlight } = delivery.stats();
  const stopped = delivery.stop({ graceMs: 0 });
  for (const end of ends) end();
  await stopped;
  await driver.close();
  if (inFlight !== 16) throw new Error(`${inFlight} handlers were at work, and not 16`);
  return {
    bytesPerRecord: (after.heapUsed + after.external - before.heapUsed - before.external) / (records - first),
    rssMiB: after.rss / 2 ** 20,
    heapMiB: after.heapUsed / 2 ** 20,
  };
};

export const TASKS: Readonly<Record<string, Task>> = { fill, open, memory, grow, waiting };
