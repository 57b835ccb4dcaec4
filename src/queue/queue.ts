/**
 * The public face of one queue: checks arguments, then leaves the work to `QueueCore`.
 */
import { Readable, Writable } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import { signalOf, throwIfAborted, untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { isIterable, optionNames, requireNoMore, requireOptions } from '../arguments.js';
import type { Delivery } from '../delivery/delivery.js';
import type { BatchOptions, DeliveryOptions } from '../delivery/delivery-options.js';
import type { BatchHandler, Handler } from '../delivery/invocation.js';
import { describe, type IdSpan, requireRecordId } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type ReadOptions, type RecordsOptions, rangeOf, wantedOf } from '../log/read-options.js';
import { RecordIterator } from '../log/record-iterator.js';
import { QueueWritable, type WritableOptions } from '../streams/queue-writable.js';
import { checkpointOf, requireSource } from './checkpoint-argument.js';
import { DEAD_LETTER_NAMES, type DeadLetterOptions, type DeadLetterSelection } from './dead-letter-options.js';
import type { Metas } from './push-batch.js';
import { PushEncoder } from './push-encoder.js';
import {
  bytesOf,
  type Payload,
  PUSH_MANY_NAMES,
  PUSH_NAMES,
  type PushEntry,
  type PushManyOptions,
  type PushOptions,
  sharedOf,
} from './push-entry.js';
import { type AddedHeaders, isPushObserved, type PushTrace, tracePush, tracePushSync } from './push-trace.js';
import { closedError, type QueueCore } from './queue-core.js';
import type { QueueDeadLetters } from './queue-dead-letters.js';
import type { QueueHost } from './queue-host.js';
import { type GcReport, type QueueStats, statsOf } from './queue-stats.js';
import { notFound } from './record-not-found.js';

/** Which records a stream of them has. */
export interface ReadableOptions extends RecordsOptions {
  /** Wait for those that come, too. Default false. */
  readonly follow?: boolean;
}

const READABLE_NAMES = optionNames('from', 'to', 'signal', 'follow');
/** Records that a stream of them holds. */
const READ_AHEAD = 64;
const PUSH_SYNC_NAMES = optionNames('headers', 'delayMs', 'deliverAt', 'messageId');

/**
 * A durable queue. Its calls may be made concurrently. After `close` of the store all of them reject with EVAQ_CLOSED; after a failed
 * sync pushes and removals reject with EVAQ_FAILED, reads go on.
 */
export class Queue {
  readonly #core: QueueCore;
  readonly #host: QueueHost;
  readonly #encoder: PushEncoder;

  /** Queues are made by `Evaq`. */
  constructor(core: QueueCore, host: QueueHost) {
    this.#core = core;
    this.#host = host;
    this.#encoder = new PushEncoder(core, host.timeMs);
  }

  get name(): string {
    return this.#core.name;
  }

  /** The largest payload, with its headers, in bytes: the option of that name. */
  get recordBytesMax(): number {
    return this.#core.options.recordBytesMax;
  }

  /** The number of live records. */
  get size(): number {
    return this.#core.log.liveCount;
  }

