/** A store in numbers, as of the call. */
import type { QueueStats } from '../queue/queue-stats.js';
import type { DeliveryTotals } from './deliveries.js';

export interface StoreStats {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly path: string;
  /** Of each queue that is open: the two that every store has, and those that were asked for or took dead letters. */
  readonly queues: readonly QueueStats[];
  /** Of each queue that was delivered from since the store was opened. */
  readonly deliveries: readonly DeliveryTotals[];
}
