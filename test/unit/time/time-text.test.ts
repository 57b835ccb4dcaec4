/** Times as they are printed. */
import { encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { isoTime, recordToJson } from '../../../src/cli/record-format.js';
import { decodeMeta } from '../../../src/frame/metadata.js';
import { clampTime, TIME_MS_MAX } from '../../../src/times.js';

describe('a time in text', () => {
  it.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [1_800_000_000_000, '2027-01-15T08:00:00.000Z'],
    [TIME_MS_MAX, '+010889-08-02T05:31:50.655Z'],
    [8.64e15, '+275760-09-13T00:00:00.000Z'],
    [8.64e15 + 1, '+275760-09-13T00:00:00.000Z'],
    [Number.MAX_SAFE_INTEGER, '+275760-09-13T00:00:00.000Z'],
    [-1e300, '-271821-04-20T00:00:00.000Z'],
  ])('of %d is the nearest date', (ms, text) => {
    expect(isoTime(ms)).toBe(text);
  });

  it('P3: a record with any numbers in its metadata can be printed', () => {
    for (const value of [Number.MAX_SAFE_INTEGER, -1e300, Number.NaN, Infinity, 1n << 63n]) {
      const meta = decodeMeta(encode({ d: value, o: ['wal', 1, value], a: value }, { useBigInt64: true }));
      const record = { id: 1, payload: Buffer.from('x'), timestamp: TIME_MS_MAX };
      const text = recordToJson({ record: Object.assign(record, meta) });
      expect(JSON.parse(text)).toMatchObject({ id: 1, payload: 'x' });
    }
  });

  it.each([
    [Number.NaN, 0],
    [-5, 0],
    [0.9, 0],
    [7.9, 7],
    [1e300, TIME_MS_MAX],
  ])('%d becomes %d in a file', (ms, held) => {
    expect(clampTime(ms)).toBe(held);
  });
});
