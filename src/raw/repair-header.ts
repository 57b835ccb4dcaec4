/**
 * The header of a file of which both copies are gone, worked out from what stands behind it. Every commit header is tied to
 * the seed of its file by a mask that can be undone, so one intact commit tells the seed, and the seed the salt. Which file it
 * is says its name.
 */
import { crc32, maskedSeed } from '../checksum.js';
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
import { FILE_HEADER_BYTES, type FileHeader, fileSeed, HEADER_FLAG_REWRITTEN, tiedSalt } from '../frame/file-header.js';
import { readFooter } from '../segment/segment-footer.js';

const CHUNK_BYTES = 1024 * 1024;

/** What the name of a file says of it. */
export interface FileName {
  readonly kind: 'segment' | 'tombstones';
  readonly fileId: number;
  readonly baseId: number;
  /** What the header says of the queue. */
  readonly queueMark: number;
}

/**
 * The header that fits the commits of the file and its name, or `undefined` where no commit is intact, or those that are may be of another life of the
 * file, or (where `isTied`) it is a file of another queue or store. Its time is 0 and its high water mark is the base ID: what they were cannot be
 * known. `isTied`: files of this queue have a salt that is tied to it (`isOfItsQueue`).
 */
export async function recoverHeader(
  source: ScanSource,
  size: number,
  storeUuid: Buffer,
  name: FileName,
  isTied: boolean,
): Promise<FileHeader | undefined> {
  const first = await findCommit(source, size);
  if (first === undefined) return undefined;
  const { seed } = first;
  const rewritten = await isRewritten(source, size, seed, name);
  if (name.kind === 'segment' && !(await fits(source, size, first, name, rewritten))) return undefined;
  const blank: FileHeader = {
    kind: name.kind,
    flags: rewritten ? HEADER_FLAG_REWRITTEN : 0,
    storeUuid,
    fileId: name.fileId,
    baseId: name.baseId,
    idHighWater: name.kind === 'segment' ? name.baseId : name.queueMark,
    ...(name.kind === 'segment' ? { queueMark: name.queueMark } : {}),
    createdMs: 0,
    salt: 0,
  };
  const salt = saltFor(blank, seed);
  // Any seed has a salt: that of a file of another queue or store is not tied to this one.
  const header = { ...blank, salt };
  return !isTied || isOfItsQueue(header) ? header : undefined;
}

/** The salt is tied to what the header says: not so in stores from before there was a tie. */
export function isOfItsQueue(header: FileHeader): boolean {
  return tiedSalt(header, header.salt) === header.salt;
}

interface FirstCommit {
  readonly seed: number;
  readonly isRecords: boolean;
  readonly firstId: number;
}

/**
 * Whether a commit can be of the segment of that name, and not of a former life of its file, whose records were removed: IDs do not lie below the base
 * ID. What is appended to has higher IDs than all that was before it. A rewritten segment has not, but it was complete when it got its name: so its
 * footer ends the file. Where that cannot be told its bytes are set aside.
 */
async function fits(
  source: ScanSource,
  size: number,
  { seed, isRecords, firstId }: FirstCommit,
  { baseId }: FileName,
  rewritten: boolean,
): Promise<boolean> {
  if (isRecords && firstId < baseId) return false;
  if (!rewritten && isRecords) return true;
  return (await readFooter(source, size, seed)) !== undefined;
}

/** The first commit of the file that is valid under some seed, body and all: by chance that is so once in 2^32. */
async function findCommit(source: ScanSource, size: number): Promise<FirstCommit | undefined> {
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
      const seed = maskedSeed(mask >>> 0, offset, COMMIT_HEADER_BYTES);
      if (!decodeCommitHeader(bytes, at, seed, offset, header)) continue;
      const body = Buffer.allocUnsafe(bodyBytes);
      if ((await source.readAt(body, 0, bodyBytes, offset + COMMIT_HEADER_BYTES)) !== bodyBytes) continue;
      if (!commitIsIntact(body, 0, header, seed, offset)) continue;
      return { seed, isRecords: header.kind === KIND_RECORDS, firstId: header.firstId };
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
