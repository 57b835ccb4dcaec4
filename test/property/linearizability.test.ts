/**
 * Every call keeps its word beside others: histories of several clients at one store on the simulated machine, with faults and crashes, are
 * explained by a sequential store. What resolved before a crash is there after it; what was under way is there wholly or not at all.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CheckStats } from './support/linear-check.js';
import { LINEAR_REGRESSIONS } from './support/linear-regressions.js';
import { runLinear } from './support/linear-run.js';
import { linearScript } from './support/linear-script.js';

/** To repeat a failure: EVAQ_SEED as printed. EVAQ_RUNS for more of them; `npm run torture -- --histories` for as many as there is time for. */
const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const RUNS = Number(EVAQ_RUNS ?? 50);
const SEED = EVAQ_SEED === undefined ? {} : { seed: Number(EVAQ_SEED) };

describe('histories of concurrent calls are linearizable', () => {
  for (const trouble of ['calm', 'faults', 'crashes', 'weak'] as const) {
    const title = {
      calm: 'P1-P4, P10: nothing fails',
      faults: 'P1-P4, P7, P10: calls of the disk fail, and it fills up',
      crashes: 'P1-P4, P8, P10: kills and power cuts at any step',
      weak: 'P1-P4, P8, P10: power cuts in the weaker modes',
    }[trouble];
    test(title, { timeout: 3_600_000 }, async () => {
      const stats: CheckStats = { chapters: 0, givenUp: 0 };
      await fc.assert(
        fc.asyncProperty(linearScript(trouble), (script) => runLinear(script, stats)),
        { numRuns: RUNS, ...SEED },
      );
      expect(stats.givenUp, 'nearly every history is decided').toBeLessThan(stats.chapters / 20);
    });
  }
});

describe('scripts that once found something', () => {
  for (const { title, make } of LINEAR_REGRESSIONS) {
    test(title, { timeout: 60_000 }, async () => {
      for (let seed = 0; seed < 6; seed++) {
        for (let nth = 1; nth <= 3; nth++) await runLinear(make(seed, nth), { chapters: 0, givenUp: 0 });
      }
    });
  }
});
