/**
 * The properties without an end: fresh seeds for so many minutes. `npm run torture -- --minutes 10`. Stops at the first broken promise
 * and prints the script that breaks it.
 */
import * as fc from 'fast-check';
import { runLinear } from './linear-run.js';
import { linearScript } from './linear-script.js';
import { newRunStats, runScript } from './store-run.js';
import { script } from './store-script.js';

const SLICE_MS = 30_000;
const TROUBLES = ['crashes', 'collecting', 'space', 'errors'] as const;
/** Of the histories of several clients. */
const LINEAR_TROUBLES = ['calm', 'faults', 'crashes', 'weak'] as const;

/** What an endless property makes of a slice of time: the line that tells of it, or nothing where something was found. */
async function slice<T>(property: fc.IAsyncProperty<T>, title: string, seed: number, forMs: number): Promise<boolean> {
  const result = await fc.check(property, {
    numRuns: 1_000_000,
    seed,
    interruptAfterTimeLimit: Math.min(SLICE_MS, forMs),
    markInterruptAsFailure: false,
  });
  if (!result.failed || result.errorInstance === null) return true;
  console.error(`${title}, seed ${seed}, path ${result.counterexamplePath ?? ''}`);
  console.error(fc.defaultReportMessage(result));
  console.error(result.errorInstance);
  return false;
}

/** Histories of several clients: `npm run torture -- --histories`. Resolves with false if one cannot be explained. */
export async function tortureHistories(minutes: number, firstSeed: number): Promise<boolean> {
  const started = Date.now();
  const stats = { chapters: 0, givenUp: 0 };
  for (let round = 0; Date.now() - started < minutes * 60_000; round++) {
    const trouble = LINEAR_TROUBLES[round % LINEAR_TROUBLES.length] ?? 'calm';
    const seed = firstSeed + round;
    const property = fc.asyncProperty(linearScript(trouble, 3), (value) => runLinear(value, stats));
    if (!(await slice(property, trouble, seed, minutes * 60_000 - (Date.now() - started)))) return false;
    console.log(`${trouble} seed ${seed}: ${stats.chapters} histories explained, ${stats.givenUp} given up`);
  }
  return true;
}

/** Resolves with false if something was found. */
export async function torture(minutes: number, firstSeed: number): Promise<boolean> {
  const started = Date.now();
  const stats = newRunStats();
  const states = stats.tally.all;
  for (let round = 0; Date.now() - started < minutes * 60_000; round++) {
    const trouble = TROUBLES[round % TROUBLES.length] ?? 'crashes';
    const seed = firstSeed + round;
    const left = minutes * 60_000 - (Date.now() - started);
    const property = fc.asyncProperty(script(trouble, 60), async (value) => {
      await runScript(value, { branches: 4 }, stats);
    });
    if (!(await slice(property, trouble, seed, left))) return false;
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
