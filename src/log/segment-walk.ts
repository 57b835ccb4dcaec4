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
  isPlainAt,
  newFrameView,
  SPARSE_FRAME_BYTES,
  viewFrame,
} from '../frame/record-frame.js';
import type { IdRange } from '../ids.js';
import type { ReadWindow } from '../vfs/read-window.js';
import type { VfsFile } from '../vfs/vfs.js';
import { newViewBuffer } from '../vfs/view-buffer.js';
import type { LogSegment } from './log-segment.js';
import type { Needle } from './needle.js';
import type { PayloadPack } from './payload-pack.js';
import type { QueueRecord } from './queue-record.js';

export interface ReadLimits {
  /** Payload bytes; at least one record is returned whatever its size. */
  readonly maxBytes: number;
  readonly maxRecords: number;
}

/** What a search is for: of each record that it meets either it is made, or its payload packed, or nothing. */
export interface Sought {
  /** What is not in a payload sets that record aside. */
  readonly needle?: Needle | undefined;
  /** Takes the payloads of the others, in whose place no records are made. */
  readonly pack?: PayloadPack | undefined;
}

/** What a call has taken so far. */
export interface Taking {
  readonly limits: ReadLimits;
  readonly needle: Needle | undefined;
  readonly pack: PayloadPack | undefined;
  /** Records are views of the chunks that were read; else what is found is copied. */
  readonly isOfViews: boolean;
  readonly records: QueueRecord[];
  /** How many were met and set aside, or packed. They count to the limits like those that were taken. */
  aside: number;
  /** Of the last one that was taken or set aside; 0 before. */
  lastId: number;
  bytes: number;
  /** The limits are reached: the next record is for another call. */
  full: boolean;
  /** Where live records are lost to damage and were passed over. */
  readonly lost: IdRange[];
}

export function newTaking(limits: ReadLimits, { needle, pack }: Sought = {}): Taking {
  const isOfViews = needle === undefined && pack === undefined;
  const full = limits.maxRecords <= 0;
  return { limits, needle, pack, isOfViews, records: [], aside: 0, lastId: 0, bytes: 0, full, lost: [] };
}

/** Nothing has been met of what a call wants. */
export function isUntouched({ records, aside }: Taking): boolean {
  return records.length === 0 && aside === 0;
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
  /** No record of it has a lower ID, for those in front of it have them; 0 where the walk began inside. */
  commitFloor: number;
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
  const idsEnd = commitSparse ? Infinity : (walk.commitNextId ?? Infinity);
  while (walk.at < commitEnd) {
    // Behind as many as it has there is none, whatever stands there.
    if (walk.denseId >= idsEnd) return 'damaged';
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
      // Nor is one that is not above those in front of it, or above all of the segment.
      if (frame.id < walk.nextId || frame.id > segment.lastId) return 'damaged';
    }
    const id = commitSparse ? sparseIdAt(walk, at) : walk.denseId;
    // Whatever the commit says of its IDs: what stands behind it is not passed over for that.
    if (id > segment.lastId) return 'damaged';
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
      const { payloadAt, payloadBytes } = frame;
      if (taking.isOfViews) {
        taking.records.push(recordOf(chunk, frame));
      } else if (taking.needle?.isIn(walk.window, payloadAt, payloadAt + payloadBytes) === false) {
        taking.aside++;
      } else if (taking.pack === undefined) {
        taking.records.push(copyOf(chunk, at, frame));
      } else {
        taking.pack.add(id, chunk, payloadAt, payloadBytes);
        taking.aside++;
      }
      taking.bytes += payloadBytes;
      taking.lastId = id;
    }
    walk.at += frameBytes;
    walk.denseId++;
    walk.nextId = id + 1;
  }
  // A length that is wrong may lead to the very end, and past records.
  return commitSparse || walk.commitNextId === undefined || walk.denseId === walk.commitNextId ? 0 : 'damaged';
}

/**
 * Passes a whole commit, the walk being at its front, without making a record: where nothing that is looked for stands in it, or payloads are packed. Its
 * frames are walked over as `collectFrames` does. False, and nothing was done, where it has to be looked at frame by frame.
 */
export function passCommit(walk: Walk): boolean {
  const { window, segment, commitEnd, commitNextId, denseId: firstId } = walk;
  const { taking, from, to, mode } = walk.wish;
  const { needle } = taking;
  if (taking.isOfViews || !walk.verified || walk.commitSparse || mode !== 'live') return false;
  if (commitNextId === undefined || firstId < from || firstId < walk.nextId) return false;
  if (commitNextId - 1 > Math.min(to, segment.lastId)) return false;
  const begin = walk.at - window.from;
  const end = commitEnd - window.from;
  const holdsSome = needle === undefined || needle.isIn(window, begin, end);
  if (holdsSome && taking.pack === undefined) return false;
  if (!(holdsSome ? packFrames(walk, begin, end) : areFramesWhole(walk, begin, end))) return false;
  const live = segment.live.countLive(firstId, commitNextId - 1);
  walk.at = commitEnd;
  walk.denseId = commitNextId;
  walk.nextId = commitNextId;
  if (live === 0) return true;
  taking.aside += live;
  taking.bytes += end - begin;
  taking.lastId = commitNextId - 1;
  taking.full =
    taking.bytes >= taking.limits.maxBytes ||
    taking.records.length + taking.aside >= taking.limits.maxRecords ||
    taking.pack?.isFull === true;
  return true;
}

