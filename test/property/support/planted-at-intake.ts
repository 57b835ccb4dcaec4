/** Bugs of getting in once: messages that are forgotten, or known and not there; checkpoints apart from their records (`intake-run.ts`). */
import type { Edit, PlantedBug } from './planted-bugs.js';

function intake(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['intake'], seed: 1, edits };
}

const INTAKE = 'queue/intake.ts';

export const BUGS_AT_INTAKE: readonly PlantedBug[] = [
  intake('the dedupe window is forgotten when segments are sealed and collected', {
    file: 'queue/queue-core.ts',
    find: 'return this.intake.log.keep(left.segment.lastId);',
    put: 'return Promise.resolve();',
  }),
  intake(
    'a checkpoint is committed apart from its records',
    { file: INTAKE, find: ', checkpoint: next });', put: ' });' },
    {
      file: INTAKE,
      find: '() => this.#state.commit(next));',
      put: '() => void this.log.commit(next).catch(() => undefined));',
    },
  ),
];
