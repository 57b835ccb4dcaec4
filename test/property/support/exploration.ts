/**
 * All that explores crash states, cut into units: a unit is one workload with one seed, takes some seconds, and tells by the hashes of their disks
 * which states it has checked. `npm run explore` carries units out in several processes until there are as many distinct states as were asked for.
 */
import * as fc from 'fast-check';
import type { ExploreReport } from '../../../src/sim/explore.js';
import {
  exploreCollection,
  exploreMoves,
  exploreRecovery,
  exploreTombstoneRewrite,
  type StepBounds,
} from './crash-steps.js';
import { WORD_CALLS, type WordCall, WordExplorer } from './crash-words.js';
import { exploreIntake } from './intake-run.js';
import { exploreEmptyQueue, exploreRewriteBesideGc, exploreRewritesInARow, exploreWeakMode } from './narrow-windows.js';
import { newRunStats, runScript } from './store-run.js';
import { script } from './store-script.js';

type Tell = (hash: string) => void;

export interface ExplorationWorkload {
  readonly name: string;
  readonly durability: 'sync' | 'interval' | 'os';
  /** Units of it in one round of all workloads. */
  readonly weight: number;
  /** Carries out unit `nth`, and tells the hash of each state that it checks. Rejects with what it finds. */
  run(nth: number, seed: number, tell: Tell): Promise<void>;
}

/** A unit ends after so many. */
const STATES_MAX = 3000;
/** Scripts in a unit. */
const SCRIPTS = 10;

function ended({ failure }: ExploreReport): void {
  if (failure !== undefined) throw new Error(failure.script, { cause: failure.error });
}

const steps = (
  name: string,
  explore: (bounds: StepBounds) => Promise<ExploreReport>,
  more: Partial<StepBounds> = {},
  weight = 8,
): ExplorationWorkload => ({
  name,
  durability: 'sync',
  weight,
  run: async (_, seed, onState) => {
    ended(await explore({ exhaustiveMax: 32, draws: 3, depth: 1, statesMax: STATES_MAX, seed, onState, ...more }));
  },
});

const window = (
  name: string,
  durability: ExplorationWorkload['durability'],
  explore: (seed: number, statesMax: number, tell: Tell) => Promise<unknown>,
  weight = 3,
): ExplorationWorkload => ({
  name,
  durability,
  weight,
  run: async (_, seed, tell) => {
    await explore(seed, STATES_MAX, tell);
  },
});

const random = (name: string, trouble: 'crashes' | 'collecting' | 'space' | 'errors'): ExplorationWorkload => ({
  name,
  durability: 'sync',
  weight: 1,
  run: async (_, seed, tell) => {
    const stats = newRunStats();
    for (const value of fc.sample(script(trouble, 60), { numRuns: SCRIPTS, seed }))
      await runScript(value, { branches: 4 }, stats);
    for (const hash of stats.tally.all) tell(hash);
  },
});

/** Words of three calls that begin alike. */
const STEMS: readonly (readonly WordCall[])[] = WORD_CALLS.flatMap((one) => WORD_CALLS.map((two) => [one, two]));

const words: ExplorationWorkload = {
  name: 'words of three calls',
  durability: 'sync',
  weight: 1,
  run: async (nth, seed, tell) => {
    const stem = STEMS[nth % STEMS.length] ?? [];
    const sectorBytes = Math.floor(nth / STEMS.length) % 2 === 0 ? 4096 : 512;
    const explorer = new WordExplorer({ exhaustiveMax: 64, draws: 8, sectorBytes, seed });
    for (const last of WORD_CALLS) await explorer.explore([...stem, last]);
    for (const hash of explorer.tally.all) tell(hash);
  },
};

export const EXPLORATION: readonly ExplorationWorkload[] = [
  words,
  steps('recovery, cut and cut again', exploreRecovery),
  steps('garbage collection, unlinking', (bounds) => exploreCollection(0, bounds)),
  steps('garbage collection, recycling', (bounds) => exploreCollection(1, bounds)),
  // With its tens of thousands of records a state takes three times as long as the others.
  steps(
    'rewrite of the tombstone log',
    async (bounds) => (await exploreTombstoneRewrite(bounds)).report,
    { exhaustiveMax: 8, draws: 1 },
    2,
  ),
  steps('moves', exploreMoves),
  window('garbage collection beside rewrites', 'sync', exploreRewriteBesideGc),
  window('rewrites in a row', 'sync', exploreRewritesInARow),
  window('a queue that is empty', 'sync', exploreEmptyQueue),
  window('weaker mode os', 'os', (seed, statesMax, tell) => exploreWeakMode(seed, 'os', statesMax, tell)),
  // In mode `interval` hardly a disk is left that mode `os` does not leave.
  window(
    'weaker mode interval',
    'interval',
    (seed, statesMax, tell) => exploreWeakMode(seed, { intervalMs: 1 }, statesMax, tell),
    1,
  ),
  window('messages once, and checkpoints', 'sync', (seed, statesMax, tell) =>
    exploreIntake(seed, 'sync', statesMax, tell),
  ),
  window(
    'the same, mode interval',
    'interval',
    (seed, statesMax, tell) => exploreIntake(seed, 'interval', statesMax, tell),
    2,
  ),
  window('the same, mode os', 'os', (seed, statesMax, tell) => exploreIntake(seed, 'os', statesMax, tell), 1),
  random('random scripts: crashes', 'crashes'),
  random('random scripts: garbage collection', 'collecting'),
  random('random scripts: full disks', 'space'),
  random('random scripts: failing calls', 'errors'),
];
