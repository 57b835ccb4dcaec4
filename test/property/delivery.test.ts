/**
 * P16 and what goes with it, by random scripts on the simulated machine and clock: pushes, handlers that do anything, removals beside them, stops, deaths,
 * faults. See `support/delivery-model.ts` for what is checked; that it is found out where it is not so, planted-bugs.test.ts shows.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DELIVERY_REGRESSIONS } from './support/delivery-regressions.js';
import { newDeliveryTally, runDelivery } from './support/delivery-run.js';
import { deliveryScript } from './support/delivery-script.js';

/** The same scripts each time; EVAQ_SEED for others, EVAQ_RUNS for more of them. */
const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const RUNS = Number(EVAQ_RUNS ?? 60);
const SEED = { seed: Number(EVAQ_SEED ?? 1) };

test('P1, P2, P10, P14, P16: whatever handlers do and whatever befalls the machine', {
  timeout: 3_600_000,
}, async () => {
  const tally = newDeliveryTally();
  await fc.assert(
    fc.asyncProperty(deliveryScript, (script) => runDelivery(script, tally)),
    { numRuns: RUNS, ...SEED },
  );
  expect(tally.handedOut).toBeGreaterThan(10 * RUNS);
  expect(tally.deaths).toBeGreaterThan(RUNS / 4);
  expect(tally.deadLetters).toBeGreaterThan(RUNS / 4);
});

describe('scripts that once found something', () => {
  for (const { title, scripts } of DELIVERY_REGRESSIONS) {
    test(title, { timeout: 60_000 }, async () => {
      for (const script of scripts) {
        for (const timing of ['steady', 'wild'] as const) await runDelivery({ ...script, timing });
      }
    });
  }
});
