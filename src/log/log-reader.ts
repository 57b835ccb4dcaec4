/**
 * Reads records by ID, over all segments: what is live in a range, without a gap; one record; what of a range holds some bytes. How a segment is read is
 * `segment-reader.ts`.
 *
 * A read resumes by ID, so GC may replace segments under an iteration. Where a call begins where the last one stopped, it takes over that
 * one's place in the file and the bytes in hand, and while a chunk is being checked the next is on its way. Concurrent calls are independent.
 */
import { assert } from '../assert.js';
import { EvaqError } from '../errors.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import type { FileCache } from './file-cache.js';
import type { QueueRecord } from './queue-record.js';
import { ReadTurns } from './read-turns.js';
import type { SegmentLog } from './segment-log.js';
import { SegmentReader, type SegmentReaderOptions } from './segment-reader.js';
import {
  isUntouched,
  newTaking,
  type ReadLimits,
  type Sought,
  type Taking,
  takeOne,
  type Walk,
} from './segment-walk.js';

export type { ReadLimits } from './segment-walk.js';

/** So much is read at a time where a search has to make a record of each. */
const SEARCH_RECORDS_MAX = 8192;
const SEARCH_BYTES_MAX = 1024 * 1024;

/** So many times its limits a read takes at most in one pass, where what it took before was removed under it. */
const PASS_FACTOR_MAX = 16;
/** After so many passes the first record is read by itself, whatever is removed and comes back meanwhile. */
const PASSES_MAX = 16;

/** What a read found, as of the moment it resolves. */
export interface ReadOutcome {
  /** Empty only where nothing is live in the range. */
  readonly records: readonly QueueRecord[];
  /** Up to here no live record is missing among them, but for what is lost to damage and was passed over; the end of the range if there is no more. */
  readonly coveredTo: number;
  /** Whether the range holds live records behind that. */
  readonly more: boolean;
}

export interface SearchOutcome extends ReadOutcome {
  /** The last live record that was looked at, handed out or not; `undefined` only where nothing is live in the range. */
  readonly lastId: number | undefined;
}

export interface LogReaderOptions extends SegmentReaderOptions {
  /** False where what was read may be replaced by other bytes under the same IDs: beside a writer that cuts a failed commit away. */
  readonly keepsPlace: boolean;
}

export class LogReader {
  readonly #log: SegmentLog;
  readonly #segments: SegmentReader;
  readonly #options: LogReaderOptions;
  readonly #turns: ReadTurns = new ReadTurns();
  /** Where the last read of live records stopped. Whoever goes on there takes it away. */
  #stopped: Walk | undefined;

  constructor(log: SegmentLog, files: FileCache, options: LogReaderOptions) {
    this.#log = log;
    this.#segments = new SegmentReader(log, files, options);
    this.#options = options;
  }

  /**
   * The record `id`, read whether it is live or not as long as its bytes are there; `undefined` where no segment holds it. Callers check
   * liveness before, and again after.
   */
  get(id: number): Promise<QueueRecord | undefined> {
    return this.#turns.run(() => this.#one(id));
  }

