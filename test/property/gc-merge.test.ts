import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MERGE, openingLimits } from '../../src/gc/gc-limits.js';
import { groupSmall, type MergeLimits } from '../../src/gc/gc-merge.js';
import { planMerges, type SegmentStats } from '../../src/gc/gc-plan.js';

const KIB = 1024;
const SEGMENT_BYTES = 1024 * KIB;
const BYTES_MIN = 256;

function statsOf(sizes: readonly number[]): SegmentStats[] {
  return sizes.map((bytes, position) => {
    return { position, bytes, records: 1, liveRecords: 1, liveBytes: bytes, quietMs: 1e9, held: false };
  });
}

/** A segment, and how often the bytes that came with each start have been copied. */
interface Pile {
  readonly bytes: number;
  readonly parts: readonly { readonly bytes: number; readonly copies: number }[];
}

/** What is left of starts that leave a segment each, with a merge of what is due after each. */
function merged(sizes: readonly number[], limits: MergeLimits): Pile[] {
  let piles: Pile[] = [];
  for (const bytes of sizes) {
    piles.push({ bytes, parts: [{ bytes, copies: 0 }] });
    const groups = groupSmall(statsOf(piles.map((pile) => pile.bytes)), SEGMENT_BYTES, limits, () => false);
    const into = new Map<number, Pile | undefined>();
    for (const group of groups) {
      const parts = group.flatMap(({ position }) => piles[position]?.parts ?? []);
      const copied = parts.map((part) => ({ ...part, copies: part.copies + 1 }));
      for (const { position } of group) into.set(position, undefined);
      into.set(group[0]?.position ?? 0, { bytes: group.reduce((sum, one) => sum + one.bytes, 0), parts: copied });
    }
    piles = piles.flatMap((pile, i) => (into.has(i) ? (into.get(i) ?? []) : pile));
  }
  return piles;
}

function check(sizes: readonly number[], limits: MergeLimits): void {
  const piles = merged(sizes, limits);
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  expect(piles.flatMap(({ parts }) => parts.map(({ bytes }) => bytes))).toEqual(sizes);
  const doublings = Math.log2(SEGMENT_BYTES / BYTES_MIN);
  expect(piles.length).toBeLessThanOrEqual(8 * doublings + (3 * total) / SEGMENT_BYTES);
  for (const { bytes, parts } of piles) {
    if (parts.length > 1) expect(bytes).toBeLessThanOrEqual(SEGMENT_BYTES);
    for (const part of parts) {
      // One for when nothing more was to come: a larger one follows.
      const copiesMax = 3 + Math.log(SEGMENT_BYTES / part.bytes) / Math.log(1.5);
      expect(part.copies).toBeLessThanOrEqual(copiesMax);
    }
  }
}

const sizes = fc.oneof(
  fc.array(fc.integer({ min: BYTES_MIN, max: 2 * KIB }), { minLength: 200, maxLength: 400 }),
  fc.array(
    fc.oneof(
      fc.integer({ min: BYTES_MIN, max: KIB }),
      fc.integer({ min: BYTES_MIN, max: 300 * KIB }),
      fc.constantFrom(400 * KIB, 600 * KIB, SEGMENT_BYTES),
    ),
    { minLength: 100, maxLength: 300 },
  ),
  fc.constantFrom(1, 2, 3, 7).map((step) => Array.from({ length: 400 }, (_, i) => BYTES_MIN + i * step * 64)),
  fc.constantFrom(1, 2, 3).map((step) => Array.from({ length: 400 }, (_, i) => BYTES_MIN + (400 - i) * step * 64)),
  fc.constant(Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? BYTES_MIN : 100 * KIB))),
);

function holds(limits: MergeLimits): boolean {
  return !fc.check(
    fc.property(sizes, (given) => check(given, limits)),
    { numRuns: 60, seed: 3 },
  ).failed;
}

describe('merging small segments', () => {
  it('P12: leaves files by bytes and not by starts, and copies each byte a number of times that grows with the logarithm', () => {
    const details = fc.check(
      fc.property(sizes, (given) => check(given, MERGE)),
      { numRuns: 100 },
    );
    expect(details.failed ? fc.defaultReportMessage(details) : '').toBe('');
  });

  it.each<[string, MergeLimits]>([
    ['nothing is ever due', { ...MERGE, countMin: Infinity }],
    ['the newest is added to the largest each time', { countMin: 2, ratio: Infinity }],
    ['only equals are merged', { ...MERGE, ratio: 0.1 }],
  ])('the property finds a planted bug: %s', (_bug, limits) => {
    expect(holds(limits)).toBe(false);
  });

  it('what is held, dead or large parts neighbours, or is passed over', () => {
    const stats = statsOf(Array.from({ length: 30 }, () => KIB));
    const change = (position: number, to: Partial<SegmentStats>): void => {
      const before = stats[position];
      if (before !== undefined) stats[position] = { ...before, ...to };
    };
    change(9, { held: true });
    change(12, { liveRecords: 0 });
    change(20, { liveBytes: 600 * KIB });
    const groups = groupSmall(stats, SEGMENT_BYTES, MERGE, ({ position }) => position === 25);
    const [last, middle, first] = groups.map((group) => group.map(({ position }) => position));
    // Between the large one and the one that is taken too few are left; in front of the large one any two are enough.
    expect(groups).toHaveLength(2);
    expect(last).toEqual([10, 11, 13, 14, 15, 16, 17, 18, 19]);
    expect(middle).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(first).toBeUndefined();
  });

  it('what was removed from a moment ago is waited for, but not when a queue is opened', () => {
    const stats = statsOf(Array.from({ length: 8 }, () => KIB)).map((one) => ({ ...one, quietMs: 500 }));
    const limits = openingLimits(SEGMENT_BYTES);
    expect(planMerges(stats, { ...limits, quietMsMin: 2000 })).toEqual({ steps: [], againInMs: 1500 });
    expect(planMerges(stats, limits).steps).toEqual([{ kind: 'merge', positions: [0, 1, 2, 3, 4, 5, 6, 7] }]);
  });
});
