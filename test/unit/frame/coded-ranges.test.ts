/** Ranges of IDs as they stand in logs. */
import { expect, test } from 'vitest';
import { RANGE_BYTES_MAX, readRanges, writeRange } from '../../../src/frame/coded-ranges.js';
import { varintCursor, writeVarint } from '../../../src/frame/varint.js';
import type { IdRange } from '../../../src/ids.js';

const RANGES: readonly IdRange[] = [
  { first: 0, last: 0 },
  { first: 1, last: 300 },
  { first: 302, last: 2 ** 40 },
  { first: Number.MAX_SAFE_INTEGER, last: Number.MAX_SAFE_INTEGER },
];

function written(ranges: readonly IdRange[]): Buffer {
  const bytes = Buffer.alloc(ranges.length * RANGE_BYTES_MAX);
  let at = 0;
  let next = 0;
  for (const range of ranges) {
    at = writeRange(bytes, at, next, range);
    next = range.last + 1;
  }
  return bytes.subarray(0, at);
}

function read(bytes: Buffer, count: number): { readonly ranges: IdRange[]; readonly isWhole: boolean } {
  const ranges: IdRange[] = [];
  const isWhole = readRanges(varintCursor(bytes, 0, bytes.length), count, (first, last) =>
    ranges.push({ first, last }),
  );
  return { ranges, isWhole };
}

test('P3: ranges are read as they were written', () => {
  expect(read(written(RANGES), RANGES.length)).toEqual({ ranges: RANGES, isWhole: true });
});

test('P3: bytes that end too early, and IDs that there are none of, are no ranges', () => {
  const bytes = written(RANGES);
  for (let end = 0; end < bytes.length; end++) expect(read(bytes.subarray(0, end), RANGES.length).isWhole).toBe(false);
  const past = Buffer.alloc(RANGE_BYTES_MAX);
  const end = writeVarint(past, writeVarint(past, 0, Number.MAX_SAFE_INTEGER), 1);
  expect(read(past.subarray(0, end), 1)).toEqual({ ranges: [], isWhole: false });
});

test('P3: ranges that do not ascend are not written', () => {
  const bytes = Buffer.alloc(RANGE_BYTES_MAX);
  expect(() => writeRange(bytes, 0, 5, { first: 4, last: 9 })).toThrow('ascend');
  expect(() => writeRange(bytes, 0, 5, { first: 9, last: 8 })).toThrow('ascend');
});
