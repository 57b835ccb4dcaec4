import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { IdRange } from '../../src/ids.js';
import { checkRanges, countIds, joinRanges, mergeRanges } from '../../src/tombstone/id-ranges.js';
import { RemovedRanges } from '../../src/tombstone/removed-ranges.js';

const FAR = 2 ** 40;
const range: fc.Arbitrary<IdRange> = fc
  .tuple(fc.nat(120), fc.nat(12), fc.boolean())
  .map(([first, more, far]) => ({ first: first + (far ? FAR : 0), last: first + more + (far ? FAR : 0) }));

function idsOf(ranges: readonly IdRange[]): Set<number> {
  const ids = new Set<number>();
  for (const { first, last } of ranges) for (let id = first; id <= last; id++) ids.add(id);
  return ids;
}

/** True if `merge` agrees with a set of IDs on `ranges`, and its result is ascending, disjoint and maximal. */
function agrees(merge: (ranges: readonly IdRange[]) => IdRange[], ranges: readonly IdRange[]): boolean {
  const merged = merge(ranges);
  const ids = idsOf(ranges);
  const same = idsOf(merged);
  checkRanges(merged);
  return countIds(merged) === ids.size && same.size === ids.size && [...ids].every((id) => same.has(id));
}

const ordered = fc.array(range).map((ranges) => [...ranges].sort((a, b) => a.first - b.first));
const anyRanges = fc.oneof(fc.array(range), ordered);

describe('ranges of IDs', () => {
  it('P2: merging agrees with a set of IDs, in whatever order they come', () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => agrees(mergeRanges, ranges)),
      { numRuns: 2000 },
    );
  });

  it('merging changes nothing that is merged, and not its argument', () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => {
        const before = structuredClone(ranges);
        const once = mergeRanges(ranges);
        expect(mergeRanges(once)).toEqual(once);
        expect(ranges).toEqual(before);
      }),
    );
  });

  it('P2: joining two sets agrees with merging all their ranges, and changes neither', () => {
    fc.assert(
      fc.property(anyRanges, anyRanges, (some, others) => {
        const [a, b] = [mergeRanges(some), mergeRanges(others)];
        const before = structuredClone([a, b]);
        const joined = joinRanges(a, b);
        checkRanges(joined);
        expect(joined).toEqual(mergeRanges([...a, ...b]));
        expect([a, b]).toEqual(before);
      }),
      { numRuns: 1000 },
    );
  });

  it('P2: what was removed is all that any round removed, and what is asked of it is what no round removed', () => {
    fc.assert(
      fc.property(fc.array(range), anyRanges, (ranges, asked) => {
        const removed = new RemovedRanges();
        for (const one of ranges) removed.add(one.first, one.last);
        expect(removed.count).toBe(ranges.length);
        expect(removed.last).toBe(Math.max(0, ...ranges.map((one) => one.last)));
        const isRemoved = (id: number): boolean => ranges.some(({ first, last }) => first <= id && id <= last);
        const merged = mergeRanges(asked);
        const left = removed.notIn(merged);
        expect(mergeRanges(left)).toEqual(
          mergeRanges([...idsOf(merged)].flatMap((id) => (isRemoved(id) ? [] : { first: id, last: id }))),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it.each<[string, (ranges: readonly IdRange[]) => IdRange[]]>([
    ['the last range is forgotten', (ranges) => mergeRanges(ranges.length > 1 ? ranges.slice(0, -1) : ranges)],
    ['a range inside another shortens it', (ranges) => shortened(ranges)],
    ['neighbours are not joined', (ranges) => [...ranges].sort((a, b) => a.first - b.first)],
  ])('the property finds a planted bug: %s', (_bug, broken) => {
    const details = fc.check(
      fc.property(anyRanges, (ranges) => agrees(broken, ranges)),
      { numRuns: 2000 },
    );
    expect(details.failed).toBe(true);
  });

  it('the check of a merged set throws at the first broken invariant', () => {
    const broken: IdRange[][] = [
      [{ first: 2, last: 1 }],
      [{ first: 1.5, last: 2 }],
      [
        { first: 1, last: 3 },
        { first: 4, last: 5 },
      ],
      [
        { first: 5, last: 6 },
        { first: 1, last: 2 },
      ],
    ];
    for (const ranges of broken) expect(() => checkRanges(ranges)).toThrow(/evaq/);
    checkRanges([
      { first: 1, last: 3 },
      { first: 5, last: 5 },
    ]);
  });
});

function shortened(ranges: readonly IdRange[]): IdRange[] {
  const merged: IdRange[] = [];
  for (const next of [...ranges].sort((a, b) => a.first - b.first)) {
    const last = merged.at(-1);
    if (last !== undefined && next.first <= last.last + 1)
      merged[merged.length - 1] = { first: last.first, last: next.last };
    else merged.push(next);
  }
  return merged;
}
