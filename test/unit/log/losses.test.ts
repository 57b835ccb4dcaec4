/** The one list of what is lost, rule by rule: `src/log/losses.ts`, pure functions of what loading found. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_FLAG_RELAXED, HEADER_FLAG_REWRITTEN } from '../../../src/frame/file-header.js';
import { type IdRange, segmentId } from '../../../src/ids.js';
import type { Damage } from '../../../src/log/damage.js';
import { LogSegment } from '../../../src/log/log-segment.js';
import {
  findLosses,
  isEndMissing,
  type LossFacts,
  type PresentSegment,
  rangesOf,
  withRanges,
} from '../../../src/log/losses.js';
import { RemovedRanges } from '../../../src/tombstone/removed-ranges.js';
import { newTombstoneState, type TombstoneState } from '../../../src/tombstone/tombstone-scan.js';

const DIR = '/store/queues/wal';
const MISSING = 'a segment file is missing';
const MAY_MISS = 'a segment file may be missing: the link that would tell is damaged';
const STRICT = 0;

interface SegmentMore {
  readonly flags?: number;
  readonly link?: number | 'unreadable';
  readonly runs?: readonly IdRange[];
}

function pathOf(id: number): string {
  return `${DIR}/${String(id).padStart(4, '0')}.seg`;
}

/** A segment with the records from `first` to `last`; with none where `last` is below. */
function present(id: number, first: number, last: number, { flags = STRICT, link, runs }: SegmentMore = {}) {
  const place = { id: segmentId(id), baseId: first, path: pathOf(id), seed: 0, flags, end: 1000, fileBytes: 1000 };
  const segment = new LogSegment({ ...place, phase: 'sealed' });
  const summary = { firstId: first, lastId: last, minTimeMs: 0, maxTimeMs: 0, payloadBytes: 0 };
  segment.adopt({ ...summary, count: last - first + 1, runs: undefined });
  return { segment, runs, link } satisfies PresentSegment;
}

interface FactsMore extends Partial<Omit<LossFacts, 'removed' | 'tombstones'>> {
  readonly removed?: readonly IdRange[];
  readonly tombstones?: Partial<TombstoneState>;
}

/** An account that was kept throughout, and no close, unless `more` says otherwise. */
function factsOf(segments: readonly PresentSegment[], more: FactsMore = {}): LossFacts {
  const { removed: ranges = [], tombstones = {}, ...rest } = more;
  const removed = new RemovedRanges();
  for (const { first, last } of ranges) removed.add(first, last);
  const nextId = 1 + Math.max(0, ...segments.map(({ segment }) => segment.lastId));
  return {
    queue: 'wal',
    dir: DIR,
    segments,
    there: new Set(segments.map(({ segment }) => segment.id)),
    removed,
    tombstones: { ...newTombstoneState(), accountedBelow: nextId, ...tombstones },
    nextId,
    liveCount: 0,
    closedWithLive: undefined,
    damage: [],
    isEndGone: false,
    hasVanished: false,
    evidence: undefined,
    ...rest,
  };
}

function missing(first: number, last: number, more: Partial<Damage> = {}): Damage {
  return { ...missingSome(more), firstId: first, lastId: last };
}

function missingSome(more: Partial<Damage> = {}): Damage {
  return { queue: 'wal', file: DIR, offset: 0, bytes: 0, lossless: false, what: MISSING, ...more };
}

function damageIn(id: number, more: Partial<Damage> = {}): Damage {
  return { queue: 'wal', file: pathOf(id), offset: 128, bytes: 64, what: 'frames', lossless: false, ...more };
}

const REMOVALS_LOST: Damage = {
  queue: 'wal',
  file: `${DIR}/0001.tomb`,
  offset: 128,
  bytes: 64,
  what: 'a round is lost',
  lossless: false,
};

