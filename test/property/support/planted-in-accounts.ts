/** Bugs in the accounts: of what is gone that should not be, and of what is gone as it should be. */
import type { PlantedBug } from './planted-bugs.js';

const account = (title: string, hunts: PlantedBug['hunts'], file: string, find: string, put: string): PlantedBug => ({
  title,
  hunts,
  edits: [{ file, find, put }],
});

export const PLANTED_IN_ACCOUNTS: readonly PlantedBug[] = [
  account(
    'what was removed is forgotten with its segment',
    ['salvage'],
    'queue/account.ts',
    'if (segment.firstId > next) yield { first: next, last: segment.firstId - 1 };',
    '',
  ),
  account(
    'IDs that a crash skipped are not written down',
    ['weak', 'crashes'],
    'queue/account.ts',
    'if (below > next) yield { first: next, last: below - 1 };',
    '',
  ),
  account(
    'a round accounts for what is under way',
    ['crashes', 'weak'],
    'queue/queue-core.ts',
    'accountedBelow: this.commits.durableBelow,',
    'accountedBelow: this.commits.nextId,',
  ),
  account(
    'what a rewrite could not read is not accounted for',
    ['salvage'],
    'queue/queue-core.ts',
    'account: (lost) => this.#account(lost),',
    'account: () => Promise.resolve(),',
  ),
  account(
    'files that are missing are not missed',
    ['salvage'],
    'log/losses.ts',
    'if (!facts.hasVanished) told.push(...findMissing(facts, absent, rest, told));',
    'void findMissing;',
  ),
  account(
    'no one is told which of the records in a damaged body are lost',
    ['salvage'],
    'raw/verify.ts',
    'const isLacking = wrong !== undefined || scan.damaged.length > 0;',
    'const isLacking = false;',
  ),
];
