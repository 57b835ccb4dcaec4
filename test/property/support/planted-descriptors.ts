/** Bugs of the bound on descriptors, to be planted as those of `planted-bugs.ts`. */
import type { PlantedBug } from './planted-bugs.js';

const plant = (title: string, file: string, find: string, put: string): PlantedBug => ({
  title,
  hunts: ['descriptors'],
  edits: [{ file, find, put }],
});

export const BUGS_OF_DESCRIPTORS: readonly PlantedBug[] = [
  plant(
    'descriptors are opened without a bound',
    'vfs/descriptor-budget.ts',
    'if (this.#waiting.length === 0 && this.#taken < this.#slots) {',
    'if (this.#waiting.length === 0) {',
  ),
  plant(
    'what recovery makes is not closed to make room',
    'vfs/budgeted-vfs.ts',
    `    return this.#opened('write', anchor, () => this.#vfs.create(path, anchor));`,
    '    return this.#vfs.create(path, anchor);',
  ),
  plant(
    'what is closed to make room is taken for synced',
    'vfs/budgeted-file.ts',
    'if (this.isDirty) await this.#sync(handle);',
    'this.#synced = this.#begun;',
  ),
  {
    title: 'a descriptor is closed under a call that uses it',
    hunts: ['descriptors'],
    edits: [
      {
        file: 'vfs/budgeted-file.ts',
        find: 'const isIdle = this.#users === 0 && this.#resting',
        put: 'const isIdle = this.#resting',
      },
      {
        file: 'vfs/budgeted-file.ts',
        find: 'const isWanted = this.#users > 0 || ',
        put: 'const isWanted = ',
      },
    ],
  },
  plant(
    'a write under way counts as synced',
    'vfs/budgeted-file.ts',
    'const covered = this.#ended === this.#begun ? this.#begun : this.#synced;',
    'const covered = this.#begun + 1;',
  ),
];
