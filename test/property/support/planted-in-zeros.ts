/** Bugs of zeros ahead, to be planted as those of `planted-bugs.ts`. */
import type { PlantedBug } from './planted-bugs.js';

const ZEROS = 'queue/zeros-ahead.ts';
const SEALER = 'queue/segment-sealer.ts';

export const BUGS_OF_ZEROS: readonly PlantedBug[] = [
  {
    title: 'zeros of the pool are written to where the file ended when they were asked for',
    hunts: ['zeros'],
    seed: 1,
    edits: [
      {
        file: ZEROS,
        find: '    .extend(to - from)',
        put: '    .writeAt(Buffer.alloc(to - from), 0, to - from, from)',
      },
    ],
  },
  {
    title: 'zeros of the calling thread are written over what the file was filled with meanwhile',
    hunts: ['zeros'],
    seed: 1,
    edits: [
      { file: ZEROS, find: '  const from = active.writtenEnd;\n', put: '  const from = active.filledEnd;\n' },
      { file: ZEROS, find: 'if (step === 0 || from <= active.filledEnd) return;', put: 'if (step === 0) return;' },
    ],
  },
  {
    title: 'a footer is written while zeros are being added behind it',
    hunts: ['zeros'],
    seed: 1,
    edits: [
      { file: SEALER, find: '      await next.left.filling;\n', put: '' },
      {
        file: SEALER,
        find: '    await left.filling;\n    await this.#keep(left);',
        put: '    await this.#keep(left);',
      },
    ],
  },
  {
    title: 'zeros that found no space are given back with what was written behind them meanwhile',
    hunts: ['zeros'],
    seed: 1,
    edits: [{ file: ZEROS, find: 'Math.max(writtenEnd, filledEnd)', put: 'filledEnd' }],
  },
];
