/**
 * The blocking push: durable on return, with all that was pushed before it and all removals that resolved before it, whatever the mode.
 *
 * It is one synchronous stretch, so that nothing comes in between; but a commit may be in flight in the thread pool. That one is written again, the
 * same bytes to the same place, so that order and atomicity stay as they are. It goes in steps, each of which leaves a known state:
 *
 *     1. weaker modes: sync what was left to the kernel, then the removals that refer to it    a failed open: nothing was done
 *     2. open a descriptor of its own, if a commit or a sync is under way                     the same
 *     3. give all batches their places, and write them                    failed: cut away, durably; their pushes are rejected, but not
 *                                                                         those of the commit in flight, which goes on
 *     4. sync                                                             failed: unknown what is there, and the store stops
 */
import { type EvaqError, ioError, isNotFound, isPassing, isSystemError } from '../errors.js';
import { type FailStop, SyncFailure, syncFileBlocking } from '../fail-stop.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { VfsChunk } from '../vfs/vfs.js';
import type { ActiveSegment } from './active-segment.js';
import { chunksOf } from './batch-writer.js';
import type { PushBatch } from './push-batch.js';

/** So often is a cut tried that fails with a fault that passes. */
export const CUT_TRIES = 4;

/** What it needs of the pipeline. */
export interface BlockingPush {
  readonly queue: string;
  readonly failStop: FailStop;
  readonly active: ActiveSegment;
  /** The commit in flight, if it has its place. */
  readonly inFlight: PushBatch | undefined;
  /** Weaker modes: makes durable what was left to the kernel, and the removals. Throws as `syncFileBlocking`. */
  readonly syncLeft: () => void;
  /** Gives their places to all batches that have none; the last one holds the record alone. From here on they are committed or rejected. */
  readonly placeAll: () => readonly PushBatch[];
  /** The file ends at `end` again: takes those places back, and rejects. */
  readonly takeBack: (end: number, error: EvaqError) => void;
}

/** All that was placed is durable when it returns, and what was in flight. */
export function pushBlocking(push: BlockingPush): void {
  const { active, inFlight, failStop } = push;
  const before = inFlight === undefined ? [] : [inFlight];
  const end = active.writtenEnd;
  let begun = false;
  let written = false;
  function* chunks(): Generator<VfsChunk> {
    begun = true;
    const placed = push.placeAll();
    const { link } = active;
    if (link !== undefined) yield { source: link, length: link.length, position: FILE_HEADER_BYTES };
    for (const batch of [...before, ...placed]) yield* chunksOf(batch);
    written = true;
  }
  try {
    push.syncLeft();
    active.file.writeAndSyncBlocking(chunks());
  } catch (cause) {
    if (!begun) throw nothingDone(push, cause);
    if (written || !isSystemError(cause)) throw failStop.fail(cause, 'a blocking push', active.file.path);
    const error = ioError(cause, `appending to queue '${push.queue}'`, { queue: push.queue, path: active.file.path });
    cutBlocking(push, end);
    push.takeBack(end, error);
    throw error;
  }
}

/** No record has got its place. What is not there to be opened is a changed ground: what was acknowledged may be gone with it. */
function nothingDone({ queue, failStop, active }: BlockingPush, cause: unknown): EvaqError {
  const { path } = active.file;
  if (failStop.error !== undefined) return failStop.error;
  if (cause instanceof SyncFailure) return failStop.fail(cause, 'a blocking push', cause.path);
  if (!isSystemError(cause) || isNotFound(cause) || GROUND_CHANGED.has(cause.code))
    return failStop.fail(cause, 'a blocking push', path);
  return ioError(cause, `pushing to queue '${queue}'`, { queue, path });
}

const GROUND_CHANGED: ReadonlySet<string> = new Set(['ENOTDIR', 'ELOOP', 'ESTALE']);

/** What the calling thread wrote is not under way any more, so it can be cut off behind the commit that is. */
function cutBlocking({ active, failStop }: BlockingPush, end: number): void {
  const { file } = active;
  for (let tries = 1; ; tries++) {
    try {
      file.truncateBlocking(end);
      syncFileBlocking(file);
      return;
    } catch (cause) {
      if (tries === CUT_TRIES || !isPassing(cause))
        throw failStop.fail(cause, 'cutting a failed write back', file.path);
    }
  }
}
