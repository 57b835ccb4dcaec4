/**
 * evaq: an embedded durable queue. This is the public entry: named re-exports, nothing else.
 */
export { EvaqError, type EvaqErrorCode, type EvaqErrorDetails } from './errors.js';
export type { FailureDetail, RecordOrigin } from './frame/metadata.js';
export type { Damage } from './log/log-load.js';
export type { QueueRecord } from './log/queue-record.js';
export type {
  ReadOptions,
  ReadOptions as ReadOnlyReadOptions,
  RecordsOptions,
  RecordsOptions as ReadOnlyRecordsOptions,
} from './log/read-options.js';
export type {
  DeadLetterOptions,
  DeadLetterSelection,
  GcReport,
  Payload,
  PushOptions,
  Queue,
  QueueStats,
} from './queue/queue.js';
export type { Durability, QueueOptions } from './queue/queue-options.js';
export type { TornTail } from './queue/queue-recovery.js';
export type { ReadOnlyEvaq, ReadOnlyOptions } from './raw/read-only-evaq.js';
export type {
  ReadOnlyQueue,
  ReadOnlyQueueStats,
  ReadOnlyTailOptions,
} from './raw/read-only-queue.js';
export { Evaq } from './store/evaq.js';
export type { EvaqOptions, Ports } from './store/evaq-options.js';
export type { QueueRecovery, RecoveryProgress, RecoveryReport } from './store/open-store.js';
export type { Host } from './vfs/host.js';
export type { Vfs, VfsFile } from './vfs/vfs.js';
