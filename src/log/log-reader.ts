/**
 * Reads records by ID: floor entry of the B-tree, one read of a chunk, a walk over the frames in it. Every byte handed out was
 * checked: whole commits by the commit's checksum in one native call, parts of commits record by record.
 *
 * A read keeps no place between calls: it resumes by ID, so GC may replace segments under an iteration. Concurrent calls are
 * independent; a segment is pinned while it is read.
 */
import { EvaqError, ioError } from '../errors.js';
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
import { salvageCommit } from '../frame/commit-salvage.js';
import { CommitScanner } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import { decodeMeta } from '../frame/metadata.js';
import {
  DENSE_FRAME_BYTES,
  type FrameView,
  frameBytesAt,
  frameIsIntact,
  hasMetaAt,
  newFrameView,
  SPARSE_FRAME_BYTES,
  viewFrame,
} from '../frame/record-frame.js';
import { wideCommitAt } from '../segment/segment-index.js';
import type { VfsFile } from '../vfs/vfs.js';
import type { FileCache } from './file-cache.js';
import type { LogSegment } from './log-segment.js';
import type { QueueRecord } from './queue-record.js';
import type { SegmentLog } from './segment-log.js';

/** The most that one read of a sequential walk asks for at a time. */
const CHUNK_BYTES_MAX = 1024 * 1024;
const CHUNK_BYTES_MIN = 4096;
/** Commits up to this size are read whole, to be checked in one call. */
const WHOLE_COMMIT_BYTES_MAX = 4 * 1024 * 1024;

export interface ReadLimits {
  /** Payload bytes; at least one record is returned whatever its size. */
  readonly maxBytes: number;
  readonly maxRecords: number;
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
  /** Told of each damage met, once a call. */
  readonly noteDamage: (damage: ReadDamage) => void;
}

/** What a call has taken so far. */
interface Taking {
  readonly limits: ReadLimits;
  readonly records: QueueRecord[];
  bytes: number;
  /** The limits are reached: the next record is for another call. */
  full: boolean;
}

function newTaking(limits: ReadLimits): Taking {
  return { limits, records: [], bytes: 0, full: limits.maxRecords <= 0 };
}

/** A walk over one segment. Mutable, one for each segment and call. */
interface Walk {
  readonly segment: LogSegment;
  readonly file: VfsFile;
  readonly from: number;
  readonly to: number;
  readonly taking: Taking;
  /** 'live': all live records; commits are read whole for the sake of their checksum. 'one': the record `from`, live or not. */
  readonly mode: 'live' | 'one';
  /** ID that the next record has at least. */
  nextId: number;
  /** File offset of the next frame or commit. */
  at: number;
  /** End of the commit that the walk is inside of; 0 between commits. */
  commitEnd: number;
  commitFirstId: number;
  commitTimestamp: number;
  commitSparse: boolean;
  /** ID of the next frame, if they do not say it themselves. */
  denseId: number;
  /** The commit's checksum held. */
  verified: boolean;
  chunk: Buffer;
  chunkFrom: number;
  chunkBytes: number;
  /** Nothing wanted lies behind this offset. */
  end: number;
}

const NOTHING = Buffer.alloc(0);

export class LogReader {
  readonly #log: SegmentLog;
  readonly #files: FileCache;
  readonly #options: LogReaderOptions;

  constructor(log: SegmentLog, files: FileCache, options: LogReaderOptions) {
    this.#log = log;
    this.#files = files;
    this.#options = options;
  }

  /**
   * The record `id`, read whether it is live or not as long as its bytes are there; `undefined` where no segment holds it. Callers check
   * liveness before, and again after.
   */
  async get(id: number): Promise<QueueRecord | undefined> {
    const segment = this.#log.find(id);
    if (segment === undefined) return undefined;
    const taking = newTaking({ maxBytes: Number.MAX_SAFE_INTEGER, maxRecords: 1 });
    await this.#readSegment(segment, id, id, taking, 'one');
    return taking.records[0];
  }

