/**
 * The segments of one queue in ID order, with the B-tree of positions and the liveness of every record: the picture that
 * appending, removing, reading and GC share.
 *
 * Invariants: segments are ordered by ID and their ID ranges are disjoint; every segment with records has at least its first position in the tree;
 * `liveCount` is the sum over the segments. All methods are synchronous but `ensureIndexed`.
 */
import { assert } from '../assert.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import { PositionIndex } from '../index/position-index.js';
import { readFooterIndex } from '../segment/segment-footer.js';
import type { SegmentIndex } from '../segment/segment-index.js';
import type { SalvageIndex } from '../segment/segment-salvage.js';
import { scanSegment } from '../segment/segment-scan.js';
import type { TimeRange } from '../segment/segment-times.js';
import type { VfsFile } from '../vfs/vfs.js';
import type { LiveWatcher } from './live-watcher.js';
import type { LogSegment } from './log-segment.js';

export class SegmentLog {
  readonly index: PositionIndex = new PositionIndex();
  readonly #segments: LogSegment[] = [];
  readonly #slots: (LogSegment | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  /** By segment ID: those whose footer is not durable, and some that were and are still at the end. */
  readonly #unsealed: LogSegment[] = [];
  readonly #indexing = new Map<LogSegment, Promise<void>>();
  readonly indexIntervalBytes: number;
  /** Live records in all segments. */
  liveCount = 0;
  /** Records in all segments, dead ones included. */
  count = 0;
  /** Counts removals, those taken back, and replaced segments: a reader sees by it whether the world changed while it waited. */
  changes = 0;
  #watcher: LiveWatcher | undefined;

  constructor(indexIntervalBytes: number) {
    this.indexIntervalBytes = indexIntervalBytes;
  }

