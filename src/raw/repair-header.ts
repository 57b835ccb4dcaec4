/**
 * The header of a file of which both copies are gone, worked out from what stands behind it. Every commit header is tied to
 * the seed of its file by a mask that can be undone, so one intact commit tells the seed, and the seed the salt. Which file it
 * is says its name.
 */
import { crc32, placeMask } from '../checksum.js';
import { commitIsIntact } from '../frame/commit-check.js';
import {
  COMMIT_BODY_BYTES_MAX,
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  COMMIT_MAGIC_BYTES,
  decodeCommitHeader,
  KIND_RECORDS,
  newCommitHeader,
} from '../frame/commit-header.js';
import { CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES, type FileHeader, fileSeed, HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';

const CHUNK_BYTES = 1024 * 1024;

/** What the name of a file says of it. */
export interface FileName {
  readonly kind: 'segment' | 'tombstones';
  readonly fileId: number;
  readonly baseId: number;
  /** Tombstone logs: what the header says of the queue. */
  readonly queueMark?: number;
}

/**
 * The header that fits the commits of the file, or `undefined` where no commit is intact. Its time is 0 and its high water mark
 * is the base ID: what they were cannot be known.
 */
export async function recoverHeader(
  source: ScanSource,
  size: number,
  storeUuid: Buffer,
  name: FileName,
): Promise<FileHeader | undefined> {
  const seed = await findSeed(source, size);
  if (seed === undefined) return undefined;
  const blank: FileHeader = {
    kind: name.kind,
    flags: (await isRewritten(source, size, seed, name)) ? HEADER_FLAG_REWRITTEN : 0,
    storeUuid,
    fileId: name.fileId,
    baseId: name.baseId,
    idHighWater: name.queueMark ?? name.baseId,
    createdMs: 0,
    salt: 0,
  };
  const header = { ...blank, salt: saltFor(blank, seed) };
  return fileSeed(header) === seed ? header : undefined;
}

/** The seed under which a commit of the file is valid, body and all: by chance that is so once in 2^32. */
async function findSeed(source: ScanSource, size: number): Promise<number | undefined> {
  const header = newCommitHeader();
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let from = 0; from < size; from += CHUNK_BYTES - COMMIT_HEADER_BYTES + 1) {
    const held = await source.readAt(chunk, 0, Math.min(CHUNK_BYTES, size - from), from);
    const bytes = chunk.subarray(0, held);
    for (let at = bytes.indexOf(COMMIT_MAGIC_BYTES); at >= 0; at = bytes.indexOf(COMMIT_MAGIC_BYTES, at + 1)) {
      if (at + COMMIT_HEADER_BYTES > held) break;
      const offset = from + at;
      const bodyBytes = bytes.readUInt32LE(at + 8);
      // A commit without a body proves nothing: its header is all that the seed was taken from.
      if (bodyBytes === 0 || bodyBytes > COMMIT_BODY_BYTES_MAX) continue;
      if (offset + COMMIT_HEADER_BYTES + bodyBytes > size) continue;
      const mask = crc32(bytes.subarray(at, at + COMMIT_HEADER_BYTES - 4)) ^ bytes.readUInt32LE(at + 44);
      const seed = seedUnder(mask >>> 0, offset, COMMIT_HEADER_BYTES);
      if (!decodeCommitHeader(bytes, at, seed, offset, header)) continue;
      const body = Buffer.allocUnsafe(bodyBytes);
      if ((await source.readAt(body, 0, bodyBytes, offset + COMMIT_HEADER_BYTES)) !== bodyBytes) continue;
      if (commitIsIntact(body, 0, header, seed, offset)) return seed;
    }
  }
  return undefined;
}

/** Whether its records carry IDs of their own, as only those of rewritten segments do. */
async function isRewritten(source: ScanSource, size: number, seed: number, { kind }: FileName): Promise<boolean> {
  if (kind !== 'segment') return false;
  const scanner = new CommitScanner(source, seed, FILE_HEADER_BYTES, size, 'resync');
  for (;;) {
    const outcome = await scanner.next();
    if (outcome === 'end') return false;
    if (outcome === 'commit' && scanner.header.kind === KIND_RECORDS) {
      return (scanner.header.flags & COMMIT_FLAG_SPARSE) !== 0;
    }
  }
}

/** Undoes `placeMask` of an offset below 2^32 and an ID of 0: each of its steps is a bijection. */
function seedUnder(mask: number, offset: number, length: number): number {
  let h = unshift(mask, 16);
  h = unshift(Math.imul(h, inverse(0x9e3779b1)), 13);
  h = unshift(Math.imul(h, inverse(0x165667b1)), 15);
  h = unshift(Math.imul(h, inverse(0x27d4eb2f)), 16);
  h = unshift(Math.imul(h ^ length, inverse(0xc2b2ae3d)), 13);
  h = unshift(Math.imul(h, inverse(0x85ebca77)), 15);
  const seed = (h ^ Math.imul(offset, 0x9e3779b1)) >>> 0;
  return placeMask(seed, offset, length, 0) === mask ? seed : 0;
}

/** The x with x ^ (x >>> bits) = h. */
function unshift(h: number, bits: number): number {
  let x = h;
  for (let done = bits; done < 32; done += bits) x = h ^ (x >>> bits);
  return x;
}

/** The inverse of an odd number modulo 2^32, by Newton's iteration: each round doubles the bits that are right. */
function inverse(odd: number): number {
  let x = odd;
  for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x;
}

/**
 * The salt that gives the header this seed. The seed is the CRC-32 of an identity whose last 4 bytes are the salt: running the
 * register of the CRC back over 32 bits leaves what the salt was XOR-ed with.
 */
function saltFor(header: FileHeader, seed: number): number {
  let wanted = ~seed >>> 0;
  let zero = ~fileSeed({ ...header, salt: 0 }) >>> 0;
  for (let bit = 0; bit < 32; bit++) {
    wanted = stepBack(wanted);
    zero = stepBack(zero);
  }
  return (wanted ^ zero) >>> 0;
}

function stepBack(register: number): number {
  return (register & 0x8000_0000) === 0 ? (register << 1) >>> 0 : (((register ^ 0xedb8_8320) << 1) | 1) >>> 0;
}
