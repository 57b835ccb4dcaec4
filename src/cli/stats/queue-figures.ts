/** A queue in numbers, gathered record by record: sizes, batches, ages, and how many came when. */

import type { RecordVisitor, WalkedSegment } from '../../raw/record-walk.js';
import type { RawRecord } from '../../raw.js';
import { type HistogramFigures, LogHistogram } from './log-histogram.js';

/** Records that belong together: of a segment, of a minute. */
export interface FiguresPart {
  readonly records: number;
  readonly live: number;
  readonly payloadBytes: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface QueueFigures {
  readonly queue: string;
  /** Of all that are on disk and selected. */
  readonly total: FiguresPart | undefined;
  /** Payloads, in bytes. */
  readonly sizes: HistogramFigures | undefined;
  /** Records that were committed together; of what GC has rewritten that is not known. */
  readonly batches: HistogramFigures | undefined;
  /** Of those that are live, in ms. */
  readonly ages: HistogramFigures | undefined;
  readonly minutes: readonly FiguresPart[];
  readonly segments: readonly FiguresPart[];
  /** So many places could not be read: what was there is in none of the figures. */
  readonly damagedPlaces: number;
}

const MINUTE_MS = 60_000;

class Part {
  records = 0;
  live = 0;
  payloadBytes = 0;
  firstId = Infinity;
  lastId = 0;
  fromMs = Infinity;
  toMs = -Infinity;

  add({ id, payload, timestamp }: RawRecord, live: boolean): void {
    this.records++;
    if (live) this.live++;
    this.payloadBytes += payload.length;
    this.firstId = Math.min(this.firstId, id);
    this.lastId = Math.max(this.lastId, id);
    this.fromMs = Math.min(this.fromMs, timestamp);
    this.toMs = Math.max(this.toMs, timestamp);
  }
}

export class FiguresCounter implements RecordVisitor {
  readonly #queue: string;
  readonly #nowMs: number;
  readonly #accepts: (record: RawRecord) => boolean;
  readonly #total = new Part();
  readonly #sizes = new LogHistogram();
  readonly #batches = new LogHistogram();
  readonly #ages = new LogHistogram();
  readonly #minutes = new Map<number, Part>();
  readonly #segments: Part[] = [];
  #damagedPlaces = 0;

  constructor(queue: string, nowMs: number, accepts: (record: RawRecord) => boolean) {
    this.#queue = queue;
    this.#nowMs = nowMs;
    this.#accepts = accepts;
  }

  readonly segment = (_segment: WalkedSegment): void => {
    this.#segments.push(new Part());
  };

  readonly commit = (records: number, _bytes: number, rewritten: boolean): void => {
    if (!rewritten) this.#batches.add(records);
  };

  readonly record = (record: RawRecord, live: boolean): void => {
    if (!this.#accepts(record)) return;
    this.#total.add(record, live);
    this.#segments.at(-1)?.add(record, live);
    const minute = Math.floor(record.timestamp / MINUTE_MS);
    const part = this.#minutes.get(minute) ?? new Part();
    this.#minutes.set(minute, part);
    part.add(record, live);
    this.#sizes.add(record.payload.length);
    if (live) this.#ages.add(Math.max(0, this.#nowMs - record.timestamp));
  };

  readonly damaged = (): void => {
    this.#damagedPlaces++;
  };

  result(): QueueFigures {
    const isFilled = ({ records }: Part): boolean => records > 0;
    return {
      queue: this.#queue,
      total: isFilled(this.#total) ? this.#total : undefined,
      sizes: this.#sizes.figures(),
      batches: this.#batches.figures(),
      ages: this.#ages.figures(),
      minutes: [...this.#minutes.entries()].sort(([a], [b]) => a - b).map(([, part]) => part),
      segments: this.#segments.filter(isFilled),
      damagedPlaces: this.#damagedPlaces,
    };
  }
}

/** Records a second, over the time from the first to the last; of what came within a second: as many as came. */
export function rateOf({ records, fromMs, toMs }: FiguresPart): number {
  return (1000 * records) / Math.max(1000, toMs - fromMs);
}
