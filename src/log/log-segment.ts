/**
 * One segment as the engine holds it in memory: identity, extent, which of its records are live, and who is using the file.
 *
 * Invariants: `phase` only moves forward. `live` covers exactly the IDs from the first to the last record. The file is neither renamed
 * nor unlinked while `pins` > 0.
 */
import { assert } from '../assert.js';
import { HEADER_FLAG_RELAXED, HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import type { IdRange, SegmentId } from '../ids.js';
import { LiveSet } from '../index/live-set.js';
import type { Footer, SegmentSummary } from '../segment/segment-footer.js';
import type { SegmentIndex, WideCommit } from '../segment/segment-index.js';

/**
 * active: being appended to. rolled: full, its footer not yet durable. sealed: immutable. dropped: no longer part of the log; its
 * file goes when the last reader has left.
 */
export type SegmentPhase = 'active' | 'rolled' | 'sealed' | 'dropped';

/** Where the positions of a segment are: in the tree already, or still in the footer, until somebody reads the segment. */
export type IndexPlace =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'footer'; readonly footer: Pick<Footer, 'indexAt' | 'indexBytes' | 'indexCrc'> };

export interface LogSegmentInit {
  readonly id: SegmentId;
  readonly baseId: number;
  readonly path: string;
  readonly seed: number;
  readonly flags: number;
  readonly phase: SegmentPhase;
  /** End of the frames that may be read. */
  readonly end: number;
  /** Size of the file as far as it is known, footer included. */
  readonly fileBytes: number;
}

export class LogSegment {
  readonly id: SegmentId;
  readonly baseId: number;
  readonly path: string;
  readonly seed: number;
  readonly flags: number;
  /** Number of the segment in positions of the B-tree; given by the log that holds it. */
  slot = -1;
  phase: SegmentPhase;
  /** Frames may be read up to here: durable ones, or written ones in the weaker durability modes. */
  end: number;
  fileBytes: number;
  live: LiveSet;
  count = 0;
  payloadBytes = 0;
  minTimeMs = 0;
  maxTimeMs = 0;
  indexPlace: IndexPlace = { kind: 'loaded' };
  /** The sparse index as it grows, for the footer; only while active or rolled. */
  building: SegmentIndex | undefined;
  wide: readonly WideCommit[] = [];
  /** Records whose removal is under way and not durable yet: they count as dead for readers and as live for GC. */
  pendingRemovals = 0;
  /** After a rewrite: the segment that holds its records now, and counts the removals that were under way. */
  replacedBy: LogSegment | undefined;
  /**
   * While the segment is being rewritten: what was removed since, which the copy must be told. Cleared where the copy can no longer be used.
   */
  killedInRewrite: IdRange[] | undefined;
  /** When a record of it was removed last, on the host's monotonic clock. */
  lastRemovalMs: number = -Infinity;
  /** Its footer is on disk and synced. */
  footerDurable = false;
  /** A reader or GC met damage here. */
  damaged = false;
  #pins = 0;
  #unpinned: (() => void)[] = [];

  constructor(init: LogSegmentInit) {
    this.id = init.id;
    this.baseId = init.baseId;
    this.path = init.path;
    this.seed = init.seed;
    this.flags = init.flags;
    this.phase = init.phase;
    this.end = init.end;
    this.fileBytes = init.fileBytes;
    this.footerDurable = init.phase === 'sealed';
    this.live = new LiveSet(init.baseId, init.baseId - 1);
  }

  get rewritten(): boolean {
    return (this.flags & HEADER_FLAG_REWRITTEN) !== 0;
  }

  get relaxed(): boolean {
    return (this.flags & HEADER_FLAG_RELAXED) !== 0;
  }

  get firstId(): number {
    return this.live.first;
  }

  get lastId(): number {
    return this.live.last;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** The segment that its records are in now. */
  get heir(): LogSegment {
    return this.replacedBy?.heir ?? this;
  }

  /** Nothing in it will be read again, and every removal that says so is durable. */
  get isDead(): boolean {
    return this.live.liveCount === 0 && this.pendingRemovals === 0;
  }

  /** Takes over extent and live records from a summary, before any removal is applied. */
  adopt(summary: Omit<SegmentSummary, 'removalSeq' | 'replaces' | 'dataEnd'>): void {
    this.count = summary.count;
    this.payloadBytes = summary.payloadBytes;
    this.minTimeMs = summary.minTimeMs;
    this.maxTimeMs = summary.maxTimeMs;
    this.live =
      summary.runs === undefined
        ? new LiveSet(summary.firstId, summary.lastId)
        : LiveSet.fromRuns(summary.firstId, summary.lastId, summary.runs);
  }

  /** Appended records become visible. Their IDs follow those that are there. */
  grow(firstId: number, count: number, payloadBytes: number, timestamp: number, end: number): void {
    assert(this.phase === 'active', 'only the active segment grows');
    if (this.count === 0) {
      this.live = new LiveSet(firstId, firstId - 1);
      this.minTimeMs = timestamp;
    }
    assert(firstId === this.live.last + 1, 'IDs within a segment are consecutive');
    this.live.extend(firstId + count - 1);
    this.count += count;
    this.payloadBytes += payloadBytes;
    this.maxTimeMs = timestamp;
    this.end = end;
    this.fileBytes = Math.max(this.fileBytes, end);
  }

  /** Keeps the file where it is until `unpin`. */
  pin(): void {
    this.#pins++;
  }

  unpin(): void {
    assert(this.#pins > 0, 'a segment is unpinned as often as it was pinned');
    this.#pins--;
    if (this.#pins > 0) return;
    const waiting = this.#unpinned;
    this.#unpinned = [];
    for (const action of waiting) action();
  }

  /** Resolves when nobody has it pinned. */
  whenUnpinned(): Promise<void> {
    if (this.#pins === 0) return Promise.resolve();
    return new Promise((resolve) => this.#unpinned.push(resolve));
  }

  /** Throws at the first broken invariant. */
  check(): void {
    this.live.check();
    assert(this.count <= this.live.last - this.live.first + 1, 'a segment holds no more records than IDs');
    assert(this.live.liveCount <= this.count, 'no more live records than records');
    assert(this.pendingRemovals >= 0, 'removals under way are never negative');
    assert(this.end <= this.fileBytes, 'frames lie within the file');
  }
}