describe('P15: IDs between segments', () => {
  it('are not lost where there are none, or all of them were removed', () => {
    expect(findLosses(factsOf([present(1, 1, 10), present(2, 11, 20)]))).toEqual([]);
    const removed = [
      { first: 11, last: 15 },
      { first: 16, last: 30 },
    ];
    expect(findLosses(factsOf([present(1, 1, 10), present(3, 31, 40)], { removed }))).toEqual([]);
    expect(findLosses(factsOf([]))).toEqual([]);
  });

  it('are lost where they were not removed: between two, in front of the first, and in two gaps', () => {
    expect(findLosses(factsOf([present(1, 1, 10), present(3, 31, 40)]))).toEqual([missing(11, 30)]);
    expect(findLosses(factsOf([present(3, 31, 40)]))).toEqual([missing(1, 30)]);
    expect(findLosses(factsOf([present(2, 2, 2), present(4, 4, 4)]))).toEqual([missing(1, 1), missing(3, 3)]);
    const removed = [
      { first: 11, last: 11 },
      { first: 20, last: 29 },
    ];
    expect(findLosses(factsOf([present(1, 1, 10), present(3, 31, 40)], { removed }))).toEqual([
      missing(12, 19),
      missing(30, 30),
    ]);
  });

  it('are nobody knows what where the log keeps no accounts', () => {
    const tombstones = { accountedBelow: 0 };
    expect(findLosses(factsOf([present(1, 1, 10), present(3, 31, 40)], { tombstones }))).toEqual([]);
  });

  it.each([
    ['of a mode that resolves before the sync', HEADER_FLAG_RELAXED],
    ['of a copy', HEADER_FLAG_REWRITTEN],
    ['of a copy in such a mode', HEADER_FLAG_RELAXED | HEADER_FLAG_REWRITTEN],
  ])('are lost only below what the account says in front of a segment %s', (_what, flags) => {
    const segments = [present(1, 1, 10), present(3, 31, 40, { flags })];
    const at = (accountedBelow: number): Damage[] => findLosses(factsOf(segments, { tombstones: { accountedBelow } }));
    expect(at(11)).toEqual([]);
    expect(at(12)).toEqual([missing(11, 11)]);
    expect(at(21)).toEqual([missing(11, 20)]);
    expect(at(31)).toEqual([missing(11, 30)]);
  });

  it('are lost in front of one whose link names a segment that is not there, whatever its mode', () => {
    const tombstones = { accountedBelow: 5 };
    const flags = HEADER_FLAG_RELAXED;
    const before = present(1, 1, 10);
    expect(findLosses(factsOf([before, present(3, 31, 40, { flags, link: 2 })], { tombstones }))).toEqual([
      missing(11, 30),
    ]);
    // It is there, though nothing of it can be read: that is told of the file.
    const there = new Set([1, 2, 3]);
    expect(findLosses(factsOf([before, present(3, 31, 40, { flags, link: 2 })], { tombstones, there }))).toEqual([]);
  });

  it('are in doubt in front of one whose link cannot be read, but for what is certain, unless a close tells', () => {
    const flags = HEADER_FLAG_RELAXED;
    const doubt = { what: MAY_MISS, vague: true } as const;
    const segments = [present(1, 1, 10), present(3, 31, 40, { flags, link: 'unreadable' })];
    const told = (more: FactsMore, of: readonly PresentSegment[] = segments): Damage[] => findLosses(factsOf(of, more));
    expect(told({ tombstones: { accountedBelow: 11 } })).toEqual([missing(11, 30, doubt)]);
    expect(told({ tombstones: { accountedBelow: 21 } })).toEqual([missing(11, 20), missing(21, 30, doubt)]);
    expect(told({ tombstones: { accountedBelow: 31 } })).toEqual([missing(11, 30)]);
    expect(told({ tombstones: { accountedBelow: 0 } })).toEqual([]);
    expect(told({ tombstones: { accountedBelow: 11 }, closedWithLive: 20, liveCount: 20 })).toEqual([]);
    // In a strict mode it is certain; and where there is no gap, or all were removed, there is nothing to doubt.
    const strict = [present(1, 1, 10), present(3, 31, 40, { link: 'unreadable' })];
    expect(told({ tombstones: { accountedBelow: 11 } }, strict)).toEqual([missing(11, 30)]);
    const near = [present(1, 1, 10), present(3, 11, 20, { flags, link: 'unreadable' })];
    expect(told({ tombstones: { accountedBelow: 5 } }, near)).toEqual([]);
    expect(told({ tombstones: { accountedBelow: 11 }, removed: [{ first: 11, last: 30 }] })).toEqual([]);
    // Of that gap alone.
    const behind = [...segments, present(5, 51, 60, { flags, link: 3 })];
    expect(told({ tombstones: { accountedBelow: 11 } }, behind)).toEqual([missing(11, 30, doubt)]);
  });

  it('were never given out where the link of the one behind names the one in front', () => {
    expect(findLosses(factsOf([present(1, 1, 10), present(3, 31, 40, { link: 1 })]))).toEqual([]);
    // Only of the gap between them.
    const three = [present(1, 1, 10), present(3, 31, 40, { link: 1 }), present(5, 51, 60, { link: 4 })];
    expect(findLosses(factsOf(three))).toEqual([missing(41, 50)]);
    const first = [present(3, 31, 40, { link: 1 }), present(5, 51, 60, { link: 3 })];
    expect(findLosses(factsOf(first))).toEqual([missing(1, 30)]);
  });

  it('were given out behind the last where the account says so, or a segment was begun behind them', () => {
    const segments = [present(1, 1, 10)];
    const behind = (tombstones: Partial<TombstoneState>, more: readonly PresentSegment[] = []): Damage[] =>
      findLosses(factsOf([...segments, ...more], { nextId: 31, tombstones }));
    expect(behind({ accountedBelow: 11 })).toEqual([]);
    expect(behind({ accountedBelow: 21 })).toEqual([missing(11, 20)]);
    expect(behind({ accountedBelow: 31 })).toEqual([missing(11, 30)]);
    expect(behind({ accountedBelow: 11 }, [present(3, 21, 20)])).toEqual([missing(11, 20)]);
    expect(behind({ accountedBelow: 25 }, [present(3, 21, 20)])).toEqual([missing(11, 24)]);
    const flags = HEADER_FLAG_RELAXED;
    expect(behind({ accountedBelow: 11 }, [present(3, 21, 20, { flags })])).toEqual([]);
  });

  it('within a segment are told of what is damaged there, and of nothing else', () => {
    const runs = [
      { first: 1, last: 3 },
      { first: 8, last: 10 },
    ];
    expect(findLosses(factsOf([present(1, 1, 10, { runs })]))).toEqual([]);
    const damage = [damageIn(1, { firstId: 4, lastId: 7 })];
    expect(findLosses(factsOf([present(1, 1, 10, { runs })], { damage }))).toEqual(damage);
    const removed = [{ first: 5, last: 6 }];
    expect(findLosses(factsOf([present(1, 1, 10, { runs })], { damage, removed }))).toEqual([
      damageIn(1, { firstId: 4, lastId: 4 }),
      damageIn(1, { firstId: 7, lastId: 7 }),
    ]);
  });
});

