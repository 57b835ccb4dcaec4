import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeSegmentIndex,
  encodeSegmentIndex,
  newSegmentIndex,
  type SegmentIndex,
  type WideCommit,
  wideCommitAt,
} from '../../../src/segment/segment-index.js';
import { TIME_MS_MAX } from '../../../src/times.js';

const gap = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 2 ** 30 }));
const anyIndex: fc.Arbitrary<SegmentIndex> = fc
  .tuple(
    fc.integer({ min: 1, max: 2 ** 40 }),
    fc.array(fc.tuple(gap, gap, fc.nat(1)), { maxLength: 50 }),
    fc.array(fc.tuple(gap, gap, gap, fc.nat(2 ** 41)), { maxLength: 10 }),
  )
  .map(([firstId, entries, wides]) => {
    const index = newSegmentIndex();
    let id = firstId;
    let offset = 128;
    for (const [ids, bytes, mid] of entries) {
      index.ids.push(id);
      index.offsets.push(offset);
      index.mids.push(mid);
      id += ids;
      offset += bytes;
    }
    id = firstId;
    offset = 128;
    for (const [bytes, skipped, ids, timestamp] of wides) {
      index.wide.push({ offset, end: offset + bytes, firstId: id, timestamp });
      offset += bytes + skipped;
      id += ids;
    }
    return index;
  });

function wide(firstId: number, timestamp: number): WideCommit {
  return { offset: 128, end: 200, firstId, timestamp };
}

describe('the index of a segment', () => {
  it('comes back as it was', () => {
    expect(decodeSegmentIndex(encodeSegmentIndex(newSegmentIndex()))).toEqual(newSegmentIndex());
    fc.assert(
      fc.property(anyIndex, (index) => {
        expect(decodeSegmentIndex(encodeSegmentIndex(index))).toEqual(index);
      }),
      { numRuns: 300 },
    );
  });

  it('cut off or with bytes left over it is no index', () => {
    fc.assert(
      fc.property(anyIndex, fc.nat(), (index, at) => {
        const bytes = Buffer.from(encodeSegmentIndex(index));
        expect(decodeSegmentIndex(bytes.subarray(0, at % bytes.length))).toBeUndefined();
        expect(decodeSegmentIndex(Buffer.concat([bytes, Buffer.alloc(1)]))).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it('a count that no bytes stand behind allocates nothing', () => {
    expect(decodeSegmentIndex(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]))).toBeUndefined();
  });

  const last = Number.MAX_SAFE_INTEGER;
  const none = newSegmentIndex();

  it.each<[string, SegmentIndex]>([
    ['an entry without an ID', { ...none, ids: [0], offsets: [128], mids: [0] }],
    ['two entries of one ID', { ...none, ids: [5, 5], offsets: [128, 200], mids: [0, 1] }],
    ['an entry past the last ID', { ...none, ids: [last, last + 5], offsets: [128, 200], mids: [0, 0] }],
    ['an entry where the data ends', { ...none, ids: [5], offsets: [1000], mids: [0] }],
    ['a commit behind the data', { ...none, wide: [{ offset: 900, end: 1001, firstId: 1, timestamp: 5 }] }],
    ['a commit past the last ID', { ...none, wide: [wide(last, 5), wide(last + 5, 5)] }],
    ['a time past the last', { ...none, wide: [wide(1, TIME_MS_MAX + 1)] }],
  ])('P9: with %s it is no index', (_what, index) => {
    expect(decodeSegmentIndex(encodeSegmentIndex(index), 1000)).toBeUndefined();
  });

  it('may go as far as that', () => {
    for (const index of [
      { ...none, ids: [1, last - 1], offsets: [128, 999], mids: [0, 1] },
      { ...none, wide: [{ offset: 900, end: 1000, firstId: last - 1, timestamp: TIME_MS_MAX }] },
    ])
      expect(decodeSegmentIndex(encodeSegmentIndex(index), 1000)).toEqual(index);
  });

  it('P12: an entry takes a few bytes', () => {
    const index = newSegmentIndex();
    for (let i = 0; i < 1000; i++) {
      index.ids.push(1 + i * 38);
      index.offsets.push(128 + i * 4104);
      index.mids.push(1);
    }
    expect(encodeSegmentIndex(index).length / 1000).toBeLessThan(4);
  });

  it('knows the wide commit around an offset', () => {
    const commits = [
      { offset: 128, end: 1000, firstId: 1, timestamp: 5 },
      { offset: 2000, end: 3000, firstId: 9, timestamp: 6 },
    ];
    const at = (offset: number): number | undefined => wideCommitAt(commits, offset)?.firstId;
    expect([100, 128, 999, 1000, 1500, 2000, 2999, 3000].map(at)).toEqual([
      undefined,
      1,
      1,
      undefined,
      undefined,
      9,
      9,
      undefined,
    ]);
    expect(wideCommitAt([], 5)).toBeUndefined();
  });
});
