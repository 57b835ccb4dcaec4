/** Scripts that once found something. Each is run with every test run, under several seeds of the disk. */
import type { Op } from './store-script.js';

export interface Regression {
  /** What went wrong, as a sentence about a promise. */
  readonly title: string;
  readonly indexIntervalBytes?: number;
  readonly scripts: readonly (readonly Op[])[];
}

export const REGRESSIONS: readonly Regression[] = [
  {
    title: 'P3: with an index entry for every record a segment that was closed can be read again',
    indexIntervalBytes: 0,
    scripts: [[{ op: 'push', queue: 'wal', bytes: 1024, wait: true }, { op: 'reopen' }, { op: 'read' }]],
  },
  {
    title: 'P5: an unfinished tombstone log from a crash while a named queue was made is no obstacle',
    scripts: [
      [
        { op: 'powerCut', steps: 9, loss: { draw: 7919 } },
        { op: 'push', queue: 'extra', bytes: 1024, wait: true },
        { op: 'pushMany', queue: 'wal', sizes: [3], wait: true },
      ],
    ],
  },
  {
    title: 'P5: an unfinished tombstone log from a crash while closing is no obstacle',
    scripts: [
      [
        { op: 'push', queue: 'wal', bytes: 100, wait: true },
        { op: 'powerCut', steps: 113, loss: { draw: 7919 } },
        { op: 'remove', queue: 'dead-letters', pick: 0, wait: true },
      ],
    ],
  },
  {
    title: 'P9: a read that fails while opening is an I/O error with a code, and not damage',
    scripts: [
      [{ op: 'fault', on: 'read', path: '', nth: 1, times: 1, error: 'EIO', alsoDone: false }, { op: 'reopen' }],
    ],
  },
  {
    title: 'P7: a close of a file that fails is no failed sync: nothing is lost, and the store closes and opens again',
    scripts: [1, 2, 3, 4, 6, 8].map((nth): readonly Op[] => [
      { op: 'push', queue: 'wal', bytes: 100, wait: true },
      { op: 'fault', on: 'close', path: '', nth, times: 5, error: 'EIO', alsoDone: false },
      { op: 'reopen' },
      { op: 'push', queue: 'wal', bytes: 100, wait: true },
    ]),
  },
  {
    title: 'P1: folders that a killed process made and never synced do not take the store with them',
    scripts: Array.from({ length: 30 }, (_, i): readonly Op[] => [
      { op: 'powerCut', steps: i + 1, loss: { keep: 'cache' } },
      { op: 'push', queue: 'wal', bytes: 3, wait: true },
      { op: 'powerCut', steps: 0, loss: { keep: 'nothing' } },
    ]),
  },
  {
    title: 'P4: a push that was rejected does not come back, though all of it was written',
    scripts: [1, 2].map((nth): readonly Op[] => [
      { op: 'push', queue: 'wal', bytes: 100, wait: true },
      { op: 'fault', on: 'write', path: '.seg', nth, times: 1, error: 'EIO', alsoDone: true },
      { op: 'push', queue: 'wal', bytes: 400, wait: true },
      { op: 'kill' },
      { op: 'push', queue: 'wal', bytes: 400, wait: true },
      { op: 'read' },
    ]),
  },
  {
    title: 'P4: a torn pushMany goes as a whole, and is not counted',
    scripts: [2, 3, 4, 5, 6, 7].map((steps): readonly Op[] => [
      { op: 'push', queue: 'wal', bytes: 100, wait: true },
      { op: 'powerCut', steps, loss: { draw: steps } },
      { op: 'pushMany', queue: 'wal', sizes: [300, 300, 300, 300, 300, 300], wait: true },
      { op: 'read' },
    ]),
  },
  {
    title: 'P2: a removal that found no space is not acknowledged by asking for it again in another way',
    scripts: [
      [
        { op: 'full', roomBytes: 0 },
        { op: 'reopen' },
        { op: 'push', queue: 'wal', bytes: 4041, wait: true },
        { op: 'full', roomBytes: 0 },
        { op: 'removeThrough', queue: 'wal', pick: 0, wait: true },
        { op: 'removeMany', queue: 'wal', picks: [0], wait: true },
        { op: 'reopen' },
      ],
    ],
  },
];
