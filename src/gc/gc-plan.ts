/**
 * What garbage collection should do next: a pure function from numbers to steps.
 *
 *     no live record                                     -> drop
 *     live share below the limit, by count or by bytes,
 *     and the segment is quiet                           -> rewrite, together with its sparse neighbours, up to one segment's size
 *     small, with small neighbours                       -> merge (`gc-merge.ts`)
 *     otherwise                                          -> leave
 *
 * Hysteresis: a segment that is being drained in order would be rewritten again and again on its way to being empty. So it has to
 * have been left alone for a while first, unless the waste of the whole queue has outgrown what is live; and a rewrite has to
 * gain enough to be worth its syncs.
 *
 * The active segment can be neither dropped nor rewritten. It is left for another (`planActive`) where that would be worth it: when the
 * queue has come to rest, the longer ago the more there would be to copy. Work in order, with any number of records outstanding,
 * fills its segments to the end instead, and finds dead files to overwrite.
 */

import { groupSmall, type MergeLimits } from './gc-merge.js';

/** A sealed segment, in numbers. */
export interface SegmentStats {
  /** Position among the queue's segments; neighbours differ by one. */
  readonly position: number;
  readonly bytes: number;
  readonly records: number;
  readonly liveRecords: number;
  /** Estimated where records differ in size. */
  readonly liveBytes: number;
  /** How long since a record of it was removed. */
  readonly quietMs: number;
  /** It must stay as it is for now: removals under way, damage. */
  readonly held: boolean;
}

export interface GcLimits {
  /** Rewrite below this share of live records or bytes. */
  readonly liveShareMax: number;
  /** The most that one rewrite puts together. */
  readonly segmentBytes: number;
  /** Bytes that a rewrite has to gain. */
  readonly gainBytesMin: number;
  readonly quietMsMin: number;
  /** Puts small segments together. Default: not. */
  readonly merge?: MergeLimits | undefined;
}

export type GcStep =
  | { readonly kind: 'drop'; readonly positions: readonly number[] }
  | { readonly kind: 'rewrite'; readonly positions: readonly number[] }
  /** A rewrite for the number of files alone. */
  | { readonly kind: 'merge'; readonly positions: readonly number[] };

export interface GcPlan {
  readonly steps: readonly GcStep[];
  /** Something would be rewritten if it were quiet: look again after so long. */
  readonly againInMs: number | undefined;
}

/** The segment that the queue appends to, in numbers. */
export interface ActiveStats {
  /** Of its file, with what it has from a former life. */
  readonly bytes: number;
  readonly records: number;
  /** Those whose removal is under way included. */
  readonly liveRecords: number;
  readonly liveBytes: number;
  /** How long since a record was pushed to it or removed from it. */
  readonly quietMs: number;
  /** Removals are under way. */
  readonly held: boolean;
  /** The disk is full: this is no time to wait. */
  readonly isUrgent: boolean;
}

export type ActivePlan =
  | { readonly kind: 'leave' }
  | { readonly kind: 'roll' }
  /** It would be left if it were quiet: look again after so long. */
  | { readonly kind: 'wait'; readonly ms: number };

/** An active segment is not left for less than this: a segment costs a file and some syncs. */
const ACTIVE_GAIN_BYTES_MIN = 16 * 1024;
/** To copy all of a segment it would have to be quiet for so many times longer than to copy next to nothing of it. */
const PATIENCE = 8;

export function planActive(active: ActiveStats, limits: GcLimits): ActivePlan {
  const { bytes, records, liveRecords, liveBytes, quietMs } = active;
  if (records === 0 || active.held) return { kind: 'leave' };
  const gainMin = liveRecords === 0 ? ACTIVE_GAIN_BYTES_MIN : Math.max(ACTIVE_GAIN_BYTES_MIN, limits.gainBytesMin);
  if (bytes - liveBytes < gainMin) return { kind: 'leave' };
  // All may be live: then it is the file's former life that takes the space.
  const { liveShareMax } = limits;
  const isWorth = liveRecords === 0 || liveRecords < records * liveShareMax || liveBytes < bytes * liveShareMax;
  if (!isWorth) return { kind: 'leave' };
  const ms = limits.quietMsMin * (1 + (PATIENCE * liveBytes) / bytes) - quietMs;
  return ms <= 0 || active.isUrgent ? { kind: 'roll' } : { kind: 'wait', ms };
}

