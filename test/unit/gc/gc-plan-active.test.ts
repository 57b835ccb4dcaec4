import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ActivePlan, type ActiveStats, type GcLimits, planActive, planGc } from '../../../src/gc/gc-plan.js';

const KIB = 1024;
const limits: GcLimits = { liveShareMax: 0.55, segmentBytes: 1024 * KIB, gainBytesMin: 64 * KIB, quietMsMin: 2000 };

/** A kibibyte a record. */
function active(records: number, liveRecords: number, quietMs: number, more: Partial<ActiveStats> = {}): ActiveStats {
  const bytes = records * KIB;
  return { bytes, records, liveRecords, liveBytes: liveRecords * KIB, quietMs, held: false, isUrgent: false, ...more };
}

describe('the plan for the active segment', () => {
  it.each<[string, ActiveStats, ActivePlan]>([
    ['one without records stays', active(0, 0, 1e9, { bytes: 1024 * KIB }), { kind: 'leave' }],
    ['all live: stays', active(800, 800, 1e9), { kind: 'leave' }],
    ['more live than the limit: stays', active(800, 450, 1e9), { kind: 'leave' }],
    ['all dead, and small: stays', active(15, 0, 1e9), { kind: 'leave' }],
    ['all dead: when it is quiet', active(16, 0, 500), { kind: 'wait', ms: 1500 }],
    ['all dead and quiet: goes', active(16, 0, 2000), { kind: 'roll' }],
    ['one straggler in little: stays', active(64, 1, 1e9), { kind: 'leave' }],
    ['half live: has to be quiet for longer', active(800, 400, 2000), { kind: 'wait', ms: 8000 }],
    ['half live: goes', active(800, 400, 10_000), { kind: 'roll' }],
    ['removals under way: stays', active(800, 1, 1e9, { held: true }), { kind: 'leave' }],
    ['a full disk waits for nothing', active(800, 0, 0, { isUrgent: true }), { kind: 'roll' }],
    ['all live in a large old file: goes', active(20, 20, 1e9, { bytes: 1024 * KIB }), { kind: 'roll' }],
    ['few large ones dead: goes', active(800, 790, 1e9, { liveBytes: 90 * KIB }), { kind: 'roll' }],
  ])('%s', (_what, given, plan) => {
    expect(planActive(given, limits)).toEqual(plan);
  });

  it('with gc: false only one in which all is dead goes; compact() waits for nothing', () => {
    const never = { ...limits, liveShareMax: 0 };
    expect(planActive(active(800, 1, 1e9), never)).toEqual({ kind: 'leave' });
    expect(planActive(active(800, 0, 1e9), never)).toEqual({ kind: 'roll' });
    const compact = { ...limits, liveShareMax: 1, gainBytesMin: 1, quietMsMin: 0 };
    expect(planActive(active(800, 784, 0), compact)).toEqual({ kind: 'roll' });
    expect(planActive(active(800, 785, 0), compact)).toEqual({ kind: 'leave' });
  });

  it('P6: what is left for its space is collected then, and what is to be waited for is due later', () => {
    const stats = fc
      .record({
        records: fc.integer({ min: 0, max: 2000 }),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        quietMs: fc.integer({ min: 0, max: 20_000 }),
        held: fc.boolean(),
      })
      .map(({ records, share, quietMs, held }) => active(records, Math.round(records * share), quietMs, { held }));
    fc.assert(
      fc.property(stats, (given) => {
        const plan = planActive(given, limits);
        if (plan.kind === 'roll') {
          expect(planGc([{ ...given, position: 0 }], limits).steps).toHaveLength(1);
          expect(given.quietMs).toBeGreaterThanOrEqual(limits.quietMsMin);
        }
        if (plan.kind === 'wait') {
          expect(plan.ms).toBeGreaterThan(0);
          expect(planActive({ ...given, quietMs: given.quietMs + plan.ms }, limits)).toEqual({ kind: 'roll' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
