import { describe, expect, it } from 'vitest';
import { LiveSet } from '../../../src/index/live-set.js';
import type { LogSegment } from '../../../src/log/log-segment.js';
import type { SegmentLog } from '../../../src/log/segment-log.js';
import { idFromEnd, rangesWithin } from '../../../src/raw/log-positions.js';
import { SegmentTimes, type TimeSpan } from '../../../src/segment/segment-times.js';

type Log = Pick<SegmentLog, 'segments' | 'firstLive'>;

/** Segments with those IDs live, and those spans of times. */
function logOf(...segments: { first: number; last: number; dead?: number[]; spans?: TimeSpan[] }[]): Log {
  const made = segments.map(({ first, last, dead = [], spans = [] }) => {
    const live = new LiveSet(first, last);
    for (const id of dead) live.remove(id);
    const isEmpty = last < first;
    return { live, isEmpty, firstId: first, lastId: last, times: new SegmentTimes(spans) } as unknown as LogSegment;
  });
  const firstLive = (id: number): number | undefined =>
    made.map(({ live }) => live.firstLive(Math.max(id, live.first))).find((found) => found !== undefined);
  return { segments: made, firstLive };
}

describe('the n-th record from the end', () => {
  it('is found over segments, dead records and empty ones', () => {
    const log = logOf(
      { first: 1, last: 10, dead: [2, 10] },
      { first: 20, last: 24, dead: [20, 22, 24] },
      { first: 30, last: 29 },
    );
    const live = [1, 3, 4, 5, 6, 7, 8, 9, 21, 23];
    for (let count = 1; count <= live.length; count++) expect(idFromEnd(log, count)).toBe(live.at(-count));
    expect(idFromEnd(log, 11)).toBe(1);
    expect(idFromEnd(log, Number.MAX_SAFE_INTEGER)).toBe(1);
  });

  it('is not there where nothing is live', () => {
    expect(idFromEnd(logOf(), 1)).toBeUndefined();
    expect(idFromEnd(logOf({ first: 1, last: 2, dead: [1, 2] }), 1)).toBeUndefined();
  });
});

describe('records of a stretch of time', () => {
  const log = logOf(
    { first: 1, last: 10, spans: [{ firstId: 1, minMs: 100, maxMs: 200 }] },
    {
      first: 11,
      last: 20,
      // The clock was ahead for a while.
      spans: [
        { firstId: 11, minMs: 200, maxMs: 250 },
        { firstId: 14, minMs: 9000, maxMs: 9100 },
        { firstId: 16, minMs: 260, maxMs: 300 },
      ],
    },
    { first: 30, last: 40, spans: [{ firstId: 30, minMs: 300, maxMs: 400 }] },
  );

  it.each<[number, number, [number, number][]]>([
    [0, 99, []],
    [150, 160, [[1, 10]]],
    [200, 200, [[1, 13]]],
    [9000, Infinity, [[14, 15]]],
    [
      255,
      305,
      [
        [16, 20],
        [30, 40],
      ],
    ],
    [
      -Infinity,
      Infinity,
      [
        [1, 20],
        [30, 40],
      ],
    ],
  ])('from %d to %d', (sinceMs, untilMs, ranges) => {
    expect(rangesWithin(log, { sinceMs, untilMs })).toEqual(ranges.map(([first, last]) => ({ first, last })));
  });
});