/** `segments` in ID order. */
export function planGc(segments: readonly SegmentStats[], limits: GcLimits): GcPlan {
  const dead = segments.filter((segment) => segment.liveRecords === 0 && !segment.held);
  const steps: GcStep[] = [];
  if (dead.length > 0) steps.push({ kind: 'drop', positions: dead.map((segment) => segment.position) });

  let bytes = 0;
  let liveBytes = 0;
  for (const segment of segments) {
    if (segment.liveRecords === 0) continue;
    bytes += segment.bytes;
    liveBytes += segment.liveBytes;
  }
  // Twice what is live, and more than a few segments: waiting for quiet would let the disk fill.
  const pressing = bytes - liveBytes > liveBytes + 4 * limits.segmentBytes;

  let againInMs: number | undefined;
  let run: SegmentStats[] = [];
  const flush = (): void => {
    const step = rewriteOf(run, limits);
    if (step !== undefined) steps.push(step);
    run = [];
  };
  for (const segment of segments) {
    if (segment.liveRecords === 0) continue;
    if (!isSparse(segment, limits) || segment.held) {
      flush();
      continue;
    }
    if (!pressing && segment.quietMs < limits.quietMsMin) {
      againInMs = Math.max(againInMs ?? 0, limits.quietMsMin - segment.quietMs);
      flush();
      continue;
    }
    const previous = run.at(-1);
    const total = run.reduce((sum, one) => sum + one.liveBytes, 0) + segment.liveBytes;
    if (previous !== undefined && total > limits.segmentBytes) flush();
    run.push(segment);
  }
  flush();
  const merges = planMerges(segments, limits, steps);
  steps.push(...merges.steps);
  if (merges.againInMs !== undefined) againInMs = Math.max(againInMs ?? 0, merges.againInMs);
  return { steps, againInMs };
}

/** The merges alone, but for what other steps are about. */
export function planMerges(
  segments: readonly SegmentStats[],
  { merge, segmentBytes, quietMsMin }: GcLimits,
  others: readonly GcStep[] = [],
): GcPlan {
  const steps: GcStep[] = [];
  if (merge === undefined) return { steps, againInMs: undefined };
  const taken = new Set(others.flatMap(({ positions }) => positions));
  let againInMs: number | undefined;
  for (const group of groupSmall(segments, segmentBytes, merge, ({ position }) => taken.has(position))) {
    const waitMs = Math.max(...group.map(({ quietMs }) => quietMsMin - quietMs));
    if (waitMs > 0) againInMs = Math.max(againInMs ?? 0, waitMs);
    else steps.push({ kind: 'merge', positions: group.map(({ position }) => position) });
  }
  return { steps, againInMs };
}

function isSparse(segment: SegmentStats, limits: GcLimits): boolean {
  if (segment.liveRecords === segment.records) return false;
  return (
    segment.liveRecords < segment.records * limits.liveShareMax ||
    segment.liveBytes < segment.bytes * limits.liveShareMax
  );
}

/** Rewrites a run of sparse segments, if that gains enough. Dead segments between them do not part them. */
function rewriteOf(run: readonly SegmentStats[], limits: GcLimits): GcStep | undefined {
  const gain = run.reduce((sum, segment) => sum + segment.bytes - segment.liveBytes, 0);
  if (run.length === 0 || gain < limits.gainBytesMin) return undefined;
  return { kind: 'rewrite', positions: run.map((segment) => segment.position) };
}
