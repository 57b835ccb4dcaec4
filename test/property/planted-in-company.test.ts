/** Bugs of calls beside each other, of time, signals and descriptors are planted, and found: as in planted-bugs.test.ts. */
import { BUGS_OF_DESCRIPTORS } from './support/planted-descriptors.js';
import { BUGS_IN_COMPANY } from './support/planted-in-company.js';
import { BUGS_IN_SIGNALS } from './support/planted-in-signals.js';
import { BUGS_IN_TIME } from './support/planted-in-time.js';
import { inAFolder, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound([...BUGS_IN_COMPANY, ...BUGS_IN_TIME, ...BUGS_IN_SIGNALS, ...BUGS_OF_DESCRIPTORS]);
