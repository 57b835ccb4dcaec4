/**
 * Rows about appending: one at a time, by many callers, in batches; durable and not.
 */
import type { Mode, QueueDriver } from '../contenders/contender.js';
import { atLeast, type Goal, PEERS } from '../harness/goal.js';
import { PayloadSource } from '../harness/payloads.js';
import { type Case, numberParam, RATE, type Row, type Run, sizeLabel } from '../harness/row.js';
import { LatencyRecorder, type Sample } from '../harness/sample.js';
import type { Scale } from '../harness/scale.js';
import { timeBoxed } from '../harness/time-box.js';
import { inFreshStore } from './fresh-store.js';

/** Does some of the row's work, not much longer than `until` (`performance.now()`), and resolves with how many records that were. */
type Step = (
  driver: QueueDriver,
  source: PayloadSource,
  group: number,
  latency: LatencyRecorder,
  until: number,
) => Promise<number>;

interface AppendSpec {
  readonly name: string;
  readonly title: string;
  readonly mode: Mode;
  /** Sizes of a batch or numbers of callers. */
  readonly groups: (scale: Scale) => readonly number[];
  readonly groupLabel: (group: number) => string;
  readonly contenders: readonly string[];
  readonly goals: (size: number, group: number) => readonly Goal[];
  /** One after the other until the round is over. */
  readonly step: Step;
}

function appendRow(spec: AppendSpec): Row {
  return {
    name: spec.name,
    title: spec.title,
    unit: 'records/s',
    primary: RATE,
    cases: (scale) =>
      scale.sizes.flatMap((size) =>
        spec.groups(scale).map((group): Case => {
          const label = spec.groupLabel(group);
          return {
            label: label === '' ? sizeLabel(size) : `${sizeLabel(size)}, ${label}`,
            params: { size, group },
            contenders: spec.contenders,
            goals: spec.goals(size, group),
          };
        }),
      ),
    async start(run) {
      const group = numberParam(run.params, 'group');
      const source = new PayloadSource(numberParam(run.params, 'size'), group);
      return { round: () => appendRound(run, spec, source, group) };
    },
  };
}

function appendRound(run: Run, spec: AppendSpec, source: PayloadSource, group: number): Promise<Sample> {
  const { scale } = run;
  const segmentBytes =
    scale.name === 'full' || !run.contender.startsWith('evaq r') ? {} : { segmentBytes: 16 * 2 ** 20 };
  return inFreshStore(run, { mode: spec.mode, ...segmentBytes }, async ({ driver }) => {
    const latency = new LatencyRecorder();
    const until = performance.now() + scale.roundMs;
    const sample = await timeBoxed(scale, source.size, () => spec.step(driver, source, group, latency, until));
    return { ...sample, latency: latency.result() };
  });
}

/** What the callers of one round write at most. */
const PUSHED_BYTES_MAX = 512 * 2 ** 20;

const LARGE_BYTES = 16 * 1024;

const one = (): readonly number[] => [1];
const noLabel = (): string => '';
const batches: Step = async (driver, source, group, latency) => {
  const started = performance.now();
  await driver.pushMany(source.batch(group));
  latency.record(started);
  return group;
};

/** Each caller awaits its push before it makes the next; they do not wait for each other until the round is over. */
const callers: Step = async (driver, source, group, latency, until) => {
  if (driver.callersShareWrites === true) return batches(driver, source, group, latency, until);
  let pushes = 0;
  const caller = async (): Promise<void> => {
    let now: number;
    do {
      const started = performance.now();
      await driver.push(source.one());
      latency.record(started);
      pushes++;
      now = performance.now();
    } while (now < until && pushes * source.size < PUSHED_BYTES_MAX);
  };
  await Promise.all(Array.from({ length: group }, caller));
  return pushes;
};

const pushOne = appendRow({
  name: 'push-one',
  title: 'Durable push, one at a time',
  mode: 'sync',
  groups: one,
  groupLabel: noLabel,
  contenders: ['evaq', 'evaq recycled', 'evaq pushSync', 'device', ...PEERS],
  goals: () => [
    atLeast({ against: 'device', factor: 0.9 }),
    atLeast({ of: 'evaq recycled', against: 'device', factor: 1.3 }),
    // SQLite blocks its thread for the sync, which saves the wake-up of another: against it stands the call that blocks, too.
    atLeast({ against: 'lmdb', factor: 1 }),
    atLeast({ against: 'leveldb', factor: 1 }),
    atLeast({ of: 'evaq pushSync', against: 'sqlite', factor: 0.95 }),
  ],
  async step(driver, source, _group, latency) {
    const started = performance.now();
    await driver.push(source.one());
    latency.record(started);
    return 1;
  },
});

const pushConcurrent = appendRow({
  name: 'push-concurrent',
  title: 'Durable push by concurrent callers',
  mode: 'sync',
  groups: (scale) => (scale.name === 'full' ? [64, 256] : [64]),
  groupLabel: (group) => `${group} callers`,
  contenders: ['evaq', 'device', ...PEERS],
  goals: (size) => [
    // At 16 KiB a checksum of each byte stands between the two: LMDB makes none.
    atLeast({ against: 'lmdb', factor: size >= LARGE_BYTES ? 1.2 : 2 }),
    atLeast({ against: 'leveldb', factor: 10 }),
  ],
  step: callers,
});

const pushManyDurable = appendRow({
  name: 'push-many',
  title: 'Durable pushMany',
  mode: 'sync',
  groups: (scale) => (scale.name === 'full' ? [100, 1000] : [100]),
  groupLabel: (group) => `batches of ${group}`,
  contenders: ['evaq', 'device', ...PEERS],
  goals: (size, group) => [
    // Both wait for one sync, which is most of the time of a small batch.
    atLeast({ against: 'sqlite', factor: group < 1000 ? 1.5 : 2 }),
    ...(size >= 1024 ? [atLeast({ against: 'device', factor: 0.6 })] : []),
  ],
  step: batches,
});

const pushOs = appendRow({
  name: 'push-os',
  title: "Push in mode 'os', a promise each, awaited per 1000",
  mode: 'os',
  groups: () => [1000],
  groupLabel: noLabel,
  contenders: ['evaq', 'device', ...PEERS],
  goals: (size) => (size === 100 ? [atLeast({ against: 'best peer', factor: 3 })] : []),
  async step(driver, source, group, latency) {
    const started = performance.now();
    await driver.pushEach(source.batch(group));
    latency.record(started);
    return group;
  },
});

const pushManyOs = appendRow({
  name: 'push-many-os',
  title: "pushMany in mode 'os', batches of 1000",
  mode: 'os',
  groups: () => [1000],
  groupLabel: noLabel,
  contenders: ['evaq', 'device', ...PEERS],
  goals: (size) => [
    // All that is left is the work for each record, of which the checksum alone is more than a sixth of what LMDB needs.
    ...(size === 100 ? [atLeast({ against: 'lmdb', factor: 2.5 })] : []),
    ...(size >= 1024 ? [atLeast({ against: 'device', factor: 0.6 })] : []),
  ],
  step: batches,
});

export const APPEND_ROWS: readonly Row[] = [pushOne, pushConcurrent, pushManyDurable, pushOs, pushManyOs];
