/** The limits of one queue, put together: what they count, who is let in, what is dropped, what expires. */
import type { EvaqError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import type { IdRange } from '../ids.js';
import { LiveBytesCount } from '../log/live-bytes-count.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Host } from '../vfs/host.js';
import type { Claims } from './claims.js';
import type { CommitPipeline } from './commit-pipeline.js';
import { Dropping } from './dropping.js';
import type { FreeSpace } from './free-space.js';
import type { ResolvedLimits, WhenFull } from './limit-options.js';
import { LimitedPushes, type Pushes } from './limited-pushes.js';
import type { LiveReads } from './live-reads.js';
import { RecordExpiry } from './record-expiry.js';
import type { RemovalPipeline } from './removal-pipeline.js';
import type { Removing } from './removing.js';
import type { Waiters } from './waiters.js';

/** What a queue may hold, what of it is taken, and what that has cost. */
export interface LimitStats {
  readonly bytes: number | undefined;
  readonly records: number | undefined;
  readonly ageMs: number | undefined;
  readonly whenFull: WhenFull;
  /** Live records, pushes under way and removals under way. `usedBytes` is undefined where there is no limit on bytes. */
  readonly usedRecords: number;
  readonly usedBytes: number | undefined;
  /** Pushes that wait for room. */
  readonly waiting: number;
  /** Records that were dropped for others, since the queue was opened. */
  readonly dropped: number;
  /** Records that were removed since they were too old. */
  readonly expired: number;
  /** The IDs of the last of both, at most 16 ranges. */
  readonly droppedRanges: readonly { readonly first: number; readonly last: number }[];
  /** Of the file system, as of the last look; undefined without `minFreeBytes`, or where it cannot be told. */
  readonly freeBytes: number | undefined;
  /** Of the store; undefined without it. */
  readonly minFreeBytes: number | undefined;
}

/** Of the queue. What is a function is there when it is called. */
export interface QueueLimitsOptions {
  readonly storeId: string;
  readonly queue: string;
  readonly dir: string;
  readonly limits: ResolvedLimits | undefined;
  readonly space: FreeSpace | undefined;
  readonly host: Host;
  readonly failStop: FailStop;
  readonly log: SegmentLog;
  readonly nextId: number;
  readonly commits: CommitPipeline;
  readonly claims: () => Claims;
  readonly removing: () => Removing;
  readonly removals: () => RemovalPipeline;
  readonly reads: () => LiveReads;
  readonly news: Waiters;
  readonly departures: Waiters;
  readonly isOpen: () => boolean;
  readonly closed: () => EvaqError;
  readonly finishing: <T>(body: () => Promise<T>) => Promise<T>;
  readonly hold: () => () => void;
}

const NO_LIMITS: ResolvedLimits = { bytes: undefined, records: undefined, ageMs: undefined, whenFull: 'reject' };

export class QueueLimits {
  /** What takes pushes: within the limits, if there are any. */
  readonly pushes: Pushes;
  readonly #limits: ResolvedLimits | undefined;
  readonly #space: FreeSpace | undefined;
  readonly #limited: LimitedPushes | undefined;
  readonly #dropping: Dropping;
  readonly #expiry: RecordExpiry | undefined;
  readonly #closed: () => EvaqError;
  readonly #log: Pick<SegmentLog, 'liveCount'>;

  constructor(options: QueueLimitsOptions) {
    const { limits, space, commits, log, nextId, host, failStop, finishing, isOpen } = options;
    this.#limits = limits;
    this.#space = space;
    this.#closed = options.closed;
    this.#log = log;
    this.#dropping = new Dropping({
      storeId: options.storeId,
      queue: options.queue,
      dir: options.dir,
      log,
      claims: { isLeased: (id) => options.claims().isLeased(id) },
      removing: { removeMany: (ids) => options.removing().removeMany(ids) },
      whenNothingOwed: (action) => options.removals().whenNothingOwed(action),
      failure: () => failStop.error,
      finishing,
    });
    const { bytes, records, ageMs } = limits ?? NO_LIMITS;
    const areFew = bytes !== undefined || records !== undefined;
    if (areFew || space !== undefined) {
      this.#limited = new LimitedPushes({
        queue: options.queue,
        commits,
        limits: limits ?? NO_LIMITS,
        space,
        log,
        count: new LiveBytesCount(log, nextId, bytes !== undefined),
        dropping: this.#dropping,
        host,
        failStop,
        departures: options.departures,
        closed: () => (isOpen() ? undefined : options.closed()),
        hold: options.hold,
      });
    }
    this.pushes = this.#limited ?? commits;
    if (ageMs !== undefined) {
      this.#expiry = new RecordExpiry({
        ageMs,
        host,
        log,
        read: (from, to, limit) => options.reads().read(from, to, limit),
        dropping: this.#dropping,
        news: options.news,
        nextId,
        isOpen,
        finishing,
      });
    }
  }

  /** Begins to look for what is too old. */
  start(): void {
    this.#expiry?.start();
  }

  /** The record is not leased or claimed any more. */
  freed(id: number): void {
    this.#dropping.freed(id);
  }

  /** Nobody waits any more, and nothing expires. */
  close(): void {
    this.#expiry?.stop();
    this.#limited?.close(this.#closed());
  }

  /** Undefined where the queue has no limits, nor the store. */
  stats(): LimitStats | undefined {
    const limits = this.#limits ?? NO_LIMITS;
    if (this.#limits === undefined && this.#space === undefined) return undefined;
    const { counts, ranges } = this.#dropping;
    const use = this.#limited?.use;
    const free = this.#space?.freeBytes ?? Infinity;
    return {
      ...limits,
      usedRecords: use?.records ?? this.#log.liveCount,
      usedBytes: limits.bytes === undefined ? undefined : (use?.bytes ?? 0),
      waiting: use?.waiting ?? 0,
      dropped: counts.full,
      expired: counts.expired,
      droppedRanges: copyOf(ranges),
      freeBytes: free === Infinity ? undefined : free,
      minFreeBytes: this.#space?.minFreeBytes,
    };
  }
}

function copyOf(ranges: readonly IdRange[]): IdRange[] {
  return ranges.map(({ first, last }) => ({ first, last }));
}
