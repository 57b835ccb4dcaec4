/**
 * The stored form of one record inside a commit.
 *
 *    0        4        8
 *    +--------+--------+----------------------------------+
 *    | length |  crc   | body                             |      dense: ID = first ID of the commit + position in it,
 *    +--------+--------+----------------------------------+      time = time of the commit
 *
 *    0        4        8        12       16
 *    +--------+--------+--------+--------+----------------+
 *    | length |  crc   | ID +   | time + | body           |      sparse (rewritten segments): both are added to the commit's
 *    +--------+--------+--------+--------+----------------+
 *
 * `length` counts the bytes of the body in its low 30 bits; bit 31 says that the body begins with a metadata block (u32 length,
 * then MessagePack), before the payload. Bit 30 is zero. `crc` sums everything behind itself and is tied to file,
 * offset, `length` and record ID, so that a frame is valid only in its place and under its ID.
 */
import { crc32, placeMask } from '../checksum.js';
import { clampTime } from '../times.js';
import { type Field, fieldsInRow } from './field.js';

/** Length word and checksum, with which every frame begins. */
export const HEAD_BYTES = 8;
export const DENSE_FRAME_BYTES = 8;
export const SPARSE_FRAME_BYTES = 16;
/** In front of a metadata block: how many bytes it has. */
export const META_LENGTH_BYTES = 4;
const HAS_META = 0x8000_0000;
const LENGTH_MASK = 0x3fff_ffff;
const RESERVED_BIT = 0x4000_0000;

/** The parts of a frame in a buffer, as in the pictures above, with their places there. */
export function frameFields(at: number, sparse: boolean, view: Readonly<FrameView>): Field[] {
  const head = [['length', 4] as const, ['checksum', 4] as const];
  const own = sparse ? [['ID +', 4] as const, ['time +', 4] as const] : [];
  const meta =
    view.metaAt === 0 ? [] : [['metadata bytes', 4] as const, ['metadata', view.metaBytes, 'bytes'] as const];
  return fieldsInRow(at, [...head, ...own, ...meta, ['payload', view.payloadBytes, 'bytes']]);
}

/** Where the parts of one frame lie in a buffer. Mutable and reused. */
export interface FrameView {
  id: number;
  timestamp: number;
  /** From the frame's first byte to the next frame's. */
  frameBytes: number;
  /** 0 where the record has no metadata. */
  metaAt: number;
  metaBytes: number;
  payloadAt: number;
  payloadBytes: number;
}

export function newFrameView(): FrameView {
  return { id: 0, timestamp: 0, frameBytes: 0, metaAt: 0, metaBytes: 0, payloadAt: 0, payloadBytes: 0 };
}

export function lengthWordOf(bodyBytes: number, hasMeta: boolean): number {
  return hasMeta ? (bodyBytes | HAS_META) >>> 0 : bodyBytes;
}

/** What stands behind the head of a frame: the metadata block, if there is one, and the payload. */
export function frameBodyOf(payload: Uint8Array, meta: Uint8Array | undefined): Buffer {
  if (meta === undefined) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const body = Buffer.allocUnsafe(4 + meta.length + payload.length);
  body.writeUInt32LE(meta.length, 0);
  body.set(meta, 4);
  body.set(payload, 4 + meta.length);
  return body;
}

/** Bytes of the whole frame whose length word stands at `at`. Not to be trusted before the checksum. */
export function frameBytesAt(buffer: Buffer, at: number, sparse: boolean): number {
  return (buffer.readUInt32LE(at) & LENGTH_MASK) + (sparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES);
}

/** Whether the frame whose length word stands at `at` has a metadata block. Not to be trusted before the checksum. */
export function hasMetaAt(buffer: Buffer, at: number): boolean {
  return buffer.readUInt32LE(at) >= HAS_META;
}

/** Whether the frame whose length word stands at `at` is its head and its payload, and nothing else. Not to be trusted before the checksum. */
export function isPlainAt(buffer: Buffer, at: number): boolean {
  return buffer.readUInt32LE(at) <= LENGTH_MASK;
}

/**
 * Reads the frame at `at` without checking it. `end` bounds the commit's body within the buffer. Returns false where the frame does not
 * fit, which in a body whose checksum holds cannot happen.
 */
export function viewFrame(
  buffer: Buffer,
  at: number,
  end: number,
  sparse: boolean,
  denseId: number,
  commitFirstId: number,
  commitTimestamp: number,
  into: FrameView,
): boolean {
  const headBytes = sparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
  if (at + headBytes > end) return false;
  const word = buffer.readUInt32LE(at);
  if ((word & RESERVED_BIT) !== 0) return false;
  const bodyBytes = word & LENGTH_MASK;
  const frameEnd = at + headBytes + bodyBytes;
  if (frameEnd > end) return false;
  let payloadAt = at + headBytes;
  into.metaAt = 0;
  into.metaBytes = 0;
  if (word >= HAS_META) {
    if (bodyBytes < META_LENGTH_BYTES) return false;
    const metaBytes = buffer.readUInt32LE(payloadAt);
    if (metaBytes > bodyBytes - META_LENGTH_BYTES) return false;
    into.metaAt = payloadAt + META_LENGTH_BYTES;
    into.metaBytes = metaBytes;
    payloadAt += META_LENGTH_BYTES + metaBytes;
  }
  into.id = sparse ? commitFirstId + buffer.readUInt32LE(at + 8) : denseId;
  if (into.id >= Number.MAX_SAFE_INTEGER) return false;
  into.timestamp = sparse ? clampTime(commitTimestamp + buffer.readUInt32LE(at + 12)) : commitTimestamp;
  into.frameBytes = headBytes + bodyBytes;
  into.payloadAt = payloadAt;
  into.payloadBytes = frameEnd - payloadAt;
  return true;
}

/** True if the frame of `frameBytes` at `at`, which stands at `fileOffset` of the file with `seed`, is the intact record `id`. */
export function frameIsIntact(
  buffer: Buffer,
  at: number,
  frameBytes: number,
  seed: number,
  fileOffset: number,
  id: number,
): boolean {
  const word = buffer.readUInt32LE(at);
  const crc = crc32(buffer.subarray(at + 8, at + frameBytes)) ^ placeMask(seed, fileOffset, word, id);
  return crc >>> 0 === buffer.readUInt32LE(at + 4);
}
