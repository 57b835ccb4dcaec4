/**
 * Ranges of record IDs as they stand in logs: ascending, each as two varints: the distance to the end of the one before, and its length less one.
 */
import { assert } from '../assert.js';
import type { IdRange } from '../ids.js';
import { readVarint, VARINT_BYTES_MAX, type VarintCursor, writeVarint } from './varint.js';

/** What one range takes at most. */
export const RANGE_BYTES_MAX: number = 2 * VARINT_BYTES_MAX;

/** Writes one at `at`, behind one that ended in front of `next`, and returns where the next one goes. */
export function writeRange(target: Uint8Array, at: number, next: number, { first, last }: IdRange): number {
  assert(first >= next && last >= first, 'ranges in a log ascend');
  return writeVarint(target, writeVarint(target, at, first - next), last - first);
}

/** Hands `count` of them to `each`. False where there are no such ranges; those before were handed over. */
export function readRanges(cursor: VarintCursor, count: number, each: (first: number, last: number) => void): boolean {
  let next = 0;
  for (let i = 0; i < count; i++) {
    const first = next + readVarint(cursor);
    const last = first + readVarint(cursor);
    if (cursor.failed || last > Number.MAX_SAFE_INTEGER) return false;
    each(first, last);
    next = last + 1;
  }
  return true;
}
