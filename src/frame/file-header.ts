/**
 * The header with which every file of a store begins. 64 bytes, written twice in a row: the copy is what one rotten sector or
 * byte in the first 64 may cost, so that a segment is never lost with its header.
 *
 *    0       4   5   6       8                       24              32              40              48          54  56      60      64
 *    +-------+---+---+-------+-----------------------+---------------+---------------+---------------+-----------+---+-------+-------+
 *    | magic |maj|min| flags |      store UUID       |    file ID    |    base ID    | ID high water | created ms|que| salt  | crc32 |
 *    +-------+---+---+-------+-----------------------+---------------+---------------+---------------+-----------+---+-------+-------+
 *
 * Little-endian. `que` is the mark of the queue, of a segment. `crc32` is the plain CRC-32 of bytes 0 to 59. Magic, versions, size and the place of the checksum are the same
 * in every format to come, so that a newer file is told from a damaged one.
 */
import { assert } from '../assert.js';
import { crc32, placeMask, seedOf } from '../checksum.js';
import { readU64, writeU64 } from '../ids.js';
import { type Field, fieldsInRow } from './field.js';

export const FORMAT_MAJOR = 1;
export const FORMAT_MINOR = 0;

const COPY_BYTES = 64;
/** Both copies: where the frames of a file begin. */
export const FILE_HEADER_BYTES = 128;
assert(FILE_HEADER_BYTES === 2 * COPY_BYTES, 'a header and its copy fill the header');

const COPY_PARTS = [
  ['magic', 4, 'bytes'],
  ['format major', 1],
  ['format minor', 1],
  ['flags', 2],
  ['store UUID', 16, 'bytes'],
  ['file ID', 8],
  ['base ID', 8],
  ['ID high water', 8],
  ['created ms', 6],
  ['queue mark', 2],
  ['salt', 4],
  ['checksum', 4],
] as const;

/** As in the picture above, and again for the copy. */
export const FILE_HEADER_FIELDS: readonly Field[] = [
  ...fieldsInRow(0, COPY_PARTS),
  ...fieldsInRow(COPY_BYTES, COPY_PARTS),
];

export type FileKind = 'store' | 'segment' | 'tombstones' | 'delivery' | 'intake';

const MAGIC: Readonly<Record<FileKind, string>> = {
  store: 'EvqM',
  segment: 'EvqS',
  tombstones: 'EvqT',
  delivery: 'EvqD',
  intake: 'EvqI',
};

/** The same as it is read, big-endian. */
const MAGIC_NUMBER: Readonly<Record<FileKind, number>> = {
  store: numberOf(MAGIC.store),
  segment: numberOf(MAGIC.segment),
  tombstones: numberOf(MAGIC.tombstones),
  delivery: numberOf(MAGIC.delivery),
  intake: numberOf(MAGIC.intake),
};

function numberOf(magic: string): number {
  return Buffer.from(magic, 'latin1').readUInt32BE(0);
}

/** The segment was made by rewriting others: its frames carry their own IDs and times, and IDs may be missing in between. */
export const HEADER_FLAG_REWRITTEN = 1;
/** Appended in a durability mode that resolves before the sync: IDs below `idHighWater` may have been handed out and lost. */
export const HEADER_FLAG_RELAXED = 2;
/** The file was used before: what follows its last frame may be stale frames of its former life. */
export const HEADER_FLAG_RECYCLED = 4;
/** Of a tombstone log: it keeps accounts. Every ID below the one that it says so of is in a segment, synced, or in one of its ranges. */
export const HEADER_FLAG_ACCOUNTS = 1;

export interface FileHeader {
  readonly kind: FileKind;
  readonly flags: number;
  readonly storeUuid: Buffer;
  /** Segment ID of a segment, generation of a tombstone log, 0 of a store file. */
  readonly fileId: number;
  /** Segment: the lowest ID that it may hold. Tombstone log: bytes of its snapshot, which were synced before it got its name. */
  readonly baseId: number;
  /**
   * Segment: no ID from this on was handed out while it was the active one (only `HEADER_FLAG_RELAXED` makes it bind). Tombstone log: which
   * queue it belongs to (`queueMark`).
   */
  readonly idHighWater: number;
  readonly createdMs: number;
  /** Segment: of which queue (`segmentQueueMark`), in 16 bits; `undefined` where it does not say. */
  readonly queueMark?: number | undefined;
  /** Makes the seed of this file unlike that of any other, should a file ID ever come twice. Half of it is random: see `tiedSalt`. */
  readonly salt: number;
}

export type HeaderDecoding =
  /** `damaged`: one of the two copies is bad. */
  | { readonly kind: 'ok'; readonly header: FileHeader; readonly seed: number; readonly damaged: boolean }
  /** Intact, and of a format that this version does not know. Not corruption; never to be written to. */
  | { readonly kind: 'unsupported'; readonly major: number }
  /** All zero or shorter than a header: a file that never came to hold anything. */
  | { readonly kind: 'blank' }
  | { readonly kind: 'bad' };

