/**
 * The whole store against a model of what its callers were told, on the simulated disk: commands, crashes inside and between them, full
 * disks, failing calls. A counterexample reads as a script; the data at its end goes into `support/store-regressions.ts`.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { REGRESSIONS } from './support/store-regressions.js';
import { newRunStats, runScript } from './support/store-run.js';
import { script } from './support/store-script.js';

/** To repeat a failure: EVAQ_SEED as printed. EVAQ_RUNS for more of them. */
const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const RUNS = Number(EVAQ_RUNS ?? 70);
const SEED = EVAQ_SEED === undefined ? {} : { seed: Number(EVAQ_SEED) };
/** Only to end a test that would hang: a slow machine does as many runs. */
const TIMEOUT_MS = 3_600_000;

describe('a store on the simulated disk', () => {
  for (const trouble of ['crashes', 'collecting', 'space', 'errors'] as const) {
    const title = {
      crashes: 'P1-P10: kills and power cuts at any step, also in recovery',
      collecting: 'P1-P10: garbage collection beside removals and moves, and crashes',
      space: 'P1-P10: a disk that fills up and is freed, and crashes',
      errors: 'P1-P10: calls that fail, and crashes',
    }[trouble];
    test(title, { timeout: TIMEOUT_MS }, async () => {
      const stats = newRunStats();
      await fc.assert(
        fc.asyncProperty(script(trouble), async (value) => {
          await runScript(value, {}, stats);
        }),
        { numRuns: RUNS, ...SEED },
      );
      if (EVAQ_RUNS !== undefined) {
        const { tally, hits, ...counts } = stats;
        console.log([`${trouble}: ${JSON.stringify(counts)}`, ...tally.rows(), ...hits].join('\n'));
      }
      expect(stats.states).toBeGreaterThan(0);
      expect(stats.droppedSegments, 'segments are collected on the way').toBeGreaterThan(0);
    });
  }
});

describe('scripts that once found something', () => {
  for (const { title, indexIntervalBytes = 4096, scripts } of REGRESSIONS) {
    test(title, { timeout: TIMEOUT_MS }, async () => {
      for (const ops of scripts) {
        for (let seed = 0; seed < (scripts.length > 2 ? 2 : 8); seed++) {
          const names = seed % 2 === 0 ? 'adversarial' : 'ordered';
          const timing = seed < 4 ? 'wild' : 'steady';
          const settings = {
            seed,
            sectorBytes: 512,
            names,
            timing,
            recycleSegments: seed % 3,
            indexIntervalBytes,
          } as const;
          await runScript({ settings, ops }, { branches: 4 });
        }
      }
    });
  }
});
