/**
 * A record as it is handed out.
 */
import type { FailureDetail, RecordOrigin } from '../frame/metadata.js';

export interface QueueRecord {
  readonly id: number;
  /**
   * A view of a chunk that was read, with no copy and never of a buffer that will be used again: it stays as it is for as long as it is
   * held, and holds the chunk (up to some MiB) in memory for as long. Copy it to keep it for long. Other payloads share the chunk, so its `buffer`
   * is never transferred to another thread: Node throws a DataCloneError, or copies.
   */
  readonly payload: Buffer;
  /** When it was pushed, in ms since the epoch; never decreases with the ID. A moved record: when it was moved. */
  readonly timestamp: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Dead letters: how often its delivery failed. */
  readonly attempts?: number;
  /** Dead letters: the queue and ID it had before, and when it was first pushed. */
  readonly origin?: RecordOrigin;
  readonly reason?: string;
  readonly error?: FailureDetail;
  /** Not to be retried before this time, in ms since the epoch. */
  readonly dueMs?: number;
  /** How often it was redriven from the dead letter queue. */
  readonly redrives?: number;
}
