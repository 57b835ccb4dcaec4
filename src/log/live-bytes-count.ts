/**
 * Counts the bytes of a queue's live records as they come and go, for a queue that is to have no more than so many: payload, and 8 bytes for the frame.
 * Metadata is not counted. A change costs what it names.
 *
 * Of a record that was pushed since the queue was opened the size is known. Of older ones the average of those that are left of their segment tells,
 * which is exact for all of them together.
 *
 * Invariants: `liveBytes` is what the live records have, as far as sizes are known; what is held is the records whose removal is under way, or that are
 * claimed: dead to readers, and not gone yet. With nothing held, `heldBytes` is 0.
 */
import { assert } from '../assert.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { LiveWatcher } from './live-watcher.js';
import type { LogSegment } from './log-segment.js';
import { PayloadTable } from './payload-table.js';
import type { SegmentLog } from './segment-log.js';

/** Live records of a segment whose sizes are not known one by one. */
interface Unknown {
  live: number;
  bytes: number;
}

export class LiveBytesCount implements LiveWatcher {
  readonly #log: Pick<SegmentLog, 'segments' | 'findFrom' | 'firstLive'>;
  /** Undefined: records are counted, bytes are not. */
  readonly #sizes: PayloadTable | undefined;
  /** From here on sizes are known. */
  readonly #knownFrom: number;
  readonly #unknown = new Map<LogSegment, Unknown>();
  #liveBytes = 0;
  #heldRecords = 0;
  #heldBytes = 0;

  /** Of the records that are there, of which none is held. All from `nextId` on will be told. */
  constructor(log: SegmentLog, nextId: number, countsBytes: boolean) {
    this.#log = log;
    this.#sizes = countsBytes ? new PayloadTable() : undefined;
    this.#knownFrom = nextId;
    for (const segment of countsBytes ? log.segments : []) {
      const { count, payloadBytes, live } = segment;
      if (live.liveCount === 0) continue;
      const bytes = (payloadBytes + count * DENSE_FRAME_BYTES) * (live.liveCount / count);
      this.#unknown.set(segment, { live: live.liveCount, bytes });
      this.#liveBytes += bytes;
    }
    log.watch(this);
  }

