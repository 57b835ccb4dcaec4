/**
 * The public face of one queue: checks arguments, then leaves the work to `QueueCore`.
 */
import { EvaqError } from '../errors.js';
import { encodeMeta } from '../frame/metadata.js';
import { describe, requireRecordId } from '../ids.js';
import type { Damage } from '../log/log-load.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type ReadOptions, type RecordsOptions, rangeOf, wantedOf } from '../log/read-options.js';
import { RecordIterator } from '../log/record-iterator.js';
import { tooLarge } from './commit-pipeline.js';
import { closedError, type QueueCore } from './queue-core.js';

/** A payload: bytes as they are, a string as UTF-8. Copied before the call returns. */
export type Payload = Uint8Array | string;

export interface PushOptions {
  /** Small named strings kept with the record, for content type, trace context and the like. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Checked when the call is made: an aborted signal rejects with its reason, and nothing is pushed. */
  readonly signal?: AbortSignal;
}

export interface DeadLetterOptions {
  /** Why it could not be delivered, as a short code or sentence. */
  readonly reason: string;
  /** What was thrown, whatever it is; name, message, code, cause and errors are kept, each text cut to 4 KiB. */
  readonly error?: unknown;
  /** Not to be retried before so many ms have passed. Default 0. */
  readonly delayMs?: number;
}

/** Which dead letters: by ID, or those that a function says yes to. What it resolves with is awaited. */
export type DeadLetterSelection = readonly number[] | ((record: QueueRecord) => boolean | Promise<boolean>);

/** What `compact` did, by itself: what GC did in the background meanwhile is not in it. */
export interface GcReport {
  readonly droppedSegments: number;
  readonly rewrittenSegments: number;
  readonly copiedRecords: number;
  /** Bytes written for copies. */
  readonly copiedBytes: number;
  /** Bytes that went back to the file system: of files that were removed, or cut. */
  readonly reclaimedBytes: number;
  /** Bytes of dead files that went to the recycle pool: they are still on disk, to be overwritten. */
  readonly recycledBytes: number;
}

/** A queue in numbers, as of the call. */
export interface QueueStats {
  readonly queue: string;
  /** 'failed': a sync failed, reopen. 'damaged': something could not be read. */
  readonly health: 'ok' | 'damaged' | 'failed';
  readonly live: number;
  /** Removed records whose bytes are still on disk. */
  readonly dead: number;
  readonly nextId: number;
  /** Bytes on disk: segments and tombstone log, without the recycle pool. */
  readonly bytes: number;
  readonly segments: number;
  readonly tombstoneBytes: number;
  /** Dead files kept to be overwritten. */
  readonly recycledFiles: number;
  /** Bytes of pushes that are not committed yet. */
  readonly pendingBytes: number;
  /** Removals that could not be written yet for want of space, as ranges of IDs. */
  readonly owedRemovals: number;
  readonly oldestId: number | undefined;
  /** Age of the segment's first record in which the oldest live one is, in ms: no live record is older. */
  readonly oldestAgeMs: number | undefined;
  /** Syncs of data since the queue was opened, in milliseconds. */
  readonly sync: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
  readonly gc: GcReport & { readonly lastError: EvaqError | undefined };
  /** Damage met since the store was opened. */
  readonly damage: readonly Damage[];
}

/** The store's part in a queue: what concerns other queues, and what its statistics mention. */
export interface QueueHost {
  readonly now: () => number;
  readonly failure: () => EvaqError | undefined;
  readonly deadLetter: (source: QueueCore, id: number, options: DeadLetterOptions) => Promise<number>;
  readonly redrive: (source: QueueCore, which: DeadLetterSelection) => Promise<number[]>;
}

/**
 * A durable queue. Its calls may be made concurrently. After `close` of the store all of them reject with EVAQ_CLOSED; after a failed
 * sync pushes and removals reject with EVAQ_FAILED, reads go on.
 */
export class Queue {
  readonly #core: QueueCore;
  readonly #host: QueueHost;

  /** Queues are made by `Evaq`. */
  constructor(core: QueueCore, host: QueueHost) {
    this.#core = core;
    this.#host = host;
  }

  get name(): string {
    return this.#core.name;
  }

  /** The number of live records. */
  get size(): number {
    return this.#core.log.liveCount;
  }

