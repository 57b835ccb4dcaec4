/**
 * Names of the segment files in a queue's folder. Both numbers are padded, so that names sort as the log does.
 *
 *     00000000000000000001-0000000000000001.seg       a segment: base ID, segment ID
 *     00000000000000000001-0000000000000001.seg.tmp   a segment in the making: swept at the next open
 *     0000000000000001.free                           a dead segment kept to be overwritten (the recycle pool)
 */
import { crc32 } from '../checksum.js';
import { type SegmentId, segmentId } from '../ids.js';

export type SegmentFileName =
  | { readonly kind: 'segment' | 'unfinished'; readonly baseId: number; readonly segmentId: SegmentId }
  | { readonly kind: 'free'; readonly segmentId: SegmentId };

const SEGMENT = /^(\d{20})-([0-9a-f]{16})\.seg(\.tmp)?$/;
const FREE = /^([0-9a-f]{16})\.free$/;

export function segmentFileName(baseId: number, id: SegmentId): string {
  return `${String(baseId).padStart(20, '0')}-${hex(id)}.seg`;
}

export function unfinishedFileName(baseId: number, id: SegmentId): string {
  return `${segmentFileName(baseId, id)}.tmp`;
}

export function freeFileName(id: SegmentId): string {
  return `${hex(id)}.free`;
}

/** `undefined` for every name that is not exactly one of ours: foreign files are left alone. */
export function parseSegmentFileName(name: string): SegmentFileName | undefined {
  const segment = SEGMENT.exec(name);
  if (segment?.[1] !== undefined && segment[2] !== undefined) {
    const baseId = Number(segment[1]);
    const id = Number.parseInt(segment[2], 16);
    if (!Number.isSafeInteger(baseId) || !Number.isSafeInteger(id)) return undefined;
    return { kind: segment[3] === undefined ? 'segment' : 'unfinished', baseId, segmentId: segmentId(id) };
  }
  const free = FREE.exec(name);
  if (free?.[1] === undefined) return undefined;
  const id = Number.parseInt(free[1], 16);
  return Number.isSafeInteger(id) ? { kind: 'free', segmentId: segmentId(id) } : undefined;
}

/**
 * What the header of a segment at `path` says of its queue: 1 to 65535, from the CRC-32 of its folder's name. Files of other queues, in this folder by
 * a restore, are told by it.
 */
export function segmentQueueMark(path: string): number {
  const dir = path.slice(0, path.lastIndexOf('/'));
  return (crc32(Buffer.from(dir.slice(dir.lastIndexOf('/') + 1))) % 0xffff) + 1;
}

function hex(id: SegmentId): string {
  return id.toString(16).padStart(16, '0');
}
