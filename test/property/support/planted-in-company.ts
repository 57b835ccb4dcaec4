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

const PIPELINE = 'queue/removal-pipeline.ts';
const CORE = 'queue/queue-core.ts';
const REMOVING = 'queue/removing.ts';

export const BUGS_IN_COMPANY: readonly PlantedBug[] = [
  linear('a pop whose tombstone cannot be written has taken its record', 'faults', {
    file: PIPELINE,
    find: "this.#options.failStop.error === undefined ? 'given back' : 'unknown'",
    put: "'unknown'",
  }),
  linear('a claim that is given back is forgotten', 'faults', {
    file: 'queue/claims.ts',
    find: "if (outcome === 'given back') log.revive(claim.id);",
    put: '',
  }),
  linear('pushSync in the weaker modes leaves removals to the kernel', 'weak', {
    file: CORE,
    find: 'syncRemovalsBlocking: () => this.removals.syncBlocking(),',
    put: 'syncRemovalsBlocking: () => undefined,',
  }),
  linear('pushSync in the weaker modes leaves the segments that were left to the kernel', 'weak', {
    file: 'queue/commit-pipeline.ts',
    find: '    this.#unsynced.syncBlocking();\n',
    put: '',
  }),
  linear('a removal beside a move whose tombstone is owed is told that it removed the record', 'faults', {
    file: REMOVING,
    find: ' && !this.#moved.has(id)',
    put: '',
  }),
  linear('an iteration passes over what is claimed', 'faults', {
    file: 'queue/live-records.ts',
    find: '      if (claims.at(record.id) !== undefined) return undefined;\n',
    put: '',
  }),
  linear('a second removal does not wait for the first', 'crashes', {
    file: REMOVING,
    find: 'if (segment !== undefined && segment.pendingRemovals > 0) await this.#options.rounds.written();',
    put: 'await undefined;',
  }),
  linear('removing a range that others are removing does not wait for them', 'crashes', {
    file: REMOVING,
    find: '    } else if (isHeld) {\n      await rounds.written();\n      if (rounds.owesUpTo(last))',
    put: '    } else if (isHeld) {\n      if (rounds.owesUpTo(last))',
  }),
  linear('removing a range passes over what is claimed', 'faults', {
    file: REMOVING,
    find: 'const waits = claims.touches(0, last);',
    put: 'const waits = claims.touches(-1, -1);',
  }),
  linear('flush forgets the removals that are owed', 'faults', {
    file: CORE,
    find: '    await this.removals.join();\n    this.#env.failStop.throwIfFailed();',
    put: '    this.#env.failStop.throwIfFailed();',
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
  linear('an iteration hands out what was removed since its batch was read', 'calm', {
    file: 'queue/live-records.ts',
    find: 'if (this.#changes === log.changes || log.isLive(record.id)) {',
    put: 'if (this.#changes >= 0) {',
  }),
  linear('a read does not wait for claims', 'faults', {
    file: CORE,
    find: 'if (claims.length === 0) return outcome;',
    put: 'if (claims.length >= 0) return outcome;',
  }),
  linear(
    'a snapshot takes what is claimed for removed',
    'faults',
    {
      file: CORE,
      find: 'return deadRangesOf(segments, this.claims);',
      put: 'return deadRangesOf(segments, { nextClaimed: () => undefined });',
    },
    FREQUENT_REWRITES,
  ),
  linear('who asks at the moment at which a round is settled waits for ever', 'faults', {
    file: PIPELINE,
    find: '    // From here on nobody waits for this round any more.\n    this.#state = BETWEEN;\n',
    put: '',
  }),
  linear('a copy is made durable before what it is a copy of', 'weak', {
    file: 'store/move.ts',
    find: '    await from.commits.syncNow();\n',
    put: '',
  }),
  live('a fault that passes stops the store', {
    file: 'fail-stop.ts',
    find: 'throw isPassing(cause) ? cause : new SyncFailure(cause, dir);',
    put: 'throw new SyncFailure(cause, dir);',
  }),
  live('flush waits until nothing is left to commit', {
    file: 'queue/commit-pipeline.ts',
    find: '    await this.committed();\n    this.#options.failStop.throwIfFailed();',
    put: '    await this.settled();\n    this.#options.failStop.throwIfFailed();',
  }),
  live('GC waits until nothing is left to remove', {
    file: CORE,
    find: '    await this.removals.written();\n    if (this.options.durability',
    put: '    await this.removals.settled();\n    if (this.options.durability',
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
