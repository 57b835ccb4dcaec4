/**
 * The sparse index of one segment, as plain columns: what its footer stores and what the B-tree of the queue is loaded from.
 *
 * One entry for every `intervalBytes` of frames, at the start of a commit where there is one, else in the middle of a commit
 * (*mid*). A commit that has entries in its middle is *wide*; a reader that starts there needs to know which commit it is in.
 */

import { readVarint, VarintWriter, varintCursor } from '../frame/varint.js';
import { TIME_MS_MAX } from '../times.js';

export interface WideCommit {
  /** File offset of the commit's header. */
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  readonly firstId: number;
  readonly timestamp: number;
}

export interface SegmentIndex {
  /** First ID of each interval, ascending. */
  readonly ids: number[];
  /** File offsets, ascending: of a commit's header, or of a record frame where `mids` says 1. */
  readonly offsets: number[];
  readonly mids: number[];
  /** Ascending by offset. */
  readonly wide: WideCommit[];
}

export function newSegmentIndex(): SegmentIndex {
  return { ids: [], offsets: [], mids: [], wide: [] };
}

/** The wide commit around a mid entry's offset. */
export function wideCommitAt(wide: readonly WideCommit[], offset: number): WideCommit | undefined {
  let low = 0;
  let high = wide.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const commit = wide[middle];
    if (commit !== undefined && commit.offset <= offset) low = middle + 1;
    else high = middle;
  }
  const commit = wide[low - 1];
  return commit !== undefined && offset < commit.end ? commit : undefined;
}

/** Varints: entry count, then (ID delta, offset delta * 2 + mid) each; wide count, then (offset delta, bytes, first ID delta, time). */
export function encodeSegmentIndex(index: SegmentIndex): Buffer {
  const out = new VarintWriter();
  out.push(index.ids.length);
  let id = 0;
  let offset = 0;
  for (let i = 0; i < index.ids.length; i++) {
    const nextId = index.ids[i] ?? 0;
    const nextOffset = index.offsets[i] ?? 0;
    out.push(nextId - id);
    out.push((nextOffset - offset) * 2 + (index.mids[i] ?? 0));
    id = nextId;
    offset = nextOffset;
  }
  out.push(index.wide.length);
  id = 0;
  offset = 0;
  for (const commit of index.wide) {
    out.push(commit.offset - offset);
    out.push(commit.end - commit.offset);
    out.push(commit.firstId - id);
    out.push(commit.timestamp);
    id = commit.firstId;
    offset = commit.offset;
  }
  return out.bytes();
}

/** `undefined` where the bytes are no index, one whose IDs do not ascend, or one of places that are not in front of `dataEnd`. */
export function decodeSegmentIndex(bytes: Buffer, dataEnd: number = Infinity): SegmentIndex | undefined {
  const cursor = varintCursor(bytes, 0, bytes.length);
  const index = newSegmentIndex();
  let id = 0;
  let offset = 0;
  for (let left = readVarint(cursor); left > 0 && !cursor.failed; left--) {
    const gap = readVarint(cursor);
    id += gap;
    const packed = readVarint(cursor);
    offset += Math.floor(packed / 2);
    if (id < 1 || (gap === 0 && index.ids.length > 0)) return undefined;
    if (id > Number.MAX_SAFE_INTEGER || offset >= dataEnd) return undefined;
    index.ids.push(id);
    index.offsets.push(offset);
    index.mids.push(packed % 2);
  }
  id = 0;
  offset = 0;
  for (let left = readVarint(cursor); left > 0 && !cursor.failed; left--) {
    offset += readVarint(cursor);
    const end = offset + readVarint(cursor);
    id += readVarint(cursor);
    const timestamp = readVarint(cursor);
    if (end > dataEnd || id > Number.MAX_SAFE_INTEGER || timestamp > TIME_MS_MAX) return undefined;
    index.wide.push({ offset, end, firstId: id, timestamp });
  }
  return cursor.failed || cursor.at !== cursor.end ? undefined : index;
}
