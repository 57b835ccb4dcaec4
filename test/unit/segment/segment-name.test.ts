import { describe, expect, it } from 'vitest';
import { segmentId } from '../../../src/ids.js';
import {
  freeFileName,
  parseSegmentFileName,
  segmentFileName,
  unfinishedFileName,
} from '../../../src/segment/segment-name.js';

describe('the name of a segment', () => {
  it('is padded, so that names sort as the log does', () => {
    expect(segmentFileName(1, segmentId(1))).toBe('00000000000000000001-0000000000000001.seg');
    expect(unfinishedFileName(1, segmentId(255))).toBe('00000000000000000001-00000000000000ff.seg.tmp');
    expect(freeFileName(segmentId(2 ** 40))).toBe('0000010000000000.free');
    const numbers = [1, 9, 10, 99, 1_000_000, 2 ** 40, Number.MAX_SAFE_INTEGER];
    const names = numbers.flatMap((base) => numbers.map((id) => segmentFileName(base, segmentId(id))));
    expect([...names].sort()).toEqual(names);
  });

  it('comes back as its numbers', () => {
    for (const base of [0, 1, Number.MAX_SAFE_INTEGER]) {
      for (const id of [0, 255, Number.MAX_SAFE_INTEGER]) {
        const expected = { baseId: base, segmentId: id };
        expect(parseSegmentFileName(segmentFileName(base, segmentId(id)))).toEqual({ kind: 'segment', ...expected });
        expect(parseSegmentFileName(unfinishedFileName(base, segmentId(id)))).toEqual({
          kind: 'unfinished',
          ...expected,
        });
        expect(parseSegmentFileName(freeFileName(segmentId(id)))).toEqual({ kind: 'free', segmentId: id });
      }
    }
  });

  it.each([
    '',
    'README',
    '1-1.seg',
    '00000000000000000001-0000000000000001.seg.bak',
    '00000000000000000001-0000000000000001.seg.tmp.tmp',
    ' 00000000000000000001-0000000000000001.seg',
    '00000000000000000001-0000000000000001.seg\n',
    '00000000000000000001-000000000000000A.seg',
    '0000000000000000000x-0000000000000001.seg',
    '00000000000000000001_0000000000000001.seg',
    '99999999999999999999-0000000000000001.seg',
    '00009007199254740992-0000000000000001.seg',
    '00000000000000000001-ffffffffffffffff.seg',
    'ffffffffffffffff.free',
    '0000000000000001.free.tmp',
    '0000000000000001.tomb',
  ])('a foreign name is none of ours: %j', (name) => {
    expect(parseSegmentFileName(name)).toBeUndefined();
  });
});
