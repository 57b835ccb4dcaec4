import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { segmentId } from '../../../src/ids.js';
import { LogSegment, type SegmentPhase } from '../../../src/log/log-segment.js';
import { SegmentLog } from '../../../src/log/segment-log.js';
import { newSegmentIndex } from '../../../src/segment/segment-index.js';

function newSegment(id: number, firstId: number, count: number, phase: SegmentPhase = 'sealed'): LogSegment {
  const segment = new LogSegment({
    id: segmentId(id),
    baseId: firstId,
    path: `/${id}`,
    seed: 0,
    flags: 0,
    phase,
    end: 1000,
    fileBytes: 1000,
  });
  const summary = { count, firstId, lastId: firstId + count - 1, minTimeMs: 0, maxTimeMs: 0, payloadBytes: 0 };
  segment.adopt({ ...summary, runs: undefined });
  return segment;
}

describe('a segment in memory', () => {
  it('only goes forward', () => {
    const segment = newSegment(1, 1, 0, 'active');
    segment.advance('rolled');
    expect(() => segment.advance('rolled')).toThrow('becomes rolled');
    segment.advance('sealed');
    expect(() => segment.advance('active')).toThrow('becomes active');
    expect(() => segment.noteFileGone()).toThrow('dropped');
    segment.advance('dropped');
    segment.noteFileGone();
    expect(segment.isFileGone).toBe(true);
  });

  it('is dead when nothing is live and nothing is held, and lets nothing go that it does not hold', () => {
    const segment = newSegment(1, 1, 2);
    segment.live.removeRange(1, 2);
    segment.hold(2);
    expect(segment.isDead).toBe(false);
    segment.release(1);
    expect(segment.isDead).toBe(false);
    expect(() => segment.release(2)).toThrow('held');
    segment.release(1);
    expect(segment.isDead).toBe(true);
  });

  it('is not rewritten while something of it is held: what is dead must be dead for good', () => {
    const segment = newSegment(1, 1, 2);
    segment.hold(1);
    expect(() => segment.beginRewrite()).toThrow('held');
    segment.release(1);
    segment.beginRewrite();
    expect(() => segment.beginRewrite()).toThrow('once at a time');
  });
});

type Change = { readonly kind: 'claim' | 'end' | 'give back'; readonly id: number };

describe('the copy of a rewrite', () => {
  const change = fc.record({
    kind: fc.constantFrom<Change['kind']>('claim', 'end', 'give back'),
    id: fc.integer({ min: 1, max: 24 }),
  });

  it('P2, P10: holds and has live what its originals did, whatever was removed, claimed or given back meanwhile', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 24 })),
        fc.array(change, { maxLength: 40 }),
        fc.integer({ min: 0, max: 40 }),
        (deadBefore, changes, swapAt) => {
          const log = new SegmentLog(4096);
          const sources = [newSegment(1, 1, 8), newSegment(2, 9, 16)];
          for (const source of sources) log.append(source);
          const live = new Set(Array.from({ length: 24 }, (_, i) => i + 1));
          for (const id of deadBefore) {
            log.kill(id);
            live.delete(id);
          }
          const begun = sources.map((source) => source.beginRewrite());
          const copied = begun.flatMap((one) => [...one.liveRuns()]);
          fc.pre(copied.length > 0);
          const claimed = new Map<number, LogSegment>();

          const swap = (): void => {
            const copy = newSegment(3, 1, 0);
            const ids = copied.flatMap(({ first, last }) =>
              Array.from({ length: last - first + 1 }, (_, i) => first + i),
            );
            copy.adopt({
              count: ids.length,
              firstId: ids[0] ?? 0,
              lastId: ids.at(-1) ?? 0,
              minTimeMs: 0,
              maxTimeMs: 0,
              payloadBytes: 0,
              runs: copied,
            });
            for (const source of sources) source.bequeath(copy);
            log.replace(sources, copy, newSegmentIndex());
          };
          for (const [i, { kind, id }] of changes.entries()) {
            if (i === swapAt) swap();
            const segment = claimed.get(id);
            if (kind === 'claim') {
              const found = log.find(id);
              if (found === undefined || !log.killIn(found, id)) continue;
              found.hold(1);
              claimed.set(id, found);
              live.delete(id);
            } else if (segment !== undefined) {
              claimed.delete(id);
              segment.release(1);
              if (kind === 'end') continue;
              log.revive(id);
              live.add(id);
            }
          }
          if (swapAt >= changes.length) swap();
          log.check();
          expect(log.segments.reduce((sum, one) => sum + one.pendingRemovals, 0)).toBe(claimed.size);
          for (let id = 1; id <= 24; id++) expect([id, log.isLive(id)]).toEqual([id, live.has(id)]);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the segments of a queue', () => {
  it('know the lowest one without a durable footer at no cost that grows with their number', () => {
    const log = new SegmentLog(4096);
    const segments: LogSegment[] = [];
    for (let i = 0; i < 100; i++) {
      const segment = newSegment(i + 1, 1 + i * 10, 10, 'rolled');
      log.append(segment);
      segments.push(segment);
    }
    const lowest = (): number | undefined =>
      segments.find(({ footerDurable, isFileGone }) => !footerDurable && !isFileGone)?.id ?? Infinity;
    expect(log.lowestUnsealedId).toBe(1);
    const random = [...segments.keys()].sort((a, b) => ((a * 37) % 100) - ((b * 37) % 100));
    for (const i of random) {
      const segment = segments[i];
      if (segment === undefined) continue;
      segment.advance('sealed');
      // Dead ones are dropped without a footer: they count until their file is gone.
      if (i % 3 === 0) {
        log.drop([segment]);
        expect(log.lowestUnsealedId).toBe(lowest());
        segment.noteFileGone();
      } else {
        segment.noteFooterDurable();
      }
      expect(log.lowestUnsealedId).toBe(lowest());
    }
    expect(log.lowestUnsealedId).toBe(Infinity);
    log.check();
  });
});
