/**
 * Seals the segments that the commit pipeline has left: writes their footers, in order, in the background.
 *
 * A footer is not part of the commit that fills a segment, for two reasons: no push should wait for it, and a segment that holds moved records
 * may only be sealed when their removal from the source is durable (P10), since recovery looks for unfinished moves in unsealed segments
 * alone. A footer is trusted without a look at the bodies, so they are synced before it is written.
 *
 * A footer that could not be written for now stays due, and is tried again with every removal, roll and move, and by and by.
 */
import { ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { encodeFooter } from '../segment/segment-footer.js';
import { newSegmentIndex } from '../segment/segment-index.js';
import type { Host } from '../vfs/host.js';
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
  readonly onSealed: (left: ActiveSegment) => Promise<void>;
  /** A footer could not be written; `undefined`: now it was. */
  readonly onError: (error: ReturnType<typeof ioError> | undefined) => void;
}

interface Due {
  readonly left: ActiveSegment;
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
    this.#due.push({ left, moves: [...this.#moves] });
    if (this.#options.patient) {
      this.#cancelTimer ??= this.#options.host.after(PATIENCE_MS, () => {
        this.#cancelTimer = undefined;
        void this.hurry();
      });
    }
    this.retry();
  }

  /** Something may have become possible: a removal or a move is durable. */
  retry(): void {
    if (this.#due.length > 0) this.#sealing = this.#sealing.then(() => this.#sealDue(false));
  }

  /** Seals all that was left before and may be sealed, without patience; resolves when that is done. */
  hurry(): Promise<void> {
    this.#sealing = this.#sealing.then(() => this.#sealDue(true));
    return this.#sealing;
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
    for (const { left } of this.#due) await this.#writeFooter(left);
    if (!active.segment.isEmpty) await this.#writeFooter(active);
  }

  async close(): Promise<void> {
    for (const { left } of this.#due) await left.file.close().catch(() => undefined);
  }

  /** Writes the footers that are due now, in order. On a full disk they stay due. */
  async #sealDue(hurried: boolean): Promise<void> {
    // Not those that become due meanwhile, or it might never end.
    for (const next of this.#due) {
      if (this.#stopped) return;
      const { left, moves } = next;
      const { segment } = left;
      if (this.#options.failStop.error !== undefined || moves.some((move) => this.#moves.has(move))) return;
      // One in which nothing is live is to be dropped: it needs no footer for that.
      if (!segment.isDead) {
        if (!hurried && this.#isPatient()) return;
        try {
          await this.#writeFooter(left);
        } catch (cause) {
          const { queue } = this.#options;
          const { path } = left.file;
          this.#options.onError(ioError(cause, `sealing a segment of queue '${queue}'`, { queue, path }));
          this.#retryLater();
          return;
        }
        if (this.#failures > 0) this.#options.onError(undefined);
        this.#failures = 0;
      }
      this.#due = this.#due.slice(1);
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

  async #writeFooter(left: ActiveSegment): Promise<void> {
    const { segment, file } = left;
    const { host, removalRound } = this.#options;
    if (left.durableEnd < left.writtenEnd) await this.#sync(left);
    left.durableEnd = left.writtenEnd;
    const summary = {
      count: segment.count,
      firstId: segment.firstId,
      lastId: segment.lastId,
      minTimeMs: segment.minTimeMs,
      maxTimeMs: segment.maxTimeMs,
      payloadBytes: segment.payloadBytes,
      dataEnd: left.writtenEnd,
      removalSeq: removalRound(),
      runs: undefined,
      replaces: [],
    };
    const index = segment.building ?? newSegmentIndex();
    const footer = encodeFooter(summary, index, segment.seed, left.durableEnd, host.now());
    await file.writeAt(footer, 0, footer.length, left.writtenEnd);
    await file.truncate(left.writtenEnd + footer.length);
    await this.#sync(left);
    segment.fileBytes = left.writtenEnd + footer.length;
    segment.wide = index.wide;
    segment.noteFooterDurable();
  }

  async #sync({ file }: ActiveSegment): Promise<void> {
    try {
      await file.sync();
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'sealing a segment', file.path);
    }
  }
}
