/**
 * One round of removals: a commit (`frame/commit-header.ts`) in the tombstone log.
 *
 *    commit header: kind = SNAPSHOT | REMOVALS | CLOSE, count = number of ranges, firstId = number of the round
 *    0               8               16              24              32              40              48
 *    +---------------+---------------+---------------+---------------+---------------+---------------+------------------
 *    |    next ID    | data segment  |  data offset  | sealed below  |segment ID max |  see below    | ranges (varints)
 *    +---------------+---------------+---------------+---------------+---------------+---------------+------------------
 *
 * `data segment` and `data offset` promise: of that segment of this queue, all below the offset had been synced. `sealed below`
 * promises: every segment of this queue with a lower ID has a durable footer. The sixth is, at CLOSE, the number of live records; of a SNAPSHOT the
 * number of the part * 2, + 1 if it is the last (a snapshot may have several, one round); of REMOVALS `accounted below`. Ranges are
 * ascending: gap to the previous range's end, length - 1.
 *
 * `accounted below` promises: every lower ID is in a segment and synced, or in a range of this log or of an older one that is there. SNAPSHOT and CLOSE
 * promise it of `next ID`.
 *
 * The flag *intake* of the commit promises that the queue has an intake log.
 *
 * Every round is written twice in a row, so that one rotten byte cannot undo a removal; applying a round twice is
 * applying it once.
 */
import { RANGE_BYTES_MAX, readRanges, writeRange } from '../frame/coded-ranges.js';
import {
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  commitBodyCrc,
  encodeCommitHeader,
  newCommitHeader,
} from '../frame/commit-header.js';
import { varintCursor } from '../frame/varint.js';
import { type IdRange, ROUND_MAX, readU64, writeU64 } from '../ids.js';

export const KIND_SNAPSHOT = 16;
export const KIND_REMOVALS = 17;
export const KIND_CLOSE = 18;

const FIXED_BYTES = 48;
/** Flag of a round: the queue has an intake log. */
const FLAG_INTAKE = 4;
/** So many ranges are encoded in one stretch: a round of a million is some 20 of them, each a few milliseconds. */
const STRETCH_RANGES = 1 << 15;

/** What a round says beside the removed IDs. */
export interface RoundStatement {
  readonly kind: number;
  /** Number of the round, from 1 on, in all generations of the log. All parts of a snapshot share one. */
  readonly round: number;
  readonly nextId: number;
  readonly dataSegmentId: number;
  readonly dataOffset: number;
  readonly sealedBelow: number;
  readonly segmentIdMax: number;
  /** Of SNAPSHOT and CLOSE. */
  readonly liveRecords: number;
  /** Of REMOVALS; of the others it is `nextId`. */
  readonly accountedBelow: number;
  /** The queue has an intake log, under a durable name: one is there from then on. */
  readonly hasIntake: boolean;
  readonly timestamp: number;
}

/** How long a round of so many ranges is at most, with its copy. */
export function roundBytesMax(ranges: number): number {
  return 2 * (COMMIT_HEADER_BYTES + FIXED_BYTES + ranges * RANGE_BYTES_MAX);
}

/** The round and its copy, to be written at `fileOffset` of the log with `seed`. `ranges` ascend and do not overlap. */
export function encodeRound(
  statement: RoundStatement,
  ranges: readonly IdRange[],
  seed: number,
  fileOffset: number,
  durableOffset: number,
): Buffer {
  const encoding = encodeRoundInStretches(statement, ranges, seed, fileOffset, durableOffset);
  for (;;) {
    const step = encoding.next();
    if (step.done === true) return step.value;
  }
}

