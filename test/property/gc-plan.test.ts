import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GcLimits, type GcPlan, planGc, type SegmentStats } from '../../src/gc/gc-plan.js';

const KIB = 1024;
const limits: GcLimits = { liveShareMax: 0.5, segmentBytes: 1024 * KIB, gainBytesMin: 64 * KIB, quietMsMin: 2000 };

const segment = fc
  .record({
    bytes: fc.integer({ min: 200, max: 1100 * KIB }),
    records: fc.integer({ min: 1, max: 1000 }),
    live: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }), fc.constant(0.01)),
    skew: fc.double({ min: 0, max: 1, noNaN: true }),
    quietMs: fc.constantFrom(0, 1999, 2000, 100_000),
    held: fc.nat(9),
  })
  .map(({ bytes, records, live, skew, quietMs, held }) => {
    const liveRecords = Math.round(records * live);
    const liveBytes = liveRecords === 0 ? 0 : liveRecords === records ? bytes : bytes * live * skew;
    return { bytes, records, liveRecords, liveBytes, quietMs, held: held === 0 };
  });

/** Ready to be rewritten, with a lot to copy. */
const sparse = fc.record({
  bytes: fc.constant(1024 * KIB),
  records: fc.constant(1000),
  liveRecords: fc.constantFrom(1, 499),
  liveBytes: fc.integer({ min: KIB, max: 500 * KIB }),
  quietMs: fc.constant(100_000),
  held: fc.constant(false),
});

const segments: fc.Arbitrary<SegmentStats[]> = fc
  .oneof(fc.array(segment, { maxLength: 40 }), fc.array(fc.oneof(sparse, sparse, segment), { maxLength: 12 }))
  .map((list) => list.map((one, position) => ({ position, ...one })));

type Planner = (segments: readonly SegmentStats[], limits: GcLimits) => GcPlan;

/** Throws at the first thing that a plan must not do, or has to and does not. */
function checkPlan(plan: Planner, given: readonly SegmentStats[]): void {
  const { steps, againInMs } = plan(given, limits);
  const at = (position: number): SegmentStats => {
    const found = given[position];
    if (found === undefined) throw new Error(`segment ${position} does not exist`);
    return found;
  };
  const touched = steps.flatMap((step) => step.positions);
  expect(new Set(touched).size).toBe(touched.length);
  for (const position of touched) expect(at(position).held).toBe(false);

  const dropped = steps.filter((step) => step.kind === 'drop').flatMap((step) => step.positions);
  const dead = given.filter((one) => one.liveRecords === 0 && !one.held).map((one) => one.position);
  expect(dropped).toEqual(dead);

  for (const step of steps.filter((one) => one.kind === 'rewrite')) {
    const sources = step.positions.map(at);
    expect(sources.length).toBeGreaterThan(0);
    const live = sources.reduce((sum, one) => sum + one.liveBytes, 0);
    if (sources.length > 1) expect(live).toBeLessThanOrEqual(limits.segmentBytes);
    expect(sources.reduce((sum, one) => sum + one.bytes, 0) - live).toBeGreaterThanOrEqual(limits.gainBytesMin);
    for (const one of sources) {
      expect(one.liveRecords).toBeGreaterThan(0);
      expect(one.liveRecords).toBeLessThan(one.records);
    }
    // Neighbours: what is between them is dead.
    const [first = 0, last = 0] = [step.positions[0], step.positions.at(-1)];
    expect([...step.positions].sort((a, b) => a - b)).toEqual(step.positions);
    for (let between = first; between <= last; between++) {
      if (!step.positions.includes(between)) expect(at(between).liveRecords).toBe(0);
    }
  }
  if (againInMs !== undefined) expect(againInMs).toBeGreaterThan(0);
}

function holds(plan: Planner): fc.RunDetails<[SegmentStats[]]> {
  return fc.check(
    fc.property(segments, (given) => checkPlan(plan, given)),
    { numRuns: 1000 },
  );
}

/** A queue that is worked off from the front: `done` of the records of all segments are dead. */
function drained(count: number, done: number, quietMs: number): SegmentStats[] {
  return Array.from({ length: count }, (_, position) => {
    const dead = Math.min(1, Math.max(0, done * count - position));
    const liveRecords = Math.round(1000 * (1 - dead));
    return {
      position,
      bytes: 1024 * KIB,
      records: 1000,
      liveRecords,
      liveBytes: (liveRecords / 1000) * 1024 * KIB,
      quietMs,
      held: false,
    };
  });
}

