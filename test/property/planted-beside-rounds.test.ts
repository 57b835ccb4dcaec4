/** Bugs beside rounds of removals are planted, and found: as in planted-bugs.test.ts. */
import { BUGS_BESIDE_ROUNDS } from './support/planted-beside-rounds.js';
import { inAFolder, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound(BUGS_BESIDE_ROUNDS);
