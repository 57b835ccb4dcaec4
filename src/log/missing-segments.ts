/**
 * What should be there and is not: a segment file that somebody took away leaves a gap in the IDs, and so does one that went by itself when all
 * its records had been removed. What tells them apart:
 *
 * - What was removed since the snapshot of the tombstone log began stands in its rounds. So IDs that were given out since, that no segment holds
 *   and no round removed, are lost, whether the store was closed or not. Not so where removals are not waited for until they are durable: there a
 *   power cut may take the rounds and leave the unlink.
 * - A close says how many records were live. If fewer are, some are missing; of older gaps it may not be known which.
 *
 * No gap is one between a segment and the one that its link names: the IDs between them were never given to a record.
 *
 * A pure function of what loading found.
 */
import type { IdRange } from '../ids.js';
import { countIds } from '../tombstone/id-ranges.js';
import type { RemovedRanges } from '../tombstone/removed-ranges.js';
import type { TombstoneState } from '../tombstone/tombstone-scan.js';
import type { Damage } from './damage.js';
import type { LogSegment } from './log-segment.js';
import type { SegmentLog } from './segment-log.js';

export interface MissingFacts {
  readonly log: SegmentLog;
  /** The segments that belong to the log, in ID order, empty ones included. */
  readonly kept: readonly { readonly segment: LogSegment }[];
  /** Segments that others speak for. */
  readonly replacedIds: ReadonlySet<number>;
  /** By segment ID: which one its link names. */
  readonly links: ReadonlyMap<number, number>;
  readonly removed: RemovedRanges;
  readonly tombstones: TombstoneState;
  /** By segment ID: how much of it had been synced. */
  readonly durable: ReadonlyMap<number, number>;
  readonly nextId: number;
  /** Records that were live when the queue was closed, if it was and nothing happened since. */
  readonly closedWithLive: number | undefined;
}

export type Missing = Pick<Damage, 'what' | 'lossless' | 'firstId' | 'lastId' | 'vague'>;

export function findMissing(facts: MissingFacts): Missing[] {
  const { log, kept, tombstones, removed, closedWithLive } = facts;
  const strict = kept.length > 0 && kept.every(({ segment }) => !segment.relaxed);
  if (closedWithLive === undefined && !strict) return [];
  const count = closedWithLive === undefined ? 0 : closedWithLive - log.liveCount;
  const gaps = gapsOf(facts);
  const recent = gaps
    .filter(({ unnamed }) => unnamed)
    .map(({ first, last }) => ({ first: Math.max(first, tombstones.snapshotNextId), last }))
    .filter(({ first, last }) => first <= last);
  const surely = notRemoved(recent, removed);
  if (closedWithLive === undefined) return surely.map((range) => missing(range, 'a segment file is missing'));
  if (count === 0) return [];
  const what = `${closedWithLive} live records at the last close, ${log.liveCount} now: a segment file is missing or foreign`;
  if (count < 0) return [{ what, lossless: false, vague: true }];
  if (countIds(surely) === count) return surely.map((range) => missing(range, what));
  const candidates = notRemoved(gaps, removed);
  const known = countIds(candidates);
  if (known === count) return candidates.map((range) => missing(range, what));
  if (known < count) return [{ what, lossless: false, vague: true }];
  return candidates.map((range) => ({ ...missing(range, what), vague: true }));
}

function missing({ first, last }: IdRange, what: string): Missing {
  return { what, lossless: false, firstId: first, lastId: last };
}

interface Gap extends IdRange {
  /** A segment that is not there is named by what follows: without that nothing says that records were there. */
  readonly unnamed: boolean;
}

/** Where IDs are missing between the segments, and at both ends; but for those that were never given to a record. */
function gapsOf({ log, kept, replacedIds, links, removed, durable, nextId, closedWithLive }: MissingFacts): Gap[] {
  const there = new Set(replacedIds);
  for (const { segment } of kept) there.add(segment.id);
  const gaps: Gap[] = [];
  let next = 1;
  let before: LogSegment | undefined;
  for (const segment of log.segments) {
    const link = links.get(segment.id);
    if (segment.firstId > next && (before === undefined || link !== before.id)) {
      gaps.push({ first: next, last: segment.firstId - 1, unnamed: link !== undefined && !there.has(link) });
    }
    next = segment.lastId + 1;
    before = segment;
  }
  // Behind the last segment: after a close the IDs that were given out are known, else those that were removed are known to have been there.
  const last = closedWithLive === undefined ? removed.last : nextId - 1;
  if (last >= next) {
    const unnamed = [...durable.keys()].some((id) => id > (before?.id ?? 0) && !there.has(id));
    gaps.push({ first: next, last, unnamed });
  }
  return gaps;
}

/** Parts of the ranges, which ascend, that no round removed. */
function notRemoved(ranges: readonly IdRange[], removed: RemovedRanges): IdRange[] {
  const [front] = ranges;
  const back = ranges.at(-1);
  if (front === undefined || back === undefined) return [];
  const gone = removed.within(front.first, back.last);
  const left: IdRange[] = [];
  let at = 0;
  for (const { first, last } of ranges) {
    let next = first;
    for (let range = gone[at]; range !== undefined && range.first <= last; range = gone[++at]) {
      if (range.first > next) left.push({ first: next, last: range.first - 1 });
      next = Math.max(next, range.last + 1);
      // It may reach into the next gap, too.
      if (range.last > last) break;
    }
    if (next <= last) left.push({ first: next, last });
  }
  return left;
}
