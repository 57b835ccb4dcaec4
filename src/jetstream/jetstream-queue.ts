/**
 * A queue of a replicated store: a stream of NATS JetStream.
 */
import { Writable } from 'node:stream';
import type { WritableStream } from 'node:stream/web';
import { signalOf, throwIfAborted, untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { isIterable, requireNoMore, requireOptions } from '../arguments.js';
import type { BatchOptions, DeliveryOptions } from '../delivery/delivery-options.js';
import type { BatchHandler, Handler } from '../delivery/invocation.js';
import { EvaqError } from '../errors.js';
import type { IdSpan } from '../ids.js';
import { describe, requireRecordId } from '../ids.js';
import type { QueueFigures } from '../log/queue-reader.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type ReadOptions, type RecordsOptions, rangeOf, wantedOf } from '../log/read-options.js';
import { RecordIterator } from '../log/record-iterator.js';
import { DEAD_LETTER_NAMES, type DeadLetterOptions, type DeadLetterSelection } from '../queue/dead-letter-options.js';
import {
  type Payload,
  PUSH_MANY_NAMES,
  PUSH_NAMES,
  type PushEntry,
  type PushManyOptions,
  type PushOptions,
  sharedOf,
} from '../queue/push-entry.js';
import type { QueueLike } from '../queue/queue-like.js';
import { notFound } from '../queue/record-not-found.js';
import { letterMeta, letterOf } from '../store/dead-letters.js';
import { QueueWritable, type WritableOptions } from '../streams/queue-writable.js';
import { clampTime } from '../times.js';
import type { JetStreamDelivery } from './jetstream-delivery.js';
import { closedError, unsupported } from './jetstream-errors.js';
import { type MoveEnd, moveRecord } from './moves.js';
import { entryOf, outgoingOf } from './outgoing.js';
import { BATCH_RECORDS_MAX, type Outgoing, type Publisher } from './publisher.js';
import type { QueueStream } from './queue-stream.js';
import { type ReadHost, readWithin, recordsOf } from './stream-reads.js';

/** A replicated queue in numbers. */
export interface JetStreamQueueStats extends QueueFigures {
  /** Of the stream. */
  readonly replicas: number;
  /** Of the others, those that are there and up to date. */
  readonly replicasCurrent: number;
  /** The server that leads it; undefined where there is none at the moment, or one server alone. */
  readonly leader: string | undefined;
}

/** The store's part. */
export interface JetStreamHost extends ReadHost {
  /** The queue that takes this one's dead letters. @throws TypeError for one that holds dead letters itself */
  lettersOf(queue: JetStreamQueue): Promise<MoveEnd>;
  redrive(queue: JetStreamQueue, which: DeadLetterSelection, signal: AbortSignal | undefined): Promise<number[]>;
  process(queue: JetStreamQueue, handler: Handler, options: DeliveryOptions | undefined): JetStreamDelivery;
  processBatch(queue: JetStreamQueue, handler: BatchHandler, options: BatchOptions | undefined): JetStreamDelivery;
}

export interface JetStreamQueueInit extends MoveEnd {
  readonly recordBytesMax: number;
}

const REMOVALS_TOGETHER = 64;

/**
 * As `Queue`, on a stream of a NATS server or of several. What its promises are, and which of `Queue` they are not, stands in `docs/replicated.md`. Calls may
 * be made concurrently, from many processes. After `close` of the store all of them reject with EVAQ_CLOSED. EVAQ_IO: the server did not answer within
 * `timeoutMs`, and whether it was done is not known; or it refuses.
 */
export class JetStreamQueue implements QueueLike {
  readonly name: string;
  /** The largest payload with its headers, in bytes. */
  readonly recordBytesMax: number;
  /** @internal */
  readonly end: MoveEnd;
  readonly #stream: QueueStream;
  readonly #publisher: Publisher;
  readonly #host: JetStreamHost;

  /** Made by `JetStreamEvaq`. */
  constructor({ stream, publisher, recordBytesMax }: JetStreamQueueInit, host: JetStreamHost) {
    this.name = stream.queue;
    this.recordBytesMax = recordBytesMax;
    this.end = { stream, publisher };
    this.#stream = stream;
    this.#publisher = publisher;
    this.#host = host;
  }

  /**
   * As `Queue.push`: resolves with the ID when the stream has acknowledged the record, which it does when a quorum of its replicas has it. What comes while
   * others are on their way goes with the next batch. A `messageId` is known for as long as the window of duplicates lasts. `signal`: aborted before it was
   * sent it is withdrawn.
   * @throws EVAQ_RECORD_TOO_LARGE, EVAQ_QUEUE_FULL (not pushed); EVAQ_IO (unknown)
   */
  async push(payload: Payload, options?: PushOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'push');
    requireOptions(options, 'push', PUSH_NAMES);
    const signal = signalOf(options, 'push');
    const outgoing = outgoingOf(payload, { name: 'payload', place: '', options, recordBytesMax: this.recordBytesMax });
    this.#requireOpen();
    return untilAborted(signal, async () => (await this.#push([outgoing], signal)).firstId);
  }

  /**
   * As `Queue.pushMany`: all of them, in a row, or none, for up to 1000.
   * @throws EVAQ_RECORD_TOO_LARGE for more (nothing is pushed); EVAQ_DUPLICATE; EVAQ_UNSUPPORTED with a `checkpoint`; and as `push`
   */
  async pushMany(payloads: Iterable<Payload | PushEntry>, options?: PushManyOptions): Promise<IdSpan> {
    requireNoMore(arguments.length, 2, 'pushMany');
    requireOptions(options, 'pushMany', PUSH_MANY_NAMES);
    const signal = signalOf(options, 'pushMany');
    if (!isIterable(payloads) || ArrayBuffer.isView(payloads))
      throw new TypeError(`payloads must be an iterable of payloads, got ${describe(payloads)}`);
    throwIfAborted(signal);
    if (options?.checkpoint !== undefined)
      throw unsupported('a checkpoint', 'Remember it with the source, or put an embedded store in front.');
    const all: Outgoing[] = [];
    const shared = sharedOf(options);
    for (const one of payloads) {
      all.push(entryOf(one, `payloads[${all.length}]`, shared, this.recordBytesMax));
      if (all.length > BATCH_RECORDS_MAX) throw this.#tooMany();
    }
    this.#requireOpen();
    if (all.length > 0) return untilAborted(signal, () => this.#push(all, signal));
    const { lastId } = await this.#stream.figures();
    return { firstId: lastId + 1, lastId };
  }

  async #push(records: readonly Outgoing[], signal: AbortSignal | undefined): Promise<IdSpan> {
    const span = await this.#publisher.push(records, signal);
    this.#stream.noteAcknowledged(span.lastId);
    return span;
  }

  /** Not there: nobody can wait for a server and block. @throws EVAQ_UNSUPPORTED */
  pushSync(_payload: Payload): number {
    throw unsupported('pushSync', 'Push into an embedded store, and forward that: docs/replicated.md.');
  }

  /** As `Queue.get`; the leader is asked. */
  async get(id: number, options?: WaitOptions): Promise<QueueRecord | undefined> {
    const signal = waitOf(arguments.length, 2, options, 'get');
    requireRecordId(id, 'id');
    this.#requireOpen();
    return untilAborted(signal, () => this.#stream.get(id));
  }

  /**
   * As `Queue.read`. Of several replicas any may answer: one that lags behind leaves out what is new, or shows what others have just removed.
   * @throws EVAQ_IO, EVAQ_CLOSED
   */
  async read(options?: ReadOptions): Promise<QueueRecord[]> {
    requireNoMore(arguments.length, 1, 'read');
    const { from, limits, signal } = wantedOf(options);
    this.#requireOpen();
    return untilAborted(signal, () => readWithin(this.#stream, from, limits));
  }

  /** As `Queue.records`, a batch at a time: what is in hand may have been removed meanwhile. */
  records(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate(arguments.length, options, 'records');
  }

  /** As `Queue.tail`: looks for more every 100 ms. */
  tail(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate(arguments.length, options, 'tail');
  }

  #iterate(given: number, options: RecordsOptions | undefined, how: 'records' | 'tail'): RecordIterator {
    return new RecordIterator(() => {
      requireNoMore(given, 1, how);
      const { from, to, signal } = rangeOf(options, how);
      return { source: recordsOf(this.#stream, { from, to }, how, this.#host), signal };
    });
  }

  /** As `Queue.remove`: of several callers one is told true. */
  async remove(id: number, options?: WaitOptions): Promise<boolean> {
    const signal = waitOf(arguments.length, 2, options, 'remove');
    requireRecordId(id, 'id');
    this.#requireOpen();
    return untilAborted(signal, async () => (await this.#stream.remove(id)) !== 'gone');
  }

  /** Removes those of `ids` that are live, one by one: this is not one atomic step. Resolves with how many there were. */
  async removeMany(ids: Iterable<number>, options?: WaitOptions): Promise<number> {
    const signal = waitOf(arguments.length, 2, options, 'removeMany');
    if (!isIterable(ids)) throw new TypeError(`ids must be an iterable of record IDs, got ${describe(ids)}`);
    const all = [...ids];
    for (const id of all) requireRecordId(id, 'ids');
    this.#requireOpen();
    return untilAborted(signal, async () => {
      let removed = 0;
      for (let at = 0; at < all.length; at += REMOVALS_TOGETHER) {
        const some = all.slice(at, at + REMOVALS_TOGETHER).map((id) => this.#stream.remove(id));
        for (const result of await Promise.all(some)) if (result !== 'gone') removed++;
      }
      return removed;
    });
  }

  /** As `Queue.removeThrough`: one atomic step. */
  async removeThrough(id: number, options?: WaitOptions): Promise<number> {
    const signal = waitOf(arguments.length, 2, options, 'removeThrough');
    requireRecordId(id, 'id');
    this.#requireOpen();
    return untilAborted(signal, () => this.#stream.removeThrough(id));
  }

  /**
   * As `Queue.pop`: whose removal it was has the record. One that is in a handler can be popped, too.
   * @throws EVAQ_RECORD_NOT_FOUND; EVAQ_IO (unknown: it may be gone)
   */
  async pop(id: number, options?: WaitOptions): Promise<QueueRecord> {
    const signal = waitOf(arguments.length, 2, options, 'pop');
    requireRecordId(id, 'id');
    this.#requireOpen();
    return untilAborted(signal, async () => {
      const record = await this.#stream.get(id);
      throwIfAborted(signal);
      const removed = record === undefined ? 'gone' : await this.#stream.remove(id);
      if (record === undefined || removed === 'gone') throw notFound(this.name, id);
      if (removed === 'removed') return record;
      throw new EvaqError('EVAQ_IO', `queue '${this.name}': record ${id} is gone, by this call or by another`, {
        details: { queue: this.name, id },
      });
    });
  }

  /**
   * As `Queue.deadLetter`, in two steps: a copy, and then the removal. In between it is in both queues. Moved again it is found by its name within the window of
   * duplicates.
   */
  async deadLetter(id: number, options: DeadLetterOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'deadLetter');
    requireOptions(options, 'deadLetter', DEAD_LETTER_NAMES);
    const signal = signalOf(options, 'deadLetter');
    requireRecordId(id, 'id');
    const { reason, error, delayMs } = letterOf(options);
    this.#requireOpen();
    const nowMs = clampTime(Date.now());
    const dueMs = clampTime(nowMs + delayMs);
    return untilAborted(signal, async () =>
      moveRecord(this.end, await this.#host.lettersOf(this), id, (record) =>
        letterMeta(record, { reason, error, nowMs, dueMs }),
      ),
    );
  }

  /** As `Queue.redrive`, each in two steps as `deadLetter`. */
  async redrive(which: DeadLetterSelection, options?: WaitOptions): Promise<number[]> {
    const signal = waitOf(arguments.length, 2, options, 'redrive');
    this.#requireOpen();
    return untilAborted(signal, () => this.#host.redrive(this, which, signal));
  }

  /**
   * As `Queue.process`, by a consumer that all processes share: a record is in one handler at a time, wherever that runs. One whose process dies comes again
   * after `leaseMs`, and has failed once.
   * @throws TypeError, RangeError for wrong options; EVAQ_UNSUPPORTED for an order by key; EVAQ_CLOSED
   */
  process(handler: Handler, options?: DeliveryOptions): JetStreamDelivery {
    requireNoMore(arguments.length, 2, 'process');
    this.#requireOpen();
    return this.#host.process(this, handler, options);
  }

  /** As `Queue.processBatch`, and as `process`. */
  processBatch(handler: BatchHandler, options?: BatchOptions): JetStreamDelivery {
    requireNoMore(arguments.length, 2, 'processBatch');
    this.#requireOpen();
    return this.#host.processBatch(this, handler, options);
  }

  /** As `Queue.writable`. */
  writable(options?: WritableOptions): QueueWritable {
    requireNoMore(arguments.length, 1, 'writable');
    this.#requireOpen();
    const target = {
      queue: this.name,
      recordBytesMax: this.recordBytesMax,
      limits: { records: BATCH_RECORDS_MAX * 4 },
      push: (payloads: readonly Uint8Array[]) => this.pushMany(payloads),
      flush: () => this.flush(),
    };
    return new QueueWritable(target, options);
  }

  /** As `Queue.writableWeb`. */
  writableWeb(options?: WritableOptions): WritableStream {
    requireNoMore(arguments.length, 1, 'writableWeb');
    return Writable.toWeb(this.writable(options));
  }

  /** Resolves when what was pushed here before is acknowledged, or has failed. How durable that is is the server's: docs/replicated.md. */
  async flush(options?: WaitOptions): Promise<void> {
    const signal = waitOf(arguments.length, 1, options, 'flush');
    this.#requireOpen();
    return untilAborted(signal, () => this.#publisher.settled());
  }

  /** As `Queue.size`, asked of the server. */
  get size(): Promise<number> {
    return this.stats().then(({ live }) => live);
  }

  async stats(): Promise<JetStreamQueueStats> {
    requireNoMore(arguments.length, 0, 'stats');
    this.#requireOpen();
    const { messages, bytes, firstId, lastId, replicas, leader, current } = await this.#stream.figures();
    return {
      queue: this.name,
      live: messages,
      nextId: lastId + 1,
      bytes,
      oldestId: messages === 0 ? undefined : firstId,
      replicas,
      replicasCurrent: current,
      leader: replicas === 1 ? undefined : leader,
    };
  }

  #tooMany(): EvaqError {
    return new EvaqError('EVAQ_RECORD_TOO_LARGE', `pushMany takes at most ${BATCH_RECORDS_MAX} records together`, {
      details: { queue: this.name, limit: BATCH_RECORDS_MAX },
      hint: 'The server takes no larger batch; push them in several, each of which is atomic.',
    });
  }

  #requireOpen(): void {
    if (!this.#host.isOpen()) throw closedError(this.name);
  }
}
