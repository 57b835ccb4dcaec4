/** Dead letters are where they belong, with their history: see `support/letters-run.ts`. That it is found out where they are not, planted-bugs.test.ts shows. */
import { expect, test } from 'vitest';
import { newLettersTally, runLetters } from './support/letters-run.js';

const SEEDS = Number(process.env['EVAQ_RUNS'] ?? 40);
const FIRST = Number(process.env['EVAQ_SEED'] ?? 1);

test('P1, P2, P10: dead letters of several queues, here and over a link, by hand and from handlers, through deaths', {
  timeout: 3_600_000,
}, async () => {
  const tally = newLettersTally();
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) await runLetters(seed, tally);
  for (const [what, count] of Object.entries(tally)) expect(count, what).toBeGreaterThan(0);
});