  /** The one who is told what becomes of records, from now on. */
  watch(watcher: LiveWatcher): void {
    this.#watcher = watcher;
    for (const segment of this.#segments) segment.onHeld = (count) => watcher.held(count);
  }

  /** In ID order; not to be changed. */
  get segments(): readonly LogSegment[] {
    return this.#segments;
  }

  /** The last segment, to which records are appended while the queue is open for writing. */
  get newest(): LogSegment | undefined {
    return this.#segments.at(-1);
  }

  /** The highest ID that is visible; 0 where none is. Empty segments stand at the end only, and there are few. */
  get lastVisibleId(): number {
    for (let i = this.#segments.length - 1; i >= 0; i--) {
      const segment = this.#segments[i];
      if (segment !== undefined && !segment.isEmpty) return segment.lastId;
    }
    return 0;
  }

  /** Adds a segment behind all others. */
  append(segment: LogSegment): void {
    const newest = this.newest;
    assert(
      newest === undefined || newest.isEmpty || segment.isEmpty || newest.lastId < segment.firstId,
      'segments ascend by ID',
    );
    this.#adopt(segment);
    this.#segments.push(segment);
  }

  /** Puts `replacement` in the place of neighbouring segments, with its positions, in one synchronous step. */
  replace(old: readonly LogSegment[], replacement: LogSegment, index: SegmentIndex): void {
    const [first] = old;
    assert(first !== undefined, 'something is replaced');
    const at = this.positionOf(first);
    this.changes++;
    for (const [i, segment] of old.entries()) {
      assert(this.#segments[at + i] === segment, 'replaced segments are neighbours');
      this.#release(segment);
    }
    this.#segments.splice(at, old.length, replacement);
    this.#adopt(replacement);
    this.index.load(replacement.slot, index.ids, index.offsets, index.mids);
    this.#watcher?.replaced(old, replacement);
  }

  /** Where a segment with records stands among `segments`. */
  positionOf(segment: LogSegment): number {
    const at = this.#lowerBound(segment.firstId);
    assert(this.#segments[at] === segment, 'a segment is part of the log');
    return at;
  }

  /** Takes segments out of the log: their records can no longer be found. The files are untouched. */
  drop(dead: readonly LogSegment[]): void {
    if (dead.length === 0) return;
    this.changes++;
    for (const segment of dead) {
      assert(this.#slots[segment.slot] === segment, 'a dropped segment is part of the log');
      this.#release(segment);
    }
    let kept = 0;
    for (const segment of this.#segments) if (segment.phase !== 'dropped') this.#segments[kept++] = segment;
    this.#segments.length = kept;
    if (this.#watcher !== undefined) for (const segment of dead) this.#watcher.dropped(segment);
  }

  /**
   * The lowest ID of a segment whose footer is not durable and whose file may still be there: in the log, or dropped and on its way out. Every lower
   * one that is missed was lost.
   */
  get lowestUnsealedId(): number {
    const unsealed = this.#unsealed;
    let settled = 0;
    for (const { footerDurable, isFileGone } of unsealed) {
      if (!footerDurable && !isFileGone) break;
      settled++;
    }
    if (settled > 0) unsealed.splice(0, settled);
    return unsealed[0]?.id ?? Infinity;
  }

  /** The segment whose ID range holds `id`. */
  find(id: number): LogSegment | undefined {
    const segment = this.#segments[this.#lowerBound(id)];
    return segment !== undefined && segment.firstId <= id && !segment.isEmpty ? segment : undefined;
  }

  /** The first segment with records that reaches up to `id` or beyond. */
  findFrom(id: number): LogSegment | undefined {
    for (let i = this.#lowerBound(id); i < this.#segments.length; i++) {
      const segment = this.#segments[i];
      if (segment !== undefined && !segment.isEmpty) return segment;
    }
    return undefined;
  }

  isLive(id: number): boolean {
    return this.find(id)?.live.has(id) ?? false;
  }

  /** The lowest live ID from `id` on. */
  firstLive(id: number): number | undefined {
    for (let i = this.#lowerBound(id); i < this.#segments.length; i++) {
      const segment = this.#segments[i];
      if (segment === undefined || segment.live.liveCount === 0) continue;
      const found = segment.live.firstLive(Math.max(id, segment.firstId));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /**
   * The lowest ID from `from` on whose record may be of that time, live or not; `undefined`: none is. Clocks go ahead and back, so behind it there may
   * be records of other times: to be asked again, from there on, where it is not.
   */
  firstWithin(range: TimeRange, from: number): number | undefined {
    for (let i = this.#lowerBound(from); i < this.#segments.length; i++) {
      const segment = this.#segments[i];
      if (segment === undefined || segment.isEmpty) continue;
      const found = segment.times.firstWithin(range, Math.max(from, segment.firstId));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Marks a record dead; false if it is not live. */
  kill(id: number): boolean {
    const segment = this.find(id);
    return segment !== undefined && this.killIn(segment, id);
  }

  /** The same where the caller knows the segment. */
  killIn(segment: LogSegment, id: number): boolean {
    if (!segment.live.remove(id)) return false;
    segment.noteKilled(id, id);
    this.#watcher?.killed(segment, id);
    this.liveCount--;
    this.changes++;
    return true;
  }

  /** Marks all of [first, last] dead; how many were live. `each` is told for every segment how many. */
  killRange(first: number, last: number, each?: (segment: LogSegment, killed: number) => void): number {
    let total = 0;
    for (let i = this.#lowerBound(first); i < this.#segments.length; i++) {
      const segment = this.#segments[i];
      if (segment === undefined || segment.isEmpty) continue;
      if (segment.firstId > last) break;
      const from = Math.max(first, segment.firstId);
      const to = Math.min(last, segment.lastId);
      this.#watcher?.killing(segment, from, to);
      const killed = segment.live.removeRange(from, to);
      segment.noteKilled(from, to);
      if (killed > 0) each?.(segment, killed);
      total += killed;
    }
    this.liveCount -= total;
    this.changes++;
    return total;
  }

  /** The live IDs from `first` to `last`, as maximal ranges. */
  liveRanges(first: number, last: number): IdRange[] {
    const ranges: IdRange[] = [];
    for (let i = this.#lowerBound(first); i < this.#segments.length; i++) {
      const segment = this.#segments[i];
      if (segment === undefined || segment.isEmpty) continue;
      if (segment.firstId > last) break;
      for (const run of segment.live.liveRuns(Math.max(first, segment.firstId))) {
        if (run.first > last) break;
        const end = Math.min(run.last, last);
        const before = ranges.at(-1);
        if (before !== undefined && before.last + 1 === run.first)
          ranges.splice(-1, 1, { first: before.first, last: end });
        else ranges.push({ first: run.first, last: end });
      }
    }
    return ranges;
  }

  /** Takes a removal back that did not become durable. */
  revive(id: number): void {
    const segment = this.find(id);
    assert(segment !== undefined, 'only a record that is still there comes back to life');
    segment.noteRevived(id);
    segment.live.revive(id);
    this.#watcher?.revived(segment, id);
    this.liveCount++;
    this.changes++;
  }

  /** Appended records of the newest segment become visible and live. `sizes`: of their payloads, for who asks. */
  grow(
    segment: LogSegment,
    firstId: number,
    count: number,
    payloadBytes: number,
    timestamp: number,
    end: number,
    sizes: () => Iterable<number> = () => Array.from({ length: count }, () => payloadBytes / count),
  ): void {
    assert(segment === this.newest || segment.phase === 'active', 'only the active segment grows');
    segment.grow(firstId, count, payloadBytes, timestamp, end);
    this.count += count;
    this.liveCount += count;
    this.#watcher?.appended(firstId, count, sizes);
  }

  /** Loads the positions of a segment into the tree, if they are still in its footer. `open` reads from the segment's file. */
  async ensureIndexed(segment: LogSegment, file: VfsFile): Promise<void> {
    if (segment.indexPlace.kind === 'loaded') return;
    const underWay = this.#indexing.get(segment);
    if (underWay !== undefined) return underWay;
    const loading = this.#loadIndex(segment, file).finally(() => this.#indexing.delete(segment));
    this.#indexing.set(segment, loading);
    return loading;
  }

  async #loadIndex(segment: LogSegment, file: VfsFile): Promise<void> {
    const place = segment.indexPlace;
    if (place.kind === 'loaded') return;
    let index = await readFooterIndex(file, place.footer, segment.seed);
    // A damaged index section costs a scan, and nothing else.
    index ??= (await scanSegment(file, segment.end, segment.seed, segment.baseId, this.indexIntervalBytes)).index;
    if (segment.indexPlace.kind === 'loaded') return;
    segment.indexPlace = { kind: 'loaded' };
    if (segment.phase === 'dropped') return;
    segment.wide = index.wide;
    this.index.load(segment.slot, index.ids, index.offsets, index.mids);
  }

  /** The index of a segment whose positions are in the tree, as salvage wants it. Synchronous. */
  indexOf({ slot, firstId, wide, phase }: LogSegment): SalvageIndex {
    const found: SalvageIndex = { ids: [], offsets: [], mids: [], wide };
    const { index } = this;
    if (phase === 'dropped') return found;
    for (let more = index.floor(firstId); more && index.slot === slot; more = index.next(index.key)) {
      found.ids.push(index.key);
      found.offsets.push(index.offset);
      found.mids.push(index.mid);
    }
    return found;
  }

  /** Throws at the first broken invariant. */
  check(): void {
    let live = 0;
    let count = 0;
    let last = -1;
    for (const segment of this.#segments) {
      segment.check();
      assert(this.#slots[segment.slot] === segment, 'a segment knows its slot');
      live += segment.live.liveCount;
      count += segment.count;
      if (segment.isEmpty) continue;
      assert(segment.firstId > last, 'segments ascend by ID');
      assert(
        this.index.floor(segment.firstId) && this.index.slot === segment.slot,
        'the first record of a segment is indexed',
      );
      last = segment.lastId;
    }
    assert(live === this.liveCount, `live records are counted: ${live} and ${this.liveCount}`);
    assert(count === this.count, `records are counted: ${count} and ${this.count}`);
    this.index.check();
  }

  /** Index of the first segment whose last ID is `id` or beyond. Empty segments stand at the end only. */
  #lowerBound(id: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const segment = this.#segments[middle];
      if (segment !== undefined && !segment.isEmpty && segment.lastId < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #adopt(segment: LogSegment): void {
    segment.slot = this.#freeSlots.pop() ?? this.#slots.length;
    this.#slots[segment.slot] = segment;
    this.liveCount += segment.live.liveCount;
    this.count += segment.count;
    const watcher = this.#watcher;
    if (watcher !== undefined) segment.onHeld = (count) => watcher.held(count);
    if (!segment.footerDurable) insertById(this.#unsealed, segment);
    // Until the finer positions are loaded, the walk starts at the front of the file.
    if (!segment.isEmpty) this.index.set(segment.firstId, segment.slot, FILE_HEADER_BYTES, 0);
  }

  #release(segment: LogSegment): void {
    if (!segment.isEmpty) this.index.deleteRange(segment.firstId, segment.lastId);
    this.liveCount -= segment.live.liveCount;
    this.count -= segment.count;
    this.#slots[segment.slot] = undefined;
    this.#freeSlots.push(segment.slot);
    segment.advance('dropped');
  }
}

/** Nearly always at the end. */
function insertById(segments: LogSegment[], segment: LogSegment): void {
  let at = segments.length;
  while (at > 0 && (segments[at - 1]?.id ?? -1) > segment.id) at--;
  segments.splice(at, 0, segment);
}
