/**
 * The end of a sealed segment: a commit of kind FOOTER whose body is
 *
 *     index section | ID runs | replaced segments | times | summary (96 B, the last bytes of the file)
 *
 * so that opening a store reads the last few KiB of each file, and the index section only when the segment is first read.
 *
 *    0       4       8               16              24        30  32        38  40              48      52
 *    +-------+-------+---------------+---------------+---------+---+---------+---+---------------+-------+-------+
 *    | EvqF  | bytes |   first ID    |    last ID    | min time| 0 | max time| 0 | payload bytes | count |dataEnd|
 *    +-------+-------+---------------+---------------+---------+---+---------+---+---------------+-------+-------+
 *    56      60      64      68      72      76              84      88      92      96
 *    +-------+-------+-------+-------+-------+---------------+-------+-------+-------+
 *    |idxByte|idx crc|runByte|replac.|midcrc | removal rounds| flags |timByte|  crc  |
 *    +-------+-------+-------+-------+-------+---------------+-------+-------+-------+
 *
 * `bytes` is the whole footer with its commit header. `idx crc` sums the index section, `midcrc` runs, replaced segments and times;
 * all three are tied to file and offset. Runs (varint pairs: gap, length - 1) are there only where IDs are missing: in rewritten
 * segments and where damage was stepped over. Replaced segments are u64 segment IDs. Times (three varints a span: ID - ID of the span
 * before, least, greatest - least) are there only where least and greatest of the whole do not say it all (`segment-times.ts`).
 */
import { assert } from '../assert.js';
import { crc32, placeMask } from '../checksum.js';
import {
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  commitBodyCrc,
  completeCommit,
  decodeCommitHeader,
  KIND_FOOTER,
  newCommitHeader,
} from '../frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { readVarint, VarintWriter, varintCursor } from '../frame/varint.js';
import { type IdRange, ROUND_MAX, readU64, writeU64 } from '../ids.js';
import { TIME_MS_MAX } from '../times.js';
import { bytesAt, type HoldingSource } from '../vfs/held-bytes.js';
import { decodeSegmentIndex, encodeSegmentIndex, type SegmentIndex } from './segment-index.js';
import { SegmentTimes, type TimeSpan } from './segment-times.js';

const SUMMARY_BYTES = 96;
const SUMMARY_MAGIC = 'EvqF';
const SUMMARY_MAGIC_NUMBER: number = Buffer.from(SUMMARY_MAGIC, 'latin1').readUInt32BE(0);
/** One read of this much of a file's end finds the footer of nearly every segment whole, but for its index section. */
const TAIL_READ_BYTES = 4096;
assert(TAIL_READ_BYTES > SUMMARY_BYTES, 'the tail read holds the summary');

/** What a sealed segment says of the times of its records; 0 where it has none. */
export interface SummaryTimes {
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  /** Where least and greatest do not say it all: which IDs have which. */
  readonly spans?: readonly TimeSpan[] | undefined;
}

