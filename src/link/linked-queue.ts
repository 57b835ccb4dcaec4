/**
 * A queue of a store that another thread has.
 */
import { Writable } from 'node:stream';
import type { WritableStream } from 'node:stream/web';
import type { WaitOptions } from '../abortable.js';
import { noMoreError, requireNoMore } from '../arguments.js';
import type { BatchHandler, Handler } from '../delivery/invocation.js';
import { EvaqError } from '../errors.js';
import type { IdSpan } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type ReadOptions, type RecordsOptions, rangeOf } from '../log/read-options.js';
import { RecordIterator } from '../log/record-iterator.js';
import type { DeadLetterOptions, DeadLetterSelection } from '../queue/dead-letter-options.js';
import { bytesOf, type Payload, type PushEntry, type PushManyOptions, type PushOptions } from '../queue/push-entry.js';
import type { QueueLike } from '../queue/queue-like.js';
import type { GcReport, QueueStats } from '../queue/queue-stats.js';
import { tooLarge } from '../queue/record-size.js';
import { QueueWritable, type WritableOptions } from '../streams/queue-writable.js';
import type { LinkedQueueFacts, SentSelection } from './link-protocol.js';
import { ownCopy, sentArguments, sentPayloads, withHeaders } from './linked-arguments.js';
import { LinkedDeadLetters } from './linked-dead-letters.js';
import type { LinkedDelivery } from './linked-delivery.js';
import type { LinkedBatchOptions, LinkedDeliveryOptions } from './linked-delivery-options.js';
import { LinkedRecords, nextIteration } from './linked-records.js';
import { type PackedThrown, packThrown, unpackThrown } from './packed-thrown.js';
import type { PushLane } from './push-lane.js';
import type { ThreadLink } from './thread-link.js';

/**
 * As `Queue`, with the same promises and errors: each call is made by the thread that has the store, and settles here. Pushes of one turn go together. After
 * `close` of the link or the store calls reject with EVAQ_CLOSED; where the link ends while a call is under way that rejects with EVAQ_FAILED, and whether it
 * took effect is not known here. There is no `pushSync`: nobody can wait for another thread and block.
 */
export class LinkedQueue implements QueueLike {
  readonly name: string;
  readonly #link: ThreadLink;
  readonly #index: number;
  readonly #recordBytesMax: number;
  readonly #letters: string;
  readonly #limits: LinkedQueueFacts['limits'];
  readonly #lane: PushLane;

  /** Made by `LinkedEvaq`. */
  constructor(link: ThreadLink, { index, name, recordBytesMax, limits, deadLetters }: LinkedQueueFacts) {
    this.name = name;
    this.#link = link;
    this.#index = index;
    this.#recordBytesMax = recordBytesMax;
    this.#letters = deadLetters;
    this.#limits = limits;
    this.#lane = link.lane(index);
  }

