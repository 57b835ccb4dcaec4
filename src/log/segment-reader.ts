/**
 * Reads one segment for a reader of the log: floor entry of the B-tree, one read of a chunk, a walk over the frames in it. Every byte handed out was
 * checked: whole commits by the commit's checksum in one native call, parts of commits record by record. What fails its checksum is salvaged as far
 * as it can be, and the rest is told of.
 *
 * Concurrent calls are independent; a segment is pinned while it is read.
 */
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
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { recordsText } from '../ids.js';
import { wideCommitAt } from '../segment/segment-index.js';
import { type SalvageSource, salvageAt } from '../segment/segment-salvage.js';
import { type ReadAt, ReadWindow } from '../vfs/read-window.js';
import type { FileCache } from './file-cache.js';
import type { LogSegment } from './log-segment.js';
import type { QueueRecord } from './queue-record.js';
import type { SegmentLog } from './segment-log.js';
import {
  collectFrames,
  copyOf,
  holdsTogether,
  passCommit,
  type Taking,
  take,
  type Walk,
  type Wish,
} from './segment-walk.js';

/** The most that one read of a sequential walk asks for at a time. */
const CHUNK_BYTES_MAX = 512 * 1024;
const CHUNK_BYTES_MIN = 4096;
/** What begins in one chunk and ends in the next must not have more of itself in the first, or it is read twice. */
const CARRY_BYTES_MAX = 128 * 1024;
/** Records handed out are views of the chunks. */
const WINDOW = { carryBytesMax: CARRY_BYTES_MAX, reuse: false } as const;
/** What a search finds it copies. */
const SEARCH_WINDOW = { carryBytesMax: CARRY_BYTES_MAX, reuse: true } as const;
/** To this size chunks grow, each twice the one before, where small reads follow each other. */
const STREAM_BYTES_MAX = 256 * 1024;
/** So much is read ahead at a time, at most. */
const AHEAD_BYTES_MAX = 1024 * 1024;
/** Commits up to this size are read whole, to be checked in one call. */
const WHOLE_COMMIT_BYTES_MAX = 4 * 1024 * 1024;
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

export interface SegmentReaderOptions {
  readonly queue: string;
  /** 'fail': reading rejects with EVAQ_CORRUPT at a live record that is damaged; 'skip': goes on behind it. */
  readonly onDamage: 'fail' | 'skip';
  /** Told of each damage met, once a call. */
  readonly noteDamage: (damage: ReadDamage) => void;
}

export class SegmentReader {
  readonly #log: SegmentLog;
  readonly #files: FileCache;
  readonly #options: SegmentReaderOptions;

  constructor(log: SegmentLog, files: FileCache, options: SegmentReaderOptions) {
    this.#log = log;
    this.#files = files;
    this.#options = options;
  }

  /** Takes from one segment what is wanted of it. Resolves with the walk, as far as it came; `before` is the last one. */
  async read(segment: LogSegment, wanted: Omit<Wish, 'file'>, before: Walk | undefined): Promise<Walk> {
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
      this.missing(segment, taking, FILE_HEADER_BYTES, bytes, from, to);
    }
  }

  /** A walk from the index entry in front of the record, or the last walk where that stands nearer to it. */
  #start(segment: LogSegment, wish: Wish, before: Walk | undefined): Walk {
    const { from, mode } = wish;
    const same = before !== undefined && before.segment === segment && segment.phase !== 'dropped';
    const goesOn = before !== undefined && (same ? before.nextId <= from : before.nextId > before.segment.lastId);
    const walk: Walk = {
      segment,
      window: same ? before.window : new ReadWindow(wish.taking.isOfViews ? WINDOW : SEARCH_WINDOW),
      wish,
      streaming: goesOn && before.streaming,
      nextId: segment.firstId,
      at: FILE_HEADER_BYTES,
      commitAt: FILE_HEADER_BYTES,
      commitEnd: 0,
      commitNextId: undefined,
      commitFirstId: 0,
      commitFloor: 0,
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
    const records = (taking.limits.maxRecords - taking.records.length - taking.aside) * meanFrameBytes(segment);
    return Math.min(taking.limits.maxBytes - taking.bytes, records) + this.#log.indexIntervalBytes;
  }

  /** One commit, or as much of one as the chunk holds. */
  async #step(walk: Walk): Promise<void> {
    if (walk.commitEnd === 0) {
      if (!(await this.#enterCommit(walk))) return;
      if (passCommit(walk)) {
        walk.commitEnd = 0;
        return;
      }
      walk.verified &&= holdsTogether(walk);
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
      await this.#damagedCommit(walk, walk.nextId);
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
    walk.commitFloor = walk.nextId;
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
    await this.#damagedCommit(walk, walk.commitFloor);
  }

  /**
   * No valid commit stands where the walk is: takes what can be read of it, as everybody does, and says how far the damage goes. Of what stands there
   * no record has an ID below `first`.
   */
  async #damagedCommit(walk: Walk, first: number): Promise<void> {
    const { segment, at: badAt, nextId: lostFrom } = walk;
    const { file: source, to } = walk.wish;
    const { seed, rewritten } = segment;
    const found: Salvaged[] = [];
    const from: SalvageSource = { source, seed, rewritten, index: this.#log.indexOf(segment) };
    const ids = { first, last: segment.lastId };
    const { end, lastId } = await salvageAt(from, badAt, segment.end, ids, (view, buffer, at) => {
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
    else this.missing(segment, walk.wish.taking, offset, bytes, lostFirst, last);
  }

  #note(segment: LogSegment, offset: number, bytes: number, firstId: number, lastId: number): void {
    segment.damaged = true;
    this.#options.noteDamage({ segment, offset, bytes, firstId, lastId });
  }

  /** Live records that were asked for cannot be read: passes over them, or throws. */
  missing(segment: LogSegment, taking: Taking, offset: number, bytes: number, first: number, last: number): void {
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

function meanFrameBytes(segment: LogSegment): number {
  return segment.count === 0 ? 0 : Math.ceil((segment.end - FILE_HEADER_BYTES) / segment.count);
}

const commit = newCommitHeader();
