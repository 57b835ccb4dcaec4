/** A queue that is recovered, and not started yet. */
import type { LoadedQueue } from '../log/log-load.js';
import type { ActiveSegment } from '../queue/active-segment.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';

export interface DormantQueue {
  readonly loaded: LoadedQueue;
  /** Undefined while the queue is as its last writer left it. */
  tombstones: TombstoneLog | undefined;
  /** An empty segment that stands for the queue until it has another. */
  evidence: string | undefined;
  /** Of its last run: what no open needs is still there. */
  hasLeftovers: boolean;
  /** Made by a start that did not get further. */
  active: ActiveSegment | undefined;
}

export function newDormant(loaded: LoadedQueue): DormantQueue {
  return { loaded, tombstones: undefined, evidence: undefined, hasLeftovers: true, active: undefined };
}