  /**
   * Appends a record and resolves with its ID, when it is committed in the durability mode in force (P1). Pushes of one turn of the event loop
   * share one commit. With a `messageId` that is known: resolves with the ID of the record that came in with it, when that is committed.
   * @throws EVAQ_RECORD_TOO_LARGE, EVAQ_NO_SPACE, EVAQ_IO (not pushed); EVAQ_FAILED (unknown); EVAQ_CLOSED
   */
  push(payload: Payload, options?: PushOptions): Promise<number> {
    if (!this.#core.isOpen) return Promise.reject(closedError(this.name));
    try {
      requireNoMore(arguments.length, 2, 'push');
      const bytes = bytesOf(payload, 'payload');
      const isObserved = isPushObserved();
      if (options === undefined && !isObserved) {
        this.#encoder.requireFit(bytes.length);
        return this.#core.limits.pushes.push(bytes, undefined);
      }
      requireOptions(options, 'push', PUSH_NAMES);
      const signal = signalOf(options, 'push');
      const meta = this.#encoder.metaOf(options, '');
      if (meta !== undefined) this.#core.requireOpen();
      this.#encoder.requireFit(bytes.length + (meta === undefined ? 0 : meta.length));
      const messageId = options?.messageId;
      if (isObserved) {
        const pushed = (added: AddedHeaders): Promise<number> =>
          this.#push(bytes, added.addTo(meta), messageId, signal);
        return tracePush(this.#traceOf('push', 1, bytes.length), this.#host.elapsed, pushed, (id) => ({
          firstId: id,
          lastId: id,
        }));
      }
      return this.#push(bytes, meta, messageId, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #push(
    bytes: Uint8Array,
    meta: Uint8Array | undefined,
    messageId: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    this.#core.requireOpen();
    if (messageId !== undefined && meta !== undefined)
      return untilAborted(signal, () => this.#core.intake.push(bytes, meta, messageId, signal));
    return untilAborted(signal, () => this.#core.limits.pushes.push(bytes, meta, signal));
  }

  #traceOf(call: PushTrace['call'], records: number, bytes: number): Omit<PushTrace, 'headers'> {
    return { storeId: this.#host.storeId, queue: this.name, call, records, bytes };
  }

  /**
   * Appends records with consecutive IDs as one commit: after any crash all of them are there, or none (P4). Takes any iterable, of payloads or of
   * entries that have headers; `headers`, `delayMs` and `deliverAt` of the call are of all that have none. Of nothing it resolves with an empty span (`lastId` is `firstId - 1`)
   * and writes nothing. With a `checkpoint` that is committed with them, or, of nothing, alone, when all that was pushed before is durable.
   * @throws EVAQ_DUPLICATE where the `messageId` of an entry is known or comes twice (nothing is pushed); EVAQ_RECORD_TOO_LARGE for one of them or (at
   * 1 GiB) the whole; RangeError for more than 4096 sources; and as `push`
   */
  pushMany(payloads: Iterable<Payload | PushEntry>, options?: PushManyOptions): Promise<IdSpan> {
    if (!this.#core.isOpen) return Promise.reject(closedError(this.name));
    try {
      requireNoMore(arguments.length, 2, 'pushMany');
      requireOptions(options, 'pushMany', PUSH_MANY_NAMES);
      const signal = signalOf(options, 'pushMany');
      if (!isIterable(payloads) || ArrayBuffer.isView(payloads)) {
        throw new TypeError(`payloads must be an iterable of payloads, got ${describe(payloads)}`);
      }
      throwIfAborted(signal);
      const checkpoint = checkpointOf(options?.checkpoint);
      const { all, metas, messageIds } = this.#encoder.entriesOf(payloads, sharedOf(options));
      // Going through them runs code of the caller's.
      this.#core.requireOpen();
      const pushed = (withMetas: Metas): Promise<IdSpan> => {
        this.#core.requireOpen();
        if (messageIds !== undefined || checkpoint !== undefined) {
          const { intake } = this.#core;
          return untilAborted(signal, () => intake.pushMany(all, withMetas, messageIds, checkpoint, signal));
        }
        return untilAborted(signal, () => this.#core.limits.pushes.pushMany(all, withMetas, signal));
      };
      if (all.length === 0 && checkpoint === undefined) {
        this.#core.removing.throwIfFailed();
        const { nextId } = this.#core.commits;
        return Promise.resolve({ firstId: nextId, lastId: nextId - 1 });
      }
      if (!isPushObserved()) return pushed(metas);
      const bytes = all.reduce((sum, { length }) => sum + length, 0);
      const what = this.#traceOf('pushMany', all.length, bytes);
      return tracePush(
        what,
        this.#host.elapsed,
        (added) => pushed(added.addToAll(metas, all.length, bytes)),
        (span) => span,
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Appends a record, durable on return whatever the durability mode, with all that was pushed before it and all removals that have resolved;
   * blocks the thread for a sync. For exit and crash handlers.
   * Throws as `push` rejects. With EVAQ_IO for want of a descriptor it has done nothing. Where the write failed (EVAQ_NO_SPACE, EVAQ_IO), what was
   * pushed before and was not being written yet is rejected with the same error.
   */
  pushSync(payload: Payload, options?: Omit<PushOptions, 'signal'>): number {
    this.#core.requireOpen();
    requireNoMore(arguments.length, 2, 'pushSync');
    requireOptions(options, 'pushSync', PUSH_SYNC_NAMES);
    const bytes = bytesOf(payload, 'payload');
    const meta = this.#encoder.metaOf(options, '');
    this.#encoder.requireFit(bytes.length + (meta === undefined ? 0 : meta.length));
    const { messageId } = options ?? {};
    const pushed = (withMeta: Uint8Array | undefined): number => {
      this.#core.requireOpen();
      if (messageId !== undefined && withMeta !== undefined)
        return this.#core.intake.pushSync(bytes, withMeta, messageId);
      return this.#core.limits.pushes.pushSync(bytes, withMeta);
    };
    if (!isPushObserved()) return pushed(meta);
    return tracePushSync(this.#traceOf('pushSync', 1, bytes.length), this.#host.elapsed, (added) =>
      pushed(added.addTo(meta)),
    );
  }

  /**
   * How far a source had come with the last `pushMany` that was committed with a checkpoint of it; `undefined` if there was none. After any crash it is
   * that of the last commit that is there: never ahead of the records, in mode 'sync' never behind what has resolved.
   * @throws EVAQ_CLOSED
   */
  async checkpoint(source: string): Promise<string | number | undefined> {
    requireNoMore(arguments.length, 1, 'checkpoint');
    requireSource(source, 'source');
    this.#core.requireOpen();
    return this.#core.intake.checkpoint(source);
  }

  /** The live record `id`, or `undefined`. Sees what is durable (in the weaker modes: written). */
  async get(id: number, options?: WaitOptions): Promise<QueueRecord | undefined> {
    const signal = waitOf(arguments.length, 2, options, 'get');
    requireRecordId(id, 'id');
    return untilAborted(signal, () => this.#core.call(() => this.#core.reads.get(id)));
  }

  /**
   * Takes a record out: resolves with it when its removal is durable. Of two concurrent pops of one ID one gets the record; the other waits for
   * that one's outcome.
   * @throws EVAQ_RECORD_NOT_FOUND (it is gone for good, durably, or that ID was not given out yet); EVAQ_CORRUPT, EVAQ_IO, EVAQ_NO_SPACE (it is there as before); EVAQ_FAILED (unknown)
   */
  async pop(id: number, options?: WaitOptions): Promise<QueueRecord> {
    const signal = waitOf(arguments.length, 2, options, 'pop');
    requireRecordId(id, 'id');
    throwIfAborted(signal);
    let isTaken = false;
    const popped = this.#core.call(async () => {
      const { removing } = this.#core;
      const claim = await removing.claim(id);
      if (claim === undefined) throw notFound(this.name, id);
      let record: QueueRecord;
      try {
        record = await this.#core.reads.claimed(claim);
        throwIfAborted(signal);
      } catch (error) {
        claim.end('given back');
        throw error;
      }
      // From here on the record is whoever's called: a signal does not make him lose it.
      isTaken = true;
      await removing.removeClaimed(claim);
      return record;
    });
    if (signal === undefined) return popped;
    return untilAborted(signal, () => popped).catch((error: unknown) => {
      if (isTaken) return popped;
      throw error;
    });
  }

  /**
   * Live records in ID order, within the limits: what was live at one moment of the call, without a gap. Fewer than the limits allow where others
   * remove at the same time, but empty only if there is none.
   * @throws EVAQ_CORRUPT, EVAQ_IO, EVAQ_CLOSED
   */
  async read(options?: ReadOptions): Promise<QueueRecord[]> {
    requireNoMore(arguments.length, 1, 'read');
    const { from, limits, signal } = wantedOf(options);
    const read = async (): Promise<QueueRecord[]> => [
      ...(await this.#core.reads.read(from, Number.MAX_SAFE_INTEGER, limits)).records,
    ];
    return untilAborted(signal, () => this.#core.call(read));
  }

  /**
   * Live records in ID order, up to those there are when the iteration gets there. Each is live at the moment it is handed out; one that stays live is
   * not passed over. Reads ahead by one batch. Throws EVAQ_CLOSED once the store closes.
   */
  records(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate(arguments.length, options, 'records');
  }

  /**
   * As `records`, and then waits for more, and holds the process meanwhile. Ends when the store closes, where no record up to `to` can come any more, and
   * at once by `return()`; `signal` makes it throw. Where the store has stopped it throws EVAQ_FAILED behind the last record.
   */
  tail(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate(arguments.length, options, 'tail');
  }

  /**
   * Removes a record. Resolves with true when that is durable (P2), or with false if it was not live; then that is durable, too. From the call on it is
   * not delivered any more, also if the removal is rejected; where that is written later by itself, the next call for it resolves with false.
   * @throws EVAQ_NO_SPACE, EVAQ_IO (it stays asked for, and goes with the next removal that can be written), EVAQ_FAILED
   */
  remove(id: number, options?: WaitOptions): Promise<boolean> {
    if (!this.#core.isOpen) return Promise.reject(closedError(this.name));
    let signal: AbortSignal | undefined;
    try {
      signal = waitOf(arguments.length, 2, options, 'remove');
      requireRecordId(id, 'id');
    } catch (error) {
      return Promise.reject(error);
    }
    if (signal === undefined) return this.#core.removing.remove(id);
    return untilAborted(signal, () => this.#core.removing.remove(id));
  }

  /** Removes those of `ids` that are live, in one atomic step; resolves with how many there were. */
  async removeMany(ids: Iterable<number>, options?: WaitOptions): Promise<number> {
    const signal = waitOf(arguments.length, 2, options, 'removeMany');
    if (!isIterable(ids)) {
      throw new TypeError(`ids must be an iterable of record IDs, got ${describe(ids)}`);
    }
    const all = Array.isArray(ids) ? ids : [...ids];
    for (const id of all) requireRecordId(id, 'ids');
    return untilAborted(signal, () => this.#core.call(() => this.#core.removing.removeMany(all)));
  }

  /** Removes all live records up to and including `id`, in one atomic step; resolves with how many there were. */
  async removeThrough(id: number, options?: WaitOptions): Promise<number> {
    const signal = waitOf(arguments.length, 2, options, 'removeThrough');
    requireRecordId(id, 'id');
    return untilAborted(signal, () => this.#core.call(() => this.#core.removing.removeThrough(id)));
  }

  /** The dead letters of this queue, to be listed, counted, redriven, purged. Of a queue that holds dead letters: those in it. */
  get deadLetters(): QueueDeadLetters {
    return this.#host.deadLettersOf(this.#core);
  }

  /**
   * Moves a record to this queue's dead letters, once (P10): after any crash it is live in exactly one of the two. Those of the WAL queue are
   * `evaq.deadLetters`; those of a named queue are the queue `<name>.dead`, made when it is needed. Resolves with its new ID. Whatever `error` is, it
   * does not keep the record from moving.
   * @throws EVAQ_RECORD_NOT_FOUND (as `pop`), and as `push` (the record stays); TypeError for a queue of dead letters
   */
  async deadLetter(id: number, options: DeadLetterOptions): Promise<number> {
    requireNoMore(arguments.length, 2, 'deadLetter');
    requireOptions(options, 'deadLetter', DEAD_LETTER_NAMES);
    const signal = signalOf(options, 'deadLetter');
    return untilAborted(signal, () => this.#host.deadLetter(this.#core, id, options));
  }

  /**
   * Moves this queue's dead letters back to it: those of the given IDs, or, of those that there are at the call, all that a function accepts. IDs that
   * are not live there are ignored, also while their removal is owed. Each move is atomic
   * (P10), the whole is not. Resolves with the new IDs, in the order given, which the records keep. What moves keeps its headers and counts the
   * redrive. Where one cannot be moved no further one is begun; the error's `details.moved` says which have moved, and under which IDs. A function
   * that throws or rejects makes it reject before anything is moved. However often they have gone back, and in one go, with a list of all that moved in
   * memory; for many, at a pace, and with a bound on rounds: `deadLetters.redrive`.
   * @throws as `push`, and as reading dead letters
   */
  async redrive(which: DeadLetterSelection, options?: WaitOptions): Promise<number[]> {
    const signal = waitOf(arguments.length, 2, options, 'redrive');
    return untilAborted(signal, () => this.#host.redrive(this.#core, which, signal));
  }

  /**
   * Delivers this queue's records, one to a handler. What the handler returns, or resolves with, does not matter: the record has arrived, and is
   * removed. Where it throws or rejects the record is tried again in place, after a while that grows; its attempts and its due time are durable. After
   * `retry.maxAttempts` tries it moves to the dead letters (P10) with reason, error and attempts; in a queue of dead letters it stays, and is not
   * tried again by itself. At least once: a process that dies may deliver again what had arrived. A record is in one handler at a time, however many
   * deliveries there are; `pop` and moves of it wait meanwhile, removals do not.
   * @throws TypeError, RangeError for wrong options; TypeError for a second delivery where one keeps an order; EVAQ_CLOSED
   */
  process(handler: Handler, options?: DeliveryOptions): Delivery {
    requireNoMore(arguments.length, 2, 'process');
    return this.#host.process(this.#core, handler, options);
  }

  /**
   * The same for batches. What the handler's result does not name as failed has arrived. Where it throws without having named anybody, the batch is
   * halved until the record that it throws for stands alone: only that one's attempt is spent.
   */
  processBatch(handler: BatchHandler, options?: BatchOptions): Delivery {
    requireNoMore(arguments.length, 2, 'processBatch');
    return this.#host.processBatch(this.#core, handler, options);
  }

  /**
   * A stream to push into: each chunk that is written becomes a record, or each line (`split: 'lines'`). Its back-pressure is that of the queue. It has
   * finished when all of it is durable, whatever the mode. An error of a push (as `pushMany`'s) destroys it; what was committed before stays, and
   * `pushed` says how much that is.
   * @throws TypeError, RangeError for wrong options; EVAQ_CLOSED
   */
  writable(options?: WritableOptions): QueueWritable {
    requireNoMore(arguments.length, 1, 'writable');
    this.#core.requireOpen();
    const { recordBytesMax, limits } = this.#core.options;
    const target = {
      queue: this.name,
      recordBytesMax,
      limits,
      push: (payloads: readonly Uint8Array[]) => this.pushMany(payloads),
      flush: () => this.flush(),
    };
    return new QueueWritable(target, options);
  }

  /** The same as a `WritableStream`, of bytes or texts. */
  writableWeb(options?: WritableOptions): WritableStream {
    requireNoMore(arguments.length, 1, 'writableWeb');
    return Writable.toWeb(this.writable(options));
  }

  /** A stream of records, as `records` gives them; with `follow` as `tail` does. Ending it early ends the iteration. */
  readable(options?: ReadableOptions): Readable {
    requireNoMore(arguments.length, 1, 'readable');
    requireOptions(options, 'readable', READABLE_NAMES);
    const { follow = false, ...range } = options ?? {};
    if (typeof follow !== 'boolean') throw new TypeError(`follow must be true or false, got ${describe(follow)}`);
    rangeOf(range, 'readable');
    return Readable.from(follow ? this.tail(range) : this.records(range), { highWaterMark: READ_AHEAD });
  }

  /** The same as a `ReadableStream`. */
  readableWeb(options?: ReadableOptions): ReadableStream {
    requireNoMore(arguments.length, 1, 'readableWeb');
    return Readable.toWeb(this.readable(options));
  }

  /**
   * Resolves when everything pushed and removed before is durable, whatever the durability mode; it does not wait for what comes later.
   * @throws EVAQ_NO_SPACE, EVAQ_IO: removals that were asked for could not be written; EVAQ_FAILED
   */
  async flush(options?: WaitOptions): Promise<void> {
    const signal = waitOf(arguments.length, 1, options, 'flush');
    return untilAborted(signal, () => this.#core.call(() => this.#core.flush()));
  }

  /**
   * Gives back the space that dead records take, now, and tells what that came to. The segment that is appended to is left for that only from 16 KiB of
   * dead records on: less is not worth a file of its own.
   * @throws EVAQ_NO_SPACE, EVAQ_IO for what could not be done, when the rest is done; EVAQ_CLOSED, EVAQ_FAILED
   */
  async compact(options?: WaitOptions): Promise<GcReport> {
    const signal = waitOf(arguments.length, 1, options, 'compact');
    return untilAborted(signal, () => this.#core.call(() => this.#core.compact()));
  }

  stats(): QueueStats {
    return statsOf(this.#core, this.#host);
  }

  /** What is wrong with the options shows at the first `next`, as with a generator. */
  #iterate(given: number, options: RecordsOptions | undefined, how: 'records' | 'tail'): RecordIterator {
    return new RecordIterator(() => {
      requireNoMore(given, 1, how);
      const { from, to, signal } = rangeOf(options, how);
      return { source: this.#core.records(from, to, how), signal };
    });
  }
}
