/**
 * The segment that a queue appends to: the file and how far it is written and synced.
 *
 * Invariant: durableEnd <= writtenEnd; the bytes in between are one commit in mode 'sync'.
 */
import { COMMIT_HEADER_BYTES, completeCommit, KIND_LINK, newCommitHeader } from '../frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLink } from '../segment/segment-scan.js';
import type { VfsFile } from '../vfs/vfs.js';

export interface ActiveSegment {
  readonly segment: LogSegment;
  readonly file: VfsFile;
  /** Where the next commit goes. */
  writtenEnd: number;
  durableEnd: number;
  /** The file has blocks up to here, zeros or leftovers, as far as is known: overwriting them syncs faster than appending (`zeros-ahead.ts`). */
  filledEnd: number;
  /** None are added before something is written up to here: there was no space. */
  fillFrom: number;
  isFilling: boolean;
  /** Zeros that are being added by the pool: before they are there nothing is put at the file's end, nor is it closed. Never rejects. */
  filling: Promise<void>;
  /** Offset of the last index entry. */
  markedOffset: number;
  /** Syncs under way: the file is not closed before. Never rejects. */
  syncing: Promise<void>;
  /** The statement about the segment before, at the front of the file: written with the first commit, and done then. */
  link: Buffer | undefined;
}

export function newActiveSegment(segment: LogSegment, file: VfsFile, link: SegmentLink | undefined): ActiveSegment {
  return {
    filledEnd: segment.fileBytes,
    fillFrom: 0,
    isFilling: false,
    filling: Promise.resolve(),
    segment,
    file,
    writtenEnd: FILE_HEADER_BYTES + (link === undefined ? 0 : COMMIT_HEADER_BYTES),
    durableEnd: FILE_HEADER_BYTES,
    markedOffset: -Infinity,
    syncing: Promise.resolve(),
    link: link === undefined ? undefined : encodeLink(segment, link),
  };
}

function encodeLink(segment: LogSegment, link: SegmentLink): Buffer {
  const bytes = Buffer.alloc(COMMIT_HEADER_BYTES);
  const header = newCommitHeader();
  header.kind = KIND_LINK;
  header.firstId = link.segmentId;
  header.durableOffset = link.durableOffset;
  completeCommit(bytes, header, segment.seed, FILE_HEADER_BYTES);
  return bytes;
}