  async #one(id: number): Promise<QueueRecord | undefined> {
    const segment = this.#log.find(id);
    if (segment === undefined) return undefined;
    const taking = newTaking({ maxBytes: Number.MAX_SAFE_INTEGER, maxRecords: 1 });
    await this.#segments.read(segment, { from: id, to: id, taking, mode: 'one' }, undefined);
    return taking.records[0];
  }

  /**
   * Live records from `from` to `to` in ID order, within the limits: at the moment of resolution a prefix, without a gap, of those that are live
   * there. What is removed while it is being read is not delivered, what comes back to life meanwhile is not passed over.
   *
   * Removals that are faster than the reading make it read on behind them, more at a time with each pass.
   */
  read(from: number, to: number, limits: ReadLimits): Promise<ReadOutcome> {
    assert(limits.maxRecords > 0, 'a read asks for something');
    return this.#turns.run(() => this.#read(from, to, limits));
  }

  async #read(from: number, to: number, limits: ReadLimits): Promise<ReadOutcome> {
    let lost: IdRange[] = [];
    for (let pass = 0; ; pass++) {
      const factor = Math.min(2 ** pass, PASS_FACTOR_MAX);
      const taking = newTaking({ maxBytes: limits.maxBytes * factor, maxRecords: limits.maxRecords * factor });
      const changes = this.#log.changes;
      await this.#take(from, to, taking, lost);
      if (taking.lost.length > 0) lost = mergeRanges([...lost, ...taking.lost]);
      // From here to the return nothing is awaited: this is the moment that the outcome speaks of.
      const changed = changes !== this.#log.changes;
      const whole = !changed && pass === 0 && this.#isGapless(from, taking.records);
      const records = whole ? taking.records : this.#prefix(from, taking, limits, lost);
      const outcome = this.#outcome(from, to, records, lost);
      if (!outcome.more || records.length > 0) return outcome;
      if (changed && pass < PASSES_MAX) continue;
      const [first] = taking.records;
      const lostTo = changed || first === undefined ? outcome.coveredTo + 1 : first.id - 1;
      const one = await this.#takeFirst(outcome.coveredTo + 1, lostTo, lost);
      if (one !== undefined) return this.#outcome(from, to, [one], lost);
      lost = mergeRanges(lost);
    }
  }

  #outcome(from: number, to: number, records: readonly QueueRecord[], lost: readonly IdRange[]): ReadOutcome {
    return this.#outcomeBehind(records.at(-1)?.id ?? from - 1, to, records, lost);
  }

  #outcomeBehind(lastId: number, to: number, records: readonly QueueRecord[], lost: readonly IdRange[]): ReadOutcome {
    const next = this.#nextLive(lastId + 1, lost);
    const more = next !== undefined && next <= to;
    return { records, coveredTo: more ? next - 1 : to, more };
  }

  /**
   * As `read`, of which those records alone are handed out whose payload holds the needle; the others are checked as well, and never made. With a pack
   * it is their payloads that are handed out, in that, which is cleared before; `records` is empty. `maxBytes` and `maxRecords` bound what is looked at,
   * so that there may be nothing where there is more behind `coveredTo`.
   */
  search(from: number, to: number, limits: ReadLimits, sought: Sought): Promise<SearchOutcome> {
    assert(limits.maxRecords > 0, 'a search asks for something');
    return this.#turns.run(() => this.#search(from, to, limits, sought));
  }

  async #search(from: number, to: number, limits: ReadLimits, sought: Sought): Promise<SearchOutcome> {
    sought.pack?.clear();
    const taking = newTaking(limits, sought);
    const { changes } = this.#log;
    await this.#take(from, to, taking, []);
    const { records, aside, lost } = taking;
    const lastId = Math.max(taking.lastId, from - 1);
    // From here to the return nothing is awaited. One pass, all of which is there still, tells of all that is live up to its end.
    const isWhole = changes === this.#log.changes && lost.length === 0;
    if (isWhole && this.#countLive(from, lastId) === records.length + aside) {
      const outcome = this.#outcomeBehind(lastId, to, records, lost);
      return Object.assign(outcome, { lastId: lastId < from ? undefined : lastId });
    }
    sought.pack?.clear();
    const { maxBytes, maxRecords } = limits;
    const plain = await this.#read(from, to, {
      maxBytes: Math.min(maxBytes, SEARCH_BYTES_MAX),
      maxRecords: Math.min(maxRecords, SEARCH_RECORDS_MAX),
    });
    const found = newTaking({ maxBytes: Infinity, maxRecords: Infinity }, sought);
    // Where the pack is full, the rest is for another call.
    for (const record of plain.records) if (!takeOne(found, record)) break;
    const end = found.lastId === 0 ? undefined : found.lastId;
    return Object.assign(this.#outcomeBehind(end ?? plain.coveredTo, to, found.records, found.lost), { lastId: end });
  }

  /**
   * The live record `id`, which a pass did not find: it came back to life behind the walk, or is not where the segment says. `undefined` if it is
   * not live any more, or was lost and that is passed over.
   */
  async #takeFirst(id: number, lostTo: number, lost: IdRange[]): Promise<QueueRecord | undefined> {
    const segment = this.#log.find(id);
    const record = await this.#one(id);
    if (!this.#log.isLive(id)) return undefined;
    if (record !== undefined || segment === undefined) return record;
    const taking = newTaking({ maxBytes: 0, maxRecords: 1 });
    this.#segments.missing(segment, taking, FILE_HEADER_BYTES, segment.end - FILE_HEADER_BYTES, id, lostTo);
    lost.push(...taking.lost);
    return undefined;
  }

  /** One pass over what is live when the walk gets there. */
  async #take(from: number, to: number, taking: Taking, lost: IdRange[]): Promise<void> {
    let walk = this.#stopped;
    this.#stopped = undefined;
    try {
      for (let next = this.#nextLive(from, lost); next !== undefined && next <= to && !taking.full; ) {
        const segment = this.#log.find(next);
        assert(segment !== undefined, 'what is live is in a segment');
        const last = Math.min(to, segment.lastId);
        walk = await this.#segments.read(segment, { from: next, to: last, taking, mode: 'live' }, walk);
        next = this.#nextLive(last + 1, lost);
      }
      // Of the chunk of a search nobody has a view, and it is used again.
      if (walk !== undefined && this.#options.keepsPlace && taking.isOfViews) {
        this.#stopped = walk;
        // The place is kept, and what is in hand of what follows; nothing of what was handed out.
        walk.wish = { ...walk.wish, taking: newTaking(taking.limits) };
        if (walk.at >= walk.segment.end) walk.window.clear();
      }
    } catch (error) {
      // What was read before the damage is handed out first; the next pass or call meets the damage at once.
      if (isUntouched(taking) || !(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
    }
  }

  /** Whether records, all of them live, are all the live ones from `from` to the last of them. Costs little where that is so. */
  #isGapless(from: number, records: readonly QueueRecord[]): boolean {
    return this.#countLive(from, records.at(-1)?.id ?? -1) === records.length;
  }

  #countLive(from: number, last: number): number {
    let live = 0;
    for (let next = from; next <= last; ) {
      const segment = this.#log.findFrom(next);
      if (segment === undefined) break;
      live += segment.live.countLive(Math.max(next, segment.firstId), Math.min(last, segment.lastId));
      next = segment.lastId + 1;
    }
    return live;
  }

  /** What of the records taken is still live, within the limits, up to the first live record that is not among them. Synchronous. */
  #prefix(from: number, taken: Taking, limits: ReadLimits, lost: readonly IdRange[]): QueueRecord[] {
    const kept = newTaking(limits);
    let next = this.#nextLive(from, lost);
    for (const record of taken.records) {
      if (next === undefined || record.id > next) break;
      if (record.id < next) continue;
      if (!takeOne(kept, record)) break;
      next = this.#nextLive(record.id + 1, lost);
    }
    return kept.records;
  }

  /** The lowest live ID from `id` on that this call did not find to be lost. */
  #nextLive(id: number, lost: readonly IdRange[]): number | undefined {
    let next = this.#log.firstLive(id);
    // Ascending: the walk met them one after the other.
    for (const { first, last } of lost) {
      if (next === undefined || next < first) return next;
      if (next <= last) next = this.#log.firstLive(last + 1);
    }
    return next;
  }
}