  /** Of what is live. */
  get liveBytes(): number {
    return Math.max(0, Math.round(this.#liveBytes));
  }

  /** Of what is on its way out. */
  get heldBytes(): number {
    return Math.max(0, Math.round(this.#heldBytes));
  }

  /** Of a live record, about, where it was there when the queue was opened. */
  bytesOf(id: number): number {
    if (this.#sizes === undefined) return 0;
    if (id >= this.#knownFrom) return this.#sizes.of(id) + DENSE_FRAME_BYTES;
    const segment = this.#log.findFrom(id);
    const unknown = segment === undefined ? undefined : this.#unknown.get(segment);
    return unknown === undefined || unknown.live === 0 ? 0 : unknown.bytes / unknown.live;
  }

  get heldRecords(): number {
    return this.#heldRecords;
  }

  appended(firstId: number, count: number, sizes: () => Iterable<number>): void {
    if (this.#sizes === undefined) return;
    assert(firstId >= this.#knownFrom, 'what is appended is new');
    let id = firstId;
    for (const size of sizes()) {
      this.#sizes.note(id++, size);
      this.#liveBytes += size + DENSE_FRAME_BYTES;
    }
    assert(id === firstId + count, 'each record that is appended has a size');
  }

  killed(segment: LogSegment, id: number): void {
    if (this.#sizes === undefined) return;
    this.#gone(id < this.#knownFrom ? this.#takeUnknown(segment, 1) : this.#sizes.of(id) + DENSE_FRAME_BYTES);
  }

  killing(segment: LogSegment, first: number, last: number): void {
    const sizes = this.#sizes;
    if (sizes === undefined) return;
    for (const run of segment.live.liveRuns(first)) {
      if (run.first > last) break;
      const end = Math.min(run.last, last);
      const known = Math.max(run.first, this.#knownFrom);
      if (known > run.first) this.#gone(this.#takeUnknown(segment, Math.min(end + 1, known) - run.first));
      if (known <= end) this.#gone(sizes.sum(known, end) + (end - known + 1) * DENSE_FRAME_BYTES);
    }
  }

  revived(segment: LogSegment, id: number): void {
    if (this.#sizes === undefined) return;
    if (id >= this.#knownFrom) {
      this.#liveBytes += this.#sizes.of(id) + DENSE_FRAME_BYTES;
      return;
    }
    const unknown = this.#unknown.get(segment) ?? { live: 0, bytes: 0 };
    const average =
      unknown.live > 0 ? unknown.bytes / unknown.live : segment.payloadBytes / segment.count + DENSE_FRAME_BYTES;
    unknown.live++;
    unknown.bytes += average;
    this.#unknown.set(segment, unknown);
    this.#liveBytes += average;
  }

  replaced(old: readonly LogSegment[], copy: LogSegment): void {
    if (this.#sizes === undefined) return;
    const together: Unknown = { live: 0, bytes: 0 };
    for (const segment of old) {
      const unknown = this.#unknown.get(segment);
      this.#unknown.delete(segment);
      together.live += unknown?.live ?? 0;
      together.bytes += unknown?.bytes ?? 0;
      this.#forget(segment);
    }
    // What could not be read is not in the copy.
    const live = copy.live.countLive(copy.firstId, Math.min(copy.lastId, this.#knownFrom - 1));
    const bytes = together.live === 0 ? 0 : (together.bytes * live) / together.live;
    this.#liveBytes -= together.bytes - bytes;
    if (live > 0) this.#unknown.set(copy, { live, bytes });
  }

  dropped(segment: LogSegment): void {
    if (this.#sizes === undefined) return;
    this.#liveBytes -= this.#unknown.get(segment)?.bytes ?? 0;
    this.#unknown.delete(segment);
    this.#forget(segment);
  }

  held(count: number): void {
    // Which of those that are held are let go is not told: their average is.
    if (count < 0) this.#heldBytes += (this.#heldBytes * count) / this.#heldRecords;
    this.#heldRecords += count;
    assert(this.#heldRecords >= 0, 'what is let go was held');
    if (this.#heldRecords === 0) this.#heldBytes = 0;
  }

  /** Throws at the first broken invariant. For tests, whose records are all of one size where they are not known. */
  check(): void {
    if (this.#sizes === undefined) return;
    let bytes = 0;
    for (const { bytes: unknown } of this.#unknown.values()) bytes += unknown;
    for (const segment of this.#log.segments) {
      if (segment.isEmpty) continue;
      for (const { first, last } of segment.live.liveRuns(Math.max(segment.firstId, this.#knownFrom)))
        bytes += this.#sizes.sum(first, last) + (last - first + 1) * DENSE_FRAME_BYTES;
    }
    assert(Math.abs(bytes - this.#liveBytes) < 1, `live bytes are counted: ${bytes} and ${this.#liveBytes}`);
  }

  /** Whoever marks a record dead holds it in the same stretch. */
  #gone(bytes: number): void {
    this.#liveBytes -= bytes;
    this.#heldBytes += bytes;
  }

  #takeUnknown(segment: LogSegment, count: number): number {
    const unknown = this.#unknown.get(segment);
    if (unknown === undefined || unknown.live === 0) return 0;
    const bytes = (unknown.bytes * count) / unknown.live;
    unknown.live -= count;
    unknown.bytes = unknown.live <= 0 ? 0 : unknown.bytes - bytes;
    if (unknown.live <= 0) this.#unknown.delete(segment);
    return bytes;
  }

  /** What is needed of its pages: where a record is live, or may be given back. */
  #forget({ firstId, lastId }: LogSegment): void {
    this.#sizes?.forget(Math.max(firstId, this.#knownFrom), lastId, (first, last) => {
      const live = this.#log.firstLive(first);
      if (live !== undefined && live <= last) return true;
      const there = this.#log.findFrom(first);
      return there !== undefined && there.firstId <= last && (there.pendingRemovals > 0 || there.phase === 'active');
    });
  }
}
