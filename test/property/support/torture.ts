/**
 * The properties without an end: fresh seeds for so many minutes. `npm run torture -- --minutes 10`. Stops at the first broken promise
 * and prints the script that breaks it.
 */
import * as fc from 'fast-check';
import { newRunStats, runScript } from './store-run.js';
import { script } from './store-script.js';

const SLICE_MS = 30_000;
const TROUBLES = ['crashes', 'collecting', 'space', 'errors'] as const;

/** Resolves with false if something was found. */
export async function torture(minutes: number, firstSeed: number): Promise<boolean> {
  const started = Date.now();
  const stats = newRunStats();
  const states = stats.tally.all;
  for (let slice = 0; Date.now() - started < minutes * 60_000; slice++) {
    const trouble = TROUBLES[slice % TROUBLES.length] ?? 'crashes';
    const seed = firstSeed + slice;
    const left = minutes * 60_000 - (Date.now() - started);
    const result = await fc.check(
      fc.asyncProperty(script(trouble, 60), async (value) => {
        await runScript(value, { branches: 4 }, stats);
      }),
      { numRuns: 1_000_000, seed, interruptAfterTimeLimit: Math.min(SLICE_MS, left), markInterruptAsFailure: false },
    );
    if (result.failed && result.errorInstance !== null) {
      console.error(`${trouble}, seed ${seed}, path ${result.counterexamplePath ?? ''}`);
      console.error(fc.defaultReportMessage(result));
      console.error(result.errorInstance);
      return false;
    }
    const seconds = (Date.now() - started) / 1000;
    const { opens, cuts, kills, acknowledged, faults } = stats;
    console.log(
      `${trouble} seed ${seed}: ${states.size} distinct states, ${(states.size / seconds).toFixed(0)} a second; ` +
        `${opens} opens, ${cuts} power cuts, ${kills} kills, ${faults} faults, ${acknowledged} acknowledgements`,
    );
  }
  for (const row of stats.tally.rows()) console.log(row);
  console.log('\n| failing call | times |\n|---|---:|');
  for (const [hit, times] of [...stats.hits].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`| ${hit} | ${times} |`);
  return true;
}
