/**
 * Appending: group commit (P1, P4, P7, P8).
 *
 * One commit is in flight; what is pushed meanwhile forms the next. There is no timer: a batch is whatever came during the last sync.
 * A commit is one positioned write and, in mode 'sync', one fdatasync; then its records become visible and its waiters are settled,
 * in order.
 *
 * Invariants
 * - IDs are given when a batch is placed, in order, and belong to it alone: a failed batch that was cut away gives its IDs back,
 *   since nobody was told them and the cut is durable.
 * - A segment is left only when the next one's name is durable, and before a commit that would make it too large.
 * - After every await the batch in flight is looked at again: `pushSync` may have committed it meanwhile.
 *
 * Concurrency: `push`, `pushMany` and `pushSync` at any time; one `#run` at a time.
 */
import { assert } from '../assert.js';
import { EvaqError, ioError, isNoSpace } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { isSummedByHeads } from '../frame/commit-check.js';
import { COMMIT_BODY_BYTES_MAX, COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import type { Host } from '../vfs/host.js';
import type { VfsChunk } from '../vfs/vfs.js';
import { type ActiveSegment, newActiveSegment } from './active-segment.js';
import { fillAhead, writeAgain, writeLink, writePlaced } from './active-writer.js';
import { beginPlace, endPlace, indexBatch } from './batch-place.js';
import { allDone, BatchStream, chunksOf, STREAM_BYTES_MIN } from './batch-writer.js';
import type { BlockingBudget } from './blocking-budget.js';
import { NextSegment, type SegmentSize } from './next-segment.js';
import { PushBatch } from './push-batch.js';
import { PushRoom } from './push-room.js';
import { newSegment } from './segment-start.js';
import { UnsyncedSegments } from './unsynced-segments.js';

/** Offsets have 32 bits, and the footer needs some too. */
const SEGMENT_BYTES_LIMIT = 0xe000_0000;

/** From so many segments on, one file of the pool is kept for rewrites on a full disk. */
export const SPARE_SEGMENTS_MIN = 4;

/** A batch of this size does not wait for the end of the turn in which it was begun. */
const EAGER_BYTES = 1024 * 1024;

/** A batch of pushes grows to this part of a segment; a `pushMany` alone may be larger. */
const BATCHES_PER_SEGMENT = 4;

export type PipelineDurability = 'sync' | 'interval' | 'os';

export interface CommitPipelineOptions {
  readonly queue: string;
  readonly log: SegmentLog;
  readonly supply: SegmentSupply;
  readonly host: Host;
  readonly failStop: FailStop;
  readonly durability: PipelineDurability;
  readonly blocking: BlockingBudget;
  readonly segmentBytes: number;
  readonly maxPendingBytes: number;
  readonly indexIntervalBytes: number;
  readonly nextId: number;
  /** The number of the last durable round of removals. */
  readonly removalRound: () => number;
  /** Records became visible. */
  readonly onVisible: () => void;
  /** A segment was left: its footer is to be written when it may. */
  readonly onRolled: (rolled: ActiveSegment) => void;
  /** Milliseconds that a sync took. */
  readonly onSync: (ms: number) => void;
}

export class CommitPipeline {
  readonly #options: CommitPipelineOptions;
  #active: ActiveSegment;
  #nextId: number;
  #lastTimestamp = 0;
  #open = new PushBatch();
  /** Batches that are full, in front of the open one. */
  readonly #full: PushBatch[] = [];
  #spare: PushBatch | undefined = new PushBatch();
  #inFlight: PushBatch | undefined;
  readonly #room: PushRoom;
  #running = false;
  /** While it runs: it does nothing but let the waiters of a commit go on. */
  #between = false;
  #scheduled = false;
  /** A batch that has its place and is being written, to be gone on with. */
  #begun: { readonly batch: PushBatch; readonly written: Promise<void> } | undefined;
  readonly #next: NextSegment;
  #rollWanted = false;
  /** Where the active segment ended when a commit found no space. */
  #noSpaceAt = -1;
  #idle: (() => void)[] = [];
  /** A failed write is being cut away: nothing may be written behind it. */
  #cutting: EvaqError | undefined;
  readonly #unsynced: UnsyncedSegments;

  constructor(options: CommitPipelineOptions, active: ActiveSegment) {
    this.#options = options;
    this.#active = active;
    this.#room = new PushRoom(options.maxPendingBytes);
    this.#next = new NextSegment({
      supply: options.supply,
      failStop: options.failStop,
      relaxed: options.durability !== 'sync',
      nextId: () => this.#nextId,
      keep: () => this.#spareFiles,
    });
    this.#unsynced = new UnsyncedSegments(options.failStop, (left) => this.#timedSync(left));
    this.#nextId = options.nextId;
    for (const segment of options.log.segments) this.#lastTimestamp = Math.max(this.#lastTimestamp, segment.maxTimeMs);
  }

  /** The ID that the next record gets. */
  get nextId(): number {
    return this.#nextId;
  }

  get active(): ActiveSegment {
    return this.#active;
  }

  get pendingBytes(): number {
    return this.#room.pendingBytes;
  }

  /** Resolves when the record is committed in the durability mode in force. */
  push(payload: Uint8Array, meta: Uint8Array | undefined): Promise<number> {
    const bytes = payload.length + DENSE_FRAME_BYTES + (meta === undefined ? 0 : meta.length + 4);
    const failure = this.#options.failStop.error;
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#room.mustWait(bytes)) {
      const copy = Uint8Array.prototype.slice.call(payload);
      return this.#room.wait(bytes, () => this.#accept(copy, meta, bytes));
    }
    return this.#accept(payload, meta, bytes);
  }

  /** All or none, with consecutive IDs. */
  pushMany(payloads: readonly Uint8Array[]): Promise<{ firstId: number; lastId: number }> {
    let bytes = 0;
    for (const payload of payloads) bytes += payload.length + DENSE_FRAME_BYTES;
    if (bytes > COMMIT_BODY_BYTES_MAX) return Promise.reject(tooLarge(bytes, COMMIT_BODY_BYTES_MAX, 'the batch'));
    const failure = this.#options.failStop.error;
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#room.mustWait(bytes)) {
      const copies = payloads.map((payload) => Uint8Array.prototype.slice.call(payload));
      return this.#room.wait(bytes, () => this.#acceptMany(copies, bytes));
    }
    return this.#acceptMany(payloads, bytes);
  }

  /**
   * Durable on return, with all that was pushed before it; blocks the thread. Throws what would have rejected. What is in
   * flight is written again, to the same place, by the same blocking call, so that order and atomicity stay as they are.
   */
  pushSync(payload: Uint8Array): number {
    const { failStop } = this.#options;
    failStop.throwIfFailed();
    if (this.#cutting !== undefined) throw this.#cutting;
    const bytes = payload.length + DENSE_FRAME_BYTES;
    const inFlight = this.#inFlight;
    const before: PushBatch[] = [];
    if (inFlight !== undefined && inFlight.state !== 'settled') {
      if (inFlight.state === 'taken') this.#place(inFlight);
      before.push(inFlight);
    }
    this.#requireOffsets(bytes);
    this.#room.grantAll();
    this.#makeRoom(bytes);
    for (const full of this.#full.splice(0)) {
      this.#place(full);
      before.push(full);
    }
    const batch = this.#open;
    const index = batch.count;
    batch.add(payload);
    this.#expect(batch, bytes);
    this.#place(batch);
    this.#open = this.#freshBatch();
    const active = this.#active;
    const chunks: VfsChunk[] = [...before, batch].flatMap((one) => chunksOf(one));
    if (active.link !== undefined)
      chunks.unshift({ source: active.link, length: active.link.length, position: FILE_HEADER_BYTES });
    const started = this.#options.host.elapsed();
    try {
      active.file.writeAndSyncBlocking(chunks);
    } catch (cause) {
      // Whether some of it reached the disk is unknown, and there is no cutting back under a write in flight.
      const error = failStop.fail(cause, 'a blocking push', active.file.path);
      for (const one of [...before, batch]) if (!isSettled(one)) this.#fail(one, error);
      this.#rejectAll(error);
      throw error;
    }
    this.#options.onSync(this.#options.host.elapsed() - started);
    this.#fillAhead(active, batch);
    const id = batch.firstId + index;
    active.durableEnd = active.writtenEnd;
    for (const one of before) this.#settle(one);
    this.#settle(batch);
    batch.reset();
    this.#spare ??= batch;
    return id;
  }

  /** A segment is left asynchronously, so a loop of blocking pushes makes it grow: up to what its 32-bit offsets can say. */
  #requireOffsets(bytes: number): void {
    if (this.#active.writtenEnd + this.#room.pendingBytes + bytes <= SEGMENT_BYTES_LIMIT) return;
    throw new EvaqError(
      'EVAQ_QUEUE_FULL',
      `queue '${this.#options.queue}': the segment has no room for more blocking pushes`,
      {
        details: { queue: this.#options.queue, limit: SEGMENT_BYTES_LIMIT },
        hint: 'Let the event loop run, so that the next segment can be started.',
      },
    );
  }

  /** Resolves when all that was pushed before is settled, and, in the weaker modes, durable. */
  async flush(): Promise<void> {
    await this.settled();
    this.#options.failStop.throwIfFailed();
    if (this.#options.durability !== 'sync') await this.syncNow();
  }

  /** Resolves when nothing pushed is left unsettled, and a segment that was to be left is left. */
  settled(): Promise<void> {
    if (!this.#busy()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Syncs what was written so far (weaker modes); fail-stop if that fails. */
  async syncNow(): Promise<void> {
    await this.#unsynced.sync();
    const active = this.#active;
    // What is placed and still being written is not covered by a sync that starts now.
    const { end } = active.segment;
    if (active.durableEnd >= end) return;
    try {
      await this.#timedSync(active);
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'a sync', active.file.path);
    }
    active.durableEnd = Math.max(active.durableEnd, end);
  }

  /** The last commit found the disk full. */
  get foundNoSpace(): boolean {
    return this.#active.writtenEnd === this.#noSpaceAt;
  }

  /** Leaves the active segment, as soon as no commit is in flight, for one that takes next to no space; if it holds any record. */
  roll(): void {
    this.#rollWanted = true;
    this.#schedule();
  }

  /** A statement about the data for tombstones: of this segment, all below the offset is durable. */
  durablePosition(): { readonly segmentId: number; readonly offset: number } {
    return { segmentId: this.#active.segment.id, offset: this.#active.durableEnd };
  }

  /** Gives up the segment made ahead of time. Nothing may be under way. */
  async close(): Promise<void> {
    await this.#unsynced.settled();
    await this.#next.close();
    await this.#active.file.close().catch(() => undefined);
  }

  /** Starts another batch where the open one would grow past a part of a segment: a commit is never split, so this is what lets segments roll. */
  #makeRoom(bytes: number): void {
    if (this.#open.count === 0 || this.#open.length + bytes <= this.#options.segmentBytes / BATCHES_PER_SEGMENT) return;
    this.#full.push(this.#open);
    this.#open = this.#freshBatch();
  }

  #freshBatch(): PushBatch {
    const batch = this.#spare ?? new PushBatch();
    this.#spare = undefined;
    return batch;
  }

  #accept(payload: Uint8Array, meta: Uint8Array | undefined, bytes: number): Promise<number> {
    this.#makeRoom(bytes);
    const promise = this.#open.push(payload, meta);
    this.#expect(this.#open, bytes);
    if (this.#open.length >= EAGER_BYTES && this.#isAtRest() && this.#fits(this.#open.length)) this.#commitNow();
    if (!this.#scheduled) this.#schedule();
    return promise;
  }

  /** Commits the open batch at once: while it is written, what else is pushed in this turn is framed. */
  #commitNow(): void {
    const batch = this.#open;
    this.#open = this.#freshBatch();
    this.#inFlight = batch;
    this.#place(batch);
    this.#goOnWith(batch, this.#write(batch, this.#active));
  }

  #acceptMany(payloads: readonly Uint8Array[], bytes: number): Promise<{ firstId: number; lastId: number }> {
    if (this.#canStream(bytes)) return this.#stream(payloads, bytes);
    this.#makeRoom(bytes);
    const promise = this.#open.pushMany(payloads, undefined);
    this.#expect(this.#open, bytes);
    if (!this.#scheduled) this.#schedule();
    return promise;
  }

  #expect(batch: PushBatch, bytes: number): void {
    batch.pendingBytes += bytes;
    this.#room.take(bytes);
  }

  /** Whether a batch can be given its place before it is framed: nothing may be in front of it, and it has to fit into the segment. */
  #canStream(bytes: number): boolean {
    return bytes >= STREAM_BYTES_MIN && this.#isAtRest() && this.#open.count === 0 && this.#fits(bytes);
  }

  /** No commit is in flight, none is due before the open batch, and the segment is not being left: a commit can begin at once. */
  #isAtRest(): boolean {
    if (this.#running && !this.#between) return false;
    return this.#begun === undefined && this.#full.length === 0 && !this.#rollWanted;
  }

  #fits(bytes: number): boolean {
    const { writtenEnd, segment } = this.#active;
    return segment.isEmpty || writtenEnd + COMMIT_HEADER_BYTES + bytes <= this.#options.segmentBytes;
  }

  /** Hands a batch that is being written to the run of commits. */
  #goOnWith(batch: PushBatch, written: Promise<void>): void {
    this.#begun = { batch, written };
    this.#scheduled = true;
    if (!this.#running) void this.#run();
  }

  /** A `pushMany` that is written while it is framed: on another core both go on at the same time. */
  #stream(payloads: readonly Uint8Array[], bytes: number): Promise<{ firstId: number; lastId: number }> {
    const active = this.#active;
    const batch = this.#open;
    this.#open = this.#freshBatch();
    this.#beginPlace(batch, payloads.length, isSummedByHeads(payloads.length, bytes));
    this.#expect(batch, bytes);
    this.#inFlight = batch;
    const stream = new BatchStream(active.file, batch, bytes);
    try {
      const promise = batch.pushMany(payloads, () => stream.added());
      this.#endPlace(batch);
      this.#goOnWith(batch, allDone([writeLink(active), stream.finish()]));
      return promise;
    } catch (cause) {
      // No memory, say. What was written already is cut away, as after a failed write; until then no blocking push may come in between.
      this.#cutting = ioError(cause, `appending to queue '${this.#options.queue}'`, { queue: this.#options.queue });
      this.#goOnWith(
        batch,
        stream.abandon().then(() => Promise.reject(cause)),
      );
      return Promise.reject(cause);
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.host.soon(() => {
      if (!this.#running) void this.#run();
    });
  }

  #busy(): boolean {
    return this.#running || this.#isQueued() || this.#inFlight !== undefined || this.#room.isWaitedFor;
  }

  /** Whether there is something to go on with. */
  #isQueued(): boolean {
    return this.#begun !== undefined || this.#open.count > 0 || this.#full.length > 0 || this.#rollWanted;
  }

  /** Commits batch after batch until there is none. Never rejects. */
  async #run(): Promise<void> {
    this.#running = true;
    while (this.#isQueued()) {
      const begun = this.#begun;
      if (begun !== undefined) {
        this.#begun = undefined;
        await this.#commitPlaced(begun.batch, begun.written);
        await this.#committed(begun.batch);
        continue;
      }
      if (this.#options.failStop.error !== undefined) {
        this.#rejectAll(this.#options.failStop.error);
        break;
      }
      const batch = this.#takeBatch();
      if (batch === undefined) {
        await this.#rollIfWanted();
        continue;
      }
      batch.state = 'taken';
      this.#inFlight = batch;
      await this.#commit(batch);
      await this.#committed(batch);
    }
    this.#running = false;
    this.#scheduled = false;
    if (!this.#busy()) {
      const idle = this.#idle;
      this.#idle = [];
      for (const resolve of idle) resolve();
    } else {
      this.#schedule();
    }
  }

  /** The next batch to commit, in the order of the pushes. */
  #takeBatch(): PushBatch | undefined {
    const full = this.#full.shift();
    if (full !== undefined) return full;
    if (this.#open.count === 0) return undefined;
    const batch = this.#open;
    this.#open = this.#freshBatch();
    return batch;
  }

  async #committed(batch: PushBatch): Promise<void> {
    // The next one may have been begun by a waiter of this one.
    if (this.#inFlight === batch) this.#inFlight = undefined;
    batch.reset();
    this.#spare ??= batch;
    this.#room.grant();
    // The waiters' continuations run before the next batch is taken: their pushes belong into it.
    this.#between = true;
    await new Promise<void>((resolve) => this.#options.host.soon(resolve));
    this.#between = false;
  }

  async #commit(batch: PushBatch): Promise<void> {
    const { segmentBytes, failStop } = this.#options;
    const { segment } = this.#active;
    if (!segment.isEmpty && this.#active.writtenEnd + batch.length > segmentBytes) {
      try {
        await this.#switchSegment();
      } catch (cause) {
        if (!isSettled(batch))
          this.#fail(batch, failStop.error ?? ioError(cause, 'starting a segment', { queue: this.#options.queue }));
        return;
      }
      if (isSettled(batch)) return;
    }
    this.#place(batch);
    const active = this.#active;
    const written = this.#write(batch, active);
    this.#fillAhead(active, batch);
    await this.#commitPlaced(batch, written);
  }

  #write(batch: PushBatch, active: ActiveSegment): Promise<void> {
    return writePlaced(active, batch, this.#options.blocking);
  }

  /** In mode 'sync' alone: elsewhere nobody waits for a sync. */
  #fillAhead(active: ActiveSegment, batch: PushBatch): void {
    if (this.#options.durability === 'sync') fillAhead(active, batch, this.#options.segmentBytes);
  }

  /** From the place to the settling. After every await the batch is looked at again: `pushSync` may have committed it. */
  async #commitPlaced(batch: PushBatch, written: Promise<void>): Promise<void> {
    const { failStop, durability } = this.#options;
    const active = this.#active;
    try {
      await written;
    } catch (cause) {
      if (!isSettled(batch) && !(await this.#writeAgain(batch, active, cause))) {
        if (!isSettled(batch)) await this.#cutBack(batch, active, cause);
        return;
      }
      if (isSettled(batch)) return;
    }
    if (durability === 'sync') {
      try {
        await this.#timedSync(active);
      } catch (cause) {
        const error = failStop.fail(cause, 'a sync', active.file.path);
        if (!isSettled(batch)) this.#fail(batch, error);
        return;
      }
    }
    if (isSettled(batch)) return;
    // Nothing is acknowledged after a failure elsewhere in the store either.
    if (failStop.error !== undefined) return this.#fail(batch, failStop.error);
    if (durability === 'sync') active.durableEnd = Math.max(active.durableEnd, batch.offset + batch.length);
    this.#settle(batch);
    this.#between = true;
  }

  /** Gives a batch its IDs and its place, and ties its checksums to them. Synchronous. */
  #place(batch: PushBatch): void {
    this.#beginPlace(batch, batch.count);
    this.#endPlace(batch);
  }

  /** The first half: the batch will hold `count` records, which may be added later, in the same synchronous stretch. */
  #beginPlace(batch: PushBatch, count: number, summedByHeads?: boolean): void {
    const { host, removalRound, indexIntervalBytes } = this.#options;
    this.#lastTimestamp = Math.max(this.#lastTimestamp, host.now());
    beginPlace(batch, this.#active, {
      firstId: this.#nextId,
      timestamp: this.#lastTimestamp,
      removalSeq: removalRound(),
      indexIntervalBytes,
      count,
      summedByHeads,
    });
  }

  #endPlace(batch: PushBatch): void {
    endPlace(batch, this.#active);
    this.#nextId += batch.count;
  }

  /** The batch is committed: its records are to be seen, its waiters told. Synchronous. */
  #settle(batch: PushBatch): void {
    const { log, onVisible } = this.#options;
    const { segment } = this.#active;
    const end = batch.offset + batch.length;
    assert(!segment.isEmpty || batch.markIds.length > 0, 'the first commit of a segment is indexed');
    this.#active.link = undefined;
    log.grow(segment, batch.firstId, batch.count, batch.payloadBytes, batch.timestamp, end);
    indexBatch(log.index, batch, segment);
    this.#room.give(batch.pendingBytes);
    batch.resolve();
    onVisible();
    this.#room.grant();
    if (end > this.#options.segmentBytes / 2) this.#next.prepare();
  }

  /** On a full disk: once more, with the space of dead files that are kept for speed alone. False if there is none, or it does not do. */
  async #writeAgain(batch: PushBatch, active: ActiveSegment, cause: unknown): Promise<boolean> {
    if (!isNoSpace(cause)) return false;
    try {
      if (!(await this.#options.supply.drain(this.#spareFiles))) return false;
      // What pushSync has committed meanwhile is left as it is.
      if (isSettled(batch)) return true;
      await writeAgain(active, batch);
      return true;
    } catch {
      return false;
    }
  }

  /** After a failed write: makes the file end where it ended, durably, so that what was half written can never come back. */
  async #cutBack(batch: PushBatch, active: ActiveSegment, cause: unknown): Promise<void> {
    const { failStop, queue } = this.#options;
    const error = ioError(cause, `appending to queue '${queue}'`, {
      queue,
      path: active.file.path,
      offset: batch.offset,
    });
    this.#cutting = error;
    try {
      await active.file.truncate(batch.offset);
      await active.file.sync();
    } catch (cutCause) {
      this.#fail(batch, failStop.fail(cutCause, 'cutting a failed write back', active.file.path));
      return;
    } finally {
      this.#cutting = undefined;
    }
    if (error.code === 'EVAQ_NO_SPACE') this.#noSpaceAt = batch.offset;
    active.writtenEnd = batch.offset;
    active.filledEnd = batch.offset;
    active.markedOffset = active.segment.building?.offsets.at(-1) ?? -Infinity;
    this.#nextId = batch.firstId;
    this.#fail(batch, error);
  }

  #fail(batch: PushBatch, error: EvaqError): void {
    this.#room.give(batch.pendingBytes);
    batch.reject(error);
  }

  /** After a fail-stop: nobody is left waiting. */
  #rejectAll(error: EvaqError): void {
    this.#rollWanted = false;
    const inFlight = this.#inFlight;
    if (inFlight !== undefined && inFlight.state !== 'settled') this.#fail(inFlight, error);
    for (const batch of this.#full.splice(0)) this.#fail(batch, error);
    if (this.#open.count > 0) {
      this.#fail(this.#open, error);
      this.#open.reset();
    }
    this.#room.rejectAll(error);
  }

  async #rollIfWanted(): Promise<void> {
    this.#rollWanted = false;
    if (this.#active.segment.isEmpty) return;
    try {
      await this.#switchSegment('small');
    } catch {
      // Wanted for tidiness only; a push that needs a segment will say what is wrong.
    }
  }

  /** Files of the pool that are the reserve of GC. */
  get #spareFiles(): number {
    return this.#options.log.segments.length >= SPARE_SEGMENTS_MIN ? 1 : 0;
  }

  /** Goes on with the next segment. What is appended meanwhile by `pushSync` still goes to the old one. */
  async #switchSegment(size: SegmentSize = 'any'): Promise<void> {
    const draft = await this.#next.take(size);
    if (this.#options.durability !== 'sync') await this.#unsynced.makeRoom();
    const left = this.#active;
    left.segment.advance('rolled');
    const link = { segmentId: left.segment.id, durableOffset: left.durableEnd };
    const segment = newSegment(draft);
    this.#options.log.append(segment);
    this.#active = newActiveSegment(segment, draft.file, link);
    if (this.#options.durability !== 'sync') this.#unsynced.add(left, this.#options.durability === 'interval');
    this.#options.onRolled(left);
  }

  async #timedSync(active: ActiveSegment): Promise<void> {
    const { host, onSync } = this.#options;
    const started = host.elapsed();
    const syncing = active.file.sync();
    active.syncing = Promise.allSettled([active.syncing, syncing]);
    await syncing;
    onSync(host.elapsed() - started);
  }
}

function isSettled(batch: PushBatch): boolean {
  return batch.state === 'settled';
}

export function tooLarge(bytes: number, limit: number, what: string): EvaqError {
  return new EvaqError('EVAQ_RECORD_TOO_LARGE', `${what} has ${bytes} bytes; at most ${limit} are allowed`, {
    details: { bytes, limit },
  });
}
