/**
 * The account of a queue, as a snapshot of the tombstone log holds it: all IDs that were given out and are not live. They were removed, whether their
 * segment is still there or not; or a crash has skipped them; or they were lost, and that has been told. What is neither live nor in the account is
 * missed by whoever reads the queue next (`log/losses.ts`).
 *
 * Its cost is that of the ranges: a queue that is pushed and drained for ever has one.
 */
import type { IdRange } from '../ids.js';
import type { LogSegment } from '../log/log-segment.js';

/** Records that are dead for readers and may come back. */
export interface Revocable {
  /** The lowest such ID from `from` on. */
  nextClaimed(from: number): number | undefined;
}

export const NONE: Revocable = { nextClaimed: () => undefined };

/**
 * Maximal ranges, ascending, of what is not live: up to `below`, and in the segments behind it, but for what may come back. `segments` are in ID order.
 * Each is looked at as it is when a range is pulled; the cost is that of the ranges and of the claims in them.
 */
export function* accountOf(segments: readonly LogSegment[], below: number, except: Revocable): Generator<IdRange> {
  let from = 1;
  let last = 0;
  for (const range of absentOrDead(segments, below)) {
    // All of the run at once: one that comes back while a range is being written must not be taken for dead by then.
    for (const { first, last: end } of sparing(range, except)) {
      if (first <= last + 1 && last > 0) {
        last = Math.max(last, end);
        continue;
      }
      if (last > 0) yield { first: from, last };
      from = first;
      last = end;
    }
  }
  if (last > 0) yield { first: from, last };
}

function* absentOrDead(segments: readonly LogSegment[], below: number): Generator<IdRange> {
  let next = 1;
  for (const segment of segments) {
    if (segment.isEmpty) continue;
    if (segment.firstId > next) yield { first: next, last: segment.firstId - 1 };
    yield* segment.live.deadRuns();
    next = segment.lastId + 1;
  }
  if (below > next) yield { first: next, last: below - 1 };
}

function sparing({ first, last }: IdRange, except: Revocable): IdRange[] {
  const ranges: IdRange[] = [];
  let from = first;
  for (let id = except.nextClaimed(first); id !== undefined && id <= last; id = except.nextClaimed(id + 1)) {
    if (id > from) ranges.push({ first: from, last: id - 1 });
    from = id + 1;
  }
  if (from <= last) ranges.push({ first: from, last });
  return ranges;
}
