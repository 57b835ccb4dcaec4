import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SegmentTimes, SPANS_MAX } from '../../../src/segment/segment-times.js';
import { TIME_MS_MAX } from '../../../src/times.js';

const HOUR = 3_600_000;
const T = 1_800_000_000_000;

function timesOf(...noted: readonly (readonly [id: number, time: number])[]): SegmentTimes {
  const times = new SegmentTimes();
  for (const [id, time] of noted) times.note(id, time);
  return times;
}

describe('times of a segment', () => {
  it('are one span where the clock stands or goes on slowly, and say nothing where there is no record', () => {
    expect(timesOf([1, T], [5, T], [9, T + 900]).spans).toEqual([{ firstId: 1, minMs: T, maxMs: T + 900 }]);
    expect(new SegmentTimes()).toMatchObject({ minMs: 0, maxMs: 0, isUneven: false, spans: [] });
    expect(new SegmentTimes().mayHold({ sinceMs: 0, untilMs: TIME_MS_MAX })).toBe(false);
    expect(new SegmentTimes().firstWithin({ sinceMs: 0, untilMs: TIME_MS_MAX }, 1)).toBeUndefined();
    expect(new SegmentTimes().spanOf(1)).toBeUndefined();
  });

  it('what a clock said for one push stands by itself', () => {
    const times = timesOf([1, T], [2, T + 400 * HOUR], [3, T + 5], [4, 0], [5, T + 6]);
    expect(times).toMatchObject({ minMs: 0, maxMs: T + 400 * HOUR, isUneven: true });
    expect([1, 2, 3, 4, 5, 99].map((id) => times.spanOf(id)?.minMs)).toEqual([
      T,
      T + 400 * HOUR,
      T + 5,
      0,
      T + 6,
      T + 6,
    ]);
    const around = { sinceMs: T, untilMs: T + 1000 };
    expect([1, 2, 3, 4, 5, 6].map((id) => times.firstWithin(around, id))).toEqual([1, 3, 3, 5, 5, 6]);
    expect(times.mayHold({ sinceMs: T + 10, untilMs: T + HOUR })).toBe(false);
    expect(times.firstWithin({ sinceMs: T + 7, untilMs: TIME_MS_MAX }, 3)).toBeUndefined();
  });

  it('of a clock that goes its way are uneven only where they are far apart', () => {
    const slow = timesOf(...Array.from({ length: 20 }, (_, i) => [i, T + i * HOUR] as const));
    expect(slow.isUneven).toBe(false);
    expect(timesOf([1, 0], [2, T]).isUneven).toBe(true);
    expect(timesOf([1, T], [2, T - 5000]).isUneven).toBe(true);
  });

  it('are few, and hold every time that was noted, whatever the clock says', () => {
    const jump = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 3000 }) },
      { weight: 2, arbitrary: fc.integer({ min: -HOUR, max: HOUR }) },
      { weight: 1, arbitrary: fc.integer({ min: -1e13, max: 1e13 }) },
    );
    const steps = fc.array(fc.record({ ids: fc.integer({ min: 1, max: 9 }), jump }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 0, max: 2 * HOUR }),
        (all, pick, width) => {
          const times = new SegmentTimes();
          const noted: { id: number; time: number }[] = [];
          let id = 1;
          let time = T;
          for (const step of all) {
            id += step.ids;
            time = Math.max(0, Math.min(TIME_MS_MAX, time + step.jump));
            times.note(id, time);
            times.check();
            noted.push({ id, time });
          }
          expect(times.spans.length).toBeLessThanOrEqual(SPANS_MAX);
          expect(times.minMs).toBe(Math.min(...noted.map((one) => one.time)));
          expect(times.maxMs).toBe(Math.max(...noted.map((one) => one.time)));
          for (const one of noted) {
            const span = times.spanOf(one.id);
            expect(span !== undefined && span.minMs <= one.time && one.time <= span.maxMs).toBe(true);
          }
          const sinceMs = noted[pick % noted.length]?.time ?? 0;
          const range = { sinceMs, untilMs: sinceMs + width };
          const within = noted.filter((one) => one.time >= sinceMs && one.time <= range.untilMs);
          expect(times.mayHold(range)).toBe(true);
          for (const from of [0, ...noted.map((one) => one.id)]) {
            const first = within.find((one) => one.id >= from);
            const found = times.firstWithin(range, from);
            if (first !== undefined) expect(found).toBeLessThanOrEqual(first.id);
            if (found !== undefined) expect(found).toBeGreaterThanOrEqual(from);
          }
          const again = new SegmentTimes(times.spans);
          expect(times.covers(again) && again.covers(times)).toBe(true);
          again.note(id + 1, time === 0 ? TIME_MS_MAX : 0);
          again.note(id + 2, time);
          expect(again.covers(times)).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('what is not covered is seen: another time, and one that is there for other IDs alone', () => {
    const footer = timesOf([1, T], [10, T + HOUR]);
    expect(footer.covers(timesOf([1, T], [12, T + HOUR]))).toBe(true);
    expect(footer.covers(timesOf([1, T - 1]))).toBe(false);
    expect(footer.covers(timesOf([1, T], [5, T + HOUR], [6, T], [11, T + HOUR]))).toBe(false);
  });

  it('are one span as long as they are within a second', () => {
    expect(timesOf([1, T], [2, T + 1000]).spans).toHaveLength(1);
    expect(timesOf([1, T], [2, T + 1001]).spans).toHaveLength(2);
    // One that is within a wide span is in it.
    for (const time of [T, T + 3000, T + 5000]) {
      const wide = new SegmentTimes([{ firstId: 1, minMs: T, maxMs: T + 5000 }]);
      wide.note(2, time);
      expect(wide.spans).toHaveLength(1);
    }
  });

  it('become wider together where there are too many spans, and only then', () => {
    const apart = (count: number, ms: number): SegmentTimes =>
      timesOf(...Array.from({ length: count }, (_, i) => [i + 1, T + i * ms] as const));
    expect(apart(SPANS_MAX, 2000).spans).toHaveLength(SPANS_MAX);
    const wider = Array.from({ length: 9 }, (_, i) => {
      const minMs = T + 4000 * i;
      return { firstId: 2 * i + 1, minMs, maxMs: i === 8 ? minMs : minMs + 2000 };
    });
    expect(apart(SPANS_MAX + 1, 2000).spans).toEqual(wider);
    // Where twice as wide is not enough it goes on: four times, eight times.
    expect(apart(SPANS_MAX + 1, 3999).spans).toHaveLength(9);
    expect(apart(SPANS_MAX + 1, 4001).spans).toHaveLength(9);
  });

  it('are uneven by what their spans say', () => {
    const isUneven = (...spans: readonly (readonly [number, number])[]): boolean =>
      new SegmentTimes(spans.map(([minMs, maxMs], i) => ({ firstId: i + 1, minMs, maxMs }))).isUneven;
    expect(isUneven([5, 9], [9, 12])).toBe(false);
    expect(isUneven([5, 9], [8, 12])).toBe(true);
    expect(isUneven([0, T])).toBe(false);
    expect(isUneven([0, 0], [24 * HOUR, 24 * HOUR])).toBe(false);
    expect(isUneven([0, 0], [24 * HOUR, 24 * HOUR + 1])).toBe(true);
  });

  it('are covered, and may hold, to the millisecond and to the ID', () => {
    const times = timesOf([1, T]);
    expect(times.mayHold({ sinceMs: 0, untilMs: T })).toBe(true);
    expect(times.mayHold({ sinceMs: T, untilMs: TIME_MS_MAX })).toBe(true);
    expect(times.mayHold({ sinceMs: T + 1, untilMs: TIME_MS_MAX })).toBe(false);
    const wide = { minMs: T, maxMs: T + HOUR };
    // What begins where the other ends, or ends where it begins, is of other records.
    const ahead = timesOf([1, T], [10, T + HOUR]);
    expect(
      ahead.covers(
        new SegmentTimes([
          { firstId: 1, ...wide },
          { firstId: 10, ...wide },
        ]),
      ),
    ).toBe(false);
    expect(timesOf([1, T + HOUR], [5, T]).covers(new SegmentTimes([{ firstId: 5, ...wide }]))).toBe(false);
    expect(timesOf([1, T + HOUR], [5, T]).covers(new SegmentTimes([{ firstId: 4, ...wide }]))).toBe(true);
  });

  it('are looked over: few spans, that ascend', () => {
    const checked = (...spans: readonly (readonly [number, number, number])[]) => {
      const times = new SegmentTimes(spans.map(([firstId, minMs, maxMs]) => ({ firstId, minMs, maxMs })));
      return () => times.check();
    };
    const many = (count: number) => Array.from({ length: count }, (_, i) => [i, 1, 1] as const);
    expect(checked(...many(SPANS_MAX))).not.toThrow();
    expect(checked(...many(SPANS_MAX + 1))).toThrow('few');
    expect(checked([1, 5, 4])).toThrow('ascend');
    expect(checked([2, 5, 5], [2, 6, 6])).toThrow('ascend');
    expect(checked([2, 5, 5], [1, 6, 6])).toThrow('ascend');
  });
});
