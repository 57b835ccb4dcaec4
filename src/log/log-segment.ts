/**
 * One segment as the engine holds it in memory: identity, extent, which of its records are live, and who is using the file.
 *
 * Invariants: `phase` only moves forward. `live` covers exactly the IDs from the first to the last record. The file is neither renamed
 * nor unlinked while `pins` > 0. What is held is let go exactly once, by the segment that has the records then. Counters that several
 * rooms write have methods, which assert: a forgotten one is loud.
 */
import { assert } from '../assert.js';
import { HEADER_FLAG_RELAXED, HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import type { IdRange, SegmentId } from '../ids.js';
import { LiveSet } from '../index/live-set.js';
import { type Footer, type SegmentSummary, timesOf } from '../segment/segment-footer.js';
import type { SegmentIndex, WideCommit } from '../segment/segment-index.js';
import { SegmentTimes } from '../segment/segment-times.js';

/**
 * active: being appended to. rolled: full, its footer not yet durable. sealed: immutable. dropped: no longer part of the log; its
 * file goes when the last reader has left.
 */
export type SegmentPhase = 'active' | 'rolled' | 'sealed' | 'dropped';

const PHASES: readonly SegmentPhase[] = ['active', 'rolled', 'sealed', 'dropped'];

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

/** What was live when a rewrite of the segment began, which is what goes into the copy, and what the copy has to be told. */
interface Rewrite {
  readonly live: LiveSet;
  readonly killed: IdRange[];
  /** Removals that were taken back. */
  readonly revived: number[];
}

export class LogSegment {
  readonly id: SegmentId;
  readonly baseId: number;
  readonly path: string;
  readonly seed: number;
  readonly flags: number;
  /** Number of the segment in positions of the B-tree; given by the log that holds it. */
  slot = -1;
  /** Frames may be read up to here: durable ones, or written ones in the weaker durability modes. */
  end: number;
  fileBytes: number;
  live: LiveSet;
  count = 0;
  /** Of the IDs that are there, live or dead: maximal runs. */
  runCount = 1;
  payloadBytes = 0;
  times: SegmentTimes = new SegmentTimes();
  indexPlace: IndexPlace = { kind: 'loaded' };
  /** The sparse index as it grows, for the footer; only while active or rolled. */
  building: SegmentIndex | undefined;
  wide: readonly WideCommit[] = [];
  /** When a record of it was removed last, on the host's monotonic clock. */
  lastRemovalMs: number = -Infinity;
  /** A reader or GC met damage here. */
  damaged = false;
  /** Told how many more are held, or fewer. */
  onHeld: ((count: number) => void) | undefined;
  #phase: SegmentPhase;
  #footerDurable: boolean;
  #fileGone = false;
  #held = 0;
  #heir: LogSegment | undefined;
  #rewrite: Rewrite | undefined;
  /** Of a copy of segments that were damaged: what came into it. */
  #given: LiveSet | undefined;
  #pins = 0;
  #unpinned: (() => void)[] = [];

  constructor(init: LogSegmentInit) {
    this.id = init.id;
    this.baseId = init.baseId;
    this.path = init.path;
    this.seed = init.seed;
    this.flags = init.flags;
    this.#phase = init.phase;
    this.end = init.end;
    this.fileBytes = init.fileBytes;
    this.#footerDurable = init.phase === 'sealed';
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

  get phase(): SegmentPhase {
    return this.#phase;
  }

  /** On to a later phase. */
  advance(phase: SegmentPhase): void {
    assert(PHASES.indexOf(phase) > PHASES.indexOf(this.#phase), `a segment that is ${this.#phase} becomes ${phase}`);
    this.#phase = phase;
  }

  /** For a reader: another process appends to it, so it grows here too. */
  follow(): void {
    assert(this.#phase === 'active' || this.#phase === 'rolled', `a segment that is ${this.#phase} is followed`);
    this.#phase = 'active';
  }

  /** Its footer is on disk and synced. */
  get footerDurable(): boolean {
    return this.#footerDurable;
  }

  noteFooterDurable(): void {
    this.#footerDurable = true;
  }

  /** It was dropped, and durably there is no file of its name any more. */
  get isFileGone(): boolean {
    return this.#fileGone;
  }

  noteFileGone(): void {
    assert(this.#phase === 'dropped', 'only a dropped segment loses its file');
    this.#fileGone = true;
  }

  /** The segment that its records are in now: after a rewrite the copy, else itself. */
  get heir(): LogSegment {
    return this.#heir === undefined ? this : this.#heir.heir;
  }

  /** Records whose removal is under way and not durable yet: they count as dead for readers and as live for GC. */
  get pendingRemovals(): number {
    return this.#held;
  }

  /** The removal of `count` records is under way, or they are claimed. */
  hold(count: number): void {
    assert(count >= 0, 'records are held, not let go');
    const { heir } = this;
    heir.#held += count;
    heir.onHeld?.(count);
  }

  /** Those removals are durable, or were taken back. If the segment was rewritten meanwhile the copy has held them since. */
  release(count: number): void {
    const { heir } = this;
    assert(count >= 0 && heir.#held >= count, 'what is let go was held');
    heir.#held -= count;
    heir.onHeld?.(-count);
  }

  /** Nothing in it will be read again, and every removal that says so is durable. */
  get isDead(): boolean {
    return this.live.liveCount === 0 && this.#held === 0;
  }

  /**
   * A copy is going to be made of what is live now: what is dead now is dead for good, since nothing is held. What is removed from here on is in the
   * copy all the same, and `bequeath` tells it; so no removal has to be waited for, and none that is taken back does any harm.
   */
  beginRewrite(): LiveSet {
    assert(this.#rewrite === undefined, 'a segment is rewritten once at a time');
    assert(this.#phase === 'sealed' && this.#held === 0, 'what is rewritten is sealed, and nothing of it is held');
    const live = this.live.clone();
    this.#rewrite = { live, killed: [], revived: [] };
    return live;
  }

  /** The copy has taken over, or was given up. */
  endRewrite(): void {
    this.#rewrite = undefined;
  }

  /** Records were removed: a copy that is being made must be told. */
  noteKilled(first: number, last: number): void {
    this.#rewrite?.killed.push({ first, last });
  }

  /** A removal was taken back. */
  noteRevived(id: number): void {
    this.#rewrite?.revived.push(id);
  }

  /** It is a copy, and not all that it should hold could be read. To be called before it is bequeathed anything. */
  noteGiven(): void {
    this.#given = this.live.clone();
  }

  /** Whether a record that is claimed came into it. */
  wasGiven(id: number): boolean {
    return this.#given === undefined || this.#given.has(id);
  }

  /** From now on the copy stands for it: what was removed since it was begun, and what is held, goes to the copy. */
  bequeath(copy: LogSegment): void {
    const rewrite = this.#rewrite;
    assert(this.#heir === undefined && rewrite !== undefined, 'the copy of a rewrite takes over, once');
    // Some of what was live could not be read: that is not in the copy.
    const revived = rewrite.revived.filter((id) => this.live.has(id) && copy.live.has(id));
    for (const { first, last } of rewrite.killed) copy.live.removeRange(first, last);
    for (const id of revived) if (!copy.live.has(id)) copy.live.revive(id);
    copy.lastRemovalMs = Math.max(copy.lastRemovalMs, this.lastRemovalMs);
    copy.#held += this.#held;
    this.#held = 0;
    this.#heir = copy;
  }

  /** Takes over extent and live records from a summary, before any removal is applied. */
  adopt(summary: Omit<SegmentSummary, 'removalSeq' | 'replaces' | 'dataEnd'>): void {
    this.count = summary.count;
    this.runCount = summary.runs?.length ?? 1;
    this.payloadBytes = summary.payloadBytes;
    this.times = timesOf(summary);
    this.live =
      summary.runs === undefined
        ? new LiveSet(summary.firstId, summary.lastId)
        : LiveSet.fromRuns(summary.firstId, summary.lastId, summary.runs);
  }

  /** Appended records become visible. Their IDs follow those that are there. */
  grow(firstId: number, count: number, payloadBytes: number, timestamp: number, end: number): void {
    assert(this.#phase === 'active', 'only the active segment grows');
    if (this.count === 0) this.live = new LiveSet(firstId, firstId - 1);
    assert(firstId === this.live.last + 1, 'IDs within a segment are consecutive');
    this.live.extend(firstId + count - 1);
    this.count += count;
    this.payloadBytes += payloadBytes;
    this.times.note(firstId, timestamp);
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
    this.times.check();
    assert(this.count <= this.live.last - this.live.first + 1, 'a segment holds no more records than IDs');
    assert(this.live.liveCount <= this.count, 'no more live records than records');
    assert(this.#held + this.live.liveCount <= this.count, 'no more records are held or live than there are');
    assert(this.end <= this.fileBytes, 'frames lie within the file');
  }
}