describe('P15: what damage has cost', () => {
  it('is nothing where no record is concerned, or all were removed; then it names none', () => {
    const damage = [damageIn(1), damageIn(1, { firstId: 4, lastId: 4 })];
    const removed = [{ first: 4, last: 4 }];
    const runs = [
      { first: 1, last: 3 },
      { first: 5, last: 10 },
    ];
    expect(findLosses(factsOf([present(1, 1, 10, { runs })], { damage, removed }))).toEqual([damageIn(1), damageIn(1)]);
  });

  it('without a last ID goes up to the next segment with records, or the next ID', () => {
    const damage = [damageIn(1, { firstId: 11 })];
    const three = [present(1, 1, 10), present(2, 15, 14), present(3, 31, 40)];
    expect(findLosses(factsOf(three, { damage }))).toEqual([damageIn(1, { firstId: 11, lastId: 30 })]);
    const one = factsOf([present(1, 1, 10)], { damage, nextId: 21 });
    expect(findLosses(one)).toEqual([damageIn(1, { firstId: 11, lastId: 20 })]);
    // What is missing behind that segment is no longer its.
    const gaps = [present(1, 1, 10), present(3, 31, 31), present(5, 33, 40)];
    expect(findLosses(factsOf(gaps, { damage }))).toEqual([damageIn(1, { firstId: 11, lastId: 30 }), missing(32, 32)]);
  });

  it('goes, where two speak of a record, to the one that begins first, whatever their order: as of each ID', () => {
    const extents = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(12)).map(([first, more]) => ({ first, last: first + more })),
      { maxLength: 6 },
    );
    const there = fc.uniqueArray(fc.integer({ min: 2, max: 58 }), { maxLength: 20 });
    fc.assert(
      fc.property(extents, there, (given, ids) => {
        const runs = [1, ...ids.toSorted((a, b) => a - b), 60].map((id) => ({ first: id, last: id }));
        const damage = given.map(({ first, last }, i) => damageIn(1, { firstId: first, lastId: last, offset: i }));
        const told = findLosses(factsOf([present(1, 1, 60, { runs })], { damage }));
        const order = damage.toSorted((a, b) => (a.firstId ?? 0) - (b.firstId ?? 0));
        const wanted: string[] = [];
        for (let id = 1; id <= 60; id++) {
          const owner = order.find(({ firstId = 0, lastId = 0 }) => firstId <= id && id <= lastId);
          if (owner !== undefined && id !== 1 && id !== 60 && !ids.includes(id))
            wanted.push(`${id} of ${owner.offset}`);
        }
        const found = told.flatMap(({ offset, firstId = 1, lastId = 0 }) =>
          Array.from({ length: lastId - firstId + 1 }, (_, i) => `${firstId + i} of ${offset}`),
        );
        expect(found.toSorted()).toEqual(wanted.toSorted());
        expect(told.every(({ firstId = 1, lastId = 1 }) => lastId >= firstId)).toBe(true);
        // Each is told, if only once and without IDs.
        expect(new Set(told.map(({ offset }) => offset)).size).toBe(given.length);
      }),
      { numRuns: 150 },
    );
  });

  it('what no damage reaches of a gap is missing, in front of it and behind', () => {
    const damage = [damageIn(2, { firstId: 15, lastId: 20 })];
    expect(findLosses(factsOf([present(1, 1, 10), present(3, 31, 40)], { damage }))).toEqual([
      damageIn(2, { firstId: 15, lastId: 20 }),
      missing(11, 14),
      missing(21, 30),
    ]);
  });

  it('is told range by range up to 4096, and what is behind them in one that is vague', () => {
    const ranges = (count: number): IdRange[] =>
      Array.from({ length: count }, (_, i) => ({ first: 3 * i + 1, last: 3 * i + 2 }));
    const damage = damageIn(1, { firstId: 1, lastId: 99_999 });
    expect(withRanges(damage, [])).toEqual([damageIn(1)]);
    expect(withRanges(damage, ranges(2))).toEqual([
      damageIn(1, { firstId: 1, lastId: 2 }),
      damageIn(1, { firstId: 4, lastId: 5 }),
    ]);
    expect(withRanges(damage, ranges(4096))).toHaveLength(4096);
    const many = withRanges(damage, ranges(4098));
    expect(many).toHaveLength(4097);
    expect(many.filter(({ vague }) => vague === true)).toEqual([
      damageIn(1, { firstId: 3 * 4096 + 1, lastId: 3 * 4097 + 2, vague: true }),
    ]);
    expect(rangesOf([damageIn(1), ...withRanges(damage, ranges(3))])).toEqual(ranges(3));
  });
});

