/**
 * When the records of a segment were pushed, in a few numbers: *spans*, each with the least and the greatest time of the records from an ID on. A
 * clock that goes its way makes one or few. Where it went ahead or back another span begins, so that what it said then is believed of the records
 * of then, and not of those before and after.
 *
 * Invariants: spans ascend by ID; there are at most `SPANS_MAX`; every noted time lies within the span of its ID, and so within `minMs` and `maxMs`.
 * Where there would be more, neighbours that are alike become one.
 */
import { assert } from '../assert.js';

export interface TimeSpan {
  /** It ends where the next one begins. */
  readonly firstId: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/** A stretch of time; both ends belong to it. */
export interface TimeRange {
  readonly sinceMs: number;
  readonly untilMs: number;
}

export const SPANS_MAX = 16;
/** What a span may be wide where there is room for more of them. */
const WIDTH_MS_MIN = 1000;
/** From here on the least and the greatest time of a segment are not enough, though the clock may never have gone back. */
const WIDE_MS = 24 * 60 * 60 * 1000;

export class SegmentTimes {
  #spans: TimeSpan[];
  #widthMs = WIDTH_MS_MIN;

  /** `spans` ascend by ID. Without any there are no records. */
  constructor(spans: readonly TimeSpan[] = []) {
    this.#spans = [...spans];
  }

  get spans(): readonly TimeSpan[] {
    return this.#spans;
  }

  /** The least of all times; 0 where there is none. */
  get minMs(): number {
    return this.#spans.length === 0 ? 0 : this.#spans.reduce((least, { minMs }) => Math.min(least, minMs), Infinity);
  }

  /** The greatest of all times; 0 where there is none. */
  get maxMs(): number {
    return this.#spans.reduce((greatest, { maxMs }) => Math.max(greatest, maxMs), 0);
  }

  /** The least and the greatest time do not say it all: the clock went back between two of its records, or they are far apart. */
  get isUneven(): boolean {
    const wentBack = this.#spans.some(({ minMs }, i) => minMs < (this.#spans[i - 1]?.maxMs ?? 0));
    return wentBack || (this.#spans.length > 1 && this.maxMs - this.minMs > WIDE_MS);
  }

  /** Takes in records from `firstId` on, above all before. */
  note(firstId: number, timestamp: number): void {
    const last = this.#spans.at(-1);
    if (last !== undefined && timestamp >= last.minMs && timestamp <= last.maxMs) return;
    const grown = last === undefined ? undefined : joined(last, { firstId, minMs: timestamp, maxMs: timestamp });
    if (grown !== undefined && widthOf(grown) <= this.#widthMs) {
      this.#spans[this.#spans.length - 1] = grown;
      return;
    }
    this.#spans.push({ firstId, minMs: timestamp, maxMs: timestamp });
    while (this.#spans.length > SPANS_MAX) this.#coarsen();
  }

  /** The span of a record. A record that was never noted has that of its neighbours. */
  spanOf(id: number): TimeSpan | undefined {
    return this.#spans.findLast(({ firstId }) => firstId <= id) ?? this.#spans[0];
  }

  /** Whether any record may be of that time. If not, none is: it can be passed over. */
  mayHold({ sinceMs, untilMs }: TimeRange): boolean {
    return this.#spans.some(({ minMs, maxMs }) => minMs <= untilMs && maxMs >= sinceMs);
  }

  /** The lowest ID from `from` on whose record may be of that time; `undefined`: none is. */
  firstWithin({ sinceMs, untilMs }: TimeRange, from: number): number | undefined {
    for (const [i, { firstId, minMs, maxMs }] of this.#spans.entries()) {
      const next = this.#spans[i + 1]?.firstId ?? Infinity;
      if (next > from && minMs <= untilMs && maxMs >= sinceMs) return Math.max(from, firstId);
    }
    return undefined;
  }

  /** Whether all that `others` say of the same IDs is said here, too. */
  covers(others: SegmentTimes): boolean {
    return others.spans.every(({ firstId, minMs, maxMs }, i) => {
      const end = others.spans[i + 1]?.firstId ?? Infinity;
      const mine = this.#spans.filter(
        (span, at) => span.firstId < end && (this.#spans[at + 1]?.firstId ?? Infinity) > firstId,
      );
      return mine.some((span) => span.minMs <= minMs) && mine.some((span) => span.maxMs >= maxMs);
    });
  }

  /** Throws at the first broken invariant. */
  check(): void {
    assert(this.#spans.length <= SPANS_MAX, 'spans of time are few');
    let lastId = -1;
    for (const { firstId, minMs, maxMs } of this.#spans) {
      assert(firstId > lastId && minMs <= maxMs, 'spans of time ascend by ID');
      lastId = firstId;
    }
  }

  /** Joins neighbours as far as the width allows, which doubles: in the end it takes in all. */
  #coarsen(): void {
    this.#widthMs *= 2;
    const kept: TimeSpan[] = [];
    for (const span of this.#spans) {
      const last = kept.at(-1);
      const wider = last === undefined ? undefined : joined(last, span);
      if (wider !== undefined && widthOf(wider) <= this.#widthMs) kept[kept.length - 1] = wider;
      else kept.push(span);
    }
    this.#spans = kept;
  }
}

function joined(a: TimeSpan, b: TimeSpan): TimeSpan {
  return { firstId: a.firstId, minMs: Math.min(a.minMs, b.minMs), maxMs: Math.max(a.maxMs, b.maxMs) };
}

function widthOf({ minMs, maxMs }: TimeSpan): number {
  return maxMs - minMs;
}
