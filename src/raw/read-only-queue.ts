/**
 * One queue, for reading only, beside a writer or without one. Made by `ReadOnlyEvaq`.
 *
 * Every call looks first whether the folder has changed, and takes in what came: new commits at the end of the log, new
 * removals, or, where names have changed, the log anew. Reads resume by ID, so that GC may replace segments at any time.
 *
 * Calls may be made concurrently; those that wait for the same look share it.
 */
import { types } from 'node:util';
import { untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { requireNoMore } from '../arguments.js';
import { EvaqError } from '../errors.js';
import { describe, type IdRange, requireCount, requireRecordId } from '../ids.js';
import type { Damage } from '../log/log-load.js';
import type { ReadLimits } from '../log/log-reader.js';
import { Needle } from '../log/needle.js';
import { PayloadPack } from '../log/payload-pack.js';
import type { QueueReader } from '../log/queue-reader.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type Range, type ReadOptions, type RecordsOptions, rangeOf, wantedOf } from '../log/read-options.js';
import { RecordIterator } from '../log/record-iterator.js';
import type { TimeRange } from '../segment/segment-times.js';
import type { Host } from '../vfs/host.js';
import type { Timer } from './folder-watch.js';
import { FreshPicture, isCorrupt } from './fresh-picture.js';
import { idFromEnd, rangesWithin } from './log-positions.js';
import { lostError, lostIn, type RecordState, stateIn, vagueIn } from './lost-in-picture.js';
import { NOTHING, reading, searching, type Take, type Taken } from './picture-takes.js';
import { PolledRecords, type PolledRecordsOptions } from './polled-records.js';
import type { QueuePlace, RawPicture } from './raw-picture.js';
import { TailLooks } from './tail-looks.js';

export interface ReadOnlyTailOptions extends RecordsOptions {
  /**
   * At least so long between two looks for more, in ms. Default 100. Where the system tells of changes (Linux) it looks when it is told, and once a second;
   * elsewhere each time.
   */
  readonly pollMs?: number;
}

export interface ReadOnlyBatchesOptions extends RecordsOptions {
  /** Only records whose payload holds these bytes, which are at least one. The others are read and checked as well, and cost a fraction. */
  readonly holding?: Uint8Array;
}

export interface ReadOnlyPayloadsOptions extends ReadOnlyBatchesOptions {
  /** Stands behind each of them. Default a newline. */
  readonly behind?: Uint8Array;
}

/** Some payloads in a row, each with what stands behind it. */
export interface PackedPayloads {
  /** A view of a buffer that is used again: as it is until the next are asked for. */
  readonly bytes: Buffer;
  /** How many payloads; at least one. */
  readonly count: number;
  /** Of the last of them. */
  readonly lastId: number;
}

/** A queue in numbers, as of the call. */
export interface ReadOnlyQueueStats {
  readonly queue: string;
  /** Its last writer closed it and nothing happened since. False while one has it open, and after one died. */
  readonly clean: boolean;
  readonly live: number;
  /** Removed records whose bytes are still on disk. */
  readonly dead: number;
  /**
   * The ID that the next record gets at least: one more than the highest that the files tell of. What a writer in a weaker mode has not written yet is not
   * in it, nor is how far the next one skips ahead after such a writer died.
   */
  readonly nextId: number;
  /** Bytes of segments and tombstone logs, without the recycle pool. */
  readonly bytes: number;
  readonly segments: number;
  readonly tombstoneBytes: number;
  /** Dead files kept to be overwritten. */
  readonly recycledFiles: number;
  readonly recycledBytes: number;
  readonly oldestId: number | undefined;
  /** Damage that loading found or a read met. */
  readonly damage: readonly Damage[];
}

export interface ReadOnlyQueueInit {
  readonly place: QueuePlace;
  readonly onCorruption: 'fail' | 'quarantine';
  readonly timer: Timer;
  readonly host: Pick<Host, 'elapsed'>;
  /** IDs of this queue that have been moved and have arrived, wherever that is, as of the call. The lists only grow, or are others. */
  readonly movedAway: () => Promise<readonly (readonly number[])[]>;
}

/** What an iteration reads at a time. */
const BATCH: ReadLimits = { maxBytes: 1024 * 1024, maxRecords: 8192 };
const POLL_MS_DEFAULT = 100;
const NEWLINE = Buffer.from('\n');

/** Reading a queue changes nothing on disk (P11). After `close` of the store every call rejects with EVAQ_CLOSED. */
export class ReadOnlyQueue implements QueueReader {
  readonly name: string;
  readonly #place: QueuePlace;
  readonly #skipDamage: boolean;
  readonly #timer: Timer;
  readonly #host: Pick<Host, 'elapsed'>;
  readonly #fresh: FreshPicture;
  /** That there is a doubt as to what was read: see `RawPicture.doubt`. */
  #hasTold = false;
  readonly #met: Damage[] = [];
  readonly #sleepers = new Set<() => void>();
  /** Of tails that have not ended. */
  readonly #looks = new Set<TailLooks>();

  /** Queues are made by `ReadOnlyEvaq`. */
  constructor(init: ReadOnlyQueueInit) {
    this.name = init.place.queue;
    this.#place = init.place;
    this.#skipDamage = init.onCorruption === 'quarantine';
    this.#timer = init.timer;
    this.#host = init.host;
    this.#fresh = new FreshPicture(init.place, init.movedAway);
  }

  /**
   * The live record `id`, or `undefined`.
   * @throws EVAQ_CORRUPT where it is lost (with `onCorruption: 'quarantine'`: `undefined`), EVAQ_IO, EVAQ_CLOSED, EVAQ_UNSUPPORTED_VERSION
   */
  async get(id: number, options?: WaitOptions): Promise<QueueRecord | undefined> {
    const signal = waitOf(arguments.length, 2, options, 'get');
    requireRecordId(id, 'id');
    return untilAborted(signal, () => this.#get(id));
  }

  #get(id: number): Promise<QueueRecord | undefined> {
    return this.#fresh.using(async (picture) => {
      const lost = this.#skipDamage ? undefined : lostIn(picture, id, id);
      if (lost !== undefined) throw lostError(this.name, lost);
      const vague = this.#skipDamage || picture.log.isLive(id) ? undefined : vagueIn(picture, id, id);
      if (vague !== undefined) throw lostError(this.name, vague);
      try {
        return await picture.get(id);
      } catch (error) {
        if (!this.#skipDamage || !isCorrupt(error) || (await this.#fresh.wasReplaced(picture, error))) throw error;
        this.#meet(error);
        return undefined;
      }
    });
  }

  /**
   * Live records in ID order, within the limits; empty if there is none. Records that are lost to damage make it reject with EVAQ_CORRUPT, after
   * those in front of them were returned; `details.lastId` says behind which ID to go on. Where it is not known which are lost, or where removals are,
   * so that removed records may be there again, what can be read comes first, and then it rejects. With `onCorruption: 'quarantine'` it goes on in any case.
   * @throws EVAQ_CORRUPT, EVAQ_IO, EVAQ_CLOSED, EVAQ_UNSUPPORTED_VERSION
   */
  async read(options?: ReadOptions): Promise<QueueRecord[]> {
    requireNoMore(arguments.length, 1, 'read');
    const { from, limits, signal } = wantedOf(options);
    // Of who reads batch by batch it is not known where he began: what is told at the end he is told once.
    const start = this.#hasTold ? from : from - 1;
    return untilAborted(signal, () => this.#read(from, Number.MAX_SAFE_INTEGER, limits, start));
  }

  /**
   * Live records in ID order, each once, up to those there are when the iteration gets there. Records that are removed meanwhile may be left out.
   * @throws as `read`
   */
  records(options?: RecordsOptions): AsyncGenerator<QueueRecord, void, undefined> {
    const given = arguments.length;
    return new RecordIterator(() => {
      requireNoMore(given, 1, 'records');
      const { from, to, signal } = rangeOf(options, 'records');
      const read = (first: number, last: number): Promise<readonly QueueRecord[]> =>
        this.#read(first, last, BATCH, from);
      return { source: this.#polled(read, undefined, from, to), signal };
    });
  }

  /**
   * As `records`, many at a time, none of them empty: for those who go through millions of them, at a fraction of what `records` costs. What was read at a
   * time is held in memory, some MiB of it and at least one record.
   * @throws as `read`; TypeError and RangeError for what `holding` cannot be
   */
  async *batches(options?: ReadOnlyBatchesOptions): AsyncGenerator<readonly QueueRecord[], void, undefined> {
    requireNoMore(arguments.length, 1, 'batches');
    const range = rangeOf(options, 'batches', ['holding']);
    const needle = needleOf(options?.holding, 'batches');
    const take = needle === undefined ? reading(BATCH) : searching({ needle });
    for await (const { records } of this.#takes(range, take)) if (records.length > 0) yield records;
  }

  /**
   * The payloads alone of what `batches` gives, each with `behind` behind it, many in one buffer: for those who pass them on as they are. No record is
   * made; all is checked as ever.
   * @throws as `batches`; TypeError for what `behind` cannot be
   */
  async *payloads(options?: ReadOnlyPayloadsOptions): AsyncGenerator<PackedPayloads, void, undefined> {
    requireNoMore(arguments.length, 1, 'payloads');
    const range = rangeOf(options, 'payloads', ['holding', 'behind']);
    const needle = needleOf(options?.holding, 'payloads');
    const { behind = NEWLINE } = options ?? {};
    if (!types.isUint8Array(behind)) throw new TypeError(`payloads: behind must be bytes, got ${describe(behind)}`);
    const pack = new PayloadPack(behind);
    for await (const _ of this.#takes(range, searching({ needle, pack }))) {
      const { bytes, count, lastId } = pack;
      if (count > 0) yield { bytes, count, lastId };
    }
  }

  async *#takes({ from, to, signal }: Range, take: Take): AsyncGenerator<Taken, void, undefined> {
    // Also behind the last that is wanted, where there is something to tell of all that came.
    for (let next = from; next <= to || (from <= to && this.#isInDoubt()); ) {
      const taken = await untilAborted(signal, () => this.#take(next, to, take, from));
      if (taken.lastId === undefined) return;
      yield taken;
      next = taken.lastId + 1;
    }
  }

  /**
   * As `records`, and then what comes, across rolled segments, GC and restarts of the writer: soon after it is written, as the system tells of it, and
   * otherwise within `pollMs`. Ends when the store is closed; `return()` ends it at once; `signal` makes it throw.
   * @throws as `read`
   */
  tail(options?: ReadOnlyTailOptions): AsyncGenerator<QueueRecord, void, undefined> {
    const given = arguments.length;
    return new RecordIterator(() => {
      requireNoMore(given, 1, 'tail');
      const { from, to, signal } = rangeOf(options, 'tail', ['pollMs']);
      const { pollMs = POLL_MS_DEFAULT } = options ?? {};
      requireCount(pollMs, 'pollMs', 1);
      const { vfs, dir } = this.#place;
      const looks = new TailLooks(
        { vfs, timer: this.#timer, elapsed: () => this.#host.elapsed(), pollMs },
        dir,
        (first, last) => this.#readUnlessClosed(first, last, from),
      );
      this.#looks.add(looks);
      const end = (): void => {
        looks.end();
        this.#looks.delete(looks);
      };
      const wait = (wake: () => void): (() => void) => this.#sleep(looks, wake);
      return { source: this.#polled(looks.read, wait, from, to, end), signal };
    });
  }

  /**
   * The ID of the live record that has `count` - 1 live ones behind it, so 1 for the last; where there are fewer, of the first; `undefined` where none is
   * live. Reads no record.
   * @throws as `stats`; RangeError unless `count` is a whole number above 0
   */
  async idFromEnd(count: number, options?: WaitOptions): Promise<number | undefined> {
    const signal = waitOf(arguments.length, 2, options, 'idFromEnd');
    requireCount(count, 'count', 1);
    return untilAborted(signal, () => this.#fresh.using((picture) => Promise.resolve(idFromEnd(picture.log, count))));
  }

  /**
   * Where to look for records of a stretch of time (ms since the epoch, both ends belong to it): ascending ranges of IDs outside of which none is of that
   * time, whatever the clock did. Within them there may be others. Found by what the segments say of their times; reads no record.
   * @throws as `stats`; TypeError unless both are numbers
   */
  async rangesWithin(range: TimeRange, options?: WaitOptions): Promise<IdRange[]> {
    const signal = waitOf(arguments.length, 2, options, 'rangesWithin');
    const { sinceMs, untilMs } = range;
    for (const ms of [sinceMs, untilMs]) {
      if (typeof ms !== 'number' || Number.isNaN(ms)) {
        throw new TypeError(`rangesWithin: sinceMs and untilMs must be numbers, got ${describe(ms)}`);
      }
    }
    return untilAborted(signal, () =>
      this.#fresh.using((picture) => Promise.resolve(rangesWithin(picture.log, range))),
    );
  }

  /**
   * What became of an ID, as of the call; reads no record. Of a record that is live and cannot be read only reading it tells that.
   * @throws as `stats`; RangeError unless `id` may be one
   */
  async stateOf(id: number, options?: WaitOptions): Promise<RecordState> {
    const signal = waitOf(arguments.length, 2, options, 'stateOf');
    requireRecordId(id, 'id');
    return untilAborted(signal, () => this.#fresh.using((picture) => Promise.resolve(stateIn(picture, id))));
  }

  /** The number of live records. @throws as `stats` */
  get size(): Promise<number> {
    return this.stats().then(({ live }) => live);
  }

  /** @throws EVAQ_IO, EVAQ_CLOSED, EVAQ_UNSUPPORTED_VERSION, EVAQ_CORRUPT where files contradict each other */
  async stats(options?: WaitOptions): Promise<ReadOnlyQueueStats> {
    return untilAborted(waitOf(arguments.length, 1, options, 'stats'), () => this.#stats());
  }

  #stats(): Promise<ReadOnlyQueueStats> {
    return this.#fresh.using(async (picture) => {
      const { vfs, dir } = this.#place;
      const { log, loaded, files } = picture;
      const sizes = async (names: Iterable<string>): Promise<number> => {
        let sum = 0;
        for (const name of names) sum += (await vfs.stat(`${dir}/${name}`))?.size ?? 0;
        return sum;
      };
      const tombstoneBytes = await sizes(files.tombstones);
      let bytes = tombstoneBytes;
      for (const { segment } of loaded.found) bytes += segment.fileBytes;
      return {
        queue: this.name,
        clean: loaded.clean || (files.segments.size === 0 && files.tombstones.size === 0),
        live: log.liveCount,
        dead: log.count - log.liveCount,
        nextId: picture.nextId,
        bytes,
        segments: files.segments.size,
        tombstoneBytes,
        recycledFiles: files.pool.length,
        recycledBytes: await sizes(files.pool),
        oldestId: log.firstLive(0),
        damage: [...picture.damage, ...this.#met],
      };
    });
  }

  /** IDs of queue `source` whose records have arrived here, as far as the tombstones there need not say so yet. @internal */
  async arrivalsFrom(source: string): Promise<readonly number[]> {
    if (this.#fresh.isClosed) return [];
    return (await this.#fresh.look()).arrivals.get(source) ?? [];
  }

  /** Resolves when reads under way are done and no file is open any more. @internal */
  async close(): Promise<void> {
    const closed = this.#fresh.close();
    for (const wake of this.#sleepers) wake();
    for (const looks of this.#looks) looks.end();
    await closed;
  }

  #polled(
    read: PolledRecordsOptions['read'],
    wait: PolledRecordsOptions['wait'],
    from: number,
    to: number,
    end: () => void = () => undefined,
  ): PolledRecords {
    const isOpen = (): boolean => !this.#fresh.isClosed;
    return new PolledRecords({ read, wait, isOpen, isInDoubt: () => this.#isInDoubt(), end }, from, to);
  }

  #isInDoubt(): boolean {
    return !this.#skipDamage && this.#fresh.last?.doubt !== undefined;
  }

  async #readUnlessClosed(from: number, to: number, start: number): Promise<readonly QueueRecord[] | undefined> {
    if (this.#fresh.isClosed) return undefined;
    try {
      return await this.#read(from, to, BATCH, start);
    } catch (error) {
      if (this.#fresh.isClosed && error instanceof EvaqError && error.code === 'EVAQ_CLOSED') return undefined;
      throw error;
    }
  }

  async #read(from: number, to: number, limits: ReadLimits, start: number): Promise<QueueRecord[]> {
    return [...(await this.#take(from, to, reading(limits), start)).records];
  }

  /** `start`: where the reading of which this is a part began. */
  #take(from: number, to: number, take: Take, start: number): Promise<Taken> {
    return this.#fresh.using(async (picture) => {
      if (this.#skipDamage) return this.#takeAround(picture, from, to, take);
      const lost = lostIn(picture, from, to);
      // Where the place is not known, what can be read comes first: up to where it may be.
      const vague = vagueIn(picture, from, to);
      const isLost = lost !== undefined && lost.first <= (vague?.last ?? Infinity);
      const end = isLost ? lost.first - 1 : (vague?.last ?? to);
      const taken = end < from ? NOTHING : await take(picture, from, end);
      if (taken.lastId !== undefined) return taken;
      const next = isLost ? lost : vague;
      if (next !== undefined) throw lostError(this.name, next);
      const { doubt } = picture;
      if (doubt === undefined || doubt.last < start) return taken;
      this.#hasTold = true;
      throw lostError(this.name, { ...doubt, last: Math.max(from - 1, Math.min(doubt.last, to)) });
    });
  }

  /** Reads past records that cannot be read. */
  async #takeAround(picture: RawPicture, from: number, to: number, take: Take): Promise<Taken> {
    for (let next = from; ; ) {
      try {
        return await take(picture, next, to);
      } catch (error) {
        if (!isCorrupt(error) || (await this.#fresh.wasReplaced(picture, error))) throw error;
        this.#meet(error);
        next = Math.max(next, error.details.lastId ?? next) + 1;
        if (next > to) return NOTHING;
      }
    }
  }

  #meet({ details }: EvaqError): void {
    const { path = this.#place.dir, offset = 0, bytes = 0, id, lastId } = details;
    if (this.#met.some((one) => one.file === path && one.offset === offset && one.firstId === id)) return;
    this.#met.push({
      queue: this.name,
      file: path,
      offset,
      bytes,
      ...(id === undefined ? {} : { firstId: id }),
      ...(lastId === undefined ? {} : { lastId }),
      what: 'met while reading',
      lossless: false,
    });
  }

  /** Calls `wake` when it is time to look again, or when the reader is closed. The result cancels. */
  #sleep(looks: TailLooks, wake: () => void): () => void {
    const cancel = looks.wait(wake);
    this.#sleepers.add(wake);
    if (this.#fresh.isClosed) wake();
    return () => {
      cancel();
      this.#sleepers.delete(wake);
    };
  }
}

function needleOf(holding: Uint8Array | undefined, call: string): Needle | undefined {
  if (holding === undefined) return undefined;
  if (!types.isUint8Array(holding)) throw new TypeError(`${call}: holding must be bytes, got ${describe(holding)}`);
  return new Needle(holding);
}