describe('P15: what a close says', () => {
  const flags = HEADER_FLAG_RELAXED;
  /** The IDs from 11 to 30 are in no segment, and nothing but the close tells of them. */
  const segments = [present(1, 1, 10), present(3, 31, 40, { flags })];
  const closed = (live: number, liveCount: number, more: FactsMore = {}): Damage[] =>
    findLosses(
      factsOf(segments, {
        closedWithLive: live,
        liveCount,
        tombstones: { accountedBelow: 11, closedWithLive: live },
        ...more,
      }),
    );
  const what = (count: number): string => `${MISSING}: ${count} records that were live at the last close`;

  it('is nothing where as many are live', () => expect(closed(20, 20)).toEqual([]));

  it('names what is missing where that is as many as were live', () => {
    expect(closed(40, 20)).toEqual([missing(11, 30, { what: what(20) })]);
  });

  it('names all that may be among them where there are more IDs', () => {
    expect(closed(21, 20)).toEqual([missing(11, 30, { what: what(1), vague: true })]);
  });

  it('names none where there are fewer', () => {
    expect(closed(41, 20)).toEqual([missingSome({ what: what(21), vague: true })]);
  });

  it('does not count again what is told of damage and of gaps, but for what is vague', () => {
    const damage = [damageIn(2, { firstId: 11, lastId: 15 })];
    expect(closed(25, 20, { damage })).toEqual(damage);
    expect(closed(26, 20, { damage })).toEqual([...damage, missing(16, 30, { what: what(1), vague: true })]);
    const gap = closed(40, 20, { tombstones: { accountedBelow: 21, closedWithLive: 40 } });
    expect(gap).toEqual([missing(11, 20), missing(21, 30, { what: what(10) })]);
    const vague = [damageIn(2, { firstId: 11, lastId: 15, vague: true })];
    expect(closed(25, 20, { damage: vague })).toEqual([
      ...withRanges(damageIn(2, { vague: true }), [{ first: 11, last: 15 }]),
      missing(16, 30, { what: what(5), vague: true }),
    ]);
  });

  it('names each range of them once, and none that is empty, beside what is certain', () => {
    const both = [present(1, 1, 10), present(3, 21, 30), present(5, 41, 50, { flags })];
    const told = (more: FactsMore, of: readonly PresentSegment[] = both): Damage[] => findLosses(factsOf(of, more));
    const accounted = (closedWithLive: number): Partial<TombstoneState> => ({ accountedBelow: 11, closedWithLive });
    expect(told({ closedWithLive: 50, liveCount: 30, tombstones: accounted(50) })).toEqual([
      missing(11, 20),
      missing(31, 40, { what: what(10) }),
    ]);
    const front = [present(3, 21, 30, { flags })];
    expect(told({ closedWithLive: 30, liveCount: 10, tombstones: accounted(30) }, front)).toEqual([
      missing(1, 10),
      missing(11, 20, { what: what(10) }),
    ]);
  });

  it('tells of a foreign segment where more are live than were, unless removals are lost', () => {
    const more = `21 records are live, 20 were at the last close: a segment file is foreign`;
    expect(closed(20, 21)).toEqual([missingSome({ what: more, vague: true })]);
    expect(closed(20, 21, { damage: [REMOVALS_LOST] })).toEqual([REMOVALS_LOST]);
  });
});

