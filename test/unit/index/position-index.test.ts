import { describe, expect, it } from 'vitest';
import { PositionIndex } from '../../../src/index/position-index.js';

describe('a position index', () => {
  it('finds the interval that an ID lies in, and the one behind it', () => {
    const index = new PositionIndex();
    index.set(1, 0, 64, 0);
    index.set(100, 3, 4160, 1);
    expect(index.floor(99)).toBe(true);
    expect([index.key, index.slot, index.offset, index.mid]).toEqual([1, 0, 64, 0]);
    expect(index.floor(100)).toBe(true);
    expect([index.key, index.slot, index.offset, index.mid]).toEqual([100, 3, 4160, 1]);
    expect(index.next(0)).toBe(true);
    expect(index.key).toBe(1);
    expect(index.next(1)).toBe(true);
    expect(index.key).toBe(100);
  });

  it('a search that finds nothing leaves what was found before', () => {
    const index = new PositionIndex();
    expect(index.floor(5)).toBe(false);
    expect(index.next(5)).toBe(false);
    index.set(10, 1, 2, 1);
    index.floor(10);
    expect(index.floor(9)).toBe(false);
    expect(index.next(10)).toBe(false);
    expect([index.key, index.slot, index.offset, index.mid]).toEqual([10, 1, 2, 1]);
  });

  it('keeps every bit of the extreme positions', () => {
    const index = new PositionIndex();
    let id = 0;
    for (const slot of [0, 1, 2 ** 20 - 1]) {
      for (const offset of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
        for (const mid of [0, 1] as const) {
          index.set(id, slot, offset, mid);
          index.floor(id);
          expect([index.slot, index.offset, index.mid]).toEqual([slot, offset, mid]);
          id += 2 ** 40;
        }
      }
    }
    index.check();
    expect(index.size).toBe(24);
  });

  it('loads segment after segment, and loses one in one go', () => {
    const index = new PositionIndex();
    for (let slot = 0; slot < 5; slot++) {
      const ids = Float64Array.from({ length: 2000 }, (_, i) => 1 + (slot * 2000 + i) * 40);
      index.load(
        slot,
        ids,
        ids.map((_, i) => 64 + i * 4096),
        new Uint8Array(2000).fill(1),
      );
      index.check();
    }
    expect(index.size).toBe(10_000);
    expect(index.deleteRange(1 + 2 * 2000 * 40, 3 * 2000 * 40)).toBe(2000);
    index.check();
    expect(index.floor(1 + 2 * 2000 * 40)).toBe(true);
    expect([index.slot, index.offset]).toEqual([1, 64 + 1999 * 4096]);
    expect(index.next(index.key)).toBe(true);
    expect([index.slot, index.offset]).toEqual([3, 64]);
  });

  it('a rewritten segment is loaded between its neighbours', () => {
    const index = new PositionIndex();
    index.load(0, [1, 2, 3], [0, 1, 2], [0, 0, 0]);
    index.load(1, [10, 20, 30], [0, 1, 2], [0, 0, 0]);
    index.load(2, [4, 5], [7, 8], [0, 1]);
    index.load(3, [], [], []);
    index.check();
    expect(index.floor(9)).toBe(true);
    expect([index.key, index.slot, index.offset, index.mid]).toEqual([5, 2, 8, 1]);
  });

  it('starts again after it lost everything', () => {
    const index = new PositionIndex();
    for (let round = 0; round < 3; round++) {
      index.set(5, 0, round, 0);
      index.set(6, 0, round, 0);
      expect(index.deleteRange(0, Number.MAX_SAFE_INTEGER)).toBe(2);
      index.check();
      expect(index.floor(6)).toBe(false);
    }
  });

  it('refuses what only a bug can ask for', () => {
    const index = new PositionIndex();
    expect(() => index.set(1, 2 ** 20, 0, 0)).toThrow(/20 bits/);
    expect(() => index.set(1, 0, 2 ** 32, 0)).toThrow(/32 bits/);
    expect(() => index.set(1.5, 0, 0, 0)).toThrow(/record ID/);
    expect(() => index.load(0, [1, 2], [1], [1])).toThrow(/number/);
    expect(() => index.load(0, [2, 1], [1, 2], [0, 0])).toThrow(/ascend/);
    expect(() => index.load(0, [1, 2], [1, 2], [0, 2])).toThrow(/start of a commit/);
    expect(index.size).toBe(0);
  });
});