export function encodeFileHeader(header: FileHeader): Buffer {
  assert(header.storeUuid.length === 16, 'a store UUID is 16 bytes');
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  bytes.write(MAGIC[header.kind], 0, 'latin1');
  bytes.writeUInt8(FORMAT_MAJOR, 4);
  bytes.writeUInt8(FORMAT_MINOR, 5);
  bytes.writeUInt16LE(header.flags, 6);
  header.storeUuid.copy(bytes, 8);
  writeU64(bytes, header.fileId, 24);
  writeU64(bytes, header.baseId, 32);
  writeU64(bytes, header.idHighWater, 40);
  bytes.writeUIntLE(header.createdMs, 48, 6);
  bytes.writeUInt16LE(header.queueMark ?? 0, 54);
  bytes.writeUInt32LE(header.salt, 56);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  bytes.copy(bytes, COPY_BYTES, 0, COPY_BYTES);
  return bytes;
}

/** Judges the first `FILE_HEADER_BYTES` of a file; `bytes` may be shorter where the file is. */
export function decodeFileHeader(bytes: Buffer, kind: FileKind): HeaderDecoding {
  const first = decodeCopy(bytes, 0, kind);
  const second = areEqual(bytes) ? first : decodeCopy(bytes, COPY_BYTES, kind);
  const chosen = first.kind === 'ok' || (first.kind === 'unsupported' && second.kind !== 'ok') ? first : second;
  if (chosen.kind === 'ok') {
    const damaged = first.kind !== 'ok' || second.kind !== 'ok';
    return { kind: 'ok', header: chosen.header, seed: fileSeed(chosen.header), damaged };
  }
  if (chosen.kind === 'unsupported') return chosen;
  return bytes.length < FILE_HEADER_BYTES || bytes.every((byte) => byte === 0) ? { kind: 'blank' } : { kind: 'bad' };
}

/** The two copies say the same, to the byte. */
function areEqual(bytes: Buffer): boolean {
  return bytes.length >= FILE_HEADER_BYTES && bytes.compare(bytes, COPY_BYTES, FILE_HEADER_BYTES, 0, COPY_BYTES) === 0;
}

type CopyDecoding =
  | { readonly kind: 'ok'; readonly header: FileHeader }
  | { readonly kind: 'unsupported'; readonly major: number }
  | { readonly kind: 'bad' };

function decodeCopy(bytes: Buffer, at: number, kind: FileKind): CopyDecoding {
  if (bytes.length < at + COPY_BYTES) return { kind: 'bad' };
  const copy = bytes.subarray(at, at + COPY_BYTES);
  if (copy.readUInt32BE(0) !== MAGIC_NUMBER[kind]) return { kind: 'bad' };
  if (crc32(copy.subarray(0, 60)) !== copy.readUInt32LE(60)) return { kind: 'bad' };
  const major = copy.readUInt8(4);
  if (major !== FORMAT_MAJOR) return { kind: 'unsupported', major };
  const queueMark = copy.readUInt16LE(54);
  const header: FileHeader = {
    kind,
    queueMark: queueMark === 0 ? undefined : queueMark,
    flags: copy.readUInt16LE(6),
    storeUuid: Buffer.from(copy.subarray(8, 24)),
    fileId: readU64(copy, 24),
    baseId: readU64(copy, 32),
    idHighWater: readU64(copy, 40),
    createdMs: copy.readUIntLE(48, 6),
    salt: copy.readUInt32LE(56),
  };
  return header.fileId < 0 || header.baseId < 0 || header.idHighWater < 0 ? { kind: 'bad' } : { kind: 'ok', header };
}

/** What a file is, apart from its salt: what its name, its folder and its store say. */
export type FileIdentity = Pick<FileHeader, 'kind' | 'storeUuid' | 'fileId' | 'queueMark' | 'idHighWater'>;

const SALT_TIE_BITS = 0xffff;

/**
 * The salt of a segment or a tombstone log: the upper half of `random`, and 16 bits of the file's identity and that. So of a file whose header is gone,
 * and the salt worked out from its commits, it shows whether it is of this queue of this store.
 */
export function tiedSalt({ kind, storeUuid, fileId, queueMark, idHighWater }: FileIdentity, random: number): number {
  const bytes = Buffer.alloc(34);
  bytes.write(MAGIC[kind], 0, 'latin1');
  storeUuid.copy(bytes, 4);
  writeU64(bytes, fileId, 20);
  bytes.writeUInt32LE(kind === 'segment' ? (queueMark ?? 0) : idHighWater, 28);
  bytes.writeUInt16LE(random >>> 16, 32);
  // A CRC alone would change with the identity just as the salt that is worked out does.
  const tie = placeMask(crc32(bytes), 0, 0, 0) & SALT_TIE_BITS;
  return ((random & ~SALT_TIE_BITS) | tie) >>> 0;
}

/** The seed of all frames of a file: CRC-32 of magic, store UUID, file ID and salt. */
export function fileSeed(header: FileHeader): number {
  IDENTITY.write(MAGIC[header.kind], 0, 'latin1');
  header.storeUuid.copy(IDENTITY, 4);
  writeU64(IDENTITY, header.fileId, 20);
  IDENTITY.writeUInt32LE(header.salt, 28);
  return seedOf(IDENTITY);
}

/** Filled anew each time: there are stores of ten thousand files. */
const IDENTITY: Buffer = Buffer.alloc(32);
