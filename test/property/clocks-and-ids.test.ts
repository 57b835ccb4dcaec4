/** Clocks that say anything, IDs that begin anywhere, kills and power cuts: what was acknowledged is there, under its ID and with its time. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { runTimes, timeScript } from './support/time-run.js';

const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const RUNS = Number(EVAQ_RUNS ?? 150);
/** Only to end a test that would hang: a slow machine does as many runs. */
const TIMEOUT_MS = 3_600_000;
const SEED = EVAQ_SEED === undefined ? {} : { seed: Number(EVAQ_SEED) };

test('P1-P3, P8, P9: a time is what the clock said at the push, and IDs are given out once, to the last', {
  timeout: TIMEOUT_MS,
}, async () => {
  const stats = { ranOut: 0 };
  await fc.assert(
    fc.asyncProperty(timeScript, (script) => runTimes(script, stats)),
    { numRuns: RUNS, ...SEED },
  );
  expect(stats.ranOut, 'IDs ran out now and then').toBeGreaterThan(0);
});
