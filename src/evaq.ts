/**
 * evaq: an embedded durable queue. This is the public entry: named re-exports, nothing else.
 */
export type { WaitOptions } from './abortable.js';
export type { BackoffOptions } from './delivery/backoff.js';
export type { BreakerOptions } from './delivery/breaker.js';
export type { FailureClass } from './delivery/classify.js';
export type { Delivery } from './delivery/delivery.js';
export type { BatchContext, BatchResult, DeliveryContext } from './delivery/delivery-context.js';
export { DeadLetterError, RetryLater, type RetryLaterOptions, StopDelivery } from './delivery/delivery-errors.js';
export type { DeliveryLike } from './delivery/delivery-like.js';
export type { BatchLimits, BatchOptions, DeliveryOptions, RetryOptions } from './delivery/delivery-options.js';
export type { DeliveryReport, DeliveryStats, StopOptions } from './delivery/delivery-report.js';
export type { BreakerEvent, DeliveredRecord, DeliverTrace } from './delivery/delivery-trace.js';
export type { BatchHandler, Handler } from './delivery/invocation.js';
export type { Order } from './delivery/key-order.js';
export type { RateOptions } from './delivery/token-bucket.js';
export { EvaqError, type EvaqErrorCode, type EvaqErrorDetails } from './errors.js';
export type { FailureDetail, RecordIdentity, RecordOrigin } from './frame/metadata.js';
export type { GcTrace } from './gc/gc-trace.js';
export type { IdSpan } from './ids.js';
export type { LinkedDeadLetters } from './link/linked-dead-letters.js';
export type { LinkedDelivery } from './link/linked-delivery.js';
export type { LinkedBatchOptions, LinkedDeliveryOptions, LinkedOrder } from './link/linked-delivery-options.js';
export type { LinkedEvaq } from './link/linked-evaq.js';
export type { LinkedQueue } from './link/linked-queue.js';
export type { DamageEvent } from './log/damage-event.js';
export type { Damage } from './log/log-load.js';
export type { EvaqReader, QueueFigures, QueueReader } from './log/queue-reader.js';
export type { QueueRecord } from './log/queue-record.js';
export type {
  ReadOptions,
  ReadOptions as ReadOnlyReadOptions,
  RecordsOptions,
  RecordsOptions as ReadOnlyRecordsOptions,
} from './log/read-options.js';
export type { CommitTrace } from './queue/commit-trace.js';
export type { DeadLetter, DeadLetterGroup, DeadLetterSummary } from './queue/dead-letter.js';
export type { DeadLetterOptions, DeadLetterSelection } from './queue/dead-letter-options.js';
export type { DropCause, DroppedMessage } from './queue/dropping.js';
export type { Checkpoint } from './queue/intake.js';
export type { LimitOptions, WhenFull } from './queue/limit-options.js';
export type {
  MoveOptions,
  MoveProgress,
  MoveResult,
  PurgeOptions,
  PurgeResult,
  RedriveOptions,
} from './queue/move-options.js';
export type { Payload, PushEntry, PushManyOptions, PushOptions } from './queue/push-entry.js';
export type { PushTrace } from './queue/push-trace.js';
export type { Queue, ReadableOptions } from './queue/queue.js';
export type { DeadLetterListOptions, QueueDeadLetters } from './queue/queue-dead-letters.js';
export type { EvaqLike, QueueLike } from './queue/queue-like.js';
export type { LimitStats } from './queue/queue-limits.js';
export type { DedupeOptions, Durability, QueueOptions } from './queue/queue-options.js';
export type { TornTail } from './queue/queue-recovery.js';
export type { GcReport, QueueStats } from './queue/queue-stats.js';
export type { HeadersLike } from './queue/record-headers.js';
export type { RecordCriteria, RecordSelection } from './queue/record-selection.js';
export type { RemovalTrace } from './queue/removal-trace.js';
export type { ReadOnlyEvaq, ReadOnlyOptions } from './raw/read-only-evaq.js';
export type {
  ReadOnlyQueue,
  ReadOnlyQueueStats,
  ReadOnlyTailOptions,
} from './raw/read-only-queue.js';
export { type CloseOnSignalOptions, closeOnSignal } from './store/close-on-signal.js';
export type { DeliveryTotals } from './store/deliveries.js';
export { Evaq } from './store/evaq.js';
export type { EvaqOptions, Ports } from './store/evaq-options.js';
export type { Health, HealthEvent, HealthOptions, HealthReason, HealthReasonCode } from './store/health.js';
export type { QueueRecovery, RecoveryProgress, RecoveryReport } from './store/recovery-report.js';
export type { RecoveryTrace } from './store/recovery-trace.js';
export type { StoreStats } from './store/store-stats.js';
export type { QueueWritable, WritableOptions } from './streams/queue-writable.js';
export type { Host } from './vfs/host.js';
export type { Vfs, VfsFile } from './vfs/vfs.js';