  /** As `Queue.push`. The payload is copied before the call returns. */
  push(payload: Payload, options?: PushOptions): Promise<number> {
    if (!this.#link.isOpen) return Promise.reject(this.#link.closedError());
    try {
      if (arguments.length > 2) throw noMoreError(arguments.length, 2, 'push');
      const bytes = bytesOf(payload, 'payload');
      const limit = this.#recordBytesMax;
      if (bytes.length > limit) throw tooLarge(bytes.length, limit, 'the record');
      // Where there is a bound each finds room for itself, and has its answer when it has.
      if (options === undefined && this.#limits === undefined) return this.#lane.push(bytes);
      const after = options === undefined ? [] : [withHeaders(options, 'headers')];
      return this.#inLane('push', bytes.length, after, [ownCopy(bytes)]).then(asNumber);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `Queue.pushMany`: one commit. */
  async pushMany(payloads: Iterable<Payload | PushEntry>, options?: PushManyOptions): Promise<IdSpan> {
    requireNoMore(arguments.length, 2, 'pushMany');
    this.#link.requireOpen();
    const sent = sentPayloads(payloads);
    const after = options === undefined ? [] : [withHeaders(options, 'headers')];
    return asSpan(await this.#inLane('pushMany', sent.bytes.length, after, [sent]));
  }

  /** As `Queue.get`. */
  async get(id: number, options?: WaitOptions): Promise<QueueRecord | undefined> {
    requireNoMore(arguments.length, 2, 'get');
    return asRecord(await this.#call('get', given(id, options)));
  }

  /**
   * As `Queue.pop`. Where this thread dies the record is there as before, unless its removal was being written: then it is gone, as where a process dies that
   * had popped it.
   */
  async pop(id: number, options?: WaitOptions): Promise<QueueRecord> {
    requireNoMore(arguments.length, 2, 'pop');
    const record = asRecord(await this.#call('pop', given(id, options)));
    if (record === undefined) throw new TypeError('the other end gave no record');
    return record;
  }

  /** As `Queue.read`. */
  async read(options?: ReadOptions): Promise<QueueRecord[]> {
    requireNoMore(arguments.length, 1, 'read');
    const records = await this.#call('read', options === undefined ? [] : [options]);
    return Array.isArray(records) ? records : [];
  }

  /** As `Queue.records`, by one way there and back for each record: `read` is faster. */
  records(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate('records', arguments.length, options);
  }

  /** As `Queue.tail`. */
  tail(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate('tail', arguments.length, options);
  }

  /** As `Queue.remove`. */
  async remove(id: number, options?: WaitOptions): Promise<boolean> {
    requireNoMore(arguments.length, 2, 'remove');
    return (await this.#call('remove', given(id, options))) === true;
  }

  /** As `Queue.removeMany`. */
  async removeMany(ids: Iterable<number>, options?: WaitOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'removeMany');
    const isList = typeof ids === 'object' && ids !== null && Symbol.iterator in ids;
    return asNumber(await this.#call('removeMany', given(isList ? [...ids] : ids, options)));
  }

  /** As `Queue.removeThrough`. */
  async removeThrough(id: number, options?: WaitOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'removeThrough');
    return asNumber(await this.#call('removeThrough', given(id, options)));
  }

  /** As `Queue.deadLetter`. */
  async deadLetter(id: number, options: DeadLetterOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'deadLetter');
    const hasError = typeof options === 'object' && options !== null && options.error !== undefined;
    const sent = hasError ? { ...options, error: packThrown(options.error) } : options;
    return asNumber(await this.#call('deadLetter', [id, sent]));
  }

  /** As `Queue.deadLetters`. */
  get deadLetters(): LinkedDeadLetters {
    return new LinkedDeadLetters(this.#link, this.#index, this.#letters);
  }

  /** As `Queue.redrive`; a function is asked in this thread, by one way there and back for each. */
  async redrive(which: DeadLetterSelection, options?: WaitOptions): Promise<number[]> {
    requireNoMore(arguments.length, 2, 'redrive');
    const isMeant = typeof which === 'function' ? which : undefined;
    const sent: SentSelection = isMeant === undefined ? { kind: 'said', selection: which } : { kind: 'asked' };
    const moved = await this.#call('redrive', given(sent, options), isMeant);
    return Array.isArray(moved) ? moved : [];
  }

  /** As `Queue.flush`: what this thread has pushed before is among it. */
  async flush(options?: WaitOptions): Promise<void> {
    requireNoMore(arguments.length, 1, 'flush');
    this.#link.requireOpen();
    await this.#inLane('flush', 0, options === undefined ? [] : [options], []);
  }

  /** As `Queue.compact`. */
  async compact(options?: WaitOptions): Promise<GcReport> {
    requireNoMore(arguments.length, 1, 'compact');
    const report = await this.#call('compact', options === undefined ? [] : [options]);
    if (!isReport(report)) throw new TypeError('the other end gave no report');
    return report;
  }

  /** As `Queue.checkpoint`. */
  async checkpoint(source: string): Promise<string | number | undefined> {
    requireNoMore(arguments.length, 1, 'checkpoint');
    const position = await this.#call('checkpoint', [source]);
    return typeof position === 'string' || typeof position === 'number' ? position : undefined;
  }

  /** As `Queue.stats`. */
  async stats(): Promise<QueueStats> {
    requireNoMore(arguments.length, 0, 'stats');
    const stats = await this.#call('stats', []);
    if (!isStats(stats)) throw new TypeError('the other end gave no statistics');
    const lastError: unknown = isPacked(stats.gc.lastError) ? unpackThrown(stats.gc.lastError) : undefined;
    return { ...stats, gc: { ...stats.gc, lastError: lastError instanceof EvaqError ? lastError : undefined } };
  }

  /** As `Queue.size`, by a way there and back. */
  get size(): Promise<number> {
    return this.stats().then(({ live }) => live);
  }

  /**
   * As `Queue.process`; the handler runs in this thread. Where this thread dies what is in its handlers has crashed: an attempt is spent, and the record is
   * delivered again alone, first, by whoever delivers the queue then; after `retry.maxCrashes` it is a dead letter. `retry.classify` and `breaker.probe` are
   * asked in this thread. That another delivery keeps an order shows at `done`.
   * @throws TypeError, RangeError for wrong options; EVAQ_CLOSED
   */
  process(handler: Handler, options?: LinkedDeliveryOptions): LinkedDelivery {
    requireNoMore(arguments.length, 2, 'process');
    this.#link.requireStaying();
    return this.#link.deliveries.begin(this.#index, this.name, { kind: 'single', handler }, options);
  }

  /** As `Queue.processBatch`, and as `process`. */
  processBatch(handler: BatchHandler, options?: LinkedBatchOptions): LinkedDelivery {
    requireNoMore(arguments.length, 2, 'processBatch');
    this.#link.requireStaying();
    return this.#link.deliveries.begin(this.#index, this.name, { kind: 'batch', handler }, options);
  }

  /** As `Queue.writable`. */
  writable(options?: WritableOptions): QueueWritable {
    requireNoMore(arguments.length, 1, 'writable');
    this.#link.requireOpen();
    const target = {
      queue: this.name,
      recordBytesMax: this.#recordBytesMax,
      limits: this.#limits,
      push: (payloads: readonly Uint8Array[]) => this.pushMany(payloads),
      flush: () => this.flush(),
    };
    return new QueueWritable(target, options);
  }

  /** As `Queue.writableWeb`. */
  writableWeb(options?: WritableOptions): WritableStream {
    return Writable.toWeb(this.writable(options));
  }

  async #call(method: string, given: readonly unknown[], isMeant?: (record: QueueRecord) => unknown): Promise<unknown> {
    this.#link.requireOpen();
    const { args, signal, signalAt } = sentArguments(method, given);
    return this.#link.call(this.#index, method, args, { signal, signalAt, isMeant });
  }

  /** In its place among the pushes. `first`: arguments that belong to the message as they are; `after`: those behind them. */
  async #inLane(
    method: string,
    laneBytes: number,
    after: readonly unknown[],
    first: readonly unknown[],
  ): Promise<unknown> {
    const { args, signal, signalAt } = sentArguments(method, after);
    const at = signalAt === undefined ? undefined : signalAt + first.length;
    return this.#link.call(this.#index, method, [...first, ...args], { signal, signalAt: at, laneBytes });
  }

  #iterate(how: 'records' | 'tail', given: number, options: RecordsOptions | undefined): RecordIterator {
    return new RecordIterator(() => {
      requireNoMore(given, 1, how);
      this.#link.requireOpen();
      const { from, to, signal } = rangeOf(options, how);
      const range = { from, ...(to === Number.MAX_SAFE_INTEGER ? {} : { to }) };
      const number = nextIteration();
      const ends = {
        next: () => this.#link.call(this.#index, 'next', [number, how, range]),
        end: () => this.#link.call(this.#index, 'end', [number]),
      };
      const source = new LinkedRecords(ends, isRecord);
      return { source, signal };
    });
  }
}

/** Arguments as they were given, without those that were not. */
function given(first: unknown, options: unknown): unknown[] {
  return options === undefined ? [first] : [first, options];
}

function asNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  throw new TypeError('the other end gave no number');
}

function asRecord(value: unknown): QueueRecord | undefined {
  return isRecord(value) ? value : undefined;
}

function isRecord(value: unknown): value is QueueRecord {
  return typeof value === 'object' && value !== null && 'payload' in value;
}

function asSpan(value: unknown): IdSpan {
  if (typeof value === 'object' && value !== null && 'firstId' in value && 'lastId' in value)
    return { firstId: asNumber(value.firstId), lastId: asNumber(value.lastId) };
  throw new TypeError('the other end gave no IDs');
}

function isStats(value: unknown): value is QueueStats {
  return typeof value === 'object' && value !== null && 'live' in value && 'gc' in value;
}

function isPacked(value: unknown): value is PackedThrown {
  return typeof value === 'object' && value !== null && 'shape' in value;
}

function isReport(value: unknown): value is GcReport {
  return typeof value === 'object' && value !== null && 'droppedSegments' in value;
}