  /**
   * Appends a record and resolves with its ID, when it is committed in the durability mode in force (P1). Pushes of one turn of the event loop
   * share one commit.
   * @throws EVAQ_RECORD_TOO_LARGE, EVAQ_NO_SPACE, EVAQ_IO (not pushed); EVAQ_FAILED (unknown); EVAQ_CLOSED
   */
  push(payload: Payload, options?: PushOptions): Promise<number> {
    if (!this.#core.isOpen) return Promise.reject(closedError(this.name));
    try {
      const bytes = bytesOf(payload, 'payload');
      const meta = options === undefined ? undefined : metaOf(options);
      this.#requireFit(bytes.length + (meta === undefined ? 0 : meta.length));
      return this.#core.commits.push(bytes, meta);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Appends records with consecutive IDs as one commit: after any crash all of them are there, or none (P4).
   * @throws EVAQ_RECORD_TOO_LARGE for one of them or (at 1 GiB) the whole, and as `push`
   */
  pushMany(payloads: readonly Payload[]): Promise<{ firstId: number; lastId: number }> {
    if (!this.#core.isOpen) return Promise.reject(closedError(this.name));
    try {
      if (!Array.isArray(payloads)) throw new TypeError(`payloads must be an array, got ${describe(payloads)}`);
      if (payloads.length === 0) throw new RangeError('payloads must hold at least one payload, got an empty array');
      const all: Uint8Array[] = [];
      for (let i = 0; i < payloads.length; i++) {
        const bytes = bytesOf(payloads[i], `payloads[${i}]`);
        this.#requireFit(bytes.length);
        all.push(bytes);
      }
      return this.#core.commits.pushMany(all);
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
  pushSync(payload: Payload): number {
    this.#core.requireOpen();
    const bytes = bytesOf(payload, 'payload');
    this.#requireFit(bytes.length);
    return this.#core.commits.pushSync(bytes);
  }

  /** The live record `id`, or `undefined`. Sees what is durable (in the weaker modes: written). */
  async get(id: number): Promise<QueueRecord | undefined> {
    requireRecordId(id, 'id');
    return this.#core.call(() => this.#core.get(id));
  }

  /**
   * Takes a record out: resolves with it when its removal is durable. Of two concurrent pops of one ID one gets the record; the other waits for
   * that one's outcome.
   * @throws EVAQ_RECORD_NOT_FOUND (it is gone for good, durably); EVAQ_CORRUPT, EVAQ_IO, EVAQ_NO_SPACE (it is there as before); EVAQ_FAILED (unknown)
   */
  async pop(id: number): Promise<QueueRecord> {
    requireRecordId(id, 'id');
    return this.#core.call(async () => {
      const { removing } = this.#core;
      const claim = await removing.claim(id);
      if (claim === undefined) throw notFound(this.name, id);
      let record: QueueRecord;
      try {
        record = await this.#core.readClaimed(claim);
      } catch (error) {
        claim.end('given back');
        throw error;
      }
      await removing.removeClaimed(claim);
      return record;
    });
  }

  /**
   * Live records in ID order, within the limits: what was live at one moment of the call, without a gap. Fewer than the limits allow where others
   * remove at the same time, but empty only if there is none.
   * @throws EVAQ_CORRUPT, EVAQ_IO, EVAQ_CLOSED
   */
  async read(options: ReadOptions = {}): Promise<QueueRecord[]> {
    const { from, limits } = wantedOf(options);
    return this.#core.call(async () => [...(await this.#core.read(from, Number.MAX_SAFE_INTEGER, limits)).records]);
  }

  /**
   * Live records in ID order, up to those there are when the iteration gets there. Each is live at the moment it is handed out; one that stays live is
   * not passed over. Reads ahead by one batch.
   */
  records(options: RecordsOptions = {}): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate(options, false);
  }

  /**
   * As `records`, and then waits for more, and holds the process meanwhile. Ends when the queue closes, and at once by `return()`; `signal` makes it
   * throw.
   */
  tail(options: RecordsOptions = {}): AsyncGenerator<QueueRecord, void, undefined> {
    return this.#iterate(options, true);
  }

  /**
   * Removes a record. Resolves with true when that is durable (P2), or with false if it was not live; then that is durable, too. From the call on it is
   * not delivered any more, also if the removal is rejected.
   * @throws EVAQ_NO_SPACE, EVAQ_IO (it stays asked for, and goes with the next removal that can be written), EVAQ_FAILED
   */
  remove(id: number): Promise<boolean> {
    if (!this.#core.isOpen) return Promise.reject(closedError(this.name));
    try {
      requireRecordId(id, 'id');
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#core.removing.remove(id);
  }

  /** Removes those of `ids` that are live, in one atomic step; resolves with how many there were. */
  async removeMany(ids: Iterable<number>): Promise<number> {
    if (typeof ids !== 'object' || ids === null || !(Symbol.iterator in ids)) {
      throw new TypeError(`ids must be an iterable of record IDs, got ${describe(ids)}`);
    }
    const all = Array.isArray(ids) ? ids : [...ids];
    for (const id of all) requireRecordId(id, 'ids');
    return this.#core.call(() => this.#core.removing.removeMany(all));
  }

  /** Removes all live records up to and including `id`, in one atomic step; resolves with how many there were. */
  async removeThrough(id: number): Promise<number> {
    requireRecordId(id, 'id');
    return this.#core.call(() => this.#core.removing.removeThrough(id));
  }

  /**
   * Moves a record to this queue's dead letters, once (P10): after any crash it is live in exactly one of the two. Those of the WAL queue are
   * `evaq.deadLetters`; those of a named queue are the queue `<name>.dead`, made when it is needed. Resolves with its new ID. Whatever `error` is, it
   * does not keep the record from moving.
   * @throws EVAQ_RECORD_NOT_FOUND (it is gone for good, durably), and as `push` (the record stays); TypeError for a queue of dead letters
   */
  deadLetter(id: number, options: DeadLetterOptions): Promise<number> {
    return this.#host.deadLetter(this.#core, id, options);
  }

  /**
   * Moves this queue's dead letters back to it: those of the given IDs, or all that a function accepts. Unknown IDs are ignored. Each move is atomic
   * (P10), the whole is not. Resolves with the new IDs, in the order given, which the records keep. What moves keeps its headers and counts the
   * redrive. Where one cannot be moved no further one is begun; the error's `details.moved` says which have moved, and under which IDs. A function
   * that throws or rejects makes it reject before anything is moved.
   * @throws as `push`, and as reading dead letters
   */
  redrive(which: DeadLetterSelection): Promise<number[]> {
    return this.#host.redrive(this.#core, which);
  }

  /**
   * Resolves when everything pushed and removed before is durable, whatever the durability mode; it does not wait for what comes later.
   * @throws EVAQ_NO_SPACE, EVAQ_IO: removals that were asked for could not be written; EVAQ_FAILED
   */
  async flush(): Promise<void> {
    return this.#core.call(() => this.#core.flush());
  }

  /** Gives back all space that dead records take, now, and tells what that came to. */
  async compact(): Promise<GcReport> {
    return this.#core.call(() => this.#core.compact());
  }

  stats(): QueueStats {
    const core = this.#core;
    const { log, syncTimes } = core;
    const oldestId = log.firstLive(0);
    const oldest = oldestId === undefined ? undefined : log.find(oldestId);
    const failure = this.#host.failure();
    let bytes = core.removals.logBytes;
    for (const segment of log.segments) bytes += segment.phase === 'active' ? segment.end : segment.fileBytes;
    const ms = (micros: number): number => micros / 1000;
    return {
      queue: core.name,
      health: failure !== undefined ? 'failed' : core.damage.length > 0 ? 'damaged' : 'ok',
      live: log.liveCount,
      dead: log.count - log.liveCount,
      nextId: core.commits.nextId,
      bytes,
      segments: log.segments.length,
      tombstoneBytes: core.removals.logBytes,
      recycledFiles: core.supply.poolFiles,
      pendingBytes: core.commits.pendingBytes,
      owedRemovals: core.removals.owedRanges,
      oldestId,
      oldestAgeMs: oldest === undefined ? undefined : Math.max(0, this.#host.now() - oldest.minTimeMs),
      sync: {
        count: syncTimes.count,
        p50Ms: syncTimes.count === 0 ? 0 : ms(syncTimes.percentile(50)),
        p99Ms: syncTimes.count === 0 ? 0 : ms(syncTimes.percentile(99)),
        maxMs: syncTimes.count === 0 ? 0 : ms(syncTimes.max),
      },
      gc: { ...core.gc.counters, lastError: core.scheduler.lastError },
      damage: [...core.damage],
    };
  }

  #iterate(options: RecordsOptions, follows: boolean): RecordIterator {
    return new RecordIterator(() => {
      const { from, to, signal } = rangeOf(options);
      return { source: this.#core.records(from, to, follows), signal };
    });
  }

  #requireFit(bytes: number): void {
    const limit = this.#core.options.recordBytesMax;
    if (bytes > limit) throw tooLarge(bytes, limit, 'the record');
  }
}

/** Bytes of a payload. Throws a TypeError that names the argument. */
export function bytesOf(payload: unknown, argument: string): Uint8Array {
  if (payload instanceof Uint8Array) {
    if (payload.length === 0 && isDetached(payload))
      throw new TypeError(`${argument} has been transferred to another thread: its bytes are gone`);
    return payload;
  }
  if (typeof payload === 'string') return Buffer.from(payload, 'utf8');
  throw new TypeError(`${argument} must be a Uint8Array or a string, got ${describe(payload)}`);
}

/** A view whose memory was transferred has a length of 0, too: no other view can be made of it. */
function isDetached({ buffer }: Uint8Array): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

function metaOf(options: PushOptions): Uint8Array | undefined {
  options.signal?.throwIfAborted();
  const { headers } = options;
  if (headers === undefined) return undefined;
  if (typeof headers !== 'object' || headers === null)
    throw new TypeError(`headers must be an object, got ${describe(headers)}`);
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') throw new TypeError(`headers.${name} must be a string, got ${describe(value)}`);
  }
  return encodeMeta({ headers });
}

export function notFound(queue: string, id: number): EvaqError {
  return new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue}' has no live record ${id}`, {
    details: { queue, id },
  });
}
