/**
 * The copy that a rewrite makes: live records in sparse commits of a new segment, and what its footer will say of them.
 */
import { CommitBuilder } from '../frame/commit-builder.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import { type FrameView, META_LENGTH_BYTES } from '../frame/record-frame.js';
import type { IdRange } from '../ids.js';
import type { LiveSet } from '../index/live-set.js';
import type { LogSegment } from '../log/log-segment.js';
import { type SegmentSummary, summaryTimes } from '../segment/segment-footer.js';
import { newSegmentIndex, type SegmentIndex } from '../segment/segment-index.js';
import type { DraftSegment } from '../segment/segment-supply.js';
import { SegmentTimes } from '../segment/segment-times.js';

/** Size of one written commit of copies. */
const COPY_BYTES = 256 * 1024;

/** Collects records into sparse commits of a new segment. */
export class Copier {
  readonly index: SegmentIndex = newSegmentIndex();
  readonly #builder = new CommitBuilder('sparse');
  readonly #draft: DraftSegment;
  readonly #intervalBytes: number;
  readonly #removalRound: number;
  readonly #runs: IdRange[] = [];
  #runFirst = -1;
  #runLast = -2;
  #end = FILE_HEADER_BYTES;
  #marked = -Infinity;
  #payloadBytes = 0;
  readonly #times = new SegmentTimes();
  #firstId = -1;
  count = 0;
  /** Commits that are complete and not yet written. */
  #full: Buffer[] = [];

  constructor(draft: DraftSegment, intervalBytes: number, removalRound: number) {
    this.#draft = draft;
    this.#intervalBytes = intervalBytes;
    this.#removalRound = removalRound;
  }

  get wantsFlush(): boolean {
    return this.#builder.length >= COPY_BYTES || this.#full.length > 0;
  }

  /** Where the next commit will begin, and so about as much as the segment has. */
  get bytes(): number {
    return this.#end + this.#builder.length;
  }

  /** Adds the record at `at` of a checked buffer, if it is one of those that are `live`. */
  add(source: LogSegment, live: LiveSet, buffer: Buffer, at: number, frame: FrameView): void {
    const { id, timestamp, payloadBytes, payloadAt, metaAt, frameBytes } = frame;
    if (!live.has(id)) return;
    if (!this.#builder.accepts(id, timestamp)) this.#complete();
    const { minMs } = source.times;
    // What the head of the frame is says its commit, and not the segment.
    const bodyAt = metaAt > 0 ? metaAt - META_LENGTH_BYTES : payloadAt;
    this.#builder.addCopy(id, timestamp, buffer, bodyAt, at + frameBytes - bodyAt, metaAt > 0, minMs);
    this.#note(id, timestamp, payloadBytes);
  }

  /** Adds a record that comes from elsewhere, with its ID and time. IDs ascend. `body`: as `frameBodyOf` makes it. */
  addForeign(id: number, timestamp: number, body: Buffer, hasMeta: boolean, payloadBytes: number): void {
    if (!this.#builder.accepts(id, timestamp)) this.#complete();
    this.#builder.addCopy(id, timestamp, body, 0, body.length, hasMeta);
    this.#note(id, timestamp, payloadBytes);
  }

  #note(id: number, timestamp: number, payloadBytes: number): void {
    if (this.count === 0) this.#firstId = id;
    this.#times.note(id, timestamp);
    this.#payloadBytes += payloadBytes;
    this.count++;
    if (id === this.#runLast + 1) {
      this.#runLast = id;
    } else {
      this.#closeRun();
      this.#runFirst = id;
      this.#runLast = id;
    }
  }

  /** Writes what was collected. */
  async flush(): Promise<void> {
    if (this.#builder.count > 0) this.#complete();
    const full = this.#full;
    this.#full = [];
    let at = this.#end - full.reduce((sum, bytes) => sum + bytes.length, 0);
    for (const bytes of full) {
      await this.#draft.file.writeAt(bytes, 0, bytes.length, at);
      at += bytes.length;
    }
  }

  summary(replaces: readonly number[]): SegmentSummary {
    this.#closeRun();
    return {
      count: this.count,
      firstId: this.count === 0 ? this.#draft.baseId : this.#firstId,
      lastId: this.count === 0 ? this.#draft.baseId - 1 : this.#runLast,
      ...summaryTimes(this.#times),
      payloadBytes: this.#payloadBytes,
      dataEnd: this.#end,
      removalSeq: this.#removalRound,
      runs: this.#runs,
      replaces,
    };
  }

  #closeRun(): void {
    if (this.#runFirst >= 0) this.#runs.push({ first: this.#runFirst, last: this.#runLast });
    this.#runFirst = -1;
  }

  /** Ends the commit being built and gives it its place. */
  #complete(): void {
    const builder = this.#builder;
    const offset = this.#end;
    const { sparseFirstId: firstId, sparseTimestamp: timestamp } = builder;
    if (offset - this.#marked >= this.#intervalBytes) this.#mark(firstId, offset, 0);
    let wide = false;
    const place = {
      seed: this.#draft.seed,
      fileOffset: offset,
      firstId,
      timestamp,
      durableOffset: 0,
      removalSeq: this.#removalRound,
    };
    builder.finish(place, this.#intervalBytes, this.#marked, (id, at) => {
      this.#mark(id, at, 1);
      wide = true;
    });
    const bytes = builder.toBuffer();
    this.#end += bytes.length;
    if (wide) this.index.wide.push({ offset, end: this.#end, firstId, timestamp });
    this.#full.push(bytes);
    builder.reset();
  }

  #mark(id: number, offset: number, mid: 0 | 1): void {
    this.index.ids.push(id);
    this.index.offsets.push(offset);
    this.index.mids.push(mid);
    this.#marked = offset;
  }
}
