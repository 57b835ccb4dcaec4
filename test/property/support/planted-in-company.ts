/**
 * Bugs that show only in company: beside other calls, under faults that pass, under a load that never pauses. The checks of histories ('linear')
 * and of progress ('live') have to find each of them.
 */
import { type Edit, FREQUENT_REWRITES, type PlantedBug, type Trouble } from './planted-bugs.js';

function linear(title: string, trouble: Trouble, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['linear'], trouble, edits };
}

function live(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['live'], edits };
}

const CORE = 'queue/queue-core.ts';
const REMOVING = 'queue/removing.ts';

export const BUGS_IN_COMPANY: readonly PlantedBug[] = [
  linear('a claim that is given back is forgotten', 'faults', {
    file: 'queue/claims.ts',
    find: "if (outcome === 'given back' && segment.wasGiven(claim.id)) log.revive(claim.id);",
    put: '',
  }),
  linear('removing a range passes over what is claimed', 'faults', {
    file: REMOVING,
    find: 'const waits = claims.touches(0, last);',
    put: 'const waits = claims.touches(-1, -1);',
  }),
  {
    title: 'a read is empty though something is live',
    hunts: ['reading'],
    edits: [
      {
        file: 'log/log-reader.ts',
        find: 'if (!outcome.more || records.length > 0) return outcome;',
        put: 'return outcome;',
      },
    ],
  },
  linear(
    'a snapshot takes what is claimed for removed',
    'faults',
    {
      file: CORE,
      find: 'return accountOf(segments, below, this.claims);',
      put: 'return accountOf(segments, below, { nextClaimed: () => undefined });',
    },
    FREQUENT_REWRITES,
  ),
  linear('a copy is made durable before what it is a copy of', 'weak', {
    file: 'store/move.ts',
    find: '    await from.commits.syncNow();\n',
    put: '',
  }),
  live('return() of a tail waits for the next record', {
    file: 'queue/live-records.ts',
    find: '    this.#stopped = true;\n    this.#batch = NOTHING;\n    this.#wake();',
    put: '    this.#stopped = true;\n    this.#batch = NOTHING;',
  }),
  live('the timer of an interval outlives its queue', {
    file: CORE,
    find: '          if (this.isOpen) tick();',
    put: '          tick();',
  }),
];
