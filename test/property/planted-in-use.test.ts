/** Bugs of a full disk, of getting in once, of limits and of delivery are planted, and found: as in planted-bugs.test.ts. */
import { BUGS_AT_INTAKE } from './support/planted-at-intake.js';
import { BUGS_ON_A_FULL_DISK } from './support/planted-full.js';
import { BUGS_IN_DELIVERY } from './support/planted-in-delivery.js';
import { BUGS_OF_LIMITS } from './support/planted-limits.js';
import { inAFolder, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound([...BUGS_ON_A_FULL_DISK, ...BUGS_AT_INTAKE, ...BUGS_OF_LIMITS, ...BUGS_IN_DELIVERY]);
