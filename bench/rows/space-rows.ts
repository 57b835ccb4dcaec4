/**
 * Rows about space that comes back: stragglers, everything removed, and what collecting costs those who push meanwhile.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { EvaqDriver } from '../contenders/evaq-contender.js';
import { bytesWritten, diskUse, removeAndSettle } from '../harness/disk.js';
import { above, atLeast, below, PEERS } from '../harness/goal.js';
import { PayloadSource } from '../harness/payloads.js';
import { type Case, numberParam, RATE, type Row, type Run, sizeLabel } from '../harness/row.js';
import type { Sample } from '../harness/sample.js';
import { timeBoxed } from '../harness/time-box.js';
import { fill, inFreshStore } from './fresh-store.js';

const KIB = 1024;
/** Headers, footers, the tombstone log and the store's own file: what is there however little is live. */
const FIXED_BYTES = 64 * KIB;
const SEGMENTS = 8;
const REMOVE_BATCH = 10_000;

const stragglers: Row = {
  name: 'stragglers',
  slow: true,
  title:
    'Space after all but a few records were removed (1 KiB), without a manual step: bytes on disk / (bytes live + 32 KiB)',
  unit: 'runs/s',
  primary: { metric: 'spaceRatio', better: 'lower', unit: 'x live' },
  cases: (scale) => {
    const perSegment = Math.floor(scale.segmentBytes / (KIB + 16));
    return (scale.name === 'smoke' ? [10] : [perSegment, 2, 10, 100]).map(
      (every): Case => ({
        label: every === perSegment ? 'one a segment left' : `every ${every === 2 ? '2nd' : `${every}th`} left`,
        params: { every, records: perSegment * SEGMENTS },
        contenders: ['evaq'],
        goals: [below({ metric: 'spaceRatio', limit: 2, unit: 'x live' })],
      }),
    );
  },
  async start(run) {
    return { round: () => stragglerRound(run) };
  },
};

function stragglerRound(run: Run): Promise<Sample> {
  const every = numberParam(run.params, 'every');
  const records = numberParam(run.params, 'records');
  const { segmentBytes } = run.scale;
  return inFreshStore(run, { mode: 'os', segmentBytes }, async ({ driver, dir }) => {
    const before = bytesWritten() ?? Number.NaN;
    await fill(driver, records, KIB);
    const leaving: number[] = [];
    for (let id = 1; id <= records; id++) if (id % every !== 0) leaving.push(id);
    const liveBytes = (records - leaving.length) * KIB;
    const started = performance.now();
    for (let at = 0; at < leaving.length; at += REMOVE_BATCH) await driver.remove(leaving.slice(at, at + REMOVE_BATCH));
    const ratio = (): number => diskUse(dir).bytes / (liveBytes + FIXED_BYTES / 2);
    const settleMs = await until(() => ratio() < 2, started, run.scale.patienceMs);
    return {
      ops: 1,
      seconds: settleMs / 1000,
      bytes: records * KIB,
      metrics: {
        spaceRatio: ratio(),
        settleMs,
        writeAmplification: ((bytesWritten() ?? Number.NaN) - before) / (records * KIB),
        poolBytes: diskUse(dir).poolBytes,
        ...driver.counters?.(),
      },
    };
  });
}

/** Resolves when `reached` holds or patience is at its end, with the milliseconds since `started`. */
async function until(reached: () => boolean, started: number, patienceMs: number): Promise<number> {
  while (!reached() && performance.now() - started < patienceMs) await sleep(20);
  return performance.now() - started;
}

