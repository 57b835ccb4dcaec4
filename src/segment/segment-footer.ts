/**
 * The end of a sealed segment: a commit of kind FOOTER whose body is
 *
 *     index section | ID runs | replaced segments | summary (96 B, the last bytes of the file)
 *
 * so that opening a store reads the last few KiB of each file, and the index section only when the segment is first read.
 *
 *    0       4       8               16              24        30  32        38  40              48      52
 *    +-------+-------+---------------+---------------+---------+---+---------+---+---------------+-------+-------+
 *    | EvqF  | bytes |   first ID    |    last ID    | min time| 0 | max time| 0 | payload bytes | count |dataEnd|
 *    +-------+-------+---------------+---------------+---------+---+---------+---+---------------+-------+-------+
 *    56      60      64      68      72      76              84      88      92      96
 *    +-------+-------+-------+-------+-------+---------------+-------+-------+-------+
 *    |idxByte|idx crc|runByte|replac.|midcrc | removal rounds| flags |   0   |  crc  |
 *    +-------+-------+-------+-------+-------+---------------+-------+-------+-------+
 *
 * `bytes` is the whole footer with its commit header. `idx crc` sums the index section, `midcrc` runs and replaced segments;
 * all three are tied to file and offset. Runs (varint pairs: gap, length - 1) are there only where IDs are missing: in rewritten
 * segments and where damage was stepped over. Replaced segments are u64 segment IDs.
 */
import { assert } from '../assert.js';
import { crc32, placeMask } from '../checksum.js';
import {
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  commitBodyCrc,
  encodeCommitHeader,
  KIND_FOOTER,
  newCommitHeader,
} from '../frame/commit-header.js';
import { readVarint, VarintWriter, varintCursor } from '../frame/varint.js';
import { type IdRange, readU64, writeU64 } from '../ids.js';
import { decodeSegmentIndex, encodeSegmentIndex, type SegmentIndex } from './segment-index.js';

const SUMMARY_BYTES = 96;
const SUMMARY_MAGIC = 'EvqF';
/** One read of this much of a file's end finds the footer of nearly every segment whole, but for its index section. */
const TAIL_READ_BYTES = 4096;
assert(TAIL_READ_BYTES > SUMMARY_BYTES, 'the tail read holds the summary');

/** What a sealed segment says of itself. */
export interface SegmentSummary {
  /** 0 records: `lastId` is `firstId` - 1. */
  readonly count: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly payloadBytes: number;
  /** Where the last commit of records ends and the footer begins. */
  readonly dataEnd: number;
  /** The number of the last durable round of removals when it was sealed. */
  readonly removalSeq: number;
  /** The IDs that are there, where some between first and last are not. */
  readonly runs: readonly IdRange[] | undefined;
  /** The segments whose live records were copied into this one. */
  readonly replaces: readonly number[];
}

export interface Footer {
  readonly summary: SegmentSummary;
  readonly indexAt: number;
  readonly indexBytes: number;
  readonly indexCrc: number;
  /** The end of the file's content. */
  readonly end: number;
}

interface ReadSource {
  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number>;
}

/** The whole footer, to be written at `summary.dataEnd`. */
export function encodeFooter(
  summary: SegmentSummary,
  index: SegmentIndex,
  seed: number,
  durableOffset: number,
  nowMs: number,
): Buffer {
  const indexSection = encodeSegmentIndex(index);
  const middle = encodeMiddle(summary);
  const bodyBytes = indexSection.length + middle.length + SUMMARY_BYTES;
  const footer = Buffer.alloc(COMMIT_HEADER_BYTES + bodyBytes);
  const indexAt = COMMIT_HEADER_BYTES;
  const middleAt = indexAt + indexSection.length;
  const summaryAt = middleAt + middle.length;
  const base = summary.dataEnd;
  indexSection.copy(footer, indexAt);
  middle.copy(footer, middleAt);

  footer.write(SUMMARY_MAGIC, summaryAt, 'latin1');
  footer.writeUInt32LE(footer.length, summaryAt + 4);
  writeU64(footer, summary.firstId, summaryAt + 8);
  writeU64(footer, summary.lastId, summaryAt + 16);
  footer.writeUIntLE(summary.minTimeMs, summaryAt + 24, 6);
  footer.writeUIntLE(summary.maxTimeMs, summaryAt + 32, 6);
  writeU64(footer, summary.payloadBytes, summaryAt + 40);
  footer.writeUInt32LE(summary.count, summaryAt + 48);
  footer.writeUInt32LE(summary.dataEnd, summaryAt + 52);
  footer.writeUInt32LE(indexSection.length, summaryAt + 56);
  footer.writeUInt32LE(placedCrc(indexSection, seed, base + indexAt), summaryAt + 60);
  footer.writeUInt32LE(middle.length - summary.replaces.length * 8, summaryAt + 64);
  footer.writeUInt32LE(summary.replaces.length, summaryAt + 68);
  footer.writeUInt32LE(placedCrc(middle, seed, base + middleAt), summaryAt + 72);
  writeU64(footer, summary.removalSeq, summaryAt + 76);
  footer.writeUInt32LE(summary.runs === undefined ? 0 : 1, summaryAt + 84);
  const checked = footer.subarray(summaryAt, summaryAt + SUMMARY_BYTES - 4);
  footer.writeUInt32LE(placedCrc(checked, seed, base + summaryAt), summaryAt + SUMMARY_BYTES - 4);

  const header: CommitHeader = newCommitHeader();
  header.kind = KIND_FOOTER;
  header.bodyBytes = bodyBytes;
  header.bodyCrc = commitBodyCrc(footer.subarray(COMMIT_HEADER_BYTES), seed, base);
  header.firstId = summary.firstId;
  header.durableOffset = durableOffset;
  header.timestamp = nowMs;
  header.removalSeq = summary.removalSeq;
  encodeCommitHeader(footer, 0, seed, base, header);
  return footer;
}

