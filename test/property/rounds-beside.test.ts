/**
 * What a round of removals says of the segments beside it (`support/rounds-beside.ts`), and what is kept for a full disk (`support/reserve-after-cut.ts`),
 * behind power cuts. That it is found out where they are wrong, planted-beside-rounds.test.ts shows.
 */
import { describe, expect, test } from 'vitest';
import { cutAndEmpty } from './support/reserve-after-cut.js';
import { BESIDES, runRoundsBeside } from './support/rounds-beside.js';

const RUNS = Number(process.env['EVAQ_RUNS'] ?? 30);
const FIRST = Number(process.env['EVAQ_SEED'] ?? 1);
const TIMEOUT_MS = 600_000;

describe.each(BESIDES)('removals while segments change, beside %s', (beside) => {
  test('P1, P2, P9: no power cut behind a round makes damage of what was torn', { timeout: TIMEOUT_MS }, async () => {
    let states = 0;
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) states += await runRoundsBeside(seed, beside);
    expect(states).toBeGreaterThan(3 * RUNS);
  });
});

test('P2: a store that was cut and whose disk is full opens and can be emptied: what is kept for that is durable', {
  timeout: TIMEOUT_MS,
}, async () => {
  // In mode 'sync', and in one in which cuts leave holes.
  for (const seed of [FIRST, FIRST + 1]) expect(await cutAndEmpty(seed)).toBeGreaterThan(10);
});
