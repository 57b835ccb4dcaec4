/**
 * Reads records by ID: floor entry of the B-tree, one read of a chunk, a walk over the frames in it. Every byte handed out was
 * checked: whole commits by the commit's checksum in one native call, parts of commits record by record.
 *
 * A read resumes by ID, so GC may replace segments under an iteration. Where a call begins where the last one stopped, it takes over that
 * one's place in the file and the bytes in hand, and while a chunk is being checked the next is on its way. Concurrent calls are independent;
 * a segment is pinned while it is read.
 */
import { assert } from '../assert.js';
import { EvaqError, reported } from '../errors.js';
import {
  COMMIT_FLAG_HEADS,
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  decodeCommitHeader,
  KIND_FOOTER,
  KIND_RECORDS,
  newCommitHeader,
} from '../frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import { DENSE_FRAME_BYTES, type FrameView } from '../frame/record-frame.js';
import { type IdRange, recordsText } from '../ids.js';
import { wideCommitAt } from '../segment/segment-index.js';
import { type SalvageSource, salvageAt } from '../segment/segment-salvage.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import { type ReadAt, ReadWindow } from '../vfs/read-window.js';
import { newViewBuffer } from '../vfs/view-buffer.js';
import type { FileCache } from './file-cache.js';
import type { LogSegment } from './log-segment.js';
import type { QueueRecord } from './queue-record.js';
import { ReadTurns } from './read-turns.js';
import type { SegmentLog } from './segment-log.js';
import {
  collectFrames,
  newTaking,
  type ReadLimits,
  recordOf,
  type Taking,
  take,
  takeOne,
  type Walk,
  type Wish,
} from './segment-walk.js';

export type { ReadLimits } from './segment-walk.js';

/** The most that one read of a sequential walk asks for at a time. */
const CHUNK_BYTES_MAX = 512 * 1024;
const CHUNK_BYTES_MIN = 4096;
/** What begins in one chunk and ends in the next must not have more of itself in the first, or it is read twice. */
const CARRY_BYTES_MAX = 128 * 1024;
/** Records handed out are views of the chunks. */
const WINDOW = { carryBytesMax: CARRY_BYTES_MAX, reuse: false } as const;
/** To this size chunks grow, each twice the one before, where small reads follow each other. */
const STREAM_BYTES_MAX = 256 * 1024;
/** So much is read ahead at a time, at most. */
const AHEAD_BYTES_MAX = 1024 * 1024;
/** Commits up to this size are read whole, to be checked in one call. */
const WHOLE_COMMIT_BYTES_MAX = 4 * 1024 * 1024;

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

/** A record of a damaged commit; itself, where it is wanted. */
interface Salvaged {
  readonly id: number;
  readonly record: QueueRecord | undefined;
}

/** What a reader met and could not read. */
export interface ReadDamage {
  readonly segment: LogSegment;
  readonly offset: number;
  readonly bytes: number;
  /** Live records lost to it lie in this range. */
  readonly firstId: number;
  readonly lastId: number;
}

export interface LogReaderOptions {
  readonly queue: string;
  /** 'fail': reading rejects with EVAQ_CORRUPT at a live record that is damaged; 'skip': goes on behind it. */
  readonly onDamage: 'fail' | 'skip';
  /** False where what was read may be replaced by other bytes under the same IDs: beside a writer that cuts a failed commit away. */
  readonly keepsPlace: boolean;
  /** Told of each damage met, once a call. */
  readonly noteDamage: (damage: ReadDamage) => void;
}

export class LogReader {
  readonly #log: SegmentLog;
  readonly #files: FileCache;
  readonly #options: LogReaderOptions;
  readonly #turns: ReadTurns = new ReadTurns();
  /** Where the last read of live records stopped. Whoever goes on there takes it away. */
  #stopped: Walk | undefined;

