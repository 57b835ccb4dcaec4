import { describe, expect, it } from 'vitest';
import { judgeSegment, type SegmentVerdict } from '../../../src/segment/segment-judge.js';
import { type DamagedRange, newScan, type SegmentScan } from '../../../src/segment/segment-scan.js';

function bad(offset: number, end: number, more: Partial<DamagedRange> = {}): DamagedRange {
  return { offset, end, headerIntact: false, allZero: false, firstId: 1, lastId: 0, fromMs: 0, toMs: 0, ...more };
}

function scanOf(end: number, damaged: DamagedRange[] = [], footerAt = -1): SegmentScan {
  const scan = newScan(1);
  scan.end = end;
  scan.footerAt = footerAt;
  scan.damaged.push(...damaged);
  return scan;
}

const WHOLE: SegmentVerdict = {
  cutAt: undefined,
  cutHoldsBytes: false,
  cutHoldsCommits: false,
  damage: [],
  missingBytes: 0,
};
const early = bad(200, 300);
const late = bad(600, 700);
const last = bad(900, 1000);

describe('the verdict on a segment', () => {
  it.each<[string, SegmentScan, number, boolean, SegmentVerdict]>([
    ['nothing bad, nothing promised: whole', scanOf(1000), 0, false, WHOLE],
    ['nothing bad, promised to its very end: whole', scanOf(1000), 1000, false, WHOLE],
    ['nothing bad, sealed, with its footer: whole', scanOf(1000, [], 900), 1000, true, WHOLE],
    ['bad at f < W: damage, nothing is cut', scanOf(1000, [early]), 500, false, { ...WHOLE, damage: [early] }],
    ['bad right below W: damage', scanOf(1000, [early]), 201, false, { ...WHOLE, damage: [early] }],
    ['bad at f = W: torn, cut there', scanOf(1000, [early]), 200, false, { ...WHOLE, cutAt: 200, cutHoldsBytes: true }],
    ['bad at f > W: torn', scanOf(1000, [late]), 500, false, { ...WHOLE, cutAt: 600, cutHoldsBytes: true }],
    [
      'a good commit behind a bad one proves nothing: the first bad one is the cut',
      scanOf(1000, [late, last]),
      500,
      false,
      { ...WHOLE, cutAt: 600, cutHoldsBytes: true },
    ],
    [
      'damage first, then torn: each as it is',
      scanOf(1000, [early, late]),
      500,
      false,
      { ...WHOLE, damage: [early], cutAt: 600, cutHoldsBytes: true },
    ],
    [
      'behind what was promised, but its own sums contradict each other: damage',
      scanOf(1000, [bad(600, 700, { contradicts: true })]),
      500,
      false,
      { ...WHOLE, damage: [bad(600, 700, { contradicts: true })] },
    ],
    [
      'damage first, then a tail of zeros: what is cut holds nothing',
      scanOf(1000, [early, bad(600, 1000, { allZero: true })]),
      500,
      false,
      { ...WHOLE, damage: [early], cutAt: 600 },
    ],
    [
      'torn where the commits end: none stands behind it',
      { ...scanOf(1000, [late]), dataEnd: 600 },
      500,
      false,
      { ...WHOLE, cutAt: 600, cutHoldsBytes: true },
    ],
    [
      'torn, and a commit of this life stands behind it',
      { ...scanOf(1000, [late]), dataEnd: 900 },
      500,
      false,
      { ...WHOLE, cutAt: 600, cutHoldsBytes: true, cutHoldsCommits: true },
    ],
    [
      'a tail of zeros is cut and holds nothing',
      scanOf(1000, [bad(600, 1000, { allZero: true })]),
      500,
      false,
      { ...WHOLE, cutAt: 600 },
    ],
    [
      'zeros, then more than zeros: what is cut holds something',
      scanOf(1000, [bad(600, 700, { allZero: true }), last]),
      500,
      false,
      { ...WHOLE, cutAt: 600, cutHoldsBytes: true },
    ],
    [
      'zeros below W are damage as any other',
      scanOf(1000, [bad(200, 300, { allZero: true })]),
      500,
      false,
      { ...WHOLE, damage: [bad(200, 300, { allZero: true })] },
    ],
    ['the file ends before W: its end is gone', scanOf(1000), 1500, false, { ...WHOLE, missingBytes: 500 }],
    [
      'sealed: every bad range is damage, whatever W',
      scanOf(1000, [early, last], 950),
      0,
      true,
      { ...WHOLE, damage: [early, last] },
    ],
    ['sealed and without a footer: its end is gone', scanOf(1000), 0, true, { ...WHOLE, missingBytes: 1 }],
    [
      'sealed, the footer itself is the damage: reported once',
      scanOf(1000, [last]),
      0,
      true,
      { ...WHOLE, damage: [last] },
    ],
  ])('P9: %s', (_row, scan, durableOffset, sealed, verdict) => {
    const before = structuredClone(scan);
    expect(judgeSegment(scan, { durableOffset, sealed, isWitnessed: true, isRecycled: false })).toEqual(verdict);
    expect(scan).toEqual(before);
  });

  it.each<[string, SegmentScan, boolean, SegmentVerdict]>([
    ['what is bad and not zero may have been synced', scanOf(1000, [late]), false, { ...WHOLE, damage: [late] }],
    [
      'zeros behind it are cut as ever',
      scanOf(1000, [late, bad(900, 1000, { allZero: true })]),
      false,
      { ...WHOLE, damage: [late], cutAt: 900 },
    ],
    [
      'zeros in front of a commit of this life may have been it',
      { ...scanOf(1000, [bad(600, 700, { allZero: true })]), dataEnd: 900 },
      false,
      { ...WHOLE, damage: [bad(600, 700, { allZero: true })] },
    ],
    ['recycled: it may be of a former life', scanOf(1000, [late]), true, { ...WHOLE, cutAt: 600, cutHoldsBytes: true }],
    [
      'recycled, and a header is intact: it is of this life, with all in front of it',
      scanOf(1000, [late, bad(700, 800, { headerIntact: true }), last]),
      true,
      {
        ...WHOLE,
        damage: [late, bad(700, 800, { headerIntact: true })],
        cutAt: last.offset,
        cutHoldsBytes: true,
      },
    ],
  ])('P9: W is not wholly known: %s', (_row, scan, isRecycled, verdict) => {
    expect(judgeSegment(scan, { durableOffset: 500, sealed: false, isWitnessed: false, isRecycled })).toEqual(verdict);
  });
});
