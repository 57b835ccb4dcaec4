/** Bugs of zeros ahead are planted, and found: as in planted-bugs.test.ts. */
import { BUGS_OF_ZEROS } from './support/planted-in-zeros.js';
import { inAFolder, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound(BUGS_OF_ZEROS);
