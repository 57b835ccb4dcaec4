/**
 * evaq/raw: looking at stores and segment files without opening them for writing; no lock is taken and nothing is changed. Named re-exports,
 * nothing else.
 */
export type { WaitOptions } from './abortable.js';
export { EvaqError, type EvaqErrorCode, type EvaqErrorDetails } from './errors.js';
export type { FileHeader } from './frame/file-header.js';
export type { IdRange } from './ids.js';
export type { Damage } from './log/log-load.js';
export type { EvaqReader, QueueFigures, QueueReader } from './log/queue-reader.js';
export type { QueueRecord } from './log/queue-record.js';
export type {
  ReadOptions as ReadOnlyReadOptions,
  RecordsOptions as ReadOnlyRecordsOptions,
} from './log/read-options.js';
export type { UsedSpace } from './raw/disk-usage.js';
export { type ListedSegment, type ListSegmentsOptions, listSegments } from './raw/list-segments.js';
export type { RecordState } from './raw/lost-in-picture.js';
export type { QueueUsage, SegmentUsage } from './raw/queue-usage.js';
export type { RawBad } from './raw/raw-bad.js';
export {
  type RawCommit,
  type RawEntry,
  type RawIndexEntry,
  type RawRecord,
  RawSegment,
  type RawSegmentOptions,
} from './raw/raw-segment.js';
export {
  type RawRound,
  type RawTombstoneEntry,
  RawTombstones,
  type RawTombstonesOptions,
} from './raw/raw-tombstones.js';
export { ReadOnlyEvaq, type ReadOnlyOptions } from './raw/read-only-evaq.js';
export type {
  PackedPayloads,
  ReadOnlyBatchesOptions,
  ReadOnlyPayloadsOptions,
  ReadOnlyQueue,
  ReadOnlyQueueStats,
  ReadOnlyTailOptions,
} from './raw/read-only-queue.js';
export type { KeepReason, SegmentFate } from './raw/segment-fate.js';
export { type StoreUsage, type StoreUsageOptions, storeUsage } from './raw/store-usage.js';
export {
  type TornEnd,
  type VerifiedQueue,
  type VerifyOptions,
  type VerifyProgress,
  type VerifyReport,
  verifyStore,
} from './raw/verify.js';
export type { SegmentSummary } from './segment/segment-footer.js';
export type { TimeRange, TimeSpan } from './segment/segment-times.js';