  /** Live records from `from` to `to` in ID order, within the limits. Empty: there is none. */
  async read(from: number, to: number, limits: ReadLimits): Promise<QueueRecord[]> {
    const taking = newTaking(limits);
    const changes = this.#log.changes;
    try {
      for (let next = this.#log.firstLive(from); next !== undefined && next <= to && !taking.full; ) {
        const segment = this.#log.find(next);
        if (segment === undefined) break;
        const last = Math.min(to, segment.lastId);
        await this.#readSegment(segment, next, last, taking, 'live');
        next = this.#log.firstLive(last + 1);
      }
    } catch (error) {
      // What was read before the damage is handed out first; the next call meets the damage at once.
      if (taking.records.length === 0 || !(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
    }
    // A record whose removal began while it was being read is not delivered any more.
    return changes === this.#log.changes ? taking.records : taking.records.filter(({ id }) => this.#log.isLive(id));
  }

  async #readSegment(
    segment: LogSegment,
    from: number,
    to: number,
    taking: Taking,
    mode: 'live' | 'one',
  ): Promise<void> {
    segment.pin();
    try {
      await this.#files.using(segment.path, async (file) => {
        await this.#log.ensureIndexed(segment, file);
        const walk = this.#start(segment, file, from, to, taking, mode);
        while (!taking.full && walk.nextId <= to && walk.at < segment.end) await this.#step(walk);
      });
    } catch (error) {
      throw ioError(error, `reading queue '${this.#options.queue}'`, {
        queue: this.#options.queue,
        path: segment.path,
        id: from,
      });
    } finally {
      segment.unpin();
    }
  }

  #start(segment: LogSegment, file: VfsFile, from: number, to: number, taking: Taking, mode: 'live' | 'one'): Walk {
    const walk: Walk = {
      segment,
      file,
      from,
      to,
      taking,
      mode,
      nextId: segment.firstId,
      at: FILE_HEADER_BYTES,
      commitEnd: 0,
      commitFirstId: 0,
      commitTimestamp: 0,
      commitSparse: segment.rewritten,
      denseId: 0,
      verified: false,
      chunk: NOTHING,
      chunkFrom: 0,
      chunkBytes: 0,
      end: segment.end,
    };
    const { index } = this.#log;
    let end = segment.end;
    // If GC replaced the segment meanwhile, the tree has forgotten it: then the walk starts at the front.
    if (segment.phase !== 'dropped' && index.floor(from) && index.slot === segment.slot) {
      const { key, offset, mid } = index;
      const commit = mid === 1 ? wideCommitAt(segment.wide, offset) : undefined;
      if (mid === 0 || commit !== undefined) {
        walk.at = offset;
        walk.nextId = key;
        walk.denseId = key;
        walk.commitEnd = commit?.end ?? 0;
        walk.commitFirstId = commit?.firstId ?? 0;
        walk.commitTimestamp = commit?.timestamp ?? 0;
        if (mode === 'one' && index.next(from) && index.slot === segment.slot) end = index.offset;
      }
    }
    walk.end = end;
    return walk;
  }

  /** How much to read at a time: one interval for one record, else what the limits are likely to need still. */
  #wantedBytes(walk: Walk): number {
    const { segment, taking, at, mode, end } = walk;
    let wanted = end - at;
    if (mode === 'live') {
      const perRecord = segment.count === 0 ? 0 : Math.ceil((segment.end - FILE_HEADER_BYTES) / segment.count);
      const records = (taking.limits.maxRecords - taking.records.length) * perRecord;
      wanted = Math.min(
        wanted,
        Math.min(taking.limits.maxBytes - taking.bytes, records) + this.#log.indexIntervalBytes,
      );
    }
    return Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, wanted));
  }

  /** One commit, or as much of one as the chunk holds. */
  async #step(walk: Walk): Promise<void> {
    if (walk.commitEnd === 0) {
      if (!(await this.#enterCommit(walk))) return;
    } else if (walk.chunkBytes === 0) {
      await this.#fill(walk, walk.at, COMMIT_HEADER_BYTES);
    }
    const needed = collectFrames(walk);
    if (needed === 'damaged') await this.#damagedRest(walk);
    else if (needed > 0) {
      await this.#fill(walk, walk.at, needed);
      if (walk.chunkBytes < needed) await this.#damagedRest(walk);
    } else if (walk.at >= walk.commitEnd) {
      walk.commitEnd = 0;
    }
  }

  /** At a commit's header: decodes it and checks its body where it can be had whole. False if it was passed over. */
  async #enterCommit(walk: Walk): Promise<boolean> {
    const { segment } = walk;
    if (!holds(walk, walk.at, COMMIT_HEADER_BYTES)) await this.#fill(walk, walk.at, COMMIT_HEADER_BYTES);
    const inChunk = walk.at - walk.chunkFrom;
    if (
      !holds(walk, walk.at, COMMIT_HEADER_BYTES) ||
      !decodeCommitHeader(walk.chunk, inChunk, segment.seed, walk.at, commit)
    ) {
      await this.#damagedHeader(walk);
      return false;
    }
    const { kind, flags, bodyBytes, bodyCrc, firstId, timestamp, count } = commit;
    const total = COMMIT_HEADER_BYTES + bodyBytes;
    if (kind !== KIND_RECORDS) {
      walk.at = kind === KIND_FOOTER ? segment.end : walk.at + total;
      return false;
    }
    const sparse = (flags & COMMIT_FLAG_SPARSE) !== 0;
    if (!sparse && firstId + count <= walk.from) {
      // Everything in it is before what is wanted.
      walk.at += total;
      walk.nextId = firstId + count;
      return false;
    }
    // Where the commit is summed by its heads every frame is checked by itself, and nothing is gained by having it whole.
    const oneSum = (flags & COMMIT_FLAG_HEADS) === 0;
    const whole = oneSum && total <= WHOLE_COMMIT_BYTES_MAX && total <= 2 * this.#wantedBytes(walk);
    if (walk.mode === 'live' && whole && !holds(walk, walk.at, total)) {
      await this.#fill(walk, walk.at, total);
    }
    const start = walk.at;
    walk.verified = false;
    if (oneSum && holds(walk, start, total)) {
      const bodyAt = start - walk.chunkFrom + COMMIT_HEADER_BYTES;
      walk.verified = commitBodyCrc(walk.chunk.subarray(bodyAt, bodyAt + bodyBytes), segment.seed, start) === bodyCrc;
    }
    walk.commitEnd = start + total;
    walk.commitFirstId = firstId;
    walk.commitTimestamp = timestamp;
    walk.commitSparse = sparse;
    walk.denseId = firstId;
    walk.at = start + COMMIT_HEADER_BYTES;
    return true;
  }

  /** A record of the commit failed its checksum: looks whether the rest of the commit can be read, and how far the damage goes. */
  async #damagedRest(walk: Walk): Promise<void> {
    const { segment } = walk;
    const badAt = walk.at;
    const lostFrom = walk.nextId;
    // The commit as a whole, from its first frame on: small next to the cost of losing a record that is intact.
    const bodyBytes = walk.commitEnd - badAt;
    const body = Buffer.allocUnsafeSlow(bodyBytes);
    const held = await walk.file.readAt(body, 0, bodyBytes, badAt);
    const rest = {
      ...newCommitHeader(),
      flags: walk.commitSparse ? COMMIT_FLAG_SPARSE : 0,
      count: 0xffff_ffff,
      firstId: walk.commitSparse ? walk.commitFirstId : walk.denseId,
      timestamp: walk.commitTimestamp,
    };
    const found: QueueRecord[] = [];
    salvageCommit(body, 0, held, rest, segment.seed, badAt, (view) => found.push(recordOf(body, view)));
    const commitEnd = walk.commitEnd;
    const lostTo = await this.#lastIdBefore(walk, commitEnd);
    walk.at = commitEnd;
    walk.commitEnd = 0;
    walk.nextId = lostTo + 1;
    this.#lose(walk, badAt, commitEnd - badAt, lostFrom, lostTo, found);
  }

  async #damagedHeader(walk: Walk): Promise<void> {
    const { segment } = walk;
    const badAt = walk.at;
    const lostFrom = walk.nextId;
    const scanner = new CommitScanner(walk.file, segment.seed, badAt, segment.end, 'resync');
    // 'end' means that the file is shorter than it was.
    const end = (await scanner.next()) === 'bad' ? scanner.bad.end : segment.end;
    const lostTo = await this.#lastIdBefore(walk, end);
    walk.at = end;
    walk.nextId = lostTo + 1;
    this.#lose(walk, badAt, end - badAt, lostFrom, lostTo, []);
  }

  /** The last ID that can have stood before the commit at `offset`. */
  async #lastIdBefore(walk: Walk, offset: number): Promise<number> {
    const { segment, file } = walk;
    const scanner = new CommitScanner(file, segment.seed, offset, segment.end, 'resync');
    for (;;) {
      const outcome = await scanner.next();
      if (outcome === 'end') return segment.lastId;
      if (outcome === 'commit' && scanner.header.kind === KIND_RECORDS) return scanner.header.firstId - 1;
      if (outcome === 'bad' && scanner.bad.headerIntact && scanner.header.kind === KIND_RECORDS)
        return scanner.header.firstId - 1;
    }
  }

  /**
   * Between `first` and `last` only the records in `intact` can be read: takes them, and reports the live ones among the others as damage, run by
   * run. Under 'fail' the first run that was asked for ends the walk.
   */
  #lose(walk: Walk, offset: number, bytes: number, first: number, last: number, intact: readonly QueueRecord[]): void {
    let next = first;
    for (const record of intact) {
      this.#loseRun(walk, offset, bytes, next, record.id - 1);
      take(walk, record);
      next = record.id + 1;
    }
    this.#loseRun(walk, offset, bytes, next, last);
  }

  #loseRun(walk: Walk, offset: number, bytes: number, first: number, last: number): void {
    const { segment, from, to } = walk;
    const lostFirst = segment.live.firstLive(Math.max(first, segment.firstId));
    if (lostFirst === undefined || lostFirst > last) return;
    segment.damaged = true;
    this.#options.noteDamage({ segment, offset, bytes, firstId: lostFirst, lastId: last });
    if (this.#options.onDamage === 'skip' || last < from || lostFirst > to) return;
    throw new EvaqError(
      'EVAQ_CORRUPT',
      `queue '${this.#options.queue}': ${segment.path} is damaged at offset ${offset}: records ${lostFirst} to ${last} cannot be read`,
      {
        details: { queue: this.#options.queue, path: segment.path, offset, bytes, id: lostFirst, lastId: last },
        hint: `Read on from ID ${last + 1}; run 'evaq verify' on the store to see all damage.`,
      },
    );
  }

  /** Makes `bytes` from `at` on available, in a new chunk: the old one may be held by records handed out. */
  async #fill(walk: Walk, at: number, bytes: number): Promise<void> {
    const rest = Math.max(0, walk.segment.end - at);
    const ahead = walk.mode === 'live' || walk.chunkBytes === 0 ? this.#wantedBytes(walk) : 0;
    const size = Math.min(rest, Math.max(bytes, ahead));
    walk.chunk = Buffer.allocUnsafeSlow(size);
    walk.chunkFrom = at;
    walk.chunkBytes = await walk.file.readAt(walk.chunk, 0, size, at);
  }
}

