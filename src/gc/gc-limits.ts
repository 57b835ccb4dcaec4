/**
 * The limits of GC: by themselves and for `compact()`, and how much space is kept for it.
 */
import type { MergeLimits } from './gc-merge.js';
import type { GcLimits } from './gc-plan.js';

/** How long a segment is to be left alone before it is rewritten. */
const QUIET_MS = 2_000;
const GAIN_BYTES_MIN = 64 * 1024;
/**
 * In reserve for rewrites on a full disk: up to this part of a queue's size while there is space for many segments, since it has to be written; a
 * whole segment where there is not.
 */
const SPARE_SHARE = 1 / 20;
const AMPLE_SEGMENTS = 16;

/** So many small segments are put together: a merge costs as many syncs as a few starts. See `gc-merge.ts` for the ratio. */
export const MERGE: MergeLimits = { countMin: 8, ratio: 2 };

/** What GC does by itself. `liveShareMax` 0: it only drops what is dead. */
export function backgroundLimits(liveShareMax: number, segmentBytes: number): GcLimits {
  const merge = liveShareMax === 0 ? undefined : MERGE;
  return { liveShareMax, segmentBytes, gainBytesMin: GAIN_BYTES_MIN, quietMsMin: QUIET_MS, merge };
}

/** What is put together when a queue is opened: a program that is started often may never live for long enough to have it done by itself. */
export function openingLimits(segmentBytes: number): GcLimits {
  return { liveShareMax: 0, segmentBytes, gainBytesMin: Infinity, quietMsMin: 0, merge: MERGE };
}

/** All that can be gained, now. */
export function compactLimits(segmentBytes: number): GcLimits {
  const merge: MergeLimits = { countMin: 2, ratio: Infinity };
  return { liveShareMax: 1, segmentBytes, gainBytesMin: 1, quietMsMin: 0, merge };
}

/** How large the reserve of a queue of `queueBytes` is, where `freeBytes` are left on the disk. */
export function reserveBytes(segmentBytes: number, queueBytes: number, freeBytes: number): number {
  if (freeBytes <= AMPLE_SEGMENTS * segmentBytes) return segmentBytes;
  let bytes = segmentBytes;
  // In steps: each is a sync beside those of the pushes.
  while (bytes > SPARE_SHARE * queueBytes) bytes = Math.floor(bytes / 2);
  return bytes;
}
