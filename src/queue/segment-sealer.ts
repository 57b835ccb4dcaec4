/**
 * Seals the segments that the commit pipeline has left: writes their footers, in order, in the background.
 *
 * A footer is not part of the commit that fills a segment, for two reasons: no push should wait for it, and a segment that holds moved records
 * may only be sealed when their removal from the source is durable (P10), since recovery looks for unfinished moves in unsealed segments
 * alone. A footer is trusted without a look at the bodies, so they are synced before it is written.
 *
 * A footer that could not be written for now stays due, and is tried again with every removal, roll and move, and by and by.
 */
import { type EvaqError, ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { encodeFooter, type SegmentSummary, summaryTimes } from '../segment/segment-footer.js';
import { newSegmentIndex } from '../segment/segment-index.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { ActiveSegment } from './active-segment.js';

/**
 * In mode 'os' a segment is left to the kernel for a while: its footer takes two syncs, and by then it may be dead, or written out anyway. Past
 * so many bytes, or after so long, it is sealed all the same, so that no crash leaves much to be scanned.
 */
const PATIENCE_BYTES = 256 * 1024 * 1024;
const PATIENCE_MS = 2_000;
/** After a failure: so long until the next try, twice as long after each further one, up to the bound. */
const RETRY_MS = 5_000;
const RETRY_MS_MAX = 60_000;

export interface SegmentSealerOptions {
  readonly queue: string;
  readonly host: Host;
  readonly failStop: FailStop;
  /** Whether segments may wait for their footers: mode 'os'. */
  readonly patient: boolean;
  readonly removalRound: () => number;
  /** Whether something that a segment alone tells has to be kept elsewhere before it is sealed or dropped, and the keeping, which may reject. */
  readonly owes: (left: ActiveSegment) => boolean;
  readonly keep: (left: ActiveSegment) => Promise<void>;
  readonly onSealed: (left: ActiveSegment) => Promise<void>;
  /** A footer could not be written; `undefined`: now it was. */
  readonly onError: (error: EvaqError | undefined) => void;
}

/** A segment that was found without a footer, and got none for want of space. */
export interface LeftSegment {
  readonly active: ActiveSegment;
  readonly runs: SegmentSummary['runs'];
  /** Behind its content a footer stands, damaged: without it the segment would seem to have lost its end. */
  readonly isFooterRotten: boolean;
}

interface Due {
  readonly left: ActiveSegment;
  /** For the footer, where not all IDs between first and last are there. */
  readonly runs: SegmentSummary['runs'];
  readonly isFooterRotten: boolean;
  /** Moves whose records may be in it. */
  readonly moves: readonly symbol[];
}

export class SegmentSealer {
  readonly #options: SegmentSealerOptions;
  /** Moves into the queue whose source is not durably removed. */
  readonly #moves = new Set<symbol>();
  #due: Due[] = [];
  #sealing: Promise<void> = Promise.resolve();
  #stopped = false;
  /** In a row. */
  #failures = 0;
  /** The last of them. */
  #failure: EvaqError | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SegmentSealerOptions) {
    this.#options = options;
  }

  /** No segment that may hold the record of a move is sealed before the returned function is called. To be called before it is appended. */
  beginMove(): () => void {
    const move = Symbol('move');
    this.#moves.add(move);
    return () => {
      this.#moves.delete(move);
      this.retry();
    };
  }

  get hasMoves(): boolean {
    return this.#moves.size > 0;
  }

  /** Seals a segment that was left, once the moves that may have gone into it are settled. */
  seal(left: ActiveSegment): void {
    this.#due.push({ left, runs: undefined, isFooterRotten: false, moves: [...this.#moves] });
    if (this.#options.patient) {
      this.#cancelTimer ??= this.#options.host.after(PATIENCE_MS, () => {
        this.#cancelTimer = undefined;
        void this.hurry();
      });
    }
    this.retry();
  }

  /** Takes over what opening had to leave: from then on it is due. */
  adopt(found: readonly LeftSegment[]): void {
    for (const { active, ...rest } of found) this.#due.push({ left: active, ...rest, moves: [] });
    this.retry();
  }

  /** Something may have become possible: a removal or a move is durable. */
  retry(): void {
    if (this.#due.length > 0) this.#sealing = this.#sealing.then(() => this.#sealDue(false));
  }

  /** Seals all that was left before and may be sealed, without patience; resolves when that is done, or with why a footer could not be written. */
  async hurry(): Promise<EvaqError | undefined> {
    this.#sealing = this.#sealing.then(() => this.#sealDue(true));
    await this.#sealing;
    return this.#failure;
  }

  /** Nothing new is sealed in the background; resolves when what was under way is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelRetry?.();
    await this.#sealing;
  }

  /** Seals what is due and then `active`, for a clean close. Rejects if it cannot. */
  async sealAll(active: ActiveSegment): Promise<void> {
    for (const { left, runs, isFooterRotten } of this.#due) await this.#writeFooter(left, runs, isFooterRotten);
    if (!active.segment.isEmpty) await this.#writeFooter(active, undefined, false);
  }

  async close(): Promise<void> {
    for (const { left } of this.#due) {
      await left.filling;
      await left.file.close().catch(() => undefined);
    }
  }

  /** Writes the footers that are due now, in order. On a full disk they stay due; what is dead needs none. */
  async #sealDue(hurried: boolean): Promise<void> {
    let isFull = false;
    // Not those that become due meanwhile, or it might never end.
    for (const next of this.#due) {
      await next.left.filling;
      if (this.#stopped) return;
      const { left, runs, isFooterRotten, moves } = next;
      const { segment } = left;
      if (this.#options.failStop.error !== undefined || moves.some((move) => this.#moves.has(move))) return;
      // One in which nothing is live is to be dropped: it needs no footer for that.
      const isDead = segment.isDead;
      if (!isDead || this.#options.owes(left)) {
        if (isFull) continue;
        if (!hurried && this.#isPatient()) return;
        try {
          if (isDead) await this.#keep(left);
          else await this.#writeFooter(left, runs, isFooterRotten);
        } catch (cause) {
          const { queue } = this.#options;
          const { path } = left.file;
          this.#failure = ioError(cause, `sealing a segment of queue '${queue}'`, { queue, path });
          this.#options.onError(this.#failure);
          this.#retryLater();
          isFull = true;
          continue;
        }
      }
      if (!isFull) {
        if (this.#failures > 0) this.#options.onError(undefined);
        this.#failures = 0;
        this.#failure = undefined;
      }
      this.#due = this.#due.filter((one) => one !== next);
      segment.advance('sealed');
      segment.building = undefined;
      await left.syncing;
      await left.file.close().catch(() => undefined);
      await this.#options.onSealed(left);
    }
  }

  #retryLater(): void {
    const ms = Math.min(RETRY_MS * 2 ** this.#failures, RETRY_MS_MAX);
    this.#failures++;
    this.#cancelRetry?.();
    if (this.#stopped) return;
    this.#cancelRetry = this.#options.host.after(ms, () => this.retry());
  }

  #isPatient(): boolean {
    return this.#options.patient && this.#due.reduce((sum, { left }) => sum + left.writtenEnd, 0) < PATIENCE_BYTES;
  }

  async #writeFooter(left: ActiveSegment, runs: SegmentSummary['runs'], isFooterRotten: boolean): Promise<void> {
    const { segment, file } = left;
    const { host, removalRound } = this.#options;
    await left.filling;
    await this.#keep(left);
    const summary = {
      count: segment.count,
      firstId: segment.firstId,
      lastId: segment.lastId,
      ...summaryTimes(segment.times),
      payloadBytes: segment.payloadBytes,
      dataEnd: left.writtenEnd,
      removalSeq: removalRound(),
      runs,
      replaces: [],
    };
    const index = segment.building ?? newSegmentIndex();
    const footer = encodeFooter(summary, index, segment.seed, left.durableEnd, timeOf(host));
    try {
      await file.writeAt(footer, 0, footer.length, left.writtenEnd);
    } catch (error) {
      // Half a footer is nothing, and would have to be kept aside by the next open. That is tidiness: should it fail, it is so.
      if (!isFooterRotten) await file.truncate(left.writtenEnd).catch(() => undefined);
      throw error;
    }
    await file.truncate(left.writtenEnd + footer.length);
    await this.#sync(left);
    segment.fileBytes = left.writtenEnd + footer.length;
    segment.wide = index.wide;
    segment.noteFooterDurable();
  }

  /** Data before what is told of it. */
  async #keep(left: ActiveSegment): Promise<void> {
    if (left.durableEnd < left.writtenEnd) await this.#sync(left);
    left.durableEnd = left.writtenEnd;
    await this.#options.keep(left);
  }

  async #sync({ file }: ActiveSegment): Promise<void> {
    try {
      await file.sync();
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'sealing a segment', file.path);
    }
  }
}
