/** Bugs in the accounts of what is gone: each is planted, alone, and found. */
import { PLANTED_IN_ACCOUNTS } from './support/planted-in-accounts.js';
import { inAFolder, theyAreFound } from './support/planting.js';

inAFolder();
theyAreFound(PLANTED_IN_ACCOUNTS);
