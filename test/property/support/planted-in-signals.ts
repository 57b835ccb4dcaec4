/** Bugs that show only where a signal is aborted: the check of such calls (`aborted-calls.ts`) has to find each of them. */
import type { Edit, PlantedBug } from './planted-bugs.js';

function aborted(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['aborted'], edits };
}

const QUEUE = 'queue/queue.ts';
const LINE = 'queue/push-line.ts';

export const BUGS_IN_SIGNALS: readonly PlantedBug[] = [
  aborted('an aborted pop rejects though its removal is being written', {
    file: QUEUE,
    find: '      if (isTaken) return popped;\n',
    put: '',
  }),
  aborted('an aborted pop that gets its record later takes it all the same', {
    file: QUEUE,
    find: '        record = await this.#core.reads.claimed(claim);\n        throwIfAborted(signal);',
    put: '        record = await this.#core.reads.claimed(claim);',
  }),
  aborted(
    'a push that was withdrawn is pushed when there is room',
    { file: LINE, find: '        begin = undefined;\n', put: '' },
    { file: LINE, find: '        waiting.isWithdrawn = true;\n        this.#withdrawn++;\n', put: '' },
  ),
];
