/** Bugs of dead letters of several queues: they go to a wrong place, lose their history, or more of them go than were meant (`letters-run.ts`). */
import type { PlantedBug } from './planted-bugs.js';

/** `seed`: where it is found soon. */
function letters(title: string, file: string, find: string, put: string, seed = 1): PlantedBug {
  return { title, hunts: ['letters'], seed, edits: [{ file, find, put }] };
}

const CALLS = 'store/letter-calls.ts';
const DEAD = 'store/dead-letters.ts';

export const BUGS_OF_LETTERS: readonly PlantedBug[] = [
  letters(
    'a redrive goes to the queue of the first push, and not to the one it came from',
    CALLS,
    'for (const queue of [origin?.queue, identity?.queue])',
    'for (const queue of [identity?.queue, origin?.queue])',
  ),
  letters(
    'a letter that was moved here goes back to the wrong queue',
    CALLS,
    'for (const queue of [origin?.queue, identity?.queue])',
    'for (const queue of [origin?.queue])',
    43,
  ),
  letters(
    'the attempts of a record are forgotten when it moves',
    DEAD,
    '...(record.attempts === undefined ? {} : { attempts: record.attempts }),',
    '',
  ),
  letters(
    'the redrives of a record are forgotten when it dies again',
    DEAD,
    '...(record.redrives === undefined ? {} : { redrives: record.redrives }),',
    '',
  ),
  letters(
    'the headers of a record are lost when it moves',
    DEAD,
    '...(record.headers === undefined ? {} : { headers: record.headers }),',
    '',
  ),
  letters(
    'a record that moves twice forgets where it was pushed',
    'store/move.ts',
    'const identity = record.identity ?? {',
    'const identity = {',
  ),
  letters(
    'a letter that has gone back too often goes once more',
    CALLS,
    '(record.redrives ?? 0) < options.maxRedrives',
    '(record.redrives ?? 0) <= options.maxRedrives',
    12,
  ),
  letters(
    'a purge of a range goes to the end',
    CALLS,
    'const to = Math.min(selection.to, log.lastVisibleId);',
    'const to = log.lastVisibleId;',
    48,
  ),
  letters('a dry run of a purge removes', CALLS, 'return dryRun ? { purged: runs.count, gone: 0 } :', 'return', 25),
  letters(
    'a redrive over a link takes what its function said no to',
    'link/thread-link.ts',
    'return Boolean(await isMeant(record));',
    'await isMeant(record);\n    return true;',
  ),
  letters(
    'a redrive over a link does not say what it has done',
    'link/store-link.ts',
    "this.#port.send({ kind: 'progress', call, progress });",
    'void [call, progress];',
  ),
];