/** Finds the footer that ends at `size`, or `undefined` where none does. Reads a few KiB. */
export async function readFooter(source: ReadSource, size: number, seed: number): Promise<Footer | undefined> {
  const tailBytes = Math.min(size, TAIL_READ_BYTES);
  if (tailBytes < COMMIT_HEADER_BYTES + SUMMARY_BYTES) return undefined;
  const tailFrom = size - tailBytes;
  const tail = Buffer.allocUnsafe(tailBytes);
  if ((await source.readAt(tail, 0, tailBytes, tailFrom)) !== tailBytes) return undefined;

  const s = tail.subarray(tailBytes - SUMMARY_BYTES);
  const summaryAt = size - SUMMARY_BYTES;
  if (s.toString('latin1', 0, 4) !== SUMMARY_MAGIC) return undefined;
  if (placedCrc(s.subarray(0, SUMMARY_BYTES - 4), seed, summaryAt) !== s.readUInt32LE(SUMMARY_BYTES - 4))
    return undefined;

  const indexBytes = s.readUInt32LE(56);
  const runsBytes = s.readUInt32LE(64);
  const replacesCount = s.readUInt32LE(68);
  const middleBytes = runsBytes + replacesCount * 8;
  const dataEnd = s.readUInt32LE(52);
  const indexAt = dataEnd + COMMIT_HEADER_BYTES;
  const middleAt = indexAt + indexBytes;
  if (middleAt + middleBytes !== summaryAt || dataEnd + s.readUInt32LE(4) !== size) return undefined;

  let middle: Buffer;
  if (middleAt >= tailFrom) {
    middle = tail.subarray(middleAt - tailFrom, middleAt - tailFrom + middleBytes);
  } else {
    middle = Buffer.allocUnsafe(middleBytes);
    if ((await source.readAt(middle, 0, middleBytes, middleAt)) !== middleBytes) return undefined;
  }
  if (placedCrc(middle, seed, middleAt) !== s.readUInt32LE(72)) return undefined;

  const firstId = readU64(s, 8);
  const runs = (s.readUInt32LE(84) & 1) === 0 ? undefined : decodeRuns(middle, runsBytes, firstId);
  if (runs === 'bad') return undefined;
  const replaces: number[] = [];
  for (let i = 0; i < replacesCount; i++) replaces.push(readU64(middle, runsBytes + i * 8));
  const summary: SegmentSummary = {
    count: s.readUInt32LE(48),
    firstId,
    lastId: readU64(s, 16),
    minTimeMs: s.readUIntLE(24, 6),
    maxTimeMs: s.readUIntLE(32, 6),
    payloadBytes: readU64(s, 40),
    dataEnd,
    removalSeq: readU64(s, 76),
    runs,
    replaces,
  };
  return { summary, indexAt, indexBytes, indexCrc: s.readUInt32LE(60), end: size };
}

/** Reads the index section of a footer, or `undefined` where it is damaged: then the segment is to be scanned instead. */
export async function readFooterIndex(
  source: ReadSource,
  footer: Pick<Footer, 'indexAt' | 'indexBytes' | 'indexCrc'>,
  seed: number,
): Promise<SegmentIndex | undefined> {
  const bytes = Buffer.allocUnsafe(footer.indexBytes);
  const read = await source.readAt(bytes, 0, bytes.length, footer.indexAt);
  if (read !== bytes.length || placedCrc(bytes, seed, footer.indexAt) !== footer.indexCrc) return undefined;
  return decodeSegmentIndex(bytes);
}

function placedCrc(bytes: Uint8Array, seed: number, offset: number): number {
  return (crc32(bytes) ^ placeMask(seed, offset, bytes.length, 0)) >>> 0;
}

function encodeMiddle(summary: SegmentSummary): Buffer {
  const runs = new VarintWriter();
  let next = summary.firstId;
  for (const run of summary.runs ?? []) {
    runs.push(run.first - next);
    runs.push(run.last - run.first);
    next = run.last + 1;
  }
  const middle = Buffer.alloc(runs.length + summary.replaces.length * 8);
  runs.bytes().copy(middle);
  summary.replaces.forEach((id, i) => {
    writeU64(middle, id, runs.length + i * 8);
  });
  return middle;
}

function decodeRuns(middle: Buffer, runsBytes: number, firstId: number): IdRange[] | 'bad' {
  const cursor = varintCursor(middle, 0, runsBytes);
  const runs: IdRange[] = [];
  let next = firstId;
  while (cursor.at < cursor.end && !cursor.failed) {
    const first = next + readVarint(cursor);
    const last = first + readVarint(cursor);
    runs.push({ first, last });
    next = last + 1;
  }
  return cursor.failed ? 'bad' : runs;
}
