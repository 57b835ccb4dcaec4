import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/checksum.js';
import { segmentId } from '../../../src/ids.js';
import {
  freeFileName,
  parseSegmentFileName,
  segmentFileName,
  segmentQueueMark,
  unfinishedFileName,
} from '../../../src/segment/segment-name.js';

describe('the name of a segment', () => {
  it('P9: its mark tells queues apart by the name of their folder, in 16 bits that are never 0', () => {
    const mark = segmentQueueMark('/srv/store/queues/wal/1.seg');
    expect(segmentQueueMark('/srv/store/queues/dead-letters/1.seg')).not.toBe(mark);
    expect(segmentQueueMark('/elsewhere/queues/wal/2.seg')).toBe(mark);
    // The CRC-32 of 'wal', modulo 65535, and one more: it stands in files.
    expect(mark).toBe((crc32(Buffer.from('wal')) % 0xffff) + 1);
    const marks = Array.from({ length: 2000 }, (_, i) => segmentQueueMark(`/s/queues/q${i}/1.seg`));
    expect(Math.min(...marks)).toBeGreaterThan(0);
    expect(Math.max(...marks)).toBeLessThanOrEqual(0xffff);
    expect(new Set(marks).size).toBeGreaterThan(1900);
  });

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
