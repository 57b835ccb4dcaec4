/**
 * What garbage collection would do about each segment of a queue that was loaded: the planner of a writer, asked by somebody who only looks. It goes by
 * the default settings unless told others, since a store does not hold those of its writer; and by what is on disk, so that removals under way, and how
 * long a segment has been left alone, are not in it.
 */
import { backgroundLimits } from '../gc/gc-limits.js';
import { planActive, planGc, type SegmentStats } from '../gc/gc-plan.js';
import type { LogSegment } from '../log/log-segment.js';
import type { FoundSegment } from '../log/segment-load.js';

/**
 * 'drop': nothing in it is live; its file goes at once, or is kept in the pool. 'rewrite': what is live is copied, together with `others` segments, once
 * nothing was removed from it for two seconds; `gainBytes` of it come back. 'merge': the same, of small segments, to have fewer files. 'leave': the queue appends
 * to it, or did; it is left for a new one when the queue is at rest, and then collected. 'keep': it stays, because of `why`.
 */
export type SegmentFate =
  | { readonly kind: 'drop' }
  | { readonly kind: 'rewrite' | 'merge'; readonly others: number; readonly gainBytes: number }
  | { readonly kind: 'leave' }
  | { readonly kind: 'keep'; readonly why: KeepReason };

/**
 * 'live': all of it is. 'mostly-live': too much of it is to be worth a copy. 'small-gain': too little would come back. 'active': the newest one, in which
 * little is dead. 'unsealed': its footer is to be written first. 'damaged': it stays as it is until nothing in it is live, and is set aside then.
 */
export type KeepReason = 'live' | 'mostly-live' | 'small-gain' | 'active' | 'unsealed' | 'damaged';

export interface GcSettings {
  readonly segmentBytes: number;
  readonly liveShareMax: number;
}

export interface Weighed {
  readonly found: FoundSegment;
  readonly liveBytes: number;
  readonly isDamaged: boolean;
}

/** In the order of `weighed`, which is that of IDs. */
export function fatesOf(weighed: readonly Weighed[], { segmentBytes, liveShareMax }: GcSettings): SegmentFate[] {
  const limits = backgroundLimits(liveShareMax, segmentBytes);
  const stats: SegmentStats[] = [];
  for (const [position, { found, liveBytes, isDamaged }] of weighed.entries()) {
    const { segment, footer } = found;
    if (footer === undefined || segment.isEmpty) continue;
    stats.push({
      position,
      bytes: segment.fileBytes,
      records: segment.count,
      liveRecords: segment.live.liveCount,
      liveBytes,
      quietMs: Infinity,
      held: isDamaged && segment.live.liveCount > 0,
    });
  }
  const fates = weighed.map(({ found, liveBytes, isDamaged }, at): SegmentFate => {
    if (found.footer !== undefined) return { kind: 'keep', why: whyKept(found.segment, isDamaged) };
    if (at < weighed.length - 1) return { kind: 'keep', why: 'unsealed' };
    return activeFate(found.segment, liveBytes);
  });
  for (const { kind, positions } of planGc(stats, limits).steps) {
    for (const at of positions) {
      const one = weighed[at];
      if (one === undefined) continue;
      const gainBytes = Math.max(0, one.found.segment.fileBytes - one.liveBytes);
      fates[at] = kind === 'drop' ? { kind } : { kind, others: positions.length - 1, gainBytes };
    }
  }
  return fates;

  function activeFate(segment: LogSegment, liveBytes: number): SegmentFate {
    const { fileBytes, count, live } = segment;
    const numbers = { bytes: fileBytes, records: count, liveRecords: live.liveCount, liveBytes };
    const plan = planActive({ ...numbers, quietMs: Infinity, held: false, isUrgent: false }, limits);
    return plan.kind === 'leave' ? { kind: 'keep', why: 'active' } : { kind: 'leave' };
  }

  function whyKept({ count, live, fileBytes }: LogSegment, isDamaged: boolean): KeepReason {
    if (isDamaged) return 'damaged';
    if (live.liveCount === count) return 'live';
    return live.liveCount >= count * liveShareMax || fileBytes === 0 ? 'mostly-live' : 'small-gain';
  }
}
