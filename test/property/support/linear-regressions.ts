/** Scripts of several clients that once had a history that could not be explained. */
import type { Act, LinearScript, Part } from './linear-script.js';

export interface LinearRegression {
  readonly title: string;
  /** Tried with several seeds, and each with a failing call that comes earlier or later. */
  readonly make: (seed: number, nth: number) => LinearScript;
}

function scriptOf(seed: number, clients: readonly (readonly Act[])[], part: Partial<Part> = {}): LinearScript {
  return {
    seed,
    timing: seed % 2 === 0 ? 'steady' : 'wild',
    names: 'adversarial',
    mode: 'sync',
    wal: [10, 50, 50, 3000],
    dead: [6, 57, 31],
    parts: [
      {
        clients,
        tails: [],
        faults: [],
        roomBytes: undefined,
        end: 'kill',
        endAfterSteps: Infinity,
        draw: 0,
        ...part,
      },
    ],
  };
}

const ofTombstones = (nth: number): Partial<Part> => ({
  faults: [{ on: 'write', path: '.tomb', nth, times: 1, error: 'EAGAIN' }],
});

export const LINEAR_REGRESSIONS: readonly LinearRegression[] = [
  {
    title: 'a removal beside a move whose tombstone is owed is not told that it removed the record',
    make: (seed, nth) =>
      scriptOf(
        seed,
        [
          [
            { act: 'idle', ms: 1 },
            { act: 'deadLetter', pick: 1 },
          ],
          [
            { act: 'idle', ms: 1 },
            { act: 'remove', queue: 'wal', pick: 1 },
          ],
        ],
        ofTombstones(nth),
      ),
  },
  {
    title: 'a pop whose tombstone cannot be written gives the record back',
    make: (seed, nth) =>
      scriptOf(
        seed,
        [
          [
            { act: 'pop', queue: 'wal', pick: 0 },
            { act: 'get', queue: 'wal', pick: 0 },
          ],
          [{ act: 'read', queue: 'wal', pick: 0, records: 2 }],
        ],
        ofTombstones(nth),
      ),
  },
  {
    title: 'the second of two removals is answered when it is durable',
    make: (seed, nth) =>
      scriptOf(
        seed,
        [
          [{ act: 'remove', queue: 'wal', pick: 0 }],
          [{ act: 'remove', queue: 'wal', pick: 0 }],
          [{ act: 'removeThrough', queue: 'wal', pick: 0 }],
        ],
        { end: 'power', endAfterSteps: 2 * nth },
      ),
  },
  {
    title: 'a get that waits for a pop, beside a move from the same segment',
    make: (seed) =>
      scriptOf(seed, [
        [{ act: 'pop', queue: 'wal', pick: 0 }],
        [{ act: 'get', queue: 'wal', pick: 0 }],
        [{ act: 'deadLetter', pick: 1 }],
      ]),
  },
  {
    title: 'a blocking push in a weaker mode vouches for the removals before it',
    make: (seed, nth) => ({
      ...scriptOf(
        seed,
        [
          [
            { act: 'remove', queue: 'wal', pick: 0 },
            { act: 'pop', queue: 'wal', pick: 1 },
            { act: 'pushSync', queue: 'wal', bytes: 10 },
          ],
        ],
        { end: 'power', endAfterSteps: nth === 3 ? Infinity : 4 * nth },
      ),
      mode: 'os',
    }),
  },
  {
    title: 'an iteration beside removals yields what is live, and a move is seen in one queue',
    make: (seed) =>
      scriptOf(seed, [
        [{ act: 'records', queue: 'wal', take: 10, pauseMs: 1 }],
        [
          { act: 'idle', ms: 1 },
          { act: 'removeMany', queue: 'wal', picks: [1, 2] },
        ],
        [{ act: 'redrive', picks: [0, 1] }],
        [
          { act: 'read', queue: 'dead-letters', pick: 0, records: 4 },
          { act: 'read', queue: 'wal', pick: 0, records: 9 },
          { act: 'redriveAll' },
        ],
      ]),
  },
  {
    title: 'a flush waits for what is owed',
    make: (seed, nth) =>
      scriptOf(
        seed,
        [
          [
            { act: 'remove', queue: 'wal', pick: 0 },
            { act: 'flush', queue: 'wal' },
          ],
        ],
        ofTombstones(nth),
      ),
  },
  {
    title: 'a blocking push in a weaker mode vouches for the segments that were left',
    make: (seed) => ({
      ...scriptOf(
        seed,
        [
          [
            { act: 'pushMany', queue: 'wal', sizes: [9000, 9000, 9000, 9000] },
            { act: 'pushMany', queue: 'wal', sizes: [9000, 9000, 9000, 9000] },
            { act: 'pushMany', queue: 'wal', sizes: [9000, 9000, 9000, 9000] },
            { act: 'pushSync', queue: 'wal', bytes: 10 },
          ],
        ],
        { end: 'power' },
      ),
      mode: 'os',
    }),
  },
  {
    title: 'a message that several push at once comes in once',
    make: (seed) => {
      const message = { act: 'message', message: 0 } as const;
      return scriptOf(seed, [[message, message], [message], [{ act: 'idle', ms: 1 }, message]]);
    },
  },
  {
    title: 'what is being popped goes to no handler, and what a handler has to no pop',
    make: (seed, nth) => {
      const pop = { act: 'pop', queue: 'wal', pick: nth } as const;
      const deliver = { act: 'deliver', queue: 'wal', ms: 3, deeds: ['fail', 'ok'], slowMs: nth } as const;
      return scriptOf(seed, [[pop, pop], [deliver], [{ act: 'idle', ms: 1 }, pop]]);
    },
  },
];