describe('the plan of GC', () => {
  it('P6: touches nothing that is held or fully live, drops all that is dead, and copies no more than a segment at a time', () => {
    const details = holds(planGc);
    expect(details.failed ? fc.defaultReportMessage(details) : '').toBe('');
  });

  it.each<[string, Planner]>([
    [
      'what is held is not spared',
      (given, given2) =>
        planGc(
          given.map((one) => ({ ...one, held: false })),
          given2,
        ),
    ],
    [
      'live segments are rewritten',
      (given, given2) =>
        planGc(
          given.map((one) => ({ ...one, records: one.records + (one.liveRecords === one.records ? 5000 : 0) })),
          given2,
        ),
    ],
    ['the size of a rewrite has no bound', (given, given2) => planGc(given, { ...given2, segmentBytes: Infinity })],
    ['any gain will do', (given, given2) => planGc(given, { ...given2, gainBytesMin: 0 })],
    ['the last dead segment is forgotten', (given, given2) => planGc(given.slice(0, -1), given2)],
  ])('the property finds a planted bug: %s', (_bug, broken) => {
    expect(holds(broken).failed).toBe(true);
  });

  it('P6: work in order rewrites nothing, at any point of the way', () => {
    for (let done = 0; done <= 1; done += 0.003) {
      const { steps } = planGc(drained(10, done, 0), limits);
      expect(steps.filter((step) => step.kind === 'rewrite')).toEqual([]);
      expect(steps.flatMap((step) => step.positions)).toHaveLength(Math.floor(done * 10 + 1e-9));
    }
  });

  it('a segment that is being drained is looked at again when it has been left alone', () => {
    const busy = planGc(drained(4, 0.2, 500), limits);
    expect(busy).toEqual({ steps: [], againInMs: 1500 });
    const quiet = planGc(drained(4, 0.2, 2000), limits);
    expect(quiet.steps).toEqual([{ kind: 'rewrite', positions: [0] }]);
    expect(quiet.againInMs).toBeUndefined();
  });

  it('where waste outgrows what is live nothing waits for quiet', () => {
    const sparse = Array.from({ length: 20 }, (_, position): SegmentStats => {
      return {
        position,
        bytes: 1024 * KIB,
        records: 1000,
        liveRecords: 10,
        liveBytes: 10 * KIB,
        quietMs: 0,
        held: false,
      };
    });
    expect(planGc(sparse, limits).steps).toEqual([{ kind: 'rewrite', positions: sparse.map((one) => one.position) }]);
    expect(planGc(sparse.slice(0, 2), limits)).toMatchObject({ steps: [], againInMs: 2000 });
  });

  it('a rewrite gains enough: what it made is not rewritten again until half of it is dead', () => {
    const rewritten: SegmentStats = {
      position: 0,
      bytes: 400 * KIB,
      records: 400,
      liveRecords: 400,
      liveBytes: 400 * KIB,
      quietMs: 1e9,
      held: false,
    };
    for (let liveRecords = 400; liveRecords > 200; liveRecords--) {
      expect(planGc([{ ...rewritten, liveRecords, liveBytes: liveRecords * KIB }], limits).steps).toEqual([]);
    }
    const half = { ...rewritten, liveRecords: 199, liveBytes: 199 * KIB };
    expect(planGc([half], limits).steps).toEqual([{ kind: 'rewrite', positions: [0] }]);
    const small = { ...half, bytes: 100 * KIB, liveBytes: 49 * KIB };
    expect(planGc([small], limits).steps).toEqual([]);
  });

  it('one straggler of many bytes, or many of few, makes a segment sparse', () => {
    const base = { position: 0, bytes: 1024 * KIB, records: 1000, quietMs: 1e9, held: false };
    const byBytes = planGc([{ ...base, liveRecords: 900, liveBytes: 100 * KIB }], limits);
    const byCount = planGc([{ ...base, liveRecords: 1, liveBytes: 900 * KIB }], limits);
    expect([byBytes, byCount].map(({ steps }) => steps.length)).toEqual([1, 1]);
  });
});
