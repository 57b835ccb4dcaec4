/** A signal ends the waiting and nothing else: a record has one owner or is in the queue, and what was withdrawn is nowhere. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { abortedScript, newAbortedStats, runAborted } from './support/aborted-calls.js';

const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const RUNS = Number(EVAQ_RUNS ?? 150);
/** Only to end a test that would hang: a slow machine does as many runs. */
const TIMEOUT_MS = 3_600_000;
const SEED = EVAQ_SEED === undefined ? {} : { seed: Number(EVAQ_SEED) };

test('P1-P3, P14, P16: calls whose signals are aborted lose nothing, take nothing twice, and leave nothing pending', {
  timeout: TIMEOUT_MS,
}, async () => {
  const stats = newAbortedStats();
  await fc.assert(
    fc.asyncProperty(abortedScript, (script) => runAborted(script, stats)),
    { numRuns: RUNS, ...SEED },
  );
  for (const [what, times] of Object.entries(stats)) expect(times, what).toBeGreaterThan(0);
});