describe('P15: where removals are lost', () => {
  it('what is missing may have been removed: it is vague, and without an account it goes as far as it can', () => {
    const segments = [present(1, 1, 10), present(3, 31, 40, { flags: HEADER_FLAG_RELAXED })];
    const damage = [REMOVALS_LOST];
    expect(findLosses(factsOf(segments, { damage, tombstones: { accountedBelow: 0 } }))).toEqual([
      REMOVALS_LOST,
      missing(11, 30, { vague: true }),
    ]);
    expect(findLosses(factsOf(segments, { damage, tombstones: { accountedBelow: 21 } }))).toEqual([
      REMOVALS_LOST,
      missing(11, 20, { vague: true }),
    ]);
  });

  it('no further than IDs were given out', () => {
    const facts = { damage: [REMOVALS_LOST], nextId: 21, tombstones: { accountedBelow: 0 } };
    expect(findLosses(factsOf([present(1, 1, 10)], facts))).toEqual([REMOVALS_LOST, missing(11, 20, { vague: true })]);
  });

  it('is not where the other copy is intact, nor of damage to a segment', () => {
    const segments = [present(1, 1, 10), present(3, 31, 40)];
    for (const one of [{ ...REMOVALS_LOST, lossless: true }, damageIn(1)])
      expect(findLosses(factsOf(segments, { damage: [one] }))).toEqual([one, missing(11, 30)]);
  });

  it('is where the whole log is missing, which is told of a segment', () => {
    const damage = [damageIn(1, { bytes: 0 })];
    const segments = [present(1, 1, 10), present(3, 31, 40)];
    expect(findLosses(factsOf(segments, { damage, tombstones: { accountedBelow: 0 } }))).toEqual([
      ...damage,
      missing(11, 30, { vague: true }),
    ]);
  });
});

