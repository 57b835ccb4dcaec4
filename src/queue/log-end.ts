/**
 * The end of a queue's log: the ID that the next record gets, the segment that is appended to, and the place behind what is written.
 *
 * Invariants
 * - IDs are given when a batch is placed, in order, and belong to it alone: a failed batch that was cut away gives its IDs back,
 *   since nobody was told them and the cut is durable.
 * - A segment is left only when the next one's name is durable.
 *
 * Concurrency: placing and taking back are synchronous. The rest is for one commit at a time, but blocking pushes are placed meanwhile.
 */
import { type EvaqError, isNoSpace, isPassing } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import type { Host } from '../vfs/host.js';
import { type ActiveSegment, newActiveSegment } from './active-segment.js';
import { writeAgain, writePlaced } from './active-writer.js';
import { beginPlace, endPlace } from './batch-place.js';
import type { BlockingBudget } from './blocking-budget.js';
import type { DataSync } from './data-sync.js';
import { NextSegment, type SegmentSize } from './next-segment.js';
import { isSettled, type PushBatch } from './push-batch.js';
import { CUT_TRIES } from './push-sync.js';
import { newSegment } from './segment-start.js';
import { fillAhead, fillAheadBlocking } from './zeros-ahead.js';

/** From so many segments on, one file of the pool is kept for rewrites on a full disk. */
export const SPARE_SEGMENTS_MIN = 4;

export interface LogEndOptions {
  readonly log: SegmentLog;
  readonly supply: SegmentSupply;
  readonly host: Host;
  readonly failStop: FailStop;
  readonly blocking: BlockingBudget;
  readonly segmentBytes: number;
  readonly indexIntervalBytes: number;
  readonly nextId: number;
  /** The number of the last durable round of removals. */
  readonly removalRound: () => number;
  /** A segment was left: its footer is to be written when it may. */
  readonly onRolled: (rolled: ActiveSegment) => void;
}

export class LogEnd {
  readonly #options: LogEndOptions;
  readonly #data: DataSync;
  readonly #next: NextSegment;
  #active: ActiveSegment;
  #nextId: number;
  /** Where the active segment ended when a commit found no space. */
  #noSpaceAt = -1;

  constructor(options: LogEndOptions, data: DataSync, active: ActiveSegment) {
    this.#options = options;
    this.#data = data;
    this.#active = active;
    this.#nextId = options.nextId;
    this.#next = new NextSegment({
      supply: options.supply,
      failStop: options.failStop,
      relaxed: data.isRelaxed,
      nextId: () => this.#nextId,
      keep: () => this.#spareFiles,
    });
  }

  /** The ID that the next record gets. */
  get nextId(): number {
    return this.#nextId;
  }

  get active(): ActiveSegment {
    return this.#active;
  }

  /** The last commit found the disk full. */
  get foundNoSpace(): boolean {
    return this.#active.writtenEnd === this.#noSpaceAt;
  }

  /** Whether a commit of so many bytes does not make the segment too large. The first one never does. */
  takes(bytes: number): boolean {
    const { writtenEnd, segment } = this.#active;
    return segment.isEmpty || writtenEnd + bytes <= this.#options.segmentBytes;
  }

  /** Gives a batch its IDs and its place, and ties its checksums to them. Synchronous. */
  place(batch: PushBatch): void {
    this.beginPlace(batch, batch.count);
    this.endPlace(batch);
  }

  /** The first half: the batch will hold `count` records, which may be added later, in the same synchronous stretch. */
  beginPlace(batch: PushBatch, count: number, summedByHeads?: boolean): void {
    const { removalRound, indexIntervalBytes } = this.#options;
    beginPlace(batch, this.#active, {
      firstId: this.#nextId,
      removalSeq: removalRound(),
      indexIntervalBytes,
      count,
      summedByHeads,
    });
  }

  endPlace(batch: PushBatch): void {
    endPlace(batch, this.#active);
    this.#nextId += batch.count;
  }

  /** Writes a batch that was placed last. */
  write(batch: PushBatch): Promise<void> {
    return writePlaced(this.#active, batch, this.#options.blocking);
  }

  /** In mode 'sync' alone: elsewhere nobody waits for a sync. Nor when the store has stopped: its files may be another's by now. */
  fillAhead(active: ActiveSegment, { length }: PushBatch): void {
    const { failStop } = this.#options;
    if (!this.#data.isRelaxed && failStop.error === undefined) fillAhead(active, length, this.#options.segmentBytes);
  }

  /** The same behind a commit that has blocked the thread. */
  fillAheadBlocking(active: ActiveSegment, { length }: PushBatch): void {
    if (!this.#data.isRelaxed) fillAheadBlocking(active, length, this.#options.segmentBytes);
  }

  /** On a full disk: once more, with the space of dead files that are kept for speed alone. False if there is none, or it does not do. */
  async writeAgain(batch: PushBatch, active: ActiveSegment, cause: unknown): Promise<boolean> {
    if (!isNoSpace(cause)) return false;
    try {
      if (!(await this.drainPool())) return false;
      // What pushSync has committed meanwhile is left as it is.
      if (isSettled(batch)) return true;
      await writeAgain(active, batch);
      return true;
    } catch {
      return false;
    }
  }

  /** Makes the file end at `end`, durably. A fault that passes is waited out, for some turns. */
  async cut({ file }: ActiveSegment, end: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await file.truncate(end);
        break;
      } catch (cause) {
        if (tries === CUT_TRIES || !isPassing(cause)) throw cause;
        await this.#options.host.yield();
      }
    }
    await file.sync();
  }

  /** What was placed from `first` on is not in the file any more, which ends at `end`. Its IDs were told to nobody. */
  takeBack(first: PushBatch, end: number, markedOffset: number, error: EvaqError): void {
    const active = this.#active;
    if (error.code === 'EVAQ_NO_SPACE') this.#noSpaceAt = end;
    active.writtenEnd = end;
    active.filledEnd = Math.min(active.filledEnd, end);
    active.markedOffset = markedOffset;
    this.#nextId = first.firstId;
  }

  /** What has to be there before anything is placed found no space. */
  noteNoSpace(): void {
    this.#noSpaceAt = this.#active.writtenEnd;
  }

  /** Gives up dead files that are kept for speed alone. Whether there was any. */
  drainPool(): Promise<boolean> {
    return this.#options.supply.drain(this.#spareFiles);
  }

  /** Begins to make the next segment where the records up to `end` have filled half of this one. */
  lookAhead(end: number): void {
    if (end > this.#options.segmentBytes / 2) this.#next.prepare();
  }

  /** Goes on with the next segment. What is appended meanwhile by `pushSync` still goes to the old one. */
  async switchSegment(size: SegmentSize = 'any'): Promise<void> {
    const draft = await this.#next.take(size);
    if (this.#data.isRelaxed) await this.#data.makeRoom();
    const left = this.#active;
    left.segment.advance('rolled');
    const link = { segmentId: left.segment.id, durableOffset: left.durableEnd };
    const segment = newSegment(draft);
    this.#options.log.append(segment);
    this.#active = newActiveSegment(segment, draft.file, link);
    this.#data.noteLeft(left);
    this.#options.onRolled(left);
  }

  /** Gives up the segment made ahead of time. Nothing may be under way. */
  async close(): Promise<void> {
    await this.#next.close();
    await this.#active.syncing;
    await this.#active.filling;
    await this.#active.file.close().catch(() => undefined);
  }

  /** Files of the pool that are the reserve of GC. */
  get #spareFiles(): number {
    return this.#options.log.segments.length >= SPARE_SEGMENTS_MIN ? 1 : 0;
  }
}
