import { describe, expect, it } from 'vitest';
import { LiveSet } from '../../../src/index/live-set.js';

const PAGE = 65_536;
/** What a set holds that has never seen a removal. */
const UNTOUCHED_BYTES = new LiveSet(1, 0).bytes;

describe('a live set', () => {
  it('P12: holds no memory before the first removal, however many records it covers', () => {
    const set = new LiveSet(1, 10_000_000);
    set.extend(20_000_000);
    expect(set.liveCount).toBe(20_000_000);
    expect(set.bytes).toBe(UNTOUCHED_BYTES);
    set.check();
  });

  it('P12: removing in order holds no memory for what is dead', () => {
    const set = new LiveSet(1, 5_000_000);
    let most = 0;
    for (let id = 1; id <= 4_900_000; id++) {
      set.remove(id);
      if (id % 10_000 === 0) most = Math.max(most, set.bytes);
    }
    set.check();
    expect(set.liveCount).toBe(100_000);
    expect(set.firstLive(0)).toBe(4_900_001);
    // One bitmap under way, and 24 bytes for each page behind it.
    expect(most).toBeLessThan(UNTOUCHED_BYTES + 8192 + 500 + 24 * 77);
    expect(set.removeRange(4_900_001, 5_000_000)).toBe(100_000);
    expect(set.bytes).toBe(UNTOUCHED_BYTES);
  });

  it('P12: a queue that is drained as it grows holds no more than two pages', () => {
    const set = new LiveSet(1, 0);
    let removed = 0;
    for (let last = 50; last <= 1_000_000; last += 50) {
      set.extend(last);
      while (removed < last - 3000) set.remove(++removed);
    }
    set.check();
    expect(set.liveCount).toBe(1_000_000 - removed);
    expect(set.bytes).toBeLessThan(UNTOUCHED_BYTES + 2 * 8192 + 24 * 16 + 1000);
  });

  it('P12: ten million records with every second removed take a bit each', () => {
    const set = new LiveSet(1, 10_000_000);
    for (let id = 2; id <= 10_000_000; id += 2) set.remove(id);
    set.check();
    expect(set.liveCount).toBe(5_000_000);
    expect(set.bytes).toBeLessThan(1_310_000);
  });

  it('P12: one straggler in a hundred takes less than 3 bytes', () => {
    const set = new LiveSet(1, 6_000_000);
    for (let first = 1; first < 6_000_000; first += 100) set.removeRange(first, first + 98);
    set.check();
    expect(set.liveCount).toBe(60_000);
    expect(set.bytes / set.liveCount).toBeLessThan(3);
    const rewritten = LiveSet.fromRuns(1, 6_000_000, set.liveRuns());
    rewritten.check();
    expect(rewritten.bytes / rewritten.liveCount).toBeLessThan(3);
    expect([...rewritten.liveRuns()]).toEqual([...set.liveRuns()]);
  });

  it('P12: the gaps between stragglers cost neither memory nor time', () => {
    const ids = [5, 1e9, 1e12, 1e15];
    const set = LiveSet.fromRuns(
      5,
      1e15,
      ids.map((id) => ({ first: id, last: id })),
    );
    set.check();
    expect([...set.liveRuns()].map((run) => run.first)).toEqual(ids);
    expect(set.firstLive(1e12 + 1)).toBe(1e15);
    expect(set.countLive(0, Number.MAX_SAFE_INTEGER)).toBe(4);
    expect(set.removeRange(6, 1e12)).toBe(2);
    expect([...set.deadRuns()]).toEqual([{ first: 6, last: 1e15 - 1 }]);
    expect(set.bytes).toBeLessThan(4000);
  });

  it('P2: a removed record is not live again until it is revived', () => {
    const set = new LiveSet(10, 10 + 2 * PAGE);
    for (const id of [10, 10 + PAGE - 1, 10 + PAGE, 10 + 2 * PAGE]) {
      expect(set.has(id)).toBe(true);
      expect(set.remove(id)).toBe(true);
      expect(set.remove(id)).toBe(false);
      expect(set.has(id)).toBe(false);
      set.check();
    }
    expect([...set.liveRuns()]).toEqual([
      { first: 11, last: 10 + PAGE - 2 },
      { first: 10 + PAGE + 1, last: 10 + 2 * PAGE - 1 },
    ]);
    expect([...set.deadRuns()]).toEqual([
      { first: 10, last: 10 },
      { first: 10 + PAGE - 1, last: 10 + PAGE },
      { first: 10 + 2 * PAGE, last: 10 + 2 * PAGE },
    ]);
    for (const id of [10, 10 + PAGE - 1, 10 + PAGE, 10 + 2 * PAGE]) set.revive(id);
    set.check();
    expect(set.bytes).toBe(UNTOUCHED_BYTES);
  });

  it('a page goes from all live through a bitmap and a list to all dead, and all the way back', () => {
    const set = new LiveSet(1, PAGE + 1);
    const sizes: number[] = [set.bytes];
    for (let id = 1; id <= PAGE; id++) {
      set.remove(id);
      sizes.push(set.bytes);
      if (id % 1000 < 2 || id > PAGE - 3000) set.check();
    }
    expect(Math.max(...sizes)).toBeGreaterThan(UNTOUCHED_BYTES + 8192);
    expect(sizes[PAGE - 2048]).toBeLessThan(UNTOUCHED_BYTES + 4096 + 500);
    expect(sizes[PAGE]).toBeLessThan(UNTOUCHED_BYTES + 100);
    for (let id = PAGE; id >= 1; id--) {
      set.revive(id);
      if (id % 1000 < 2 || id > PAGE - 3500) set.check();
    }
    expect(set.bytes).toBe(UNTOUCHED_BYTES);
  });

  it('a page at the border of two forms is not converted back and forth', () => {
    const set = new LiveSet(0, PAGE);
    set.removeRange(0, PAGE - 2049);
    const listBytes = set.bytes;
    for (let round = 0; round < 100; round++) {
      set.revive(round);
      expect(set.bytes).toBeLessThan(listBytes + 600);
    }
    set.check();
  });

  it('P12: the list of stragglers shrinks with them', () => {
    const set = new LiveSet(0, 2 * PAGE);
    set.removeRange(0, PAGE - 2049);
    for (let id = PAGE - 1; id > PAGE - 2000; id--) {
      set.remove(id);
      set.check();
    }
    expect(set.countLive(0, PAGE - 1)).toBe(49);
    expect(set.bytes).toBeLessThan(UNTOUCHED_BYTES + 500);
  });

  it('new records are live whatever the state of the last page', () => {
    for (const kept of [0, 1, 40, 900, 1000]) {
      const set = new LiveSet(1, 1000);
      set.removeRange(1, 1000 - kept);
      for (const last of [1001, 1002, 5000, PAGE, PAGE + 1, 3 * PAGE]) {
        set.extend(last);
        set.check();
        expect(set.liveCount).toBe(last - 1000 + kept);
        expect(set.has(last)).toBe(true);
      }
      expect([...set.liveRuns()]).toEqual([{ first: 1001 - kept, last: 3 * PAGE }]);
    }
  });

  it('an empty set knows nothing and can begin to grow', () => {
    const set = new LiveSet(7, 6);
    set.check();
    expect([set.liveCount, set.firstLive(0), set.firstDead(0), set.has(7), set.remove(7)]).toEqual([
      0,
      undefined,
      undefined,
      false,
      false,
    ]);
    expect(set.removeRange(0, 100) + set.countLive(0, 100)).toBe(0);
    expect([...set.liveRuns(), ...set.deadRuns()]).toEqual([]);
    set.extend(8);
    expect([...set.liveRuns()]).toEqual([{ first: 7, last: 8 }]);
    const none = LiveSet.fromRuns(7, 6, []);
    none.check();
  });

  it('P12: a segment of which nothing is left costs nothing, and neither does one that is whole', () => {
    expect(LiveSet.fromRuns(1, 1e6, []).bytes).toBe(UNTOUCHED_BYTES);
    expect(LiveSet.fromRuns(1, 1e6, [{ first: 1, last: 1e6 }]).bytes).toBe(UNTOUCHED_BYTES);
  });

  it('a generator that was left open goes on with what is live by then', () => {
    const set = new LiveSet(1, 100);
    set.remove(50);
    const runs = set.liveRuns();
    expect(runs.next().value).toEqual({ first: 1, last: 49 });
    set.removeRange(51, 90);
    expect(runs.next().value).toEqual({ first: 91, last: 100 });
    expect(runs.next().done).toBe(true);
  });

  it('refuses what only a bug can ask for', () => {
    const set = new LiveSet(1, 100);
    expect(() => new LiveSet(-1, 3)).toThrow(/begins at -1/);
    expect(() => new LiveSet(5, 3)).toThrow(/ends at 3/);
    expect(() => set.extend(99)).toThrow(/shrink/);
    expect(() => set.revive(1)).toThrow(/live ID/);
    expect(() => set.revive(101)).toThrow(/outside/);
    for (const runs of [
      [{ first: 0, last: 3 }],
      [{ first: 3, last: 2 }],
      [{ first: 90, last: 101 }],
      [
        { first: 5, last: 7 },
        { first: 7, last: 9 },
      ],
    ]) {
      expect(() => LiveSet.fromRuns(1, 100, runs)).toThrow(/ascend/);
    }
  });

  it('a clone is as the set was, and neither changes with the other', () => {
    const set = new LiveSet(10, 200_000);
    for (let id = 10; id < 150_000; id += 3) set.remove(id);
    set.removeRange(160_000, 190_000);
    const before = [...set.liveRuns()];
    const clone = set.clone();
    clone.check();
    expect([...clone.liveRuns()]).toEqual(before);
    set.remove(11);
    set.revive(10);
    clone.removeRange(20, 100_000);
    expect([clone.has(11), clone.has(10), set.has(12), set.has(50_000)]).toEqual([true, false, true, true]);
    set.check();
    clone.check();
  });
});
