/**
 * Zeros ahead of small commits, so that most of them overwrite blocks which the file has already, and their sync has no size and no new block to make
 * durable (measured: a third to two thirds of the time up to 64 KiB).
 *
 * - They come in steps that grow with the segment: what they take is never more than the segment holds, or 8 KiB.
 * - A small step is written in the calling thread, behind the commit that comes to the end of what there is. A large one is added at the file's end by
 *   the pool, when half of one is left. It overwrites nothing, wherever the file ends by then: `pushSync` may have come in between.
 * - Where it cannot be done nothing is ahead: the commits themselves say what is wrong, if anything is. It is tried again a step later. The last space of
 *   the disk is others' as much as this queue's: what was written of a step that found no more is given back.
 * - How far the file is filled is a guess, which costs time where it is wrong.
 */
import { isNoSpace, isSystemError } from '../errors.js';
import type { ActiveSegment } from './active-segment.js';

/** Zeros are written ahead of commits up to this size. Of larger ones the sync is the smaller part. */
const COMMIT_BYTES_MAX = 128 * 1024;
const STEP_BYTES_MIN = 8 * 1024;
const STEP_BYTES_MAX = 1024 * 1024;
/** In the calling thread: some 10 µs for 64 KiB; who blocks it anyway gets more. */
const INLINE_BYTES_MAX = 64 * 1024;
const BLOCKING_BYTES_MAX = 256 * 1024;
const ZEROS: Buffer = Buffer.alloc(BLOCKING_BYTES_MAX);
/** Steps end where blocks do. */
const BLOCK_BYTES = 4096;

/** To be called when the last commit, of so many bytes, is written and not synced: it has found the space if there was any. */
export function fillAhead(active: ActiveSegment, commitBytes: number, segmentBytes: number): void {
  const step = stepOf(active, commitBytes, segmentBytes);
  if (step <= INLINE_BYTES_MAX) fillInline(active, step);
  else if (active.filledEnd - active.writtenEnd < step / 2 && !active.isFilling) extend(active, step, segmentBytes);
}

/** The same behind a commit that has blocked the thread: for a caller who does nothing else no pool ever gets to it. */
export function fillAheadBlocking(active: ActiveSegment, commitBytes: number, segmentBytes: number): void {
  fillInline(active, Math.min(BLOCKING_BYTES_MAX, stepOf(active, commitBytes, segmentBytes)));
}

/** 0: nothing is to be filled now. */
function stepOf({ file, writtenEnd, fillFrom }: ActiveSegment, commitBytes: number, segmentBytes: number): number {
  if (commitBytes > COMMIT_BYTES_MAX || writtenEnd >= segmentBytes || writtenEnd < fillFrom) return 0;
  if (file.isAtHand === false) return 0;
  return Math.min(STEP_BYTES_MAX, Math.max(STEP_BYTES_MIN, writtenEnd));
}

/** Blocking, so that nothing is written behind the commit meanwhile. */
function fillInline(active: ActiveSegment, step: number): void {
  const from = active.writtenEnd;
  if (step === 0 || from <= active.filledEnd) return;
  const length = Math.min(ZEROS.length, toBlockEnd(from + step) - from);
  try {
    active.file.writeBlocking({ source: ZEROS, length, position: from });
    active.filledEnd = from + length;
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    giveUp(active, step, cause);
  }
}

function extend(active: ActiveSegment, step: number, segmentBytes: number): void {
  const from = Math.max(active.writtenEnd, active.filledEnd);
  const to = Math.min(toBlockEnd(from + step), toBlockEnd(segmentBytes));
  if (to <= from) return;
  active.filledEnd = from;
  active.isFilling = true;
  active.filling = active.file
    .extend(to - from)
    .then(
      () => {
        // Less where it was cut meanwhile.
        if (active.filledEnd >= from) active.filledEnd = to;
      },
      (cause: unknown) => giveUp(active, step, cause),
    )
    .finally(() => {
      active.isFilling = false;
    });
}

/**
 * What is placed, and may be being written, ends at `writtenEnd`: what is cut off behind it is nobody's, whoever is writing. Zeros that are being added
 * come behind the cut.
 */
function giveUp(active: ActiveSegment, step: number, cause: unknown): void {
  const { file, writtenEnd, filledEnd } = active;
  active.fillFrom = writtenEnd + step;
  if (!isNoSpace(cause) || file.isAtHand === false) return;
  try {
    file.truncateBlocking(Math.max(writtenEnd, filledEnd));
  } catch {
    // The footer cuts it off.
  }
}

function toBlockEnd(offset: number): number {
  return Math.ceil(offset / BLOCK_BYTES) * BLOCK_BYTES;
}
