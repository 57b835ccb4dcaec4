/**
 * A walk over the frames of one segment: where it stands, and the taking of records from the chunk in hand. Reading and judging what
 * fails its checksum is the reader's business.
 */
import { decodeMeta, handedOut } from '../frame/metadata.js';
import {
  DENSE_FRAME_BYTES,
  type FrameView,
  frameBytesAt,
  frameIsIntact,
  hasMetaAt,
  newFrameView,
  SPARSE_FRAME_BYTES,
  viewFrame,
} from '../frame/record-frame.js';
import type { IdRange } from '../ids.js';
import type { ReadWindow } from '../vfs/read-window.js';
import type { VfsFile } from '../vfs/vfs.js';
import type { LogSegment } from './log-segment.js';
import type { QueueRecord } from './queue-record.js';

export interface ReadLimits {
  /** Payload bytes; at least one record is returned whatever its size. */
  readonly maxBytes: number;
  readonly maxRecords: number;
}

/** What a call has taken so far. */
export interface Taking {
  readonly limits: ReadLimits;
  readonly records: QueueRecord[];
  bytes: number;
  /** The limits are reached: the next record is for another call. */
  full: boolean;
  /** Where live records are lost to damage and were passed over. */
  readonly lost: IdRange[];
}

export function newTaking(limits: ReadLimits): Taking {
  return { limits, records: [], bytes: 0, full: limits.maxRecords <= 0, lost: [] };
}

/** What a call wants of a segment. */
export interface Wish {
  readonly file: VfsFile;
  readonly from: number;
  readonly to: number;
  readonly taking: Taking;
  /** 'live': all live records; commits are read whole for the sake of their checksum. 'one': the record `from`, live or not. */
  readonly mode: 'live' | 'one';
}

/** A walk over one segment. Mutable; a call that goes on where the last one stopped takes over its walk. */
export interface Walk {
  readonly segment: LogSegment;
  readonly window: ReadWindow;
  wish: Wish;
  /** The calls come one after the other, each where the last one stopped: what follows is likely to be wanted. */
  streaming: boolean;
  /** ID that the next record has at least. */
  nextId: number;
  /** File offset of the next frame or commit. */
  at: number;
  /** Where the commit begins that the walk is inside of. */
  commitAt: number;
  /** Its end; 0 between commits. */
  commitEnd: number;
  /** ID behind its last record, where that is known: its frames have to lead there. */
  commitNextId: number | undefined;
  commitFirstId: number;
  commitTimestamp: number;
  commitSparse: boolean;
  /** ID of the next frame, if they do not say it themselves. */
  denseId: number;
  /** The checksum of the commit held, all of which is in hand. */
  verified: boolean;
  /** Nothing wanted lies behind this offset. */
  end: number;
}

const frame = newFrameView();

/**
 * Takes the wanted records of the current commit, as far as the chunk holds them. Returns 0 when the commit or the walk is done, the
 * number of bytes needed at `walk.at` to go on, or 'damaged' if the frame there fails its checksum.
 */