/** What a sealed segment says of itself. */
export interface SegmentSummary extends SummaryTimes {
  /** 0 records: `lastId` is `firstId` - 1. */
  readonly count: number;
  readonly firstId: number;
  readonly lastId: number;
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

/** The whole footer, to be written at `summary.dataEnd`. */
export function encodeFooter(
  summary: SegmentSummary,
  index: SegmentIndex,
  seed: number,
  durableOffset: number,
  nowMs: number,
): Buffer {
  const indexSection = encodeSegmentIndex(index);
  const runs = encodeRuns(summary);
  const times = encodeSpans(summary);
  const middle = Buffer.concat([runs, encodeReplaced(summary), times]);
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
  footer.writeUInt32LE(runs.length, summaryAt + 64);
  footer.writeUInt32LE(summary.replaces.length, summaryAt + 68);
  footer.writeUInt32LE(placedCrc(middle, seed, base + middleAt), summaryAt + 72);
  writeU64(footer, summary.removalSeq, summaryAt + 76);
  footer.writeUInt32LE(summary.runs === undefined ? 0 : 1, summaryAt + 84);
  footer.writeUInt32LE(times.length, summaryAt + 88);
  const checked = footer.subarray(summaryAt, summaryAt + SUMMARY_BYTES - 4);
  footer.writeUInt32LE(placedCrc(checked, seed, base + summaryAt), summaryAt + SUMMARY_BYTES - 4);

  const header: CommitHeader = newCommitHeader();
  header.kind = KIND_FOOTER;
  header.firstId = summary.firstId;
  header.durableOffset = durableOffset;
  header.timestamp = nowMs;
  header.removalSeq = summary.removalSeq;
  completeCommit(footer, header, seed, base);
  return footer;
}

/** Finds the footer that ends at `size`, or `undefined` where none does. Reads a few KiB. */
export async function readFooter(source: HoldingSource, size: number, seed: number): Promise<Footer | undefined> {
  const tailBytes = Math.min(size, TAIL_READ_BYTES);
  if (tailBytes < COMMIT_HEADER_BYTES + SUMMARY_BYTES) return undefined;
  const tailFrom = size - tailBytes;
  const tail = await bytesAt(source, tailFrom, tailBytes);
  if (tail.length !== tailBytes) return undefined;

  const s = tail.subarray(tailBytes - SUMMARY_BYTES);
  const summaryAt = size - SUMMARY_BYTES;
  if (s.readUInt32BE(0) !== SUMMARY_MAGIC_NUMBER) return undefined;
  if (placedCrc(s.subarray(0, SUMMARY_BYTES - 4), seed, summaryAt) !== s.readUInt32LE(SUMMARY_BYTES - 4))
    return undefined;

  const indexBytes = s.readUInt32LE(56);
  const runsBytes = s.readUInt32LE(64);
  const replacesCount = s.readUInt32LE(68);
  const timesBytes = s.readUInt32LE(88);
  const middleBytes = runsBytes + replacesCount * 8 + timesBytes;
  const dataEnd = s.readUInt32LE(52);
  const indexAt = dataEnd + COMMIT_HEADER_BYTES;
  const middleAt = indexAt + indexBytes;
  if (middleAt + middleBytes !== summaryAt || dataEnd + s.readUInt32LE(4) !== size) return undefined;

  const isInTail = middleAt >= tailFrom;
  const middle = isInTail
    ? tail.subarray(middleAt - tailFrom, middleAt - tailFrom + middleBytes)
    : await bytesAt(source, middleAt, middleBytes);
  if (middle.length !== middleBytes) return undefined;
  if (placedCrc(middle, seed, middleAt) !== s.readUInt32LE(72)) return undefined;

  const firstId = readU64(s, 8);
  const runs = (s.readUInt32LE(84) & 1) === 0 ? undefined : decodeRuns(middle, runsBytes, firstId);
  if (runs === 'bad') return undefined;
  const replaces: number[] = [];
  for (let i = 0; i < replacesCount; i++) replaces.push(readU64(middle, runsBytes + i * 8));
  const spans = timesBytes === 0 ? undefined : decodeSpans(middle, middleBytes - timesBytes, middleBytes);
  if (spans === 'bad') return undefined;
  const summary: SegmentSummary = {
    count: s.readUInt32LE(48),
    firstId,
    lastId: readU64(s, 16),
    spans,
    minTimeMs: s.readUIntLE(24, 6),
    maxTimeMs: s.readUIntLE(32, 6),
    payloadBytes: readU64(s, 40),
    dataEnd,
    removalSeq: readU64(s, 76),
    runs,
    replaces,
  };
  if (summary.removalSeq > ROUND_MAX) return undefined;
  if (![firstId, summary.lastId, summary.payloadBytes, summary.removalSeq, ...replaces].every((one) => one >= 0))
    return undefined;
  if (!isConsistent(summary)) return undefined;
  return { summary, indexAt, indexBytes, indexCrc: s.readUInt32LE(60), end: size };
}

/** Whether the commit of a footer is valid, too: of one that nothing says was synced a crash may have left the end alone. */
export async function isFooterWhole(
  source: HoldingSource,
  { summary: { dataEnd }, end }: Footer,
  seed: number,
): Promise<boolean> {
  const bytes = await bytesAt(source, dataEnd, end - dataEnd);
  const header = newCommitHeader();
  if (bytes.length !== end - dataEnd || !decodeCommitHeader(bytes, 0, seed, dataEnd, header)) return false;
  if (header.kind !== KIND_FOOTER || COMMIT_HEADER_BYTES + header.bodyBytes !== bytes.length) return false;
  return commitBodyCrc(bytes.subarray(COMMIT_HEADER_BYTES), seed, dataEnd) === header.bodyCrc;
}

/** FORMAT.md, 10: sums may hold over numbers that cannot be. What is made of a footer has the size of its numbers. */
function isConsistent({ count, firstId, lastId, dataEnd, runs, minTimeMs, maxTimeMs }: SegmentSummary): boolean {
  if (dataEnd < FILE_HEADER_BYTES || count * DENSE_FRAME_BYTES > dataEnd) return false;
  if (count > 0 && minTimeMs > maxTimeMs) return false;
  if (runs === undefined) return count === lastId - firstId + 1;
  return count === countIds(runs) && lastId === (runs.at(-1)?.last ?? firstId - 1);
}

/** IDs in ranges. */
function countIds(ranges: readonly IdRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** What a footer is to say of those times. */
export function summaryTimes(times: SegmentTimes): SummaryTimes {
  return { minTimeMs: times.minMs, maxTimeMs: times.maxMs, spans: times.isUneven ? times.spans : undefined };
}

/** What a footer says of the times of its records. */
export function timesOf(summary: Pick<SegmentSummary, keyof SummaryTimes | 'count' | 'firstId'>): SegmentTimes {
  const { count, firstId, minTimeMs: minMs, maxTimeMs: maxMs, spans } = summary;
  return new SegmentTimes(spans ?? (count === 0 ? [] : [{ firstId, minMs, maxMs }]));
}

/** Reads the index section of a footer, or `undefined` where it is damaged: then the segment is to be scanned instead. */
export async function readFooterIndex(
  source: HoldingSource,
  footer: Pick<Footer, 'indexAt' | 'indexBytes' | 'indexCrc'>,
  seed: number,
): Promise<SegmentIndex | undefined> {
  const bytes = Buffer.allocUnsafe(footer.indexBytes);
  const read = await source.readAt(bytes, 0, bytes.length, footer.indexAt);
  if (read !== bytes.length || placedCrc(bytes, seed, footer.indexAt) !== footer.indexCrc) return undefined;
  return decodeSegmentIndex(bytes, footer.indexAt - COMMIT_HEADER_BYTES);
}

function placedCrc(bytes: Uint8Array, seed: number, offset: number): number {
  return (crc32(bytes) ^ placeMask(seed, offset, bytes.length, 0)) >>> 0;
}

function encodeRuns(summary: SegmentSummary): Buffer {
  const runs = new VarintWriter();
  let next = summary.firstId;
  for (const run of summary.runs ?? []) {
    runs.push(run.first - next);
    runs.push(run.last - run.first);
    next = run.last + 1;
  }
  return runs.bytes();
}

function encodeReplaced({ replaces }: SegmentSummary): Buffer {
  const bytes = Buffer.alloc(replaces.length * 8);
  for (const [i, id] of replaces.entries()) writeU64(bytes, id, i * 8);
  return bytes;
}

function encodeSpans({ spans = [] }: SegmentSummary): Buffer {
  const out = new VarintWriter();
  let id = 0;
  for (const { firstId, minMs, maxMs } of spans) {
    out.push(firstId - id);
    out.push(minMs);
    out.push(maxMs - minMs);
    id = firstId;
  }
  return out.bytes();
}

function decodeSpans(middle: Buffer, from: number, to: number): TimeSpan[] | 'bad' {
  const cursor = varintCursor(middle, from, to);
  const spans: TimeSpan[] = [];
  let firstId = 0;
  while (cursor.at < cursor.end && !cursor.failed) {
    const idGap = readVarint(cursor);
    firstId += idGap;
    const minMs = readVarint(cursor);
    const maxMs = minMs + readVarint(cursor);
    if ((idGap === 0 && spans.length > 0) || firstId > Number.MAX_SAFE_INTEGER || maxMs > TIME_MS_MAX) return 'bad';
    spans.push({ firstId, minMs, maxMs });
  }
  return cursor.failed ? 'bad' : spans;
}

function decodeRuns(middle: Buffer, runsBytes: number, firstId: number): IdRange[] | 'bad' {
  const cursor = varintCursor(middle, 0, runsBytes);
  const runs: IdRange[] = [];
  let next = firstId;
  while (cursor.at < cursor.end && !cursor.failed) {
    const first = next + readVarint(cursor);
    const last = first + readVarint(cursor);
    if (last > Number.MAX_SAFE_INTEGER) return 'bad';
    runs.push({ first, last });
    next = last + 1;
  }
  return cursor.failed ? 'bad' : runs;
}
