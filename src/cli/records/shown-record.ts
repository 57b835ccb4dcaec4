/** A record with what is known of where it stands. */
import type { QueueRecord } from '../../log/queue-record.js';

export interface ShownRecord {
  readonly record: QueueRecord;
  /** Unknown of a file by itself. */
  readonly queue?: string | undefined;
  /** Of its frame in the file that was read. */
  readonly offset?: number | undefined;
}
