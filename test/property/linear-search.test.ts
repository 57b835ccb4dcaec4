/** The search itself: small histories of which it is known whether they can be explained. */
import { describe, expect, test } from 'vitest';
import type { Call, Ending, Iteration, Question, Seen } from './support/history.js';
import { unexplained } from './support/linear-check.js';
import type { Chapter, View } from './support/linear-events.js';

const CALM = { faults: true, stops: true, failures: [] };

function call(from: number, to: number, question: Question, ending: Ending = 'ok'): Call {
  return { client: 'a', question, from, to, ending };
}
function view(wal: readonly Seen[], dead: readonly Seen[] = []): View {
  return new Map([
    ['wal', wal],
    ['dead-letters', dead],
  ]);
}
const one: Seen = { id: 1, token: 1 };
const two: Seen = { id: 2, token: 2 };

function check(calls: readonly Call[], before: View, after: View, more: Partial<Chapter> = {}): string | undefined {
  const stats = { chapters: 0, givenUp: 0 };
  const found = unexplained({ calls, before, after, end: 'kill', mode: 'sync', ...more }, CALM, stats);
  expect(stats.givenUp).toBe(0);
  return found;
}

describe('what can be explained', () => {
  test('a read beside a push sees it or does not', () => {
    for (const seen of [[], [one]]) {
      const calls = [
        call(1, 4, { call: 'push', queue: 'wal', form: 'push', tokens: [1], firstId: 1 }),
        call(2, 3, { call: 'read', queue: 'wal', from: 0, seen }),
      ];
      expect(check(calls, view([]), view([one]))).toBeUndefined();
    }
  });

  test('a removal that was under way at the crash was seen, and is undone', () => {
    const calls = [
      call(1, Infinity, { call: 'remove', queue: 'wal', ids: [1] }, 'under way'),
      call(2, 3, { call: 'read', queue: 'wal', from: 0, seen: [] }),
    ];
    expect(check(calls, view([one]), view([one]))).toBeUndefined();
    expect(check(calls, view([one]), view([]))).toBeUndefined();
  });

  test('a removal that was rejected hides, and is owed', () => {
    const calls = [
      call(1, 2, { call: 'remove', queue: 'wal', ids: [1] }, 'EVAQ_NO_SPACE'),
      call(3, 4, { call: 'read', queue: 'wal', from: 0, seen: [] }),
      call(5, 6, { call: 'get', queue: 'wal', id: 1 }),
    ];
    expect(check(calls, view([one]), view([one]))).toBeUndefined();
  });

  test('in a weaker mode a power cut takes what was not flushed, from the newest on', () => {
    const calls = [
      call(1, 2, { call: 'push', queue: 'wal', form: 'push', tokens: [1], firstId: 1 }),
      call(3, 4, { call: 'push', queue: 'wal', form: 'push', tokens: [2], firstId: 2 }),
      call(5, 6, { call: 'removeThrough', queue: 'wal', through: 1, count: 1 }),
    ];
    const weak = { end: 'power', mode: 'os' } as const;
    expect(check(calls, view([]), view([]), weak)).toBeUndefined();
    expect(check(calls, view([]), view([one]), weak)).toBeUndefined();
    expect(check(calls, view([]), view([one, two]), weak)).toBeUndefined();
    expect(check(calls, view([]), view([two]), weak)).toBeUndefined();
  });

  test('a redrive of which nobody knows how far it came', () => {
    const calls = [call(1, 2, { call: 'redrive', form: 'ids', ids: [1, 2], shown: [] }, 'EVAQ_NO_SPACE')];
    expect(check(calls, view([], [one, two]), view([{ id: 7, token: 1 }], [two]))).toBeUndefined();
  });
});

