/**
 * Takes in what a writer has appended since a queue was loaded: commits of its unsealed segments and rounds of its tombstone
 * log. It stays in front of what is not whole (yet), so a torn tail is the end and a commit in progress is waited for.
 *
 * Order: removals are read first, data after them, and the removals are applied last. A removal speaks of data that was
 * written before it, so every record that it names is known by then.
 *
 * One call of `follow` at a time.
 */
import { COMMIT_HEADER_BYTES, decodeCommitHeader, KIND_RECORDS, newCommitHeader } from '../frame/commit-header.js';
import { CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { decodeFileHeader, FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import type { FileCache } from '../log/file-cache.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { FoundSegment } from '../log/segment-load.js';
import type { SegmentLog } from '../log/segment-log.js';
import { type IndexState, type MovedRecord, newScan, noteCommit } from '../segment/segment-scan.js';
import { queueMark } from '../tombstone/tombstone-name.js';
import { newTombstoneState, scanRounds, type TombstoneState } from '../tombstone/tombstone-scan.js';

/** 'stale': what is on disk contradicts what was loaded; only loading anew helps. */
export type FollowOutcome = 'followed' | 'stale';

/** What a round leaves behind in front of the next one: enough of it to notice that it was wiped and written over. */
const MARK_BYTES = 64;

interface Followed {
  readonly found: FoundSegment;
  readonly source: ScanSource;
  readonly scanner: CommitScanner;
  readonly index: IndexState;
}

export class RawFollower {
  readonly #log: SegmentLog;
  readonly #storeUuid: Buffer;
  readonly #files: FileCache;
  /** Segments without a footer, in ID order. The last ones may be empty: segments are made ahead of time. */
  readonly #unsealed: Followed[];
  /** Which of them the writer appends to, as far as is known. */
  #at: number;
  readonly #tombstonePath: string | undefined;
  #tombstones: CommitScanner | undefined;
  #mark: Buffer | undefined;
  #markAt = 0;
  readonly #state: TombstoneState = newTombstoneState();
  /** Removals of records that are not there yet. */
  #pending: IdRange[] = [];

  constructor(loaded: LoadedQueue, files: FileCache, storeUuid: Buffer) {
    this.#storeUuid = storeUuid;
    this.#log = loaded.log;
    this.#files = files;
    this.#unsealed = loaded.found
      .filter((found) => found.footer === undefined)
      .map((found) => {
        const source = sourceOf(files, found.segment.path);
        const scanner = new CommitScanner(source, found.segment.seed, found.contentEnd, found.contentEnd, 'wait');
        return { found, source, scanner, index: { intervalBytes: loaded.log.indexIntervalBytes, marked: -Infinity } };
      });
    for (const { scan } of loaded.found) this.#arrive(scan?.moved ?? []);
    const last = this.#unsealed.findLastIndex(({ found }) => !found.segment.isEmpty);
    this.#at = Math.max(last, 0);
    this.#tombstonePath = loaded.tombstoneLogs.at(-1);
    this.#state.end = loaded.tombstones.end;
  }

  /**
   * By queue: the IDs that records had there which were moved into segments without a footer. They do not count there any more, whatever its
   * tombstones say. The lists only grow.
   */
  readonly arrivals: Map<string, number[]> = new Map();

  /** The ID that the next record gets, by what the tombstones followed say. */
  get nextId(): number {
    return this.#state.nextId;
  }

  #arrive(moved: readonly MovedRecord[]): void {
    for (const { origin } of moved) {
      const known = this.arrivals.get(origin.queue);
      if (known === undefined) this.arrivals.set(origin.queue, [origin.id]);
      else known.push(origin.id);
    }
  }

  async follow(): Promise<FollowOutcome> {
    const removed: IdRange[] = this.#pending;
    this.#pending = [];
    const outcome = await this.#followTombstones(removed);
    if (outcome === 'stale' || (await this.#followSegments()) === 'stale') return 'stale';
    const known = this.#log.newest?.lastId ?? 0;
    for (const range of removed) {
      this.#log.killRange(range.first, range.last);
      if (range.last > known) this.#pending.push(range);
    }
    return 'followed';
  }

  async #followTombstones(removed: IdRange[]): Promise<FollowOutcome> {
    const path = this.#tombstonePath;
    if (path === undefined) return 'followed';
    return this.#files.using(path, async (file) => {
      this.#tombstones ??= await this.#startTombstones(path);
      const scanner = this.#tombstones;
      // A log whose header is damaged in both copies, or that is of another queue, cannot be followed: it was reported as damage.
      if (scanner === undefined) return 'followed';
      const size = await file.size();
      if (size < this.#state.end) return whenShorter(this.#state.end);
      if (this.#mark !== undefined && !this.#mark.equals(await this.#readMark(file, this.#markAt))) return 'stale';
      scanner.extend(size);
      await scanRounds(scanner, this.#state, (first, last) => removed.push({ first, last }));
      this.#markAt = Math.max(this.#state.end - MARK_BYTES, 0);
      this.#mark = await this.#readMark(file, this.#markAt);
      // The writer's last word, with the footers before it: what was unsealed is not any more, and nothing else would tell.
      return this.#state.closedWithLive === undefined ? 'followed' : 'stale';
    });
  }

  async #startTombstones(path: string): Promise<CommitScanner | undefined> {
    const source = sourceOf(this.#files, path);
    const head = Buffer.alloc(FILE_HEADER_BYTES);
    const read = await source.readAt(head, 0, FILE_HEADER_BYTES, 0);
    const decoding = decodeFileHeader(head.subarray(0, read), 'tombstones');
    if (decoding.kind !== 'ok' || decoding.header.idHighWater !== queueMark(path)) return undefined;
    if (!decoding.header.storeUuid.equals(this.#storeUuid)) return undefined;
    return new CommitScanner(source, decoding.seed, this.#state.end, this.#state.end, 'wait');
  }

  async #readMark(source: ScanSource, at: number): Promise<Buffer> {
    const mark = Buffer.alloc(MARK_BYTES);
    const read = await source.readAt(mark, 0, Math.min(MARK_BYTES, this.#state.end - at), at);
    return mark.subarray(0, read);
  }

  async #followSegments(): Promise<FollowOutcome> {
    for (;;) {
      const current = this.#unsealed[this.#at];
      if (current === undefined) return 'followed';
      // Asked first: once the next one has begun nothing more comes into this one, so that draining it now is final.
      const next = this.#unsealed[this.#at + 1];
      const begun = next !== undefined && (await hasBegun(next));
      if ((await this.#advance(current)) === 'stale') return 'stale';
      if (!begun) return 'followed';
      this.#at++;
    }
  }

  /** Takes in the commits that are whole. */
  #advance(followed: Followed): Promise<FollowOutcome> {
    const { found, scanner } = followed;
    return this.#files.using(found.segment.path, async (file) => {
      const size = await file.size();
      if (size < scanner.offset) return whenShorter(scanner.offset);
      scanner.extend(size);
      for (;;) {
        const outcome = await scanner.next();
        if (outcome !== 'commit') return 'followed';
        if (scanner.header.kind === KIND_RECORDS && !this.#take(followed)) return 'stale';
      }
    });
  }

  /** Makes the records of the commit on which the scanner stands visible. Synchronous. */
  #take({ found, scanner, index }: Followed): boolean {
    const { segment } = found;
    const log = this.#log;
    if (!segment.isEmpty && scanner.header.firstId !== segment.lastId + 1) return false;
    const newest = log.newest;
    if (segment.isEmpty && newest !== undefined && newest.lastId >= scanner.header.firstId) return false;
    const scan = newScan(scanner.header.firstId);
    noteCommit(scan, scanner, index);
    segment.follow();
    if (segment.isEmpty && newest !== segment) log.append(segment);
    log.grow(segment, scan.firstId, scan.count, scan.payloadBytes, scanner.header.timestamp, scan.dataEnd);
    this.#arrive(scan.moved);
    const { ids, offsets, mids, wide } = scan.index;
    log.index.load(segment.slot, ids, offsets, mids);
    if (wide.length > 0) segment.wide = [...segment.wide, ...wide];
    return true;
  }
}

/** Of a file that ends in front of where the next frame is looked for: it was cut since, or it was when it was loaded, and ends within its header. */
function whenShorter(end: number): FollowOutcome {
  return end > FILE_HEADER_BYTES ? 'stale' : 'followed';
}

/** Whether a commit stands at the front of a segment, a link for instance. */
async function hasBegun({ found, source }: Followed): Promise<boolean> {
  const head = Buffer.alloc(COMMIT_HEADER_BYTES);
  if ((await source.readAt(head, 0, COMMIT_HEADER_BYTES, FILE_HEADER_BYTES)) < COMMIT_HEADER_BYTES) return false;
  return decodeCommitHeader(head, 0, found.segment.seed, FILE_HEADER_BYTES, newCommitHeader());
}

function sourceOf(files: FileCache, path: string): ScanSource {
  return {
    readAt: (target, offset, length, position) =>
      files.using(path, (file) => file.readAt(target, offset, length, position)),
  };
}
