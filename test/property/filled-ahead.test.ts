/** Zeros ahead of commits: see `support/filled-ahead.ts`. That it is found out where they harm, planted-in-zeros.test.ts shows. */
import { expect, test } from 'vitest';
import { runFilledAhead } from './support/filled-ahead.js';

const SEEDS = Number(process.env['EVAQ_FILLED_AHEAD_SEEDS'] ?? 12);

test('P1, P3: zeros that are added ahead take nothing that was acknowledged, whatever overtakes them', {
  timeout: 600_000,
}, async () => {
  let extensions = 0;
  for (let seed = 1; seed <= SEEDS; seed++) extensions += (await runFilledAhead(seed)).extensions;
  expect(extensions).toBeGreaterThan(SEEDS);
});
