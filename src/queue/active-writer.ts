/**
 * How a placed batch comes into the active segment: in the calling thread or by the pool, with the link in front of the first, and zeros ahead of
 * small ones.
 */
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { ActiveSegment } from './active-segment.js';
import { allDone, chunksOf, writeBatch } from './batch-writer.js';
import type { BlockingBudget } from './blocking-budget.js';
import type { PushBatch } from './push-batch.js';

/** Zeros are written ahead of commits up to this size. */
const FILL_COMMIT_BYTES_MAX = 4096;
const FILL_BYTES_MIN = 8 * 1024;
const FILL_BYTES_MAX = 256 * 1024;
const ZEROS = Buffer.alloc(FILL_BYTES_MAX);

/** Writes a placed batch, and the link in front of the first. */
export function writePlaced(active: ActiveSegment, batch: PushBatch, blocking: BlockingBudget): Promise<void> {
  const { file, link } = active;
  if (file.isAtHand === false) return writeAgain(active, batch);
  return blocking.write(
    batch.length,
    () => {
      if (link !== undefined) file.writeBlocking({ source: link, length: link.length, position: FILE_HEADER_BYTES });
      for (const chunk of chunksOf(batch)) file.writeBlocking(chunk);
    },
    () => writeAgain(active, batch),
  );
}

/** The same by the pool alone. */
export function writeAgain(active: ActiveSegment, batch: PushBatch): Promise<void> {
  return allDone([writeLink(active), writeBatch(active.file, batch)]);
}

export function writeLink({ file, link }: ActiveSegment): Promise<void> {
  return link === undefined ? Promise.resolve() : file.writeAt(link, 0, link.length, FILE_HEADER_BYTES);
}

/**
 * Small commits: zeros are written ahead in steps that grow with the segment, so that most commits overwrite blocks which the file has already
 * and their sync has no size to make durable (measured: about 0.75 of the time). On a full disk there is nothing ahead. After the commit's own bytes
 * were written, so that they find the space if there is any. Blocking, so that no `pushSync` can come in between and have its bytes overwritten
 * by zeros that are under way.
 */
export function fillAhead(active: ActiveSegment, batch: PushBatch, segmentBytes: number): void {
  const from = active.writtenEnd;
  if (active.file.isAtHand === false) return;
  if (batch.length > FILL_COMMIT_BYTES_MAX || from <= active.filledEnd || from >= segmentBytes) return;
  const bytes = Math.min(FILL_BYTES_MAX, Math.max(FILL_BYTES_MIN, from));
  active.filledEnd = from;
  try {
    active.file.writeBlocking({ source: ZEROS, length: bytes, position: from });
    active.filledEnd = from + bytes;
  } catch {
    // The commit itself will say what is wrong, if anything is.
  }
}