/**
 * Whether the frames of a commit, all of which is in hand and at whose front the walk is, lead to its very end, by as many as it has, with IDs that ascend. A
 * checksum holds over whatever it was made of: one of frames that do not says nothing of them.
 */
export function holdsTogether(walk: Walk): boolean {
  const { window, segment, commitEnd, commitNextId, commitFirstId, commitTimestamp, commitSparse } = walk;
  if (commitFirstId < walk.commitFloor) return false;
  const begin = walk.at - window.from;
  const end = commitEnd - window.from;
  if (!commitSparse) return areFramesWhole(walk, begin, end);
  const { chunk } = window;
  let last = 0;
  let at = begin;
  let id = commitFirstId;
  for (; at < end; id++) {
    if (!viewFrame(chunk, at, end, true, commitFirstId, commitFirstId, commitTimestamp, frame)) return false;
    if (frame.id <= last || frame.id > segment.lastId) return false;
    last = frame.id;
    at += frame.frameBytes;
  }
  return at === end && id === commitNextId;
}

/** The same of a dense one. */
function areFramesWhole(
  { window, commitNextId, denseId: firstId, commitTimestamp }: Walk,
  begin: number,
  end: number,
): boolean {
  const { chunk } = window;
  let id = firstId;
  let at = begin;
  for (; at < end; id++) {
    if (at + DENSE_FRAME_BYTES > end) return false;
    if (isPlainAt(chunk, at)) {
      at += frameBytesAt(chunk, at, false);
    } else {
      if (!viewFrame(chunk, at, end, false, id, firstId, commitTimestamp, frame)) return false;
      at += frame.frameBytes;
    }
  }
  return at === end && id === commitNextId;
}

/** The same, and packs the payloads that are live and hold what is looked for; none where it is not so. */
function packFrames(walk: Walk, begin: number, end: number): boolean {
  const { window, segment, commitNextId, denseId: firstId, commitTimestamp } = walk;
  const { needle, pack } = walk.wish.taking;
  if (pack === undefined) return false;
  const { chunk } = window;
  const mark = pack.mark();
  let id = firstId;
  let at = begin;
  // Live and dead come in runs: up to the ID `turn` all are as `isLive` says.
  let isLive = false;
  let turn = firstId;
  for (; at < end; id++) {
    if (at + DENSE_FRAME_BYTES > end) break;
    let payloadAt = at + DENSE_FRAME_BYTES;
    let next = at + frameBytesAt(chunk, at, false);
    if (!isPlainAt(chunk, at)) {
      if (!viewFrame(chunk, at, end, false, id, firstId, commitTimestamp, frame)) break;
      payloadAt = frame.payloadAt;
      next = at + frame.frameBytes;
    }
    if (next > end) break;
    if (id === turn) {
      isLive = segment.live.has(id);
      turn = (isLive ? segment.live.firstDead(id) : segment.live.firstLive(id)) ?? Infinity;
    }
    if (isLive && (needle === undefined || needle.isIn(window, payloadAt, next)))
      pack.add(id, chunk, payloadAt, next - payloadAt);
    at = next;
  }
  if (at === end && id === commitNextId) return true;
  pack.cutTo(mark);
  return false;
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
  const { records, aside, limits } = taking;
  const met = records.length + aside;
  const hasRoom = met < limits.maxRecords && taking.pack?.isFull !== true;
  const fit = met === 0 || (hasRoom && taking.bytes + payloadBytes <= limits.maxBytes);
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
  if (taking.needle?.isInPayload(record.payload) === false) {
    taking.aside++;
  } else if (taking.pack === undefined) {
    taking.records.push(record);
  } else {
    taking.pack.add(record.id, record.payload, 0, record.payload.length);
    taking.aside++;
  }
  taking.bytes += record.payload.length;
  taking.lastId = record.id;
  return true;
}

/** A record of its own: the buffer that it is in is used again. */
export function copyOf(buffer: Buffer, at: number, view: FrameView): QueueRecord {
  const { frameBytes, payloadAt, metaAt } = view;
  const bytes = newViewBuffer(frameBytes);
  buffer.copy(bytes, 0, at, at + frameBytes);
  return recordOf(bytes, { ...view, payloadAt: payloadAt - at, metaAt: metaAt - at });
}

export function recordOf(buffer: Buffer, view: FrameView): QueueRecord {
  const payload = buffer.subarray(view.payloadAt, view.payloadAt + view.payloadBytes);
  if (view.metaBytes === 0) return { id: view.id, payload, timestamp: view.timestamp };
  const meta = handedOut(decodeMeta(buffer.subarray(view.metaAt, view.metaAt + view.metaBytes)));
  return { id: view.id, payload, timestamp: view.timestamp, ...meta };
}
