/**
 * What queues and stores that are written to have in common, whatever engine they stand on: what is written for these runs on one machine and on a replicated
 * engine.
 */
import type { WaitOptions } from '../abortable.js';
import type { DeliveryLike } from '../delivery/delivery-like.js';
import type { BatchOptions, DeliveryOptions } from '../delivery/delivery-options.js';
import type { BatchHandler, Handler } from '../delivery/invocation.js';
import type { IdSpan } from '../ids.js';
import type { EvaqReader, QueueReader } from '../log/queue-reader.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeadLetterOptions, DeadLetterSelection } from './dead-letter-options.js';
import type { Payload, PushEntry, PushManyOptions, PushOptions } from './push-entry.js';
import type { QueueOptions } from './queue-options.js';

/** A queue that is written to: `Queue`, `LinkedQueue`, `JetStreamQueue`. What each call promises is said there. */
export interface QueueLike extends QueueReader {
  push(payload: Payload, options?: PushOptions): Promise<number>;
  pushMany(payloads: Iterable<Payload | PushEntry>, options?: PushManyOptions): Promise<IdSpan>;
  pop(id: number, options?: WaitOptions): Promise<QueueRecord>;
  remove(id: number, options?: WaitOptions): Promise<boolean>;
  removeMany(ids: Iterable<number>, options?: WaitOptions): Promise<number>;
  removeThrough(id: number, options?: WaitOptions): Promise<number>;
  deadLetter(id: number, options: DeadLetterOptions): Promise<number>;
  redrive(which: DeadLetterSelection, options?: WaitOptions): Promise<number[]>;
  flush(options?: WaitOptions): Promise<void>;
  process(handler: Handler, options?: DeliveryOptions): DeliveryLike;
  processBatch(handler: BatchHandler, options?: BatchOptions): DeliveryLike;
}

/** A store that is written to: `Evaq`, `LinkedEvaq`, `JetStreamEvaq`. */
export interface EvaqLike extends EvaqReader {
  readonly wal: QueueLike;
  readonly deadLetters: QueueLike;
  /** Its name for good: part of every `deliveryId`. */
  readonly storeId: string;
  queue(name: string, options?: QueueOptions & WaitOptions): Promise<QueueLike>;
  /** `wal.process`. */
  evacuate(handler: Handler, options?: DeliveryOptions): DeliveryLike;
}
