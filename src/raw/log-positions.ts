/**
 * Places in a queue that are told by something else than an ID: so many records from its end, or a stretch of time. They are found in memory, by what
 * is live and what the segments say of their times; no record is read. Pure.
 */
import type { IdRange } from '../ids.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { TimeRange } from '../segment/segment-times.js';

/** The ID of the live record that has `count` - 1 live ones behind it; where there are fewer, of the first. `undefined`: none is live. */
export function idFromEnd(log: Pick<SegmentLog, 'segments' | 'firstLive'>, count: number): number | undefined {
  let left = count;
  for (let i = log.segments.length - 1; i >= 0; i--) {
    const segment = log.segments[i];
    if (segment === undefined || segment.isEmpty) continue;
    const { live } = segment;
    if (live.liveCount < left) {
      left -= live.liveCount;
      continue;
    }
    // The highest ID from which on there are so many.
    let low = live.first;
    let high = live.last;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (live.countLive(middle, live.last) >= left) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  return log.firstLive(0);
}

/**
 * The IDs outside of which no record is of that time, as ascending ranges. Within them there may be others: a segment keeps the least and the greatest
 * time of its records, and of several stretches of them where the clock went ahead or back.
 */
export function rangesWithin(log: Pick<SegmentLog, 'segments'>, { sinceMs, untilMs }: TimeRange): IdRange[] {
  const ranges: IdRange[] = [];
  for (const segment of log.segments) {
    if (segment.isEmpty) continue;
    const { spans } = segment.times;
    for (const [i, { firstId, minMs, maxMs }] of spans.entries()) {
      if (minMs > untilMs || maxMs < sinceMs) continue;
      const first = i === 0 ? segment.firstId : firstId;
      const last = (spans[i + 1]?.firstId ?? segment.lastId + 1) - 1;
      const before = ranges.at(-1);
      if (before !== undefined && before.last + 1 === first) ranges[ranges.length - 1] = { first: before.first, last };
      else ranges.push({ first, last });
    }
  }
  return ranges;
}
