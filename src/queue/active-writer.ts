/**
 * How a placed batch comes into the active segment: in the calling thread or by the pool, with the link in front of the first.
 */
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { ActiveSegment } from './active-segment.js';
import { allDone, chunksOf, writeBatch } from './batch-writer.js';
import type { BlockingBudget } from './blocking-budget.js';
import type { PushBatch } from './push-batch.js';

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