  constructor(log: SegmentLog, files: FileCache, options: LogReaderOptions) {
    this.#log = log;
    this.#files = files;
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
    await this.#readSegment(segment, { from: id, to: id, taking, mode: 'one' }, undefined);
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
    const next = this.#nextLive((records.at(-1)?.id ?? from - 1) + 1, lost);
    const more = next !== undefined && next <= to;
    return { records, coveredTo: more ? next - 1 : to, more };
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
    this.#missing(segment, taking, FILE_HEADER_BYTES, segment.end - FILE_HEADER_BYTES, id, lostTo);
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
        walk = await this.#readSegment(segment, { from: next, to: last, taking, mode: 'live' }, walk);
        next = this.#nextLive(last + 1, lost);
      }
      if (walk !== undefined && this.#options.keepsPlace) {
        this.#stopped = walk;
        // The place is kept, and what is in hand of what follows; nothing of what was handed out.
        walk.wish = { ...walk.wish, taking: newTaking(taking.limits) };
        if (walk.at >= walk.segment.end) walk.window.clear();
      }
    } catch (error) {
      // What was read before the damage is handed out first; the next pass or call meets the damage at once.
      if (taking.records.length === 0 || !(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
    }
  }

  /** Whether records, all of them live, are all the live ones from `from` to the last of them. Costs little where that is so. */
  #isGapless(from: number, records: readonly QueueRecord[]): boolean {
    const last = records.at(-1)?.id ?? -1;
    let live = 0;
    for (let next = from; next <= last; ) {
      const segment = this.#log.findFrom(next);
      if (segment === undefined) break;
      live += segment.live.countLive(Math.max(next, segment.firstId), Math.min(last, segment.lastId));
      next = segment.lastId + 1;
    }
    return live === records.length;
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

  /** Takes from one segment what is wanted of it. Resolves with the walk, as far as it came; `before` is the last one. */
  async #readSegment(segment: LogSegment, wanted: Omit<Wish, 'file'>, before: Walk | undefined): Promise<Walk> {
    const { taking, to } = wanted;
    segment.pin();
    try {
      return await this.#files.using(segment.path, async (file) => {
        await this.#log.ensureIndexed(segment, file);
        const walk = this.#start(segment, { file, ...wanted }, before);
        while (!taking.full && walk.nextId <= to && walk.at < segment.end) await this.#step(walk);
        if (wanted.mode === 'one' && isMissed(segment, wanted)) await this.#lookAgain(walk, wanted);
        return walk;
      });
    } catch (error) {
      throw reported(error, `reading queue '${this.#options.queue}'`, {
        queue: this.#options.queue,
        path: segment.path,
        id: wanted.from,
      });
    } finally {
      segment.unpin();
    }
  }

  /** Damaged lengths can lead past a record and look like none: from the front of the file, where the commits tell how many are in them, it is met. */
  async #lookAgain(walk: Walk, { from, to, taking }: Omit<Wish, 'file'>): Promise<void> {
    const { segment } = walk;
    Object.assign(walk, { at: FILE_HEADER_BYTES, commitEnd: 0, nextId: segment.firstId, end: segment.end });
    while (!taking.full && walk.nextId <= to && walk.at < segment.end) await this.#step(walk);
    if (isMissed(segment, { from, taking })) {
      const bytes = segment.end - FILE_HEADER_BYTES;
      this.#missing(segment, taking, FILE_HEADER_BYTES, bytes, from, to);
    }
  }

  /** A walk from the index entry in front of the record, or the last walk where that stands nearer to it. */
  #start(segment: LogSegment, wish: Wish, before: Walk | undefined): Walk {
    const { from, mode } = wish;
    const same = before !== undefined && before.segment === segment && segment.phase !== 'dropped';
    const goesOn = before !== undefined && (same ? before.nextId <= from : before.nextId > before.segment.lastId);
    const walk: Walk = {
      segment,
      window: same ? before.window : new ReadWindow(WINDOW),
      wish,
      streaming: goesOn && before.streaming,
      nextId: segment.firstId,
      at: FILE_HEADER_BYTES,
      commitAt: FILE_HEADER_BYTES,
      commitEnd: 0,
      commitNextId: undefined,
      commitFirstId: 0,
      commitTimestamp: 0,
      commitSparse: segment.rewritten,
      denseId: 0,
      verified: false,
      end: segment.end,
    };
    const { index } = this.#log;
    // If GC replaced the segment meanwhile, the tree has forgotten it: then the walk starts at the front.
    if (segment.phase === 'dropped' || !index.floor(from) || index.slot !== segment.slot) return walk;
    const { key, offset, mid } = index;
    if (same && goesOn && before.nextId >= key) {
      before.wish = wish;
      before.streaming = true;
      before.end = segment.end;
      return before;
    }
    const commit = mid === 1 ? wideCommitAt(segment.wide, offset) : undefined;
    if (mid === 0 || commit !== undefined) {
      walk.at = offset;
      walk.nextId = key;
      walk.denseId = key;
      walk.commitAt = commit?.offset ?? offset;
      walk.commitEnd = commit?.end ?? 0;
      walk.commitFirstId = commit?.firstId ?? 0;
      walk.commitTimestamp = commit?.timestamp ?? 0;
      if (mode === 'one' && index.next(from) && index.slot === segment.slot) walk.end = index.offset;
    }
    return walk;
  }

  /** How much to read at a time: one interval for one record, else what the limits are likely to need still. */
  #wantedBytes(walk: Walk): number {
    const { end, at, streaming, window } = walk;
    const grown = streaming ? Math.min(STREAM_BYTES_MAX, 2 * window.bytes) : 0;
    const wanted = Math.min(end - at, Math.max(this.#asked(walk), grown));
    return Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, wanted));
  }

  /** Bytes of the file that the call is likely to need still. */
  #asked(walk: Walk): number {
    const { segment, end, at } = walk;
    const { taking, mode } = walk.wish;
    if (mode === 'one') return end - at;
    const records = (taking.limits.maxRecords - taking.records.length) * meanFrameBytes(segment);
    return Math.min(taking.limits.maxBytes - taking.bytes, records) + this.#log.indexIntervalBytes;
  }

  /** One commit, or as much of one as the chunk holds. */
  async #step(walk: Walk): Promise<void> {
    if (walk.commitEnd === 0) {
      if (!(await this.#enterCommit(walk))) return;
    } else if (!walk.window.holds(walk.at, DENSE_FRAME_BYTES)) {
      await this.#fill(walk, COMMIT_HEADER_BYTES);
    }
    const needed = collectFrames(walk);
    if (needed === 'damaged') await this.#damagedRest(walk);
    else if (needed > 0) {
      await this.#fill(walk, needed);
      if (walk.window.bytes < needed) await this.#damagedRest(walk);
    } else if (walk.at >= walk.commitEnd) {
      walk.commitEnd = 0;
    }
  }

  /** At a commit's header: decodes it and checks its body where it can be had whole. False if it was passed over. */
  async #enterCommit(walk: Walk): Promise<boolean> {
    const { segment, window } = walk;
    if (!window.holds(walk.at, COMMIT_HEADER_BYTES)) await this.#fill(walk, COMMIT_HEADER_BYTES);
    if (
      !window.holds(walk.at, COMMIT_HEADER_BYTES) ||
      !decodeCommitHeader(window.chunk, walk.at - window.from, segment.seed, walk.at, commit)
    ) {
      await this.#damagedCommit(walk);
      return false;
    }
    const { kind, flags, bodyBytes, bodyCrc, firstId, timestamp, count } = commit;
    const total = COMMIT_HEADER_BYTES + bodyBytes;
    if (kind !== KIND_RECORDS) {
      walk.at = kind === KIND_FOOTER ? segment.end : walk.at + total;
      return false;
    }
    const sparse = (flags & COMMIT_FLAG_SPARSE) !== 0;
    if (!sparse && firstId + count <= walk.wish.from) {
      // Everything in it is before what is wanted.
      walk.at += total;
      walk.nextId = firstId + count;
      return false;
    }
    // Where the commit is summed by its heads every frame is checked by itself, and nothing is gained by having it whole.
    const oneSum = (flags & COMMIT_FLAG_HEADS) === 0;
    const whole = oneSum && total <= WHOLE_COMMIT_BYTES_MAX && total <= 2 * this.#wantedBytes(walk);
    if (walk.wish.mode === 'live' && whole && !window.holds(walk.at, total)) await this.#fill(walk, total);
    const start = walk.at;
    walk.verified = false;
    if (oneSum && window.holds(start, total)) {
      const bodyAt = start - window.from + COMMIT_HEADER_BYTES;
      walk.verified = commitBodyCrc(window.chunk.subarray(bodyAt, bodyAt + bodyBytes), segment.seed, start) === bodyCrc;
    }
    walk.commitAt = start;
    walk.commitEnd = start + total;
    walk.commitNextId = firstId + count;
    walk.commitFirstId = firstId;
    walk.commitTimestamp = timestamp;
    walk.commitSparse = sparse;
    walk.denseId = firstId;
    walk.at = start + COMMIT_HEADER_BYTES;
    return true;
  }

  /** A record of the commit in which the walk is failed its checksum. */
  async #damagedRest(walk: Walk): Promise<void> {
    walk.at = walk.commitAt;
    walk.commitEnd = 0;
    await this.#damagedCommit(walk);
  }

  /** No valid commit stands where the walk is: takes what can be read of it, as everybody does, and says how far the damage goes. */
  async #damagedCommit(walk: Walk): Promise<void> {
    const { segment, at: badAt, nextId: lostFrom } = walk;
    const { file: source, to } = walk.wish;
    const { seed, rewritten } = segment;
    const found: Salvaged[] = [];
    const from: SalvageSource = { source, seed, rewritten, index: this.#log.indexOf(segment) };
    const { end, lastId } = await salvageAt(from, badAt, segment.end, (view, buffer, at) => {
      // What came before is taken already.
      if (view.id < lostFrom) return;
      const record = view.id > to || walk.wish.taking.full ? undefined : copyOf(buffer, at, view);
      found.push({ id: view.id, record });
    });
    const lostTo = lastId ?? segment.lastId;
    walk.at = end;
    walk.nextId = Math.max(lostFrom, lostTo + 1);
    // Also where nothing is lost: what is rotten is not to be recycled.
    segment.damaged = true;
    this.#lose(walk, badAt, end - badAt, lostFrom, lostTo, found);
  }

  /**
   * Between `first` and `last` only the records in `intact` can be read: takes them, and reports the live ones among the others as damage, run by
   * run. Under 'fail' the first run that was asked for ends the walk.
   */
  #lose(walk: Walk, offset: number, bytes: number, first: number, last: number, intact: readonly Salvaged[]): void {
    let next = first;
    for (const { id, record } of intact) {
      this.#loseRun(walk, offset, bytes, next, id - 1);
      if (record !== undefined) take(walk, record);
      next = id + 1;
    }
    this.#loseRun(walk, offset, bytes, next, last);
  }

  #loseRun(walk: Walk, offset: number, bytes: number, first: number, last: number): void {
    const { segment } = walk;
    const { from, to } = walk.wish;
    const lostFirst = segment.live.firstLive(Math.max(first, segment.firstId));
    if (lostFirst === undefined || lostFirst > last) return;
    if (last < from || lostFirst > to) this.#note(segment, offset, bytes, lostFirst, last);
    else this.#missing(segment, walk.wish.taking, offset, bytes, lostFirst, last);
  }

  #note(segment: LogSegment, offset: number, bytes: number, firstId: number, lastId: number): void {
    segment.damaged = true;
    this.#options.noteDamage({ segment, offset, bytes, firstId, lastId });
  }

  /** Live records that were asked for cannot be read: passes over them, or throws. */
  #missing(segment: LogSegment, taking: Taking, offset: number, bytes: number, first: number, last: number): void {
    this.#note(segment, offset, bytes, first, last);
    if (this.#options.onDamage === 'skip') {
      taking.lost.push({ first, last });
      return;
    }
    throw new EvaqError(
      'EVAQ_CORRUPT',
      `queue '${this.#options.queue}': ${segment.path} is damaged at offset ${offset}: ${recordsText(first, last)} cannot be read`,
      {
        details: { queue: this.#options.queue, path: segment.path, offset, bytes, id: first, lastId: last },
        hint: `Read on from ID ${last + 1}; run 'evaq verify' on the store to see all damage.`,
      },
    );
  }

  /** Makes `bytes` from where the walk stands available, and sends for what comes behind. */
  async #fill(walk: Walk, bytes: number): Promise<void> {
    const { segment, window, wish } = walk;
    const { file, mode } = wish;
    const rest = Math.max(0, segment.end - walk.at);
    const wanted = mode === 'live' || window.bytes === 0 ? this.#wantedBytes(walk) : 0;
    const size = Math.min(rest, Math.max(bytes, wanted));
    walk.verified = false;
    await window.fill((...read) => file.readAt(...read), walk.at, Math.min(bytes, rest), size);
    if (mode === 'one' || meanFrameBytes(segment) > CARRY_BYTES_MAX / 2) return;
    if (walk.streaming || this.#asked(walk) > window.bytes) {
      const ahead = Math.min(AHEAD_BYTES_MAX, Math.max(size, wanted));
      window.readAhead(this.#pinned(segment), ahead, segment.end);
    }
  }

  /** Reads that may outlast the call. */
  #pinned(segment: LogSegment): ReadAt {
    return async (...read) => {
      segment.pin();
      try {
        return await this.#files.using(segment.path, (file) => file.readAt(...read));
      } finally {
        segment.unpin();
      }
    };
  }
}

/** Whether a walk for one record that is live neither found it nor said why. */
function isMissed(segment: LogSegment, { from, taking }: Pick<Wish, 'from' | 'taking'>): boolean {
  return taking.records.length === 0 && taking.lost.length === 0 && segment.live.has(from);
}

/** A record of its own: the buffer that it is in is used again. */
function copyOf(buffer: Buffer, at: number, view: FrameView): QueueRecord {
  const { frameBytes, payloadAt, metaAt } = view;
  const bytes = newViewBuffer(frameBytes);
  buffer.copy(bytes, 0, at, at + frameBytes);
  return recordOf(bytes, { ...view, payloadAt: payloadAt - at, metaAt: metaAt - at });
}

function meanFrameBytes(segment: LogSegment): number {
  return segment.count === 0 ? 0 : Math.ceil((segment.end - FILE_HEADER_BYTES) / segment.count);
}

const commit = newCommitHeader();
