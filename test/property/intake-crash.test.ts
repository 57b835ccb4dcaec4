/** Messages come in once and sources go on where their records end, after a crash at any point: see `support/intake-run.ts`. */
import { expect, test } from 'vitest';
import { exploreIntake, intakeOps } from './support/intake-run.js';

const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const SEEDS = EVAQ_RUNS === undefined ? 2 : Math.ceil(Number(EVAQ_RUNS) / 20);
/** Of each workload. */
const STATES = EVAQ_RUNS === undefined ? 400 : 1500;
const FIRST = Number(EVAQ_SEED ?? 1);
/** Only to end a test that would hang: a slow machine does as many runs. */
const TIMEOUT_MS = 3_600_000;

test.each(['sync', 'interval', 'os'] as const)(
  'P1, P3, P4: after a crash at any point messages are known and sources stand at their records, in mode %s',
  { timeout: TIMEOUT_MS },
  async (mode) => {
    let states = 0;
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const { states: seen } = await exploreIntake(seed, mode, STATES);
      states += seen;
    }
    expect(states).toBeGreaterThan(100 * SEEDS);
  },
);

test('the workloads have everything in them', () => {
  const kinds = new Set([1, 2, 3, 4].flatMap((seed) => intakeOps(seed).map(({ kind }) => kind)));
  expect([...kinds].sort()).toEqual(['batch', 'compact', 'flush', 'move', 'push', 'remove', 'reopen']);
});
