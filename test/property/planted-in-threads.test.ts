/** Bugs of links, of observation and of dead letters are planted, and found: as in planted-bugs.test.ts. */
import { BUGS_IN_LINKS } from './support/planted-in-links.js';
import { BUGS_OF_LETTERS } from './support/planted-letters.js';
import { BUGS_OF_OBSERVATION } from './support/planted-observed.js';
import { inAFolder, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound([...BUGS_IN_LINKS, ...BUGS_OF_LETTERS, ...BUGS_OF_OBSERVATION]);
