/**
 * Reading a commit whose body fails its checksum, record by record: each frame carries a checksum of its own, so what is
 * intact can be told from what is not, and is never given up with it.
 */
import { COMMIT_FLAG_SPARSE, type CommitHeader } from './commit-header.js';
import { type FrameView, frameIsIntact, newFrameView, viewFrame } from './record-frame.js';

/**
 * Calls `intact` for each record of the commit that is provably whole. `bodyAt` and `bodyHeld` bound what is there of the body in `buffer`;
 * the commit's header stands at `fileOffset`. The view is reused.
 *
 * A bad frame's length cannot be trusted, but it can be tried: where it leads to an intact frame, only the one record is lost. Otherwise so is
 * the rest of the commit.
 */
export function salvageCommit(
  buffer: Buffer,
  bodyAt: number,
  bodyHeld: number,
  header: CommitHeader,
  seed: number,
  fileOffsetOfBody: number,
  intact: (frame: FrameView, at: number) => void,
): void {
  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  const end = bodyAt + bodyHeld;
  const frame = newFrameView();
  let at = bodyAt;
  for (let i = 0; i < header.count && at < end; i++) {
    if (!viewFrame(buffer, at, end, sparse, header.firstId + i, header.firstId, header.timestamp, frame)) return;
    if (frameIsIntact(buffer, at, frame.frameBytes, seed, fileOffsetOfBody + at - bodyAt, frame.id)) intact(frame, at);
    at += frame.frameBytes;
  }
}
