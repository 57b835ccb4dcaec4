/**
 * Seals the segments that the commit pipeline has left: writes their footers, in order, in the background.
 *
 * A footer is not part of the commit that fills a segment, for two reasons: no push should wait for it, and a segment that holds moved records
 * may only be sealed when their removal from the source is durable (P10), since recovery looks for unfinished moves in unsealed segments
 * alone. A footer is trusted without a look at the bodies, so they are synced before it is written.
 */
import { ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { encodeFooter } from '../segment/segment-footer.js';
import { newSegmentIndex } from '../segment/segment-index.js';
import type { Host } from '../vfs/host.js';
import type { ActiveSegment } from './active-segment.js';

export interface SegmentSealerOptions {
  readonly queue: string;
  readonly host: Host;
  readonly failStop: FailStop;
  readonly removalRound: () => number;
  readonly onSealed: (left: ActiveSegment) => Promise<void>;
  readonly onError: (error: ReturnType<typeof ioError>) => void;
}

export class SegmentSealer {
  readonly #options: SegmentSealerOptions;
  /** Moves into the queue whose source is not durably removed. */
  readonly #moves = new Set<Promise<void>>();
  #due: ActiveSegment[] = [];
  #sealing: Promise<void> = Promise.resolve();
  #stopped = false;
  #stop: () => void = () => undefined;
  readonly #stopping: Promise<void>;

  constructor(options: SegmentSealerOptions) {
    this.#options = options;
    this.#stopping = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  /** No segment that may hold the record of a move is sealed before the returned function is called. To be called before it is appended. */
  beginMove(): () => void {
    let end: () => void = () => undefined;
    const move = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#moves.add(move);
    return () => {
      this.#moves.delete(move);
      end();
    };
  }

  get hasMoves(): boolean {
    return this.#moves.size > 0;
  }

  /** Seals a segment that was left, once the moves that may have gone into it are settled. */
  seal(left: ActiveSegment): void {
    this.#due.push(left);
    const moves = [...this.#moves];
    this.#sealing = this.#sealing.then(async () => {
      if (moves.length > 0) await Promise.race([Promise.all(moves), this.#stopping]);
      if (moves.some((move) => this.#moves.has(move))) return;
      await this.#sealDue();
    });
  }

  /** Tries again what found no space. */
  retry(): void {
    if (this.#due.length === 0) return;
    this.#sealing = this.#sealing.then(() => (this.#moves.size === 0 ? this.#sealDue() : undefined));
  }

  /** Resolves when nothing is being sealed. */
  settled(): Promise<void> {
    return this.#sealing;
  }

  /** Nothing new is sealed in the background; resolves when what was under way is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stop();
    await this.#sealing;
  }

  /** Seals what is due and then `active`, for a clean close. Rejects if it cannot. */
  async sealAll(active: ActiveSegment): Promise<void> {
    for (const left of this.#due) await this.#writeFooter(left);
    if (!active.segment.isEmpty) await this.#writeFooter(active);
  }

  async close(): Promise<void> {
    for (const left of this.#due) await left.file.close().catch(() => undefined);
  }

  /** Writes the footers that are due. On a full disk they stay due. */
  async #sealDue(): Promise<void> {
    for (let left = this.#due[0]; left !== undefined && !this.#stopped; left = this.#due[0]) {
      if (this.#options.failStop.error !== undefined) return;
      try {
        await this.#writeFooter(left);
      } catch (cause) {
        const { queue } = this.#options;
        this.#options.onError(ioError(cause, `sealing a segment of queue '${queue}'`, { queue, path: left.file.path }));
        // One in which nothing is live is to be dropped: it needs no footer for that.
        if (!left.segment.isDead || this.#options.failStop.error !== undefined) return;
      }
      this.#due = this.#due.slice(1);
      left.segment.phase = 'sealed';
      left.segment.building = undefined;
      await left.syncing;
      await left.file.close().catch(() => undefined);
      await this.#options.onSealed(left);
    }
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
    segment.footerDurable = true;
  }

  async #sync({ file }: ActiveSegment): Promise<void> {
    try {
      await file.sync();
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'sealing a segment', file.path);
    }
  }
}