describe('P15: an end that is gone', () => {
  const BESIDE = ': what was lost beside that is not known';
  const one = [present(1, 1, 10)];

  it('is told where neither the segment that the last round speaks of is there nor one behind it', () => {
    const at = (dataSegmentId: number, more: FactsMore = {}): Damage[] =>
      findLosses(factsOf(one, { tombstones: { dataSegmentId, accountedBelow: 11 }, ...more }));
    expect(at(0, { there: new Set() })).toEqual([]);
    expect(at(1)).toEqual([]);
    expect(at(2)).toEqual([missingSome({ vague: true })]);
    expect(at(2, { there: new Set([1, 2]) })).toEqual([]);
    expect(at(2, { there: new Set([1, 7]) })).toEqual([]);
  });

  it('beside what is named says that there may be more', () => {
    const tombstones = { dataSegmentId: 2, accountedBelow: 21 };
    expect(findLosses(factsOf(one, { nextId: 21, tombstones }))).toEqual([
      missing(11, 20),
      missingSome({ what: `${MISSING}${BESIDE}`, vague: true }),
    ]);
    const gone = factsOf(one, { nextId: 21, tombstones: { accountedBelow: 21 }, isEndGone: true });
    expect(findLosses(gone)).toEqual([
      missing(11, 20),
      missingSome({ what: `the end of the newest segment is gone${BESIDE}`, vague: true }),
    ]);
    expect(findLosses(factsOf(one, { isEndGone: true }))).toEqual([
      missingSome({ what: `the end of the newest segment is gone${BESIDE}`, vague: true }),
    ]);
  });

  it('is known of where the queue was closed', () => {
    const tombstones = { dataSegmentId: 2, accountedBelow: 21, closedWithLive: 20 };
    const facts = { nextId: 21, closedWithLive: 20, liveCount: 10, tombstones };
    expect(findLosses(factsOf(one, facts))).toEqual([missing(11, 20)]);
    expect(findLosses(factsOf(one, { ...facts, isEndGone: true }))).toEqual([missing(11, 20)]);
  });

  it('nothing of it is told where files went while they were read', () => {
    const tombstones = { dataSegmentId: 2, accountedBelow: 21 };
    expect(findLosses(factsOf(one, { nextId: 21, tombstones, hasVanished: true }))).toEqual([]);
  });

  it('where the queue left no evidence of itself that is said instead, whatever else is damaged, unless records are named', () => {
    const evidence = 'no file of the queue is there';
    expect(findLosses(factsOf([], { evidence }))).toEqual([missingSome({ what: evidence, vague: true })]);
    const lossless = damageIn(1, { lossless: true });
    expect(findLosses(factsOf([], { evidence, damage: [lossless] }))).toEqual([
      lossless,
      missingSome({ what: evidence, vague: true }),
    ]);
    const damage = [damageIn(1)];
    expect(findLosses(factsOf([], { evidence, damage }))).toEqual([
      ...damage,
      missingSome({ what: evidence, vague: true }),
    ]);
    expect(findLosses(factsOf([present(3, 31, 40)], { evidence }))).toEqual([missing(1, 30, { what: evidence })]);
  });

  it('makes that an open goes on behind whatever may have been given out', () => {
    const is = (more: FactsMore, segments: readonly PresentSegment[] = one): boolean => {
      const facts = factsOf(segments, more);
      return isEndMissing(facts, findLosses(facts));
    };
    expect(is({})).toBe(false);
    expect(is({ isEndGone: true })).toBe(true);
    expect(is({ evidence: 'gone' })).toBe(true);
    expect(is({ evidence: 'gone', hasVanished: true })).toBe(true);
    const lacking = { dataSegmentId: 2, accountedBelow: 11 };
    expect(is({ tombstones: lacking })).toBe(true);
    expect(is({ tombstones: lacking, hasVanished: true })).toBe(false);
    for (const more of [{ isEndGone: true }, { evidence: 'gone' }, {}])
      expect(is({ ...more, tombstones: { ...lacking, closedWithLive: 10 } })).toBe(false);
    // Records are missing behind the last that is there.
    expect(is({ nextId: 21, tombstones: { accountedBelow: 21 } })).toBe(true);
    expect(is({ nextId: 21, tombstones: { accountedBelow: 21 } }, [])).toBe(true);
    expect(is({ nextId: 12, tombstones: { accountedBelow: 12 } }, [...one, present(2, 12, 11)])).toBe(true);
    // What is told of the folder, and names no records, is of something else that should be in it.
    expect(is({ damage: [missingSome({ what: 'the intake log is missing' })] }, [])).toBe(false);
    // Not so where they are missing in front of it, or are told of a file.
    expect(is({}, [present(3, 31, 40)])).toBe(false);
    const damage = [damageIn(1, { firstId: 11 })];
    expect(is({ nextId: 21, tombstones: { accountedBelow: 21 }, damage })).toBe(false);
  });
});