const emptied: Row = {
  name: 'emptied',
  slow: true,
  title: 'Disk after everything was removed (1 KiB), without a manual step; the pool of files kept for reuse apart',
  unit: 'runs/s',
  primary: { metric: 'leftKiB', better: 'lower', unit: 'KiB' },
  cases: (scale) => [
    {
      label: `${sizeLabel(scale.dataBytes)} pushed and removed`,
      params: { records: Math.floor(scale.dataBytes / KIB) },
      contenders: ['evaq', ...PEERS],
      goals: [below({ metric: 'leftKiB', limit: FIXED_BYTES / KIB, unit: 'KiB' })],
    },
  ],
  async start(run) {
    const records = numberParam(run.params, 'records');
    const ids = Array.from({ length: records }, (_, i) => i + 1);
    const { segmentBytes } = run.scale;
    return {
      round: () =>
        inFreshStore(run, { mode: 'os', segmentBytes }, async ({ driver, dir }) => {
          await fill(driver, records, KIB);
          const started = performance.now();
          for (let at = 0; at < records; at += REMOVE_BATCH) await driver.remove(ids.slice(at, at + REMOVE_BATCH));
          const left = (): number => diskUse(dir).bytes;
          const settleMs =
            run.contender === 'evaq'
              ? await until(() => left() < FIXED_BYTES, started, run.scale.patienceMs)
              : performance.now() - started;
          const metrics = { leftKiB: left() / KIB, poolKiB: diskUse(dir).poolBytes / KIB, settleMs };
          return { ops: 1, seconds: settleMs / 1000, bytes: records * KIB, metrics };
        }),
    };
  },
};

const WITHOUT = 'evaq without gc';
const TURN = 50;
/** Of what is pushed so many in ten are removed a little later, at random: every segment becomes sparse, none becomes empty. */
const REMOVED_OF_TEN = 8;
const OUTSTANDING = 5_000;
const LOOP_RESOLUTION_MS = 1;

const gcLoad: Row = {
  name: 'gc-load',
  title:
    'Push synced once a second (1 KiB, 50 awaited together) while sparse segments are being rewritten all the time',
  unit: 'records/s',
  primary: RATE,
  cases: () => [
    {
      label: '8 of 10 removed at random',
      params: {},
      contenders: ['evaq', WITHOUT],
      goals: [
        below({ metric: 'loopDelayP999Ms', limit: 5, unit: 'ms' }),
        atLeast({ against: WITHOUT, factor: 0.8 }),
        above({ metric: 'copiedByGc', limit: 1, unit: 'B' }),
      ],
    },
  ],
  async start(run) {
    const source = new PayloadSource(KIB, TURN);
    return { round: () => gcRound(run, source) };
  },
};

async function gcRound(run: Run, source: PayloadSource): Promise<Sample> {
  const dir = run.scratch();
  const store = await run.engine.Evaq.open(dir, {
    // In mode 'os' segments are left alone for a while, and a round would be over before GC begins.
    durability: { intervalMs: 1000 },
    segmentBytes: Math.min(run.scale.segmentBytes, 4 * 1024 * KIB),
    ...(run.contender === WITHOUT ? { gc: false } : {}),
  });
  const driver = new EvaqDriver(store);
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  try {
    let removedTo = 0;
    let pushed = 0;
    delay.enable();
    const sample = await timeBoxed(run.scale, KIB, async () => {
      const pushing = driver.pushEach(source.batch(TURN));
      pushed += TURN;
      const going: number[] = [];
      while (removedTo < pushed - OUTSTANDING) {
        removedTo++;
        if (Math.random() * 10 < REMOVED_OF_TEN) going.push(removedTo);
      }
      await Promise.all([pushing, going.length > 0 ? driver.remove(going) : undefined]);
      return TURN;
    });
    delay.disable();
    // The histogram holds the time between two ticks of its timer.
    const ms = (nanos: number): number => Math.max(0, nanos / 1e6 - LOOP_RESOLUTION_MS);
    return {
      ...sample,
      metrics: {
        loopDelayP50Ms: ms(delay.percentile(50)),
        loopDelayP999Ms: ms(delay.percentile(99.9)),
        loopDelayMaxMs: ms(delay.max),
        ...driver.counters(),
      },
    };
  } finally {
    delay.disable();
    await driver.close();
    removeAndSettle(dir);
  }
}

export const SPACE_ROWS: readonly Row[] = [stragglers, emptied, gcLoad];