/** The same, for many ranges: yields wherever others may have their turn. Few are encoded in one stretch, without a yield. */
export function* encodeRoundInStretches(
  statement: RoundStatement,
  ranges: readonly IdRange[],
  seed: number,
  fileOffset: number,
  durableOffset: number,
): Generator<void, Buffer, undefined> {
  const scratch = Buffer.allocUnsafe(COMMIT_HEADER_BYTES + FIXED_BYTES + ranges.length * RANGE_BYTES_MAX);
  const b = COMMIT_HEADER_BYTES;
  writeU64(scratch, statement.nextId, b);
  writeU64(scratch, statement.dataSegmentId, b + 8);
  writeU64(scratch, statement.dataOffset, b + 16);
  writeU64(scratch, statement.sealedBelow, b + 24);
  writeU64(scratch, statement.segmentIdMax, b + 32);
  writeU64(scratch, statement.kind === KIND_REMOVALS ? statement.accountedBelow : statement.liveRecords, b + 40);
  let at = b + FIXED_BYTES;
  let next = 0;
  let rest = STRETCH_RANGES;
  for (const range of ranges) {
    if (rest-- === 0) {
      yield;
      rest = STRETCH_RANGES - 1;
    }
    at = writeRange(scratch, at, next, range);
    next = range.last + 1;
  }
  const frame = Buffer.allocUnsafe(at * 2);
  const header: CommitHeader = newCommitHeader();
  header.kind = statement.kind;
  header.flags = statement.hasIntake ? FLAG_INTAKE : 0;
  header.count = ranges.length;
  header.bodyBytes = at - COMMIT_HEADER_BYTES;
  header.firstId = statement.round;
  header.durableOffset = durableOffset;
  header.timestamp = statement.timestamp;
  header.removalSeq = statement.round;
  const body = scratch.subarray(COMMIT_HEADER_BYTES, at);
  for (let copy = 0; copy < 2; copy++) {
    const offset = fileOffset + copy * at;
    header.bodyCrc = commitBodyCrc(body, seed, offset);
    scratch.copy(frame, copy * at, 0, at);
    encodeCommitHeader(frame, copy * at, seed, offset, header);
  }
  return frame;
}

/** Reads a round whose checksum held; hands each range to `removed`. Returns undefined where it is no round: then it has removed nothing. */
export function decodeRound(
  header: CommitHeader,
  buffer: Buffer,
  bodyAt: number,
  removed: (first: number, last: number) => void,
): RoundStatement | undefined {
  if (header.kind < KIND_SNAPSHOT || header.kind > KIND_CLOSE || header.bodyBytes < FIXED_BYTES) return undefined;
  if (header.firstId > ROUND_MAX) return undefined;
  const cursor = varintCursor(buffer, bodyAt + FIXED_BYTES, bodyAt + header.bodyBytes);
  const ends: number[] = [];
  const areRanges = readRanges(cursor, header.count, (first, last) => ends.push(first, last));
  if (!areRanges || cursor.at !== cursor.end) return undefined;
  const nextId = readU64(buffer, bodyAt);
  const sixth = readU64(buffer, bodyAt + 40);
  const isRemovals = header.kind === KIND_REMOVALS;
  const statement: RoundStatement = {
    kind: header.kind,
    round: header.firstId,
    nextId,
    dataSegmentId: readU64(buffer, bodyAt + 8),
    dataOffset: readU64(buffer, bodyAt + 16),
    sealedBelow: readU64(buffer, bodyAt + 24),
    segmentIdMax: readU64(buffer, bodyAt + 32),
    liveRecords: isRemovals ? 0 : sixth,
    accountedBelow: isRemovals ? sixth : nextId,
    hasIntake: (header.flags & FLAG_INTAKE) !== 0,
    timestamp: header.timestamp,
  };
  const { dataSegmentId, dataOffset, sealedBelow, segmentIdMax } = statement;
  const isValid = Math.min(nextId, dataSegmentId, dataOffset, sealedBelow, segmentIdMax, sixth) >= 0;
  if (!isValid) return undefined;
  for (let i = 0; i < ends.length; i += 2) removed(ends[i] ?? 0, ends[i + 1] ?? 0);
  return statement;
}