describe('what cannot', () => {
  const removed: Question = { call: 'remove', queue: 'wal', ids: [1], removed: true };
  const gone: Question = { call: 'remove', queue: 'wal', ids: [1], removed: false };
  const push: Question = { call: 'push', queue: 'wal', form: 'push', tokens: [1], firstId: 1 };
  const iteration: Iteration = { form: 'records', queue: 'wal', startedAt: 1, yielded: [] };
  const cases: readonly (readonly [string, readonly Call[], View, View, Partial<Chapter>?])[] = [
    ['P1: a push is lost', [call(1, 2, push)], view([]), view([])],
    [
      'P1: a flushed push is lost',
      [call(1, 2, push), call(3, 4, { call: 'flush', queue: 'wal' })],
      view([]),
      view([]),
      { end: 'power', mode: 'os' },
    ],
    ['P2: a removal is undone', [call(1, 2, removed)], view([one]), view([one])],
    [
      'P2: the second of two removals is answered, and both are undone',
      [call(1, Infinity, { call: 'remove', queue: 'wal', ids: [1] }, 'under way'), call(2, 3, gone)],
      view([one]),
      view([one]),
    ],
    [
      'P2: a flush is answered while a removal is owed',
      [
        call(1, 2, { call: 'remove', queue: 'wal', ids: [1] }, 'EVAQ_NO_SPACE'),
        call(3, 4, { call: 'flush', queue: 'wal' }),
      ],
      view([one]),
      view([one]),
    ],
    [
      'a pop that rejects has taken the record',
      [call(1, 2, { call: 'pop', queue: 'wal', id: 1 }, 'EVAQ_IO')],
      view([one]),
      view([]),
    ],
    [
      'two pops get one record',
      [
        call(1, 3, { call: 'pop', queue: 'wal', id: 1, seen: one }),
        call(2, 4, { call: 'pop', queue: 'wal', id: 1, seen: one }),
      ],
      view([one]),
      view([]),
    ],
    [
      'a read is empty, and there is always one record',
      [
        call(1, 6, { call: 'read', queue: 'wal', from: 0, seen: [] }),
        call(2, 3, { call: 'push', queue: 'wal', form: 'push', tokens: [2], firstId: 2 }),
        call(4, 5, removed),
      ],
      view([one]),
      view([two]),
    ],
    [
      'a removed record is yielded',
      [call(2, 3, removed), call(4, 5, { call: 'next', iteration, seen: one })],
      view([one]),
      view([]),
    ],
    [
      'a live record is passed over',
      [call(2, 3, { call: 'next', iteration, seen: two }), call(4, 5, { call: 'next', iteration, done: true })],
      view([one, two]),
      view([one, two]),
    ],
    [
      'P4: a pushMany is there in part',
      [call(1, Infinity, { call: 'push', queue: 'wal', form: 'pushMany', tokens: [1, 2] }, 'under way')],
      view([]),
      view([one]),
    ],
    [
      'a removeMany was carried out in part',
      [call(1, Infinity, { call: 'removeMany', queue: 'wal', ids: [1, 2] }, 'under way')],
      view([one, two]),
      view([two]),
    ],
    [
      'a count is wrong',
      [call(1, 2, { call: 'removeMany', queue: 'wal', ids: [1, 2], count: 1 })],
      view([one, two]),
      view([]),
    ],
    [
      'P10: a record is live in both queues',
      [call(1, Infinity, { call: 'deadLetter', id: 1 }, 'under way')],
      view([one]),
      view([one], [one]),
    ],
    ['P10: a moved record is back', [call(1, 2, { call: 'deadLetter', id: 1, newId: 1 })], view([one]), view([one])],
    [
      'P8: an ID comes twice',
      [call(1, 2, removed), call(3, 4, { call: 'push', queue: 'wal', form: 'push', tokens: [2], firstId: 1 })],
      view([one]),
      view([{ id: 1, token: 2 }]),
    ],
    [
      'the order is not kept',
      [
        call(1, 2, { call: 'push', queue: 'wal', form: 'push', tokens: [1], firstId: 1 }),
        call(3, 4, { call: 'push', queue: 'wal', form: 'push', tokens: [2], firstId: 2 }),
      ],
      view([]),
      view([two]),
      { end: 'power', mode: 'os' },
    ],
  ];
  for (const [title, calls, before, after, more] of cases) {
    test(title, () => {
      expect(check(calls, before, after, more)).toBeDefined();
    });
  }
});
