import { describe, expect, test } from 'vitest';
import { PayloadPack } from '../../../src/log/payload-pack.js';

const source = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));

describe('a pack of payloads', () => {
  test.each(['', '\n', '<end>'])(
    'holds them byte for byte, whatever their length and place, each with %j behind it',
    (text) => {
      const behind = Buffer.from(text);
      const pack = new PayloadPack(behind);
      const parts: Buffer[] = [];
      let id = 0;
      // On both sides of a word, and of what is copied by words; the last ones are larger than the buffer.
      for (const bytes of [0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 1000, 65_536, 150_000]) {
        for (const at of [0, 1, 2, 3, source.length - bytes]) {
          pack.add(++id, source, at, bytes);
          parts.push(source.subarray(at, at + bytes), behind);
        }
      }
      expect(pack.bytes.equals(Buffer.concat(parts))).toBe(true);
      expect([pack.count, pack.lastId]).toEqual([id, id]);
      pack.clear();
      expect([pack.bytes.length, pack.count, pack.lastId]).toEqual([0, 0, 0]);
    },
  );

  test('gives back what was packed since a mark', () => {
    const pack = new PayloadPack(Buffer.from(','));
    pack.add(3, Buffer.from('abc'), 0, 3);
    const mark = pack.mark();
    pack.add(5, Buffer.from('def'), 0, 3);
    pack.cutTo(mark);
    pack.add(8, Buffer.from('xghi'), 1, 2);
    expect([pack.bytes.toString(), pack.count, pack.lastId]).toEqual(['abc,gh,', 2, 8]);
  });

  test('has bytes of its own behind each', () => {
    const behind = Buffer.from(';');
    const pack = new PayloadPack(behind);
    behind[0] = 0;
    pack.add(1, Buffer.from('a'), 0, 1);
    expect(pack.bytes.toString()).toBe('a;');
  });
});
