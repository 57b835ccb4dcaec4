/** What is told of a store is what happened in it: see `support/observed-run.ts`. That it is found out where it is not, planted-bugs.test.ts shows. */
import { expect, test } from 'vitest';
import { newObservedTally, runObserved } from './support/observed-run.js';

const SEEDS = Number(process.env['EVAQ_RUNS'] ?? 60);
const FIRST = Number(process.env['EVAQ_SEED'] ?? 1);

test('channels tell of each operation once, with its outcome, and health() of what is wrong', {
  timeout: 3_600_000,
}, async () => {
  const tally = newObservedTally();
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) await runObserved(seed, tally);
  for (const [what, count] of Object.entries(tally)) expect(count, what).toBeGreaterThan(0);
});
