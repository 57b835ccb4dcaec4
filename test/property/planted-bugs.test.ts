/**
 * A check that cannot fail is a defect: each bug is planted, alone, into a bundle of the engine, and the suite has to find it. The engine as
 * it is must pass the same hunts (store-model.test.ts and corruption.test.ts).
 */
import { expect, test } from 'vitest';
import { FREQUENT_REWRITES, PLANTED_BUGS, type PlantedBug } from './support/planted-bugs.js';
import { bundle, inAFolder, TIMEOUT_MS, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound(PLANTED_BUGS);

test('no bug is found where none is planted, though the tombstone log is rewritten at every turn', {
  timeout: TIMEOUT_MS,
}, async () => {
  const plant: PlantedBug = {
    title: 'none',
    hunts: ['beside', 'collecting', 'weak', 'empty', 'rewrites'],
    edits: [FREQUENT_REWRITES],
  };
  const { hunt } = await bundle(plant, 'none');
  const { found, tries } = await hunt(plant, 1);
  expect(found).toBeUndefined();
  expect(tries).toBeGreaterThan(2);
});
