/** What a plan says of dead segments and of merges beside other steps; its properties are in test/property/gc-plan.test.ts. */
import { expect, test } from 'vitest';
import { type GcLimits, planGc, planMerges, type SegmentStats } from '../../../src/gc/gc-plan.js';

const KIB = 1024;
const LIMITS: GcLimits = {
  liveShareMax: 0.5,
  segmentBytes: 64 * KIB,
  gainBytesMin: 8 * KIB,
  quietMsMin: 1000,
  merge: { countMin: 2, ratio: 2 },
};

function segment(position: number, more: Partial<SegmentStats> = {}): SegmentStats {
  const stats = { position, bytes: 20 * KIB, records: 10, liveRecords: 10, liveBytes: 20 * KIB };
  return { ...stats, quietMs: 60_000, held: false, ...more };
}

const sparse = { liveRecords: 1, liveBytes: 2 * KIB };

test('P6: what is rewritten is not merged by another step of the same plan', () => {
  const segments = [segment(0), segment(1), segment(2, sparse), segment(3, sparse), segment(4), segment(5)];
  const { steps } = planGc(segments, LIMITS);
  const all = steps.flatMap(({ positions }) => positions);
  expect(new Set(all).size).toBe(all.length);
  expect(steps[0]).toEqual({ kind: 'rewrite', positions: [2, 3] });
  expect(steps.slice(1).map(({ kind }) => kind)).toEqual(['merge', 'merge']);
});

test('P6: dead segments are dropped, and count as no waste that would press a rewrite', () => {
  const dead = { liveRecords: 0, liveBytes: 0, bytes: 64 * KIB };
  const fresh = { ...sparse, quietMs: 100 };
  const plan = planGc([segment(0, fresh), ...[1, 2, 3, 4, 5, 6, 7, 8].map((i) => segment(i, dead))], LIMITS);
  expect(plan).toEqual({ steps: [{ kind: 'drop', positions: [1, 2, 3, 4, 5, 6, 7, 8] }], againInMs: 900 });
});

test('P6: waste of twice what is live, and more than a few segments, is not waited for', () => {
  const fresh = { liveRecords: 1, liveBytes: 1 * KIB, bytes: 64 * KIB, quietMs: 0 };
  const few = planGc(
    [0, 1, 2].map((i) => segment(i, fresh)),
    LIMITS,
  );
  expect(few).toEqual({ steps: [], againInMs: 1000 });
  const many = planGc(
    [0, 1, 2, 3, 4, 5].map((i) => segment(i, fresh)),
    LIMITS,
  );
  expect(many.steps).toEqual([{ kind: 'rewrite', positions: [0, 1, 2, 3, 4, 5] }]);
});

test('P6: a merge waits until all of its group are quiet, and there is nothing to wait for where there is none', () => {
  const two = [segment(0, { quietMs: 400 }), segment(1, { quietMs: 700 })];
  expect(planMerges(two, LIMITS)).toEqual({ steps: [], againInMs: 600 });
  const quiet = [segment(0, { quietMs: 1000 }), segment(1, { quietMs: 1000 })];
  expect(planMerges(quiet, LIMITS)).toEqual({ steps: [{ kind: 'merge', positions: [0, 1] }], againInMs: undefined });
  expect(planMerges(quiet, { ...LIMITS, merge: undefined })).toEqual({ steps: [], againInMs: undefined });
});
