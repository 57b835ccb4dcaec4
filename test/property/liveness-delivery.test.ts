/** P14 of deliveries: beside callers that never pause whatever is asked of them, and of what they have, has its answer after a bounded number of steps. */
import { describe, expect, test } from 'vitest';
import { ASKED, askDelivery, LOADS_BESIDE, WAYS } from './support/live-delivery.js';

for (const [way, begin] of Object.entries(WAYS)) {
  describe(`P14: ${way}`, () => {
    for (const [load, callers] of Object.entries(LOADS_BESIDE)) {
      for (const [i, [name, ask]] of Object.entries(ASKED).entries()) {
        test(`${name}, ${load}`, { timeout: 120_000 }, async () => {
          const steps = await askDelivery(begin, callers, ask, i);
          if (process.env['EVAQ_TABLE'] !== undefined) console.log(`| ${way} | ${load} | ${name} | ${steps} |`);
          expect(steps).toBeTypeOf('number');
        });
      }
    }
  });
}
