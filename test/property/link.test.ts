/** Links keep their word: see `support/link-run.ts`. That it is found out where they do not, planted-bugs.test.ts shows. */
import { expect, test } from 'vitest';
import { newLinkTally, runLink } from './support/link-run.js';

const SEEDS = Number(process.env['EVAQ_RUNS'] ?? 25);
const FIRST = Number(process.env['EVAQ_SEED'] ?? 1);

test('P2, P14, P16: threads die with what they have, and nothing is lost, doubled or kept for it; errors come over as they are', {
  timeout: 3_600_000,
}, async () => {
  const tally = newLinkTally();
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) await runLink(seed, tally);
  for (const [what, count] of Object.entries(tally)) expect(count, what).toBeGreaterThan(0);
});
