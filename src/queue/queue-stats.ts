/**
 * A queue in numbers.
 */
import type { EvaqError } from '../errors.js';
import type { Damage } from '../log/log-load.js';
import type { QueueCore } from './queue-core.js';
import type { LimitStats } from './queue-limits.js';

/** What `compact` did, by itself: what GC did in the background meanwhile is not in it. */
export interface GcReport {
  readonly droppedSegments: number;
  readonly rewrittenSegments: number;
  readonly copiedRecords: number;
  /** Bytes written for copies. */
  readonly copiedBytes: number;
  /** Bytes that went back to the file system: of files that were removed, or cut. */
  readonly reclaimedBytes: number;
  /** Bytes of dead files that went to the recycle pool: they are still on disk, to be overwritten. */
  readonly recycledBytes: number;
}

/** A queue in numbers, as of the call. */
export interface QueueStats {
  readonly queue: string;
  /** 'failed': a sync failed, reopen. 'damaged': something could not be read. */
  readonly health: 'ok' | 'damaged' | 'failed';
  readonly live: number;
  /** Removed records whose bytes are still on disk. */
  readonly dead: number;
  readonly nextId: number;
  /** Bytes of segments, tombstone log and intake log, as far as they are written: without what is filled or made ahead of time, and the recycle pool. */
  readonly bytes: number;
  readonly segments: number;
  readonly tombstoneBytes: number;
  /** Dead files kept to be overwritten. */
  readonly recycledFiles: number;
  /** Bytes of pushes that are accepted and not committed yet, framing included; not of those that still wait for room (`maxPendingBytes`). */
  readonly pendingBytes: number;
  /** Removals that could not be written yet for want of space, as ranges of IDs. */
  readonly owedRemovals: number;
  /** What the queue may hold, and what of it is taken; undefined where neither queue nor store has a limit. */
  readonly limits: LimitStats | undefined;
  readonly oldestId: number | undefined;
  /**
   * Age of the record `oldestId`, in ms: that of the earliest one pushed around the same time in its segment, and so it may be less. By the clock as
   * it is now; 0 where that is behind the time of the push.
   */
  readonly oldestAgeMs: number | undefined;
  /** Syncs of data since the queue was opened, in milliseconds. */
  readonly sync: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
  readonly gc: GcReport & { readonly lastError: EvaqError | undefined };
  /** Damage met since the store was opened. */
  readonly damage: readonly Damage[];
}

/** What they need of the store. */
export interface StatsHost {
  /** What the clock says, as a time that files can hold. */
  readonly timeMs: () => number;
  readonly failure: () => EvaqError | undefined;
}

/** As of now. */
export function statsOf(core: QueueCore, host: StatsHost): QueueStats {
  const { log, syncTimes } = core;
  const oldestId = log.firstLive(0);
  // A clock that went back makes it younger than nothing.
  const oldest = oldestId === undefined ? undefined : log.find(oldestId)?.times.spanOf(oldestId);
  const failure = host.failure();
  let bytes = core.removals.logBytes + core.intake.log.bytes;
  for (const segment of log.segments) bytes += segment.phase === 'active' ? segment.end : segment.fileBytes;
  const ms = (micros: number): number => micros / 1000;
  return {
    queue: core.name,
    health: failure !== undefined ? 'failed' : core.damage.length > 0 ? 'damaged' : 'ok',
    live: log.liveCount,
    dead: log.count - log.liveCount,
    nextId: core.commits.nextId,
    bytes,
    segments: log.segments.length,
    tombstoneBytes: core.removals.logBytes,
    recycledFiles: core.supply.poolFiles,
    pendingBytes: core.commits.pendingBytes,
    owedRemovals: core.removals.owedRanges,
    limits: core.limits.stats(),
    oldestId,
    oldestAgeMs: oldest === undefined ? undefined : Math.max(0, host.timeMs() - oldest.minMs),
    sync: {
      count: syncTimes?.count ?? 0,
      p50Ms: syncTimes === undefined ? 0 : ms(syncTimes.percentile(50)),
      p99Ms: syncTimes === undefined ? 0 : ms(syncTimes.percentile(99)),
      maxMs: syncTimes === undefined ? 0 : ms(syncTimes.max),
    },
    gc: { ...core.gc.counters, lastError: core.scheduler.lastError },
    damage: [...core.damage],
  };
}
