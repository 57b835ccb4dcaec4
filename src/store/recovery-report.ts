/** What opening a store found and did, as it is told. */
import type { Damage } from '../log/damage.js';
import type { TornTail } from '../queue/queue-recovery.js';

/** What opening found and did. */
export interface RecoveryReport {
  /** The last writer had closed the store: nothing had to be recovered. */
  readonly clean: boolean;
  /** The store was made by this open. */
  readonly created: boolean;
  readonly durationMs: number;
  readonly queues: readonly QueueRecovery[];
  /** Torn tails that were cut: normal after a crash, nothing acknowledged was in them. */
  readonly torn: readonly TornTail[];
  /** Damage to synced bytes, which no crash explains. */
  readonly damage: readonly Damage[];
  /** Records whose move to another queue was completed. */
  readonly movesCompleted: number;
}

export interface QueueRecovery {
  readonly queue: string;
  readonly liveRecords: number;
  readonly segments: number;
  /** Segments that had no footer and were read from end to end. */
  readonly scannedSegments: number;
  readonly nextId: number;
}

export interface RecoveryProgress {
  readonly kind: 'scan';
  readonly queue: string;
  /** Bytes scanned so far. */
  readonly bytes: number;
}
