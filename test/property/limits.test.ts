/** Queues keep within their limits: see `support/limits-run.ts`. That it is found out where they do not, planted-bugs.test.ts shows. */
import { expect, test } from 'vitest';
import { newLimitsTally, runLimits } from './support/limits-run.js';

const SEEDS = Number(process.env['EVAQ_RUNS'] ?? 40);
const FIRST = Number(process.env['EVAQ_SEED'] ?? 1);

test('a queue with limits holds what it may, refuses, lets wait and drops as it must, through handlers, faults, time and power cuts', {
  timeout: 3_600_000,
}, async () => {
  const tally = newLimitsTally();
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) await runLimits(seed, tally);
  for (const [what, count] of Object.entries(tally)) expect(count, what).toBeGreaterThan(0);
});
