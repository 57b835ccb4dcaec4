/**
 * The header of a commit: what one group commit wrote, the unit of atomicity.
 *
 *    0     2    3     4       8       12      16              24              32          38  40      44      48
 *    +-----+----+-----+-------+-------+-------+---------------+---------------+-----------+---+-------+-------+----------
 *    |magic|kind|flags| count | bytes |bodyCrc|   first ID    |durable offset |   time ms | 0 |removal|hdrCrc | body ...
 *    +-----+----+-----+-------+-------+-------+---------------+---------------+-----------+---+-------+-------+----------
 *
 * The header has a checksum apart from the body's, so its lengths can be trusted, and a rotten body stepped over. Both
 * checksums are tied to the file and the offset (see `checksum.ts`). `durable offset` promises: every byte of this file below
 * it had been synced when this was written. `removal` is the low half of the number of the last durable round of removals,
 * against which a tombstone log that lost its end is noticed.
 */
import { crc32, placeMask } from '../checksum.js';
import { readU64, writeU64 } from '../ids.js';
import { type Field, fieldsInRow } from './field.js';

export const COMMIT_HEADER_BYTES = 48;
const CHECKED_BYTES = 44;

/** As in the picture above. */
export const COMMIT_HEADER_FIELDS: readonly Field[] = fieldsInRow(0, [
  ['magic', 2, 'bytes'],
  ['kind', 1],
  ['flags', 1],
  ['count', 4],
  ['body bytes', 4],
  ['body checksum', 4],
  ['first ID', 8],
  ['durable offset', 8],
  ['time ms', 6],
  ['zero', 2],
  ['removal round', 4],
  ['header checksum', 4],
]);

/** The first two bytes of every commit; neither zero nor text. */
export const COMMIT_MAGIC = 0xe7c0;
export const COMMIT_MAGIC_BYTES: Buffer = Buffer.from([0xc0, 0xe7]);

/** Record frames. */
export const KIND_RECORDS = 1;
/**
 * First thing in a segment that follows another: no body; `firstId` is the ID of the segment before, and `durableOffset` how much of *that*
 * file had been synced.
 */
export const KIND_LINK = 2;
/** The end of a sealed segment. */
export const KIND_FOOTER = 3;
/** In the file STORE: a queue that there is. The body is its name. */
export const KIND_QUEUE = 32;

/** The record frames carry their own ID and time (`record-frame.ts`). */
export const COMMIT_FLAG_SPARSE = 1;
/**
 * The body's checksum sums the heads of the frames (length word and checksum, 8 bytes each) and not what is behind them: what is behind them has
 * a checksum in the head. Large records are summed once so, and not twice (`commit-check.ts`).
 */
export const COMMIT_FLAG_HEADS = 2;

/** Bodies are capped below 2^30 so that offsets within a segment always fit 32 bits and no buffer passes Node's limits. */
export const COMMIT_BODY_BYTES_MAX = 0x3fff_ffff;

/** A decoded header. Mutable and reused: one object serves a whole scan. */
export interface CommitHeader {
  kind: number;
  flags: number;
  count: number;
  bodyBytes: number;
  bodyCrc: number;
  firstId: number;
  durableOffset: number;
  timestamp: number;
  removalSeq: number;
}

export function newCommitHeader(): CommitHeader {
  return {
    kind: 0,
    flags: 0,
    count: 0,
    bodyBytes: 0,
    bodyCrc: 0,
    firstId: 0,
    durableOffset: 0,
    timestamp: 0,
    removalSeq: 0,
  };
}

const scratch = new Uint8Array(CHECKED_BYTES);

/** CRC-32 of the checked bytes of a header; copies them aside rather than allocate a view of them. */
function headerCrc(buffer: Buffer, at: number): number {
  for (let i = 0; i < CHECKED_BYTES; i++) scratch[i] = buffer[at + i] ?? 0;
  return crc32(scratch);
}

/** Writes `header` at `at`, for a commit that will stand at `fileOffset` of the file with `seed`. */
export function encodeCommitHeader(
  buffer: Buffer,
  at: number,
  seed: number,
  fileOffset: number,
  header: CommitHeader,
): void {
  buffer.writeUInt16LE(COMMIT_MAGIC, at);
  buffer.writeUInt8(header.kind, at + 2);
  buffer.writeUInt8(header.flags, at + 3);
  buffer.writeUInt32LE(header.count, at + 4);
  buffer.writeUInt32LE(header.bodyBytes, at + 8);
  buffer.writeUInt32LE(header.bodyCrc, at + 12);
  writeU64(buffer, header.firstId, at + 16);
  writeU64(buffer, header.durableOffset, at + 24);
  buffer.writeUIntLE(header.timestamp, at + 32, 6);
  buffer.writeUInt16LE(0, at + 38);
  buffer.writeUInt32LE(header.removalSeq >>> 0, at + 40);
  const crc = headerCrc(buffer, at) ^ placeMask(seed, fileOffset, COMMIT_HEADER_BYTES, 0);
  buffer.writeUInt32LE(crc >>> 0, at + 44);
}

/** Fills `into` and returns true if a valid header for this file and offset stands at `at`. `buffer` must hold all 48 bytes. */
export function decodeCommitHeader(
  buffer: Buffer,
  at: number,
  seed: number,
  fileOffset: number,
  into: CommitHeader,
): boolean {
  if (buffer.readUInt16LE(at) !== COMMIT_MAGIC) return false;
  const crc = headerCrc(buffer, at) ^ placeMask(seed, fileOffset, COMMIT_HEADER_BYTES, 0);
  if (crc >>> 0 !== buffer.readUInt32LE(at + 44)) return false;
  into.kind = buffer.readUInt8(at + 2);
  into.flags = buffer.readUInt8(at + 3);
  into.count = buffer.readUInt32LE(at + 4);
  into.bodyBytes = buffer.readUInt32LE(at + 8);
  into.bodyCrc = buffer.readUInt32LE(at + 12);
  into.firstId = readU64(buffer, at + 16);
  into.durableOffset = readU64(buffer, at + 24);
  into.timestamp = buffer.readUIntLE(at + 32, 6);
  into.removalSeq = buffer.readUInt32LE(at + 40);
  return into.bodyBytes <= COMMIT_BODY_BYTES_MAX && into.firstId >= 0 && into.durableOffset >= 0;
}

/** What `bodyCrc` must be for `body`, the whole body of a commit whose header stands at `fileOffset`; or for its heads, if it has that flag. */
export function commitBodyCrc(body: Uint8Array, seed: number, fileOffset: number): number {
  return placedBodyCrc(crc32(body), body.length, seed, fileOffset);
}

/** Completes a commit that fills `bytes` and is to stand at `fileOffset`: writes its header in front of its body. */
export function completeCommit(bytes: Buffer, header: CommitHeader, seed: number, fileOffset: number): void {
  header.bodyBytes = bytes.length - COMMIT_HEADER_BYTES;
  header.bodyCrc = commitBodyCrc(bytes.subarray(COMMIT_HEADER_BYTES), seed, fileOffset);
  encodeCommitHeader(bytes, 0, seed, fileOffset, header);
}

/** Ties the plain CRC-32 of `bytes` bytes to the commit whose header stands at `fileOffset`. */
export function placedBodyCrc(crc: number, bytes: number, seed: number, fileOffset: number): number {
  return (crc ^ placeMask(seed, fileOffset + COMMIT_HEADER_BYTES, bytes, 0)) >>> 0;
}
