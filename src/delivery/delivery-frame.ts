/**
 * What stands in a delivery log: commits (`frame/commit-header.ts`) of three kinds, whose `firstId` is their number, one count for all.
 *
 *    OUTCOMES, SNAPSHOT: count = number of entries
 *    0               8               16
 *    +---------------+---------------+------------------------------------------------------------
 *    | base ms       |    streak     | entries: ID, attempts, crashes, due, first failure (varints)
 *    +---------------+---------------+------------------------------------------------------------
 *
 * Entries ascend by ID: the distance to the ID before, attempts, crashes, due time as ms since `base ms`, first failure as seconds since `base ms` + 1,
 * or 0 where it has not failed. An entry of no attempts, due at once, takes back what an earlier one said. `streak`: how often in a row the destination
 * was found down; 0 where it was not.
 *
 *    IN FLIGHT: count = number of ranges; no fixed part
 *    ranges ascend: distance to the end of the one before, length - 1 (varints)
 */
import { assert } from '../assert.js';
import { RANGE_BYTES_MAX, readRanges, writeRange } from '../frame/coded-ranges.js';
import { COMMIT_HEADER_BYTES, type CommitHeader, completeCommit, newCommitHeader } from '../frame/commit-header.js';
import { readVarint, VARINT_BYTES_MAX, varintCursor, writeVarint } from '../frame/varint.js';
import { type IdRange, readU64, writeU64 } from '../ids.js';
import { clampTime } from '../times.js';
import type { RetryEntry } from './retry-table.js';

export const KIND_DELIVERY_SNAPSHOT = 32;
export const KIND_OUTCOMES = 33;
export const KIND_IN_FLIGHT = 34;

const FIXED_BYTES = 16;
const ENTRY_BYTES_MAX = 5 * VARINT_BYTES_MAX;
export type RetryItem = readonly [id: number, entry: RetryEntry];

/** `entries` ascend by ID. To be written at `fileOffset` of the log with `seed`. */
export function encodeOutcomes(
  kind: typeof KIND_OUTCOMES | typeof KIND_DELIVERY_SNAPSHOT,
  entries: readonly RetryItem[],
  streak: number,
  number: number,
  nowMs: number,
  seed: number,
  fileOffset: number,
): Buffer {
  let baseMs = clampTime(nowMs);
  for (const [, { dueMs, firstFailureMs }] of entries) {
    if (dueMs > 0) baseMs = Math.min(baseMs, clampTime(dueMs));
    if (firstFailureMs > 0) baseMs = Math.min(baseMs, clampTime(firstFailureMs));
  }
  const bytes = Buffer.allocUnsafe(COMMIT_HEADER_BYTES + FIXED_BYTES + entries.length * ENTRY_BYTES_MAX);
  writeU64(bytes, baseMs, COMMIT_HEADER_BYTES);
  writeU64(bytes, streak, COMMIT_HEADER_BYTES + 8);
  let at = COMMIT_HEADER_BYTES + FIXED_BYTES;
  let before = 0;
  for (const [id, { attempts, crashes, dueMs, firstFailureMs }] of entries) {
    assert(id > before, 'entries of a delivery log ascend');
    at = writeVarint(bytes, at, id - before);
    at = writeVarint(bytes, at, attempts);
    at = writeVarint(bytes, at, crashes);
    at = writeVarint(bytes, at, Math.max(0, clampTime(dueMs) - baseMs));
    at = writeVarint(bytes, at, firstFailureMs > 0 ? Math.floor((clampTime(firstFailureMs) - baseMs) / 1000) + 1 : 0);
    before = id;
  }
  return framed(bytes.subarray(0, at), kind, entries.length, number, nowMs, seed, fileOffset);
}

export function encodeInFlight(
  ranges: readonly IdRange[],
  number: number,
  nowMs: number,
  seed: number,
  fileOffset: number,
): Buffer {
  const bytes = Buffer.allocUnsafe(COMMIT_HEADER_BYTES + ranges.length * RANGE_BYTES_MAX);
  let at = COMMIT_HEADER_BYTES;
  let next = 0;
  for (const range of ranges) {
    at = writeRange(bytes, at, next, range);
    next = range.last + 1;
  }
  return framed(bytes.subarray(0, at), KIND_IN_FLIGHT, ranges.length, number, nowMs, seed, fileOffset);
}

export interface DecodedOutcomes {
  readonly entries: readonly RetryItem[];
  readonly streak: number;
}

/** Of a commit whose checksum held; `undefined` where its body is none of this kind. */
export function decodeOutcomes(header: CommitHeader, buffer: Buffer, bodyAt: number): DecodedOutcomes | undefined {
  if (header.bodyBytes < FIXED_BYTES || header.count > header.bodyBytes) return undefined;
  const baseMs = readU64(buffer, bodyAt);
  const streak = readU64(buffer, bodyAt + 8);
  const cursor = varintCursor(buffer, bodyAt + FIXED_BYTES, bodyAt + header.bodyBytes);
  const entries: RetryItem[] = [];
  let id = 0;
  for (let i = 0; i < header.count; i++) {
    id += readVarint(cursor);
    const attempts = readVarint(cursor);
    const crashes = readVarint(cursor);
    const dueMs = baseMs + readVarint(cursor);
    const failed = readVarint(cursor);
    if (cursor.failed || !Number.isSafeInteger(id)) return undefined;
    const firstFailureMs = failed === 0 ? 0 : baseMs + (failed - 1) * 1000;
    entries.push([id, { attempts, crashes, dueMs, firstFailureMs }]);
  }
  return baseMs < 0 || streak < 0 ? undefined : { entries, streak };
}

export function decodeInFlight(header: CommitHeader, buffer: Buffer, bodyAt: number): IdRange[] | undefined {
  if (header.count > header.bodyBytes) return undefined;
  const cursor = varintCursor(buffer, bodyAt, bodyAt + header.bodyBytes);
  const ranges: IdRange[] = [];
  return readRanges(cursor, header.count, (first, last) => ranges.push({ first, last })) ? ranges : undefined;
}

function framed(
  bytes: Buffer,
  kind: number,
  count: number,
  number: number,
  nowMs: number,
  seed: number,
  fileOffset: number,
): Buffer {
  const header = newCommitHeader();
  header.kind = kind;
  header.count = count;
  header.firstId = number;
  header.timestamp = clampTime(nowMs);
  completeCommit(bytes, header, seed, fileOffset);
  return bytes;
}