const commit = newCommitHeader();
const frame = newFrameView();

function holds(walk: Walk, at: number, bytes: number): boolean {
  return at >= walk.chunkFrom && at + bytes <= walk.chunkFrom + walk.chunkBytes;
}

/**
 * Takes the wanted records of the current commit, as far as the chunk holds them. Returns 0 when the commit or the walk is done, the
 * number of bytes needed at `walk.at` to go on, or 'damaged' if the frame there fails its checksum.
 */
function collectFrames(walk: Walk): number | 'damaged' {
  const { segment, taking, chunk, chunkFrom, commitEnd, commitSparse, from, to } = walk;
  const headBytes = commitSparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
  const heldEnd = Math.min(chunkFrom + walk.chunkBytes, commitEnd);
  while (walk.at < commitEnd) {
    if (walk.at + headBytes > heldEnd)
      return commitEnd - walk.at < headBytes || heldEnd === commitEnd ? 'damaged' : headBytes;
    const at = walk.at - chunkFrom;
    const frameBytes = frameBytesAt(chunk, at, commitSparse);
    if (walk.at + frameBytes > commitEnd) return 'damaged';
    const id = commitSparse ? walk.commitFirstId + chunk.readUInt32LE(at + 8) : walk.denseId;
    if (id > to) {
      walk.nextId = id;
      return 0;
    }
    if (id < from) {
      // Passed over by its length alone: if that is wrong, the record it leads to fails its own checksum, being out of place.
      walk.at += frameBytes;
      walk.denseId++;
      walk.nextId = id + 1;
      continue;
    }
    if (walk.at + frameBytes > heldEnd) {
      // The rest of it is read only if it is wanted: its payload is as large as its body, less the metadata.
      const wanted = walk.mode === 'one' || !segment.live.has(id) || hasMetaAt(chunk, at);
      return wanted || fits(taking, frameBytes - headBytes) ? frameBytes : 0;
    }
    if (!viewFrame(chunk, at, heldEnd - chunkFrom, commitSparse, id, walk.commitFirstId, walk.commitTimestamp, frame))
      return 'damaged';
    if (!walk.verified && !frameIsIntact(chunk, at, frameBytes, segment.seed, walk.at, id)) return 'damaged';
    if (walk.mode === 'one' || segment.live.has(id)) {
      if (!fits(taking, frame.payloadBytes)) return 0;
      taking.records.push(recordOf(chunk, frame));
      taking.bytes += frame.payloadBytes;
    }
    walk.at += frameBytes;
    walk.denseId++;
    walk.nextId = id + 1;
  }
  return 0;
}

/** Whether a record of this size may still be taken; the first may always. If not, the taking is full. */
function fits(taking: Taking, payloadBytes: number): boolean {
  const { records, limits } = taking;
  const fit =
    records.length === 0 || (records.length < limits.maxRecords && taking.bytes + payloadBytes <= limits.maxBytes);
  if (!fit) taking.full = true;
  return fit;
}

function take(walk: Walk, record: QueueRecord): void {
  const { taking, from, to } = walk;
  if (taking.full || record.id < from || record.id > to) return;
  if (walk.mode === 'live' && !walk.segment.live.has(record.id)) return;
  if (!fits(taking, record.payload.length)) return;
  taking.records.push(record);
  taking.bytes += record.payload.length;
}

function recordOf(buffer: Buffer, view: FrameView): QueueRecord {
  const payload = buffer.subarray(view.payloadAt, view.payloadAt + view.payloadBytes);
  if (view.metaBytes === 0) return { id: view.id, payload, timestamp: view.timestamp };
  const meta = decodeMeta(buffer.subarray(view.metaAt, view.metaAt + view.metaBytes));
  return { id: view.id, payload, timestamp: view.timestamp, ...meta };
}