export function collectFrames(walk: Walk): number | 'damaged' {
  const { segment, commitEnd, commitSparse } = walk;
  const { taking, from, to, mode } = walk.wish;
  const { chunk, from: chunkFrom, bytes: chunkBytes } = walk.window;
  const headBytes = commitSparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
  const heldEnd = Math.min(chunkFrom + chunkBytes, commitEnd);
  while (walk.at < commitEnd) {
    if (walk.at + headBytes > heldEnd)
      return commitEnd - walk.at < headBytes || heldEnd === commitEnd ? 'damaged' : headBytes;
    const at = walk.at - chunkFrom;
    const frameBytes = frameBytesAt(chunk, at, commitSparse);
    if (walk.at + frameBytes > commitEnd) return 'damaged';
    if (commitSparse && !walk.verified) {
      // What the frame says of its ID counts only with its checksum.
      if (walk.at + frameBytes > heldEnd)
        return isWantedWhole(walk, at, frameBytes, sparseIdAt(walk, at)) ? frameBytes : 0;
      const { commitFirstId: first, commitTimestamp: timestamp } = walk;
      if (!viewFrame(chunk, at, heldEnd - chunkFrom, true, first, first, timestamp, frame)) return 'damaged';
      if (!frameIsIntact(chunk, at, frameBytes, segment.seed, walk.at, frame.id)) return 'damaged';
    }
    const id = commitSparse ? sparseIdAt(walk, at) : walk.denseId;
    if (id > to) {
      walk.nextId = id;
      return 0;
    }
    // One that is not above those in front of it is none.
    if (id < from || id < walk.nextId) {
      // Passed over by its length alone: if that is wrong, the record it leads to fails its own checksum, being out of place.
      walk.at += frameBytes;
      walk.denseId++;
      walk.nextId = Math.max(walk.nextId, id + 1);
      continue;
    }
    if (walk.at + frameBytes > heldEnd) return isWantedWhole(walk, at, frameBytes, id) ? frameBytes : 0;
    if (!viewFrame(chunk, at, heldEnd - chunkFrom, commitSparse, id, walk.commitFirstId, walk.commitTimestamp, frame))
      return 'damaged';
    if (!walk.verified && !frameIsIntact(chunk, at, frameBytes, segment.seed, walk.at, id)) return 'damaged';
    if (mode === 'one' || segment.live.has(id)) {
      if (!fits(taking, frame.payloadBytes)) return 0;
      taking.records.push(recordOf(chunk, frame));
      taking.bytes += frame.payloadBytes;
    }
    walk.at += frameBytes;
    walk.denseId++;
    walk.nextId = id + 1;
  }
  // A length that is wrong may lead to the very end, and past records.
  return commitSparse || walk.commitNextId === undefined || walk.denseId === walk.commitNextId ? 0 : 'damaged';
}

/** What the frame at `at` of a sparse commit says of its ID. */
function sparseIdAt({ window, commitFirstId }: Walk, at: number): number {
  return commitFirstId + window.chunk.readUInt32LE(at + 8);
}

/**
 * Whether the rest of a frame that the chunk holds in part is to be read: always, if it is not known to be live, since it has to be walked over,
 * or its size is not known. Its payload is as large as its body, less the metadata.
 */
function isWantedWhole(
  { segment, window, wish, commitSparse }: Walk,
  at: number,
  frameBytes: number,
  id: number,
): boolean {
  if (wish.mode === 'one' || !segment.live.has(id) || hasMetaAt(window.chunk, at)) return true;
  return fits(wish.taking, frameBytes - (commitSparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES));
}

/** Whether a record of this size may still be taken; the first may always. If not, the taking is full. */
function fits(taking: Taking, payloadBytes: number): boolean {
  const { records, limits } = taking;
  const fit =
    records.length === 0 || (records.length < limits.maxRecords && taking.bytes + payloadBytes <= limits.maxBytes);
  if (!fit) taking.full = true;
  return fit;
}

export function take(walk: Walk, record: QueueRecord): void {
  const { taking, from, to, mode } = walk.wish;
  if (taking.full || record.id < from || record.id > to) return;
  if (mode === 'live' && !walk.segment.live.has(record.id)) return;
  takeOne(taking, record);
}

/** False if it goes beyond the limits. */
export function takeOne(taking: Taking, record: QueueRecord): boolean {
  if (!fits(taking, record.payload.length)) return false;
  taking.records.push(record);
  taking.bytes += record.payload.length;
  return true;
}

export function recordOf(buffer: Buffer, view: FrameView): QueueRecord {
  const payload = buffer.subarray(view.payloadAt, view.payloadAt + view.payloadBytes);
  if (view.metaBytes === 0) return { id: view.id, payload, timestamp: view.timestamp };
  const meta = handedOut(decodeMeta(buffer.subarray(view.metaAt, view.metaAt + view.metaBytes)));
  return { id: view.id, payload, timestamp: view.timestamp, ...meta };
}
