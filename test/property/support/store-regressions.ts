/** Scripts that once found something. Each is run with every test run, under several seeds of the disk. */
import type { Op } from './store-script.js';

export interface Regression {
  /** What went wrong, as a sentence about a promise. */
  readonly title: string;
  readonly indexIntervalBytes?: number;
  readonly ops: readonly Op[];
}

export const REGRESSIONS: readonly Regression[] = [
  {
    title: 'P3: with an index entry for every record a segment that was closed can be read again',
    indexIntervalBytes: 0,
    ops: [{ op: 'push', queue: 'wal', bytes: 1024, wait: true }, { op: 'reopen' }, { op: 'read' }],
  },
  {
    title: 'P5: an unfinished tombstone log from a crash while a named queue was made is no obstacle',
    ops: [
      { op: 'powerCut', steps: 9, loss: { draw: 7919 } },
      { op: 'push', queue: 'extra', bytes: 1024, wait: true },
      { op: 'pushMany', queue: 'wal', sizes: [3], wait: true },
    ],
  },
  {
    title: 'P5: an unfinished tombstone log from a crash while closing is no obstacle',
    ops: [
      { op: 'push', queue: 'wal', bytes: 100, wait: true },
      { op: 'powerCut', steps: 113, loss: { draw: 7919 } },
      { op: 'remove', queue: 'dead-letters', pick: 0, wait: true },
    ],
  },
  {
    title: 'P9: a read that fails while opening is an I/O error with a code, and not damage',
    ops: [{ op: 'fault', on: 'read', path: '', nth: 1, times: 1, error: 'EIO', alsoDone: false }, { op: 'reopen' }],
  },
  {
    title: 'P1: folders that a killed process made and never synced do not take the store with them',
    ops: [
      { op: 'powerCut', steps: 13, loss: { keep: 'cache' } },
      { op: 'push', queue: 'wal', bytes: 3, wait: true },
      { op: 'powerCut', steps: 0, loss: { keep: 'nothing' } },
    ],
  },
];
