/**
 * Rows in which as much goes as comes: push and remove with a constant number outstanding, and removals by themselves.
 */
import type { Mode } from '../contenders/contender.js';
import { bytesWritten } from '../harness/disk.js';
import { above, atLeast, below, PEERS } from '../harness/goal.js';
import { PayloadSource } from '../harness/payloads.js';
import { type Case, numberParam, RATE, type Row, sizeLabel, textParam } from '../harness/row.js';
import { LatencyRecorder } from '../harness/sample.js';
import { timeBoxed } from '../harness/time-box.js';
import { fill, inFreshStore } from './fresh-store.js';

const OUTSTANDING = 1000;
const TURN = 100;
const SEGMENT_TURNS = 40;
const SEGMENT_BYTES_MIN = 4 * 2 ** 20;
const SEGMENT_BYTES_MAX = 64 * 2 ** 20;
const PAST_RECORDS_MAX = 10_000;
const PAST_BYTES_MAX = 16 * 2 ** 20;

const pushRemove: Row = {
  name: 'push-remove',
  title: 'Push and remove, steady state, 1000 outstanding, 100 pushes and removals a turn',
  unit: 'pairs/s',
  primary: RATE,
  cases: (scale) =>
    (['os', 'sync'] as const).flatMap((mode) =>
      scale.sizes.map(
        (size): Case => ({
          label: `${sizeLabel(size)}, mode '${mode}'`,
          params: { size, mode },
          contenders: ['evaq', ...PEERS],
          goals: [
            // From 16 KiB on both are bound by new pages of the page cache, of which LMDB writes old ones again.
            ...(mode === 'os' && size <= 1024 ? [atLeast({ against: 'lmdb', factor: 2 })] : []),
            below({ metric: 'writeAmplification', limit: 1.1, unit: 'x' }),
          ],
        }),
      ),
    ),
  async start(run) {
    const { scale, params } = run;
    const size = numberParam(params, 'size');
    const mode: Mode = textParam(params, 'mode') === 'sync' ? 'sync' : 'os';
    const source = new PayloadSource(size, TURN);
    // Small enough that segments come and go within a round, large enough that a turn is a small part of one.
    const segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.max(SEGMENT_BYTES_MIN, SEGMENT_TURNS * TURN * size));
    return {
      round: () =>
        inFreshStore(run, { mode, segmentBytes }, async ({ driver }) => {
          // Some history first: files that are there, code that is compiled.
          const past = Math.min(PAST_RECORDS_MAX, Math.ceil(PAST_BYTES_MAX / size));
          await fill(driver, past, size);
          await driver.remove(Array.from({ length: past }, (_, i) => i + 1));
          await fill(driver, OUTSTANDING, size);
          const latency = new LatencyRecorder();
          const before = bytesWritten();
          let removeFrom = past + 1;
          const sample = await timeBoxed(scale, size, async () => {
            const started = performance.now();
            await driver.turn(source.batch(TURN), removeFrom);
            latency.record(started);
            removeFrom += TURN;
            return TURN;
          });
          const after = bytesWritten();
          const amplification =
            before === undefined || after === undefined ? {} : { writeAmplification: (after - before) / sample.bytes };
          return { ...sample, latency: latency.result(), metrics: { ...amplification, ...driver.counters?.() } };
        }),
    };
  },
};

const REMOVE_BATCH = 10_000;

const remove: Row = {
  name: 'remove',
  title: `Durable removal of all records (100 B), ${REMOVE_BATCH} IDs a call`,
  unit: 'records/s',
  primary: RATE,
  cases: () =>
    (['consecutive', 'random'] as const).map(
      (order): Case => ({
        label: `${order} IDs`,
        params: { order },
        contenders: ['evaq', ...PEERS],
        goals: [
          above({ metric: 'rate', limit: order === 'consecutive' ? 5_000_000 : 1_000_000, unit: 'records/s' }),
          atLeast({ against: 'best peer', factor: 1 }),
        ],
      }),
    ),
  async start(run) {
    const { removals } = run.scale;
    const ids = Array.from({ length: removals }, (_, i) => i + 1);
    if (textParam(run.params, 'order') === 'random') shuffle(ids);
    return {
      round: () =>
        inFreshStore(run, { mode: 'sync' }, async ({ driver }) => {
          await fill(driver, removals, 100);
          const before = bytesWritten();
          const started = performance.now();
          for (let at = 0; at < removals; at += REMOVE_BATCH) await driver.remove(ids.slice(at, at + REMOVE_BATCH));
          const seconds = (performance.now() - started) / 1000;
          const after = bytesWritten();
          const written =
            before === undefined || after === undefined ? {} : { bytesWrittenPerRecord: (after - before) / removals };
          return { ops: removals, seconds, bytes: removals * 100, metrics: written };
        }),
    };
  },
};

/** In place, the same order in every process. */
export function shuffle(values: number[]): void {
  let state = 0x9e3779b9;
  for (let i = values.length - 1; i > 0; i--) {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const j = (state >>> 0) % (i + 1);
    const value = values[i] ?? 0;
    values[i] = values[j] ?? 0;
    values[j] = value;
  }
}

export const STEADY_ROWS: readonly Row[] = [pushRemove, remove];
