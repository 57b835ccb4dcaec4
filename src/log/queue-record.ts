/**
 * A record as it is handed out.
 */
import type { FailureDetail, RecordIdentity, RecordOrigin } from '../frame/metadata.js';

export interface QueueRecord {
  readonly id: number;
  /**
   * A view of a chunk that was read, with no copy and never of a buffer that will be used again: it stays as it is for as long as it is
   * held, and holds the chunk (up to some MiB) in memory for as long. Copy it to keep it for long. Other payloads share the chunk, so its `buffer`
   * is never transferred to another thread: Node throws a DataCloneError, or copies.
   */
  readonly payload: Buffer;
  /**
   * What the clock said when it was pushed, in ms since the epoch, to within a second; a clock that goes back makes it decrease with the ID. From 0 to
   * 2^48 - 1, whatever the clock says. A moved record: when it was moved.
   */
  readonly timestamp: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The one that it was pushed with. A record that has moved has none. */
  readonly messageId?: string;
  /** How often its delivery failed before it moved, over all its lives. */
  readonly attempts?: number;
  /** When it failed first and last before it moved, in ms since the epoch. */
  readonly failedMs?: readonly [first: number, last: number];
  /** Dead letters: the queue and ID it had before, and when it was first pushed. */
  readonly origin?: RecordOrigin;
  /** Of a record that has moved: where it was pushed first. With the store's ID its name for good (`DeliveryContext.deliveryId`). */
  readonly identity?: RecordIdentity;
  readonly reason?: string;
  readonly error?: FailureDetail;
  /** Not to be retried before this time, in ms since the epoch. */
  readonly dueMs?: number;
  /** How often it was redriven from the dead letter queue. */
  readonly redrives?: number;
}
