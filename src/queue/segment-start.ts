/**
 * Making the segment that a queue appends to next: durable under its name before anything is acknowledged in it.
 */
import { type FailStop, SyncFailure, syncFile } from '../fail-stop.js';
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  fileSeed,
  HEADER_FLAG_RECYCLED,
  HEADER_FLAG_RELAXED,
} from '../frame/file-header.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { LogSegment } from '../log/log-segment.js';
import type { FoundSegment } from '../log/segment-load.js';
import { newSegmentIndex } from '../segment/segment-index.js';
import type { DraftSegment, SegmentSupply } from '../segment/segment-supply.js';
import type { Vfs } from '../vfs/vfs.js';

/** IDs that the records of one segment may take: more than fit by a wide margin (the shortest frame is 8 bytes). */
const IDS_PER_SEGMENT: number = Math.ceil((4 * COMMIT_BODY_BYTES_MAX) / DENSE_FRAME_BYTES);

export interface SegmentStart {
  readonly supply: SegmentSupply;
  readonly failStop: FailStop;
  readonly nextId: number;
  /** Pushes resolve before they are synced. */
  readonly relaxed: boolean;
  /** Files of the recycle pool to leave alone. */
  readonly keep: number;
  /** On a full disk it may take the block that is kept for the next open: nothing is pushed until there is another. */
  readonly spendsReserve?: boolean;
}

/**
 * Rejects with a system error where it could not be made, leaving nothing behind that is not swept by and by: it may be tried again. Where a sync
 * failed the store has stopped.
 */
export async function startSegment(start: SegmentStart): Promise<DraftSegment> {
  const { supply, failStop, nextId, relaxed, keep, spendsReserve = false } = start;
  const flags = relaxed ? HEADER_FLAG_RELAXED : 0;
  failStop.throwIfFailed();
  let draft: DraftSegment | undefined;
  try {
    draft = await supply.draft(nextId, flags, highWaterOf(nextId), keep, spendsReserve);
    return await supply.publish(draft);
  } catch (cause) {
    // Under which name it will be found after a crash is unknown, but nothing was acknowledged in it.
    if (cause instanceof SyncFailure) {
      await draft?.file.close().catch(() => undefined);
      throw failStop.fail(cause, 'making a segment durable', cause.path);
    }
    if (draft !== undefined) await discardOrStop(start, draft);
    throw cause;
  }
}

function highWaterOf(nextId: number): number {
  return Math.min(nextId + IDS_PER_SEGMENT, Number.MAX_SAFE_INTEGER);
}

/**
 * Goes on with a segment that was found empty: where there is no block for another. Both copies of its header stand in one sector, so a crash leaves
 * the old one or the new, and nothing behind either.
 */
export async function reuseSegment(
  vfs: Vfs,
  { failStop, nextId, relaxed }: SegmentStart,
  { segment, header: found }: FoundSegment,
): Promise<DraftSegment> {
  const { id, baseId, path } = segment;
  const flags = (found.flags & HEADER_FLAG_RECYCLED) | (relaxed ? HEADER_FLAG_RELAXED : 0);
  const header = { ...found, flags, idHighWater: highWaterOf(nextId) };
  const file = await vfs.open(path, 'write');
  try {
    await file.truncate(FILE_HEADER_BYTES);
    await file.writeAt(encodeFileHeader(header), 0, FILE_HEADER_BYTES, 0);
    await syncFile(file);
  } catch (cause) {
    await file.close().catch(() => undefined);
    throw cause instanceof SyncFailure ? failStop.fail(cause, 'making a segment durable', path) : cause;
  }
  return { id, baseId, flags, seed: fileSeed(header), file, draftPath: path, path, formerBytes: 0 };
}

async function discardOrStop({ supply, failStop }: SegmentStart, draft: DraftSegment): Promise<void> {
  try {
    await supply.discard(draft);
  } catch (cause) {
    throw failStop.fail(cause, 'giving up a segment', draft.path);
  }
}

/**
 * Gives back the space that the file of a segment without records has from its former life. The cut need not be durable: after a crash some of
 * what was there may be there again, which is as before.
 */
export async function cutToHeader(draft: DraftSegment): Promise<DraftSegment> {
  if (draft.formerBytes <= FILE_HEADER_BYTES) return draft;
  try {
    await draft.file.truncate(FILE_HEADER_BYTES);
  } catch {
    return draft;
  }
  return { ...draft, formerBytes: 0 };
}

/** The in-memory side of a segment that was just made. */
export function newSegment(draft: DraftSegment): LogSegment {
  const segment = new LogSegment({
    id: draft.id,
    baseId: draft.baseId,
    path: draft.path,
    seed: draft.seed,
    flags: draft.flags,
    phase: 'active',
    end: FILE_HEADER_BYTES,
    fileBytes: Math.max(FILE_HEADER_BYTES, draft.formerBytes),
  });
  const building = newSegmentIndex();
  segment.building = building;
  // The same array: without it a reader that starts inside a commit would have to walk there from the front of the segment.
  segment.wide = building.wide;
  return segment;
}
