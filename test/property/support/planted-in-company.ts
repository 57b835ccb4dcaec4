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
  linear('a message that is on its way comes in once more', 'calm', {
    file: 'queue/intake.ts',
    find: '    const way = this.#onItsWay.get(messageId);\n',
    put: "    const way = this.#onItsWay.get('');\n",
  }),
  linear('what came in before a restart is not known after it', 'calm', {
    file: 'queue/intake.ts',
    find: '    return this.#state.window.find(hash, this.#now());',
    put: '    const found = this.#state.window.find(hash, this.#now());\n    return found === undefined || found < this.#options.commits.nextId - 6 ? undefined : found;',
  }),
  linear(
    'a checkpoint comes apart from its records',
    'crashes',
    { file: 'queue/intake.ts', find: ', checkpoint: next });', put: ' });' },
    {
      file: 'queue/intake.ts',
      find: '() => this.#state.commit(next));',
      put: '() => void this.log.commit(next).catch(() => undefined));',
    },
  ),
  linear('a checkpoint is what was asked for last', 'calm', {
    file: 'queue/intake.ts',
    find: '    const next = this.#state.nextCheckpoint(source, position);\n    const all',
    put: '    const next = this.#state.nextCheckpoint(source, position);\n    this.#state.commit(next);\n    const all',
  }),
  linear('a pop takes what a handler has', 'calm', {
    file: 'queue/claims.ts',
    find: '      if (this.#isLeasedToOther(id)) {\n        await this.#waitForLease(id);\n        continue;\n      }\n',
    put: '',
  }),
  linear('a delivery ends before what it has delivered is removed', 'crashes', {
    file: 'store/deliveries.ts',
    find: '      remove: (ids) => core.call(() => core.removing.removeMany(ids)),',
    put: '      remove: (ids) => {\n        void core.call(() => core.removing.removeMany(ids)).catch(() => undefined);\n        return Promise.resolve(ids.length);\n      },',
  }),
  linear('only the first failure of a record counts', 'calm', {
    file: 'delivery/retry-table.ts',
    find: 'Math.min(ATTEMPTS_MAX, attempts);',
    put: 'Math.min(1, attempts);',
  }),
  linear('a push comes in though the queue is full', 'calm', {
    file: 'queue/limited-pushes.ts',
    find: '    if (over.records <= 0 && over.bytes <= 0) return undefined;',
    put: '    if (over.records <= 1 && over.bytes <= 0) return undefined;',
  }),
  linear('a push that is there takes its room twice', 'calm', {
    file: 'queue/limited-pushes.ts',
    find: '      this.#pendingRecords -= records;\n',
    put: '',
  }),
];
