import { describe, expect, it } from 'vitest';
import {
  addBits,
  buildPage,
  checkPage,
  clearBits,
  countLiveBits,
  type LivePage,
  nextDeadBit,
  nextLiveBit,
} from '../../../src/index/live-page.js';

describe('a live page', () => {
  it('P12: is built in the cheapest form that can hold it', () => {
    expect(buildPage([], 0, 100)).toBeNull();
    expect(buildPage([0, 99], 100, 100)).toBeUndefined();
    expect(buildPage([3, 4, 90, 90], 3, 100)).toEqual(Uint16Array.of(3, 4, 90));
    expect(buildPage([0, 3], 4, 100)).toEqual(Int32Array.of(15, 0, 0, 0));
    expect(buildPage([0, 2047], 2048, 65_536)).toBeInstanceOf(Uint16Array);
    expect(buildPage([0, 2048], 2049, 65_536)).toBeInstanceOf(Int32Array);
    // A pair with its last bit below its first is a run of none.
    expect(buildPage([0, -1, 1, 64], 64, 65)).toEqual(Int32Array.of(-2, -1, 1));
  });

  it('counts, clears and finds bits across the borders of words', () => {
    const words = new Int32Array(4).fill(-1);
    expect(countLiveBits(words, 128, 31, 96)).toBe(66);
    expect(clearBits(words, 31, 96)).toBe(66);
    expect([...words]).toEqual([0x7fff_ffff, 0, 0, -2]);
    expect(clearBits(words, 0, 127)).toBe(62);
    expect(clearBits(words, 5, 9)).toBe(0);
  });

  it('every form gives the same answers', () => {
    const bits = new Set([0, 1, 31, 32, 63, 64, 77, 200]);
    const words = new Int32Array(9);
    for (const bit of bits) words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31));
    const forms: readonly LivePage[] = [words, Uint16Array.from([...bits, 7, 7])];
    for (const page of forms) {
      for (let from = 0; from < 256; from++) {
        const all = Array.from({ length: 256 - from }, (_, i) => from + i);
        expect(nextLiveBit(page, bits.size, from, 255)).toBe(all.find((bit) => bits.has(bit)) ?? -1);
        expect(nextDeadBit(page, bits.size, from, 255)).toBe(all.find((bit) => !bits.has(bit)) ?? -1);
        expect(countLiveBits(page, bits.size, from, 255)).toBe(all.filter((bit) => bits.has(bit)).length);
        expect(countLiveBits(page, bits.size, 31, 31 + from)).toBe(
          [...bits].filter((bit) => bit >= 31 && bit <= 31 + from).length,
        );
      }
    }
  });

  it('adding the last dead bit makes it all live, which takes no memory', () => {
    expect(addBits(Int32Array.of(5), 2, 3, 1, 1)).toBeUndefined();
  });

  it.each<[string, LivePage, number, number]>([
    ['all live with a wrong count', undefined, 3, 4],
    ['all dead with a wrong count', null, 1, 4],
    ['a bitmap with a wrong count', Int32Array.of(7), 2, 20],
    ['a bitmap with bits above its span', Int32Array.of(7), 2, 2],
    ['a bitmap with too few words', Int32Array.of(7), 3, 40],
    ['a bitmap that should be a list', new Int32Array(2048), 5, 65_536],
    ['a list that should be a bitmap', new Uint16Array(50), 50, 100],
    ['a list out of order', Uint16Array.of(5, 4), 2, 65_536],
    ['a list with an item above its span', Uint16Array.of(70), 1, 70],
    ['a list with too much slack', new Uint16Array(40), 1, 65_536],
  ])('its check finds %s', (_title, page, live, span) => {
    expect(() => checkPage(page, live, span)).toThrow(/invariant broken/);
  });
});
