/**
 * Appending: group commit (P1, P4, P7, P8).
 *
 * One commit is in flight; what is pushed meanwhile forms the next. There is no timer: a batch is whatever came during the last sync.
 * A commit is one positioned write and, in mode 'sync', one fdatasync; then its records become visible and its waiters are settled,
 * in order. What it is doing is one value (`commit-state.ts`), and one loop does it.
 *
 * Invariants
 * - IDs are given when a batch is placed, in order, and belong to it alone: a failed batch that was cut away gives its IDs back,
 *   since nobody was told them and the cut is durable.
 * - A segment is left only when the next one's name is durable, and before a commit that would make it too large.
 * - After every await the batch in flight is looked at again: `pushSync` may have committed it meanwhile.
 * - Whatever is thrown here by mistake throws the fail-stop switch, and nobody is left waiting.
 * - Nobody waits for the pipeline to be idle, but `close`: under a steady load it never is (P14).
 *
 * Concurrency: `push`, `pushMany` and `pushSync` at any time; one `#run` at a time.
 */
import { assert } from '../assert.js';
import { EvaqError, ioError, isNoSpace, isPassing, isSystemError } from '../errors.js';
import { type FailStop, syncFileBlocking } from '../fail-stop.js';
import { isSummedByHeads } from '../frame/commit-check.js';
import { COMMIT_BODY_BYTES_MAX, COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { payloadSizes } from '../frame/payload-sizes.js';
import { DENSE_FRAME_BYTES, SPARSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import { type Host, timeOf } from '../vfs/host.js';
import { type ActiveSegment, newActiveSegment } from './active-segment.js';
import { writeAgain, writeLink, writePlaced } from './active-writer.js';
import { beginPlace, endPlace, indexBatch } from './batch-place.js';
import { allDone, BatchStream, STREAM_BYTES_MIN } from './batch-writer.js';
import type { BlockingBudget } from './blocking-budget.js';
import { batchInHand, type CommitState, checkFollows, cutUnderWay, isLooping } from './commit-state.js';
import { CommitTraces } from './commit-trace.js';
import { NextSegment, type SegmentSize } from './next-segment.js';
import { type Admission, type Metas, PushBatch } from './push-batch.js';
import type { PushReserve } from './push-reserve.js';
import { PushRoom } from './push-room.js';
import { CUT_TRIES, pushBlocking } from './push-sync.js';
import { newSegment } from './segment-start.js';
import { UnsyncedSegments } from './unsynced-segments.js';
import { fillAhead, fillAheadBlocking } from './zeros-ahead.js';

/** Offsets have 32 bits, and the footer needs some too. */
const SEGMENT_BYTES_LIMIT = 0xe000_0000;

/**
 * The largest body of a record, metadata included: a rewrite gives it the longer frame, in a commit of its own. What the options allow is below;
 * a move adds its own metadata.
 */
const BODY_BYTES_MAX = COMMIT_BODY_BYTES_MAX - SPARSE_FRAME_BYTES;

/** Below it nobody has to count which IDs are spoken for. */
const IDS_AMPLE = Number.MAX_SAFE_INTEGER - 2 ** 40;

/** A blocking push writes what is in hand, what is full, what is open, and its own. */
const BLOCKING_COMMITS = 3;

/** From so many segments on, one file of the pool is kept for rewrites on a full disk. */
export const SPARE_SEGMENTS_MIN = 4;

/** A batch of this size does not wait for the end of the turn in which it was begun. */
const EAGER_BYTES = 1024 * 1024;

/** A batch of pushes grows to this part of a segment; a `pushMany` alone may be larger. */
const BATCHES_PER_SEGMENT = 4;

/** A record's time is that of the first push of its batch: one at which the clock says something else by more than this begins another batch. */
const BATCH_TIME_MS_MAX = 1000;
/** But where so many are full already nothing is gained by one more: each has memory of its own, and a clock may say anything. */
const BATCHES_BY_TIME_MAX = 8;
/** Looking at the clock costs a tenth of a small push. Behind so many in a batch one push of as many looks. */
const PUSHES_A_LOOK = 16;

export type PipelineDurability = 'sync' | 'interval' | 'os';

export interface CommitPipelineOptions {
  /** The store's name, for whoever observes it. */
  readonly storeId: string;
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
  /** What has to be there before anything is placed. */
  readonly reserve: () => Pick<PushReserve, 'covers' | 'isRefused' | 'lookAhead' | 'renew'>;
  /** The number of the last durable round of removals. */
  readonly removalRound: () => number;
  /**
   * Makes the removals that have resolved durable, blocking; does nothing if they are. Throws a system error where the file could not be opened for
   * it, a `SyncFailure` where the sync failed.
   */
  readonly syncRemovalsBlocking: () => void;
  /** Records became visible. */
  readonly onVisible: () => void;
  /** A segment was left: its footer is to be written when it may. */
  readonly onRolled: (rolled: ActiveSegment) => void;
  /** Milliseconds that a sync took. */
  readonly onSync: (ms: number) => void;
}

/** In front of metadata stands its length. */
const META_LENGTH_BYTES = 4;

/** The IDs of records that were pushed together. */
export interface IdSpan {
  readonly firstId: number;
  readonly lastId: number;
}

/** What kept the active segment from being left. */
export interface RollFailure {
  readonly error: unknown;
}

export class CommitPipeline {
  readonly #options: CommitPipelineOptions;
  #active: ActiveSegment;
  #nextId: number;
  /** In the weaker modes: every ID below it is durable, or was given back. */
  #durableBelow: number;
  #open = new PushBatch();
  /** Batches that are full, in front of the open one. */
  readonly #full: PushBatch[] = [];
  #spare: PushBatch | undefined = new PushBatch();
  #state: CommitState = { kind: 'idle' };
  readonly #room: PushRoom;
  readonly #next: NextSegment;
  /** The active segment is to be left. Who asked for it is told when that was tried. */
  #rollAsked: ((failure: RollFailure | undefined) => void)[] = [];
  /** A roll that was asked for failed: it is tried again behind the next commit. */
  #rollOwed = false;
  /** Where the active segment ended when a commit found no space. */
  #noSpaceAt = -1;
  #whenIdle: (() => void)[] = [];
  #lastFailure: { readonly error: unknown } | undefined;
  readonly #unsynced: UnsyncedSegments;
  readonly #traces: CommitTraces;

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
    this.#durableBelow = options.nextId;
    this.#traces = new CommitTraces(options);
  }

  /** The ID that the next record gets. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Every ID below it is committed, or was given back: none of them can become visible any more. */
  get settledBelow(): number {
    const batch = batchInHand(this.#state);
    return batch?.state === 'placed' ? batch.firstId : this.#nextId;
  }

  /** The same of what is durable: for statements that have to hold after a power cut. */
  get durableBelow(): number {
    return this.#options.durability === 'sync' ? this.settledBelow : this.#durableBelow;
  }

  get active(): ActiveSegment {
    return this.#active;
  }

  get pendingBytes(): number {
    return this.#room.pendingBytes;
  }

  /** Resolves when the record is committed in the durability mode in force. */
  /** `signal`, not aborted yet: a push that still waits for room when it is aborted is not accepted, and rejects with its reason. */
  push(
    payload: Uint8Array,
    meta: Uint8Array | undefined,
    signal?: AbortSignal,
    admission?: Admission,
  ): Promise<number> {
    const bytes = frameBytesOf(payload, meta);
    const failure = this.#refusal(bytes);
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#room.mustWait(bytes)) {
      const timestamp = timeOf(this.#options.host);
      const copy = new Uint8Array(payload);
      return this.#room.wait(bytes, () => this.#accept(copy, meta, bytes, timestamp, admission), signal);
    }
    return this.#accept(payload, meta, bytes, this.#timeOfPush(), admission);
  }

  /** All or none, with consecutive IDs. */
  pushMany(
    payloads: readonly Uint8Array[],
    metas?: Metas,
    signal?: AbortSignal,
    admission?: Admission,
  ): Promise<IdSpan> {
    let bytes = 0;
    let bytesMax = 0;
    for (let i = 0; i < payloads.length; i++) {
      const payload = payloads[i];
      if (payload === undefined) continue;
      const own = frameBytesOf(payload, metas === undefined ? undefined : metas[i]);
      bytes += own;
      if (own > bytesMax) bytesMax = own;
    }
    if (bytes > COMMIT_BODY_BYTES_MAX) return Promise.reject(tooLarge(bytes, COMMIT_BODY_BYTES_MAX, 'the batch'));
    const failure = this.#refusal(bytesMax);
    if (failure !== undefined) return Promise.reject(failure);
    const timestamp = timeOf(this.#options.host);
    if (this.#room.mustWait(bytes)) {
      const copies = payloads.map((payload) => new Uint8Array(payload));
      return this.#room.wait(bytes, () => this.#acceptMany(copies, metas, bytes, timestamp, admission), signal);
    }
    return this.#acceptMany(payloads, metas, bytes, timestamp, admission);
  }

  /**
   * Durable on return, with all that was pushed before it and all removals that resolved before it; blocks the thread (`push-sync.ts`). Throws what
   * would have rejected. Where it throws for want of a descriptor, nothing was done at all; where the write failed, what was pushed before and was not
   * in flight yet is rejected with it.
   */
  pushSync(payload: Uint8Array, meta?: Uint8Array, admission?: Admission): number {
    const bytes = frameBytesOf(payload, meta);
    const own = (): PushBatch => {
      const batch = this.#freshBatch();
      batch.timestamp = timeOf(this.#options.host);
      batch.add(payload, meta, admission);
      this.#expect(batch, bytes);
      return batch;
    };
    return this.#blocking(bytes, own);
  }

  /** The same without a record of its own: durable on return is all that was pushed before it, and all removals that resolved before it. */
  flushSync(): void {
    this.#blocking(0, undefined);
  }

  /** Returns the ID of the first record of `makeOwn`, which goes behind all that was pushed before. */
  #blocking(bytes: number, makeOwn: (() => PushBatch) | undefined): number {
    // Who waits for room was here before; one of them may begin a commit.
    this.#room.grantAll();
    const refusal =
      this.#refusal(bytes) ??
      cutUnderWay(this.#state) ??
      this.#idsRefusal(makeOwn === undefined ? 0 : 1) ??
      this.#offsetsRefusal(bytes) ??
      this.#reserveRefusal();
    if (refusal !== undefined) throw refusal;
    const own = makeOwn?.();
    const inHand = batchInHand(this.#state);
    const inFlight = inHand?.state === 'placed' ? inHand : undefined;
    const { markedOffset } = this.#active;
    const placed: PushBatch[] = [];
    const started = this.#options.host.elapsed();
    try {
      pushBlocking({
        queue: this.#options.queue,
        failStop: this.#options.failStop,
        active: this.#active,
        inFlight,
        syncLeft: () => this.#syncLeftBlocking(),
        placeAll: () => {
          placed.push(...this.#unplaced(), ...(own === undefined ? [] : [own]));
          for (const batch of placed) this.#place(batch);
          return placed;
        },
        takeBack: (end, error) => {
          const [first] = placed;
          if (first !== undefined) this.#takeBack(first, end, markedOffset, error);
          for (const batch of placed) this.#fail(batch, error);
        },
      });
      this.#options.onSync(this.#options.host.elapsed() - started);
      if (own !== undefined) this.#fillAhead(own, fillAheadBlocking);
      this.#active.durableEnd = this.#active.writtenEnd;
      const id = own?.firstId ?? 0;
      if (inFlight !== undefined) this.#settle(inFlight);
      for (const batch of placed) this.#settle(batch);
      this.#durableBelow = this.settledBelow;
      this.#traces.blocking(placed, started);
      return id;
    } catch (cause) {
      if (placed.length === 0 && own !== undefined) this.#fail(own, cause);
      const isKnown = cause instanceof EvaqError && cause.code !== 'EVAQ_FAILED';
      const error = isKnown ? cause : this.#stop(cause, placed);
      this.#traces.blocking(placed, started, { error });
      throw error;
    } finally {
      own?.reset();
      this.#spare ??= own;
    }
  }

  /** Resolves when all that was pushed up to the call is settled, whatever became of it. Never rejects. */
  committed(): Promise<void> {
    return new Promise((resolve) => {
      this.#room.afterWaiting(() => {
        const newest = this.#open.count > 0 ? this.#open : (this.#full.at(-1) ?? batchInHand(this.#state));
        // Behind the continuations of those who pushed.
        const tell = (): void => this.#options.host.soon(resolve);
        if (newest === undefined) tell();
        else newest.whenSettled(tell);
      });
    });
  }

  /** The commit that failed last: another object for each. */
  get lastFailure(): { readonly error: unknown } | undefined {
    return this.#lastFailure;
  }

  /**
   * Resolves when all that was pushed up to the call is settled and, but for what was rejected, durable; what is pushed meanwhile is not waited for
   * (P14). Rejects with EVAQ_FAILED.
   */
  async flush(): Promise<void> {
    await this.committed();
    this.#options.failStop.throwIfFailed();
    if (this.#options.durability !== 'sync') await this.syncNow();
  }

  /** For `close`, when nothing new is pushed any more: resolves when nothing is left to do. */
  settled(): Promise<void> {
    if (!this.#busy()) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Makes durable what was written up to the call (weaker modes). Rejects with EVAQ_FAILED; then the store has stopped. */
  async syncNow(): Promise<void> {
    const active = this.#active;
    // What is placed and still being written is not covered by a sync that starts now.
    const { segment } = active;
    const { end } = segment;
    const { settledBelow } = this;
    await this.#unsynced.sync();
    // It may have been left meanwhile: one that is sealed is durable, or nothing in it is live, and its file is closed.
    if (active.durableEnd < end && segment.phase !== 'sealed' && segment.phase !== 'dropped') {
      try {
        await this.#timedSync(active);
      } catch (cause) {
        throw this.#options.failStop.fail(cause, 'a sync', active.file.path);
      }
      active.durableEnd = Math.max(active.durableEnd, end);
    }
    this.#durableBelow = Math.max(this.#durableBelow, settledBelow);
  }

  /** The last commit found the disk full. */
  get foundNoSpace(): boolean {
    return this.#active.writtenEnd === this.#noSpaceAt;
  }

  /**
   * Leaves the active segment for one that takes next to no space, in front of the next commit; if it holds any record. Resolves when that is done or
   * has failed, with what it failed by: then it is tried again behind the next commit.
   */
  roll(): Promise<RollFailure | undefined> {
    return new Promise((resolve) => {
      this.#rollAsked.push(resolve);
      this.#schedule();
    });
  }

  /** A statement about the data for tombstones: of this segment, all below the offset is durable. */
  durablePosition(): { readonly segmentId: number; readonly offset: number } {
    return { segmentId: this.#active.segment.id, offset: this.#active.durableEnd };
  }

  /** Gives up the segment made ahead of time. Nothing may be under way. */
  async close(): Promise<void> {
    await this.#unsynced.settled();
    await this.#next.close();
    await this.#active.syncing;
    await this.#active.filling;
    await this.#active.file.close().catch(() => undefined);
  }

  #timeOfPush(): number {
    const { count, timestamp } = this.#open;
    const looks = count < PUSHES_A_LOOK || count % PUSHES_A_LOOK === 0;
    return looks ? timeOf(this.#options.host) : timestamp;
  }

  /**
   * Sees to it that the open batch can take a push of this size and time. Another one is started where it would grow past a part of a segment (a
   * commit is never split, so this is what lets segments roll), and where its records have another time.
   */
  #makeRoom(bytes: number, timestamp: number): void {
    const { segmentBytes } = this.#options;
    const open = this.#open;
    if (open.count > 0) {
      const fits = open.length + bytes <= segmentBytes / BATCHES_PER_SEGMENT;
      const isOfItsTime = Math.abs(timestamp - open.timestamp) <= BATCH_TIME_MS_MAX;
      if (fits && (isOfItsTime || this.#full.length >= BATCHES_BY_TIME_MAX)) return;
      this.#full.push(open);
      this.#open = this.#freshBatch();
    }
    this.#open.timestamp = timestamp;
  }

  #freshBatch(): PushBatch {
    const batch = this.#spare ?? new PushBatch();
    this.#spare = undefined;
    return batch;
  }

  #accept(
    payload: Uint8Array,
    meta: Uint8Array | undefined,
    bytes: number,
    timestamp: number,
    admission: Admission | undefined,
  ): Promise<number> {
    const refusal = this.#idsRefusal(1);
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#makeRoom(bytes, timestamp);
    const promise = this.#open.push(payload, meta, admission);
    this.#expect(this.#open, bytes);
    if (this.#open.length >= EAGER_BYTES && this.#canBegin(this.#open.length, this.#open.count)) this.#commitNow();
    this.#schedule();
    return promise;
  }

  /** Commits the open batch at once: while it is written, what else is pushed in this turn is framed. */
  #commitNow(): void {
    const batch = this.#open;
    this.#open = this.#freshBatch();
    try {
      this.#place(batch);
    } catch (cause) {
      this.#stop(cause, [batch]);
      return;
    }
    this.#goOnWith(batch, this.#write(batch, this.#active));
  }

  /** Hands over all batches that have no place, in order. */
  #unplaced(): PushBatch[] {
    const inHand = batchInHand(this.#state);
    const batches = inHand?.state === 'taken' ? [inHand] : [];
    batches.push(...this.#full.splice(0));
    if (this.#open.count === 0) return batches;
    batches.push(this.#open);
    this.#open = this.#freshBatch();
    return batches;
  }

  #acceptMany(
    payloads: readonly Uint8Array[],
    metas: Metas,
    bytes: number,
    timestamp: number,
    admission: Admission | undefined,
  ): Promise<IdSpan> {
    const refusal = this.#idsRefusal(payloads.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#makeRoom(bytes, timestamp);
    if (this.#canStream(bytes, payloads.length)) return this.#stream(payloads, metas, bytes, admission);
    const promise = this.#open.pushMany(payloads, metas, undefined, admission);
    this.#expect(this.#open, bytes);
    this.#schedule();
    return promise;
  }

  /** Why a record with a frame of `bytes` cannot be taken; not looking at IDs. */
  #refusal(bytes: number): EvaqError | undefined {
    const bodyBytes = bytes - DENSE_FRAME_BYTES;
    if (bodyBytes > BODY_BYTES_MAX) return tooLarge(bodyBytes, BODY_BYTES_MAX, 'the record');
    return this.#options.failStop.error;
  }

  /** Why there are no IDs for `count` more records, behind those that have been accepted. */
  #idsRefusal(count: number): EvaqError | undefined {
    let next = this.#nextId + count;
    if (next <= IDS_AMPLE) return undefined;
    next += this.#open.count;
    for (const batch of this.#full) next += batch.count;
    const inHand = batchInHand(this.#state);
    if (inHand?.state === 'taken') next += inHand.count;
    if (next <= Number.MAX_SAFE_INTEGER) return undefined;
    const { queue } = this.#options;
    return new EvaqError('EVAQ_QUEUE_FULL', `queue '${queue}' has given out all its IDs`, {
      details: { queue, limit: Number.MAX_SAFE_INTEGER },
      hint: 'Records can be read and removed. Push to a queue of another name.',
    });
  }

  /** A segment is left asynchronously, so a loop of blocking pushes makes it grow: up to what its 32-bit offsets can say. */
  #offsetsRefusal(bytes: number): EvaqError | undefined {
    const headers = (this.#full.length + BLOCKING_COMMITS) * COMMIT_HEADER_BYTES;
    if (this.#active.writtenEnd + this.#room.pendingBytes + bytes + headers <= SEGMENT_BYTES_LIMIT) return undefined;
    const { queue } = this.#options;
    return new EvaqError('EVAQ_QUEUE_FULL', `queue '${queue}': the segment has no room for more blocking pushes`, {
      details: { queue, limit: SEGMENT_BYTES_LIMIT },
      hint: 'Let the event loop run, so that the next segment can be started.',
    });
  }

  /** A blocking push cannot wait until space is kept: it is refused where the last try found none, and there is another try. */
  #reserveRefusal(): EvaqError | undefined {
    const reserve = this.#options.reserve();
    if (!reserve.isRefused) return undefined;
    reserve.renew(this.#nextId, 1).catch(() => undefined);
    const { queue } = this.#options;
    return new EvaqError('EVAQ_NO_SPACE', `no space left for removals from queue '${queue}', which is kept first`, {
      details: { queue },
      hint: 'Free some space or remove records (removals work on a full disk), let the event loop run, and try again.',
    });
  }

  /** Whether `count` more records could be removed again on a full disk. */
  #isCovered(count: number): boolean {
    return this.#options.reserve().covers(this.#nextId + count);
  }

  #expect(batch: PushBatch, bytes: number): void {
    batch.pendingBytes += bytes;
    this.#room.take(bytes);
  }

  /** Whether a batch can be given its place before it is framed: nothing may be in front of it, and it has to fit into the segment. */
  #canStream(bytes: number, count: number): boolean {
    return bytes >= STREAM_BYTES_MIN && this.#open.count === 0 && this.#canBegin(bytes, count);
  }

  /** Nothing is in front of it, and nothing has to be waited for. */
  #canBegin(bytes: number, count: number): boolean {
    return this.#isAtRest() && this.#fits(bytes) && this.#isCovered(count);
  }

  /** No commit is in flight, none is due before the open batch, and the segment is not being left: a commit can begin at once. */
  #isAtRest(): boolean {
    const { kind } = this.#state;
    if (kind !== 'idle' && kind !== 'scheduled' && kind !== 'between') return false;
    return this.#full.length === 0 && this.#rollAsked.length === 0;
  }

  #fits(bytes: number): boolean {
    const { writtenEnd, segment } = this.#active;
    return segment.isEmpty || writtenEnd + COMMIT_HEADER_BYTES + bytes <= this.#options.segmentBytes;
  }

  /** Hands a batch that is being written to the loop. */
  #goOnWith(batch: PushBatch, written: Promise<void>, broken?: EvaqError): void {
    const looping = isLooping(this.#state);
    this.#become({ kind: 'begun', batch, written, broken });
    if (!looping) void this.#run();
  }

  /** A `pushMany` that is written while it is framed: on another core both go on at the same time. */
  #stream(
    payloads: readonly Uint8Array[],
    metas: Metas,
    bytes: number,
    admission: Admission | undefined,
  ): Promise<IdSpan> {
    const active = this.#active;
    const batch = this.#open;
    this.#open = this.#freshBatch();
    this.#beginPlace(batch, payloads.length, isSummedByHeads(payloads.length, bytes));
    this.#expect(batch, bytes);
    const stream = new BatchStream(active.file, batch, bytes);
    try {
      const promise = batch.pushMany(payloads, metas, () => stream.added(), admission);
      this.#endPlace(batch);
      this.#goOnWith(batch, allDone([writeLink(active), stream.finish()]));
      return promise;
    } catch (cause) {
      // No memory, say. What was written already is cut away, as after a failed write; until then no blocking push may come in between.
      const { queue } = this.#options;
      this.#goOnWith(
        batch,
        stream.abandon().then(() => Promise.reject(cause)),
        ioError(cause, `appending to queue '${queue}'`, { queue }),
      );
      return Promise.reject(cause);
    }
  }

  /** The one place where the state changes. */
  #become(state: CommitState): void {
    checkFollows(this.#state, state);
    this.#state = state;
  }

  #schedule(): void {
    if (this.#state.kind !== 'idle') return;
    this.#become({ kind: 'scheduled' });
    this.#options.host.soon(() => {
      if (this.#state.kind === 'scheduled') void this.#run();
    });
  }

  #busy(): boolean {
    return this.#state.kind !== 'idle' || this.#room.isWaitedFor;
  }

  /** Commits batch after batch until there is none. Never rejects: what is thrown in it stops the store, and everybody is told. */
  async #run(): Promise<void> {
    const { failStop, host } = this.#options;
    let batch: PushBatch | undefined;
    try {
      for (;;) {
        if (this.#state.kind === 'begun') {
          const { written, broken } = this.#state;
          batch = this.#state.batch;
          this.#become(broken === undefined ? { kind: 'writing', batch } : { kind: 'cutting', batch, error: broken });
          await this.#commitPlaced(batch, written);
        } else {
          failStop.throwIfFailed();
          if (this.#rollAsked.length > 0) {
            await this.#roll();
            continue;
          }
          batch = this.#takeBatch();
          if (batch === undefined) break;
          await this.#commit(batch);
        }
        this.#finish(batch);
        batch = undefined;
        // The waiters' continuations run before the next batch is taken: their pushes belong into it.
        await new Promise<void>((resolve) => host.soon(resolve));
      }
    } catch (cause) {
      this.#stop(cause, batch === undefined ? [] : [batch]);
      if (batch !== undefined) this.#traces.over(batch);
    }
    this.#become({ kind: 'idle' });
    for (const resolve of this.#whenIdle.splice(0)) resolve();
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

  /** A batch is settled, and no write of it is under way. The next one may have been begun by a waiter of it. */
  #finish(batch: PushBatch): void {
    assert(isSettled(batch), 'a batch that is done with is settled');
    this.#traces.over(batch);
    if (this.#state.kind !== 'begun' && this.#state.kind !== 'between') this.#become({ kind: 'between' });
    batch.reset();
    this.#spare ??= batch;
    if (this.#rollOwed) {
      this.#rollOwed = false;
      this.#rollAsked.push(() => undefined);
    }
    this.#room.grant();
  }

  async #commit(batch: PushBatch): Promise<void> {
    const { segmentBytes, failStop, queue } = this.#options;
    const { segment } = this.#active;
    batch.state = 'taken';
    const isFull = !segment.isEmpty && this.#active.writtenEnd + batch.length > segmentBytes;
    if (isFull || !this.#isCovered(batch.count)) {
      this.#become({ kind: 'switching', batch });
      let doing = 'keeping space for removals';
      try {
        if (!this.#isCovered(batch.count)) await this.#renewReserve(batch.count);
        if (isSettled(batch)) return;
        doing = 'starting a segment';
        if (isFull) await this.#switchSegment();
      } catch (cause) {
        requireWorldly(cause);
        if (!isSettled(batch)) this.#fail(batch, failStop.error ?? ioError(cause, doing, { queue }));
        return;
      }
      if (isSettled(batch)) return;
    }
    this.#become({ kind: 'writing', batch });
    this.#place(batch);
    const active = this.#active;
    const written = this.#write(batch, active);
    await this.#commitPlaced(batch, written);
  }

  /** On a full disk it may need what dead files hold that are kept for speed alone. */
  async #renewReserve(count: number): Promise<void> {
    const reserve = this.#options.reserve();
    for (;;) {
      try {
        // One under way may have been for fewer.
        while (!this.#isCovered(count)) await reserve.renew(this.#nextId, count);
        return;
      } catch (cause) {
        if (!isNoSpace(cause)) throw cause;
        this.#noSpaceAt = this.#active.writtenEnd;
        if (!(await this.#options.supply.drain(this.#spareFiles))) throw cause;
      }
    }
  }

  #write(batch: PushBatch, active: ActiveSegment): Promise<void> {
    return writePlaced(active, batch, this.#options.blocking);
  }

  /** In mode 'sync' alone: elsewhere nobody waits for a sync. */
  #fillAhead({ length }: PushBatch, fill: typeof fillAhead): void {
    const { durability, segmentBytes } = this.#options;
    if (durability === 'sync') fill(this.#active, length, segmentBytes);
  }

  /** From the place to the settling. After every await the batch is looked at again: `pushSync` may have committed it. */
  async #commitPlaced(batch: PushBatch, written: Promise<void>): Promise<void> {
    const { failStop, durability } = this.#options;
    const active = this.#active;
    this.#traces.begin(batch);
    try {
      await written;
    } catch (cause) {
      if (!isSettled(batch) && !(await this.#writeAgain(batch, active, cause))) {
        if (!isSettled(batch)) await this.#cutBack(batch, active, cause);
        return;
      }
      if (isSettled(batch)) return;
    }
    this.#fillAhead(batch, fillAhead);
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
    // Before anybody is told: a waiter may begin the next commit.
    this.#become({ kind: 'between' });
    this.#settle(batch);
    this.#traces.over(batch);
  }

  /** Gives a batch its IDs and its place, and ties its checksums to them. Synchronous. */
  #place(batch: PushBatch): void {
    this.#beginPlace(batch, batch.count);
    this.#endPlace(batch);
  }

  /** The first half: the batch will hold `count` records, which may be added later, in the same synchronous stretch. */
  #beginPlace(batch: PushBatch, count: number, summedByHeads?: boolean): void {
    const { removalRound, indexIntervalBytes } = this.#options;
    beginPlace(batch, this.#active, {
      firstId: this.#nextId,
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
    const sizes = (): Iterable<number> => payloadSizes(batch.builder.chunks);
    log.grow(segment, batch.firstId, batch.count, batch.payloadBytes, batch.timestamp, end, sizes);
    indexBatch(log.index, batch, segment);
    this.#room.give(batch.pendingBytes);
    batch.resolve();
    onVisible();
    this.#room.grant();
    if (end > this.#options.segmentBytes / 2) this.#next.prepare();
    this.#options.reserve().lookAhead(this.#nextId);
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
    const { path } = active.file;
    const error = ioError(cause, `appending to queue '${queue}'`, { queue, path, offset: batch.offset });
    if (this.#state.kind !== 'cutting') this.#become({ kind: 'cutting', batch, error });
    let failure = error;
    try {
      await this.#cut(active, batch.offset);
      this.#takeBack(batch, batch.offset, active.segment.building?.offsets.at(-1) ?? -Infinity, error);
    } catch (cutCause) {
      failure = failStop.fail(cutCause, 'cutting a failed write back', path);
    }
    this.#become({ kind: 'between' });
    if (!isSettled(batch)) this.#fail(batch, failure);
  }

  /** A fault that passes is waited out, for some turns. */
  async #cut({ file }: ActiveSegment, end: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await file.truncate(end);
        break;
      } catch (cause) {
        if (tries === CUT_TRIES || !isPassing(cause)) throw cause;
        await this.#options.host.yield();
      }
    }
    await file.sync();
  }

  /** What was placed from `first` on is not in the file any more, which ends at `end`. Its IDs were told to nobody. */
  #takeBack(first: PushBatch, end: number, markedOffset: number, error: EvaqError): void {
    const active = this.#active;
    if (error.code === 'EVAQ_NO_SPACE') this.#noSpaceAt = end;
    active.writtenEnd = end;
    active.filledEnd = Math.min(active.filledEnd, end);
    active.markedOffset = markedOffset;
    this.#nextId = first.firstId;
  }

  #fail(batch: PushBatch, error: unknown): void {
    if (batch.count > 0) this.#lastFailure = { error };
    this.#room.give(batch.pendingBytes);
    this.#traces.noteFailure(batch, error);
    batch.reject(error);
  }

  /** Throws the fail-stop switch, if nobody did; nobody is left waiting, for these batches or any other. The error for a caller. */
  #stop(cause: unknown, batches: readonly PushBatch[] = []): EvaqError {
    const error = this.#options.failStop.fail(cause, 'committing', this.#active.file.path);
    const inHand = batchInHand(this.#state);
    const open = this.#open;
    const all = [...batches, ...(inHand === undefined ? [] : [inHand]), ...this.#full.splice(0), open];
    for (const batch of all) if (!isSettled(batch)) this.#fail(batch, error);
    open.reset();
    for (const resolve of this.#rollAsked.splice(0)) resolve({ error });
    this.#room.rejectAll(error);
    return error;
  }

  /** Tries what was asked for. Wanted for tidiness only: a push that needs a segment will say what is wrong. */
  async #roll(): Promise<void> {
    this.#become({ kind: 'switching', batch: undefined });
    const asked = this.#rollAsked.splice(0);
    let failure: RollFailure | undefined;
    try {
      if (!this.#active.segment.isEmpty) await this.#switchSegment('small');
    } catch (error) {
      failure = { error };
      requireWorldly(error);
      this.#rollOwed = true;
    } finally {
      for (const resolve of asked) resolve(failure);
    }
  }

  /** In the weaker modes: data before removals. Throws as `syncFileBlocking`. */
  #syncLeftBlocking(): void {
    if (this.#options.durability === 'sync') return;
    const active = this.#active;
    const { end } = active.segment;
    this.#unsynced.syncBlocking();
    if (active.durableEnd < end) {
      syncFileBlocking(active.file);
      active.durableEnd = Math.max(active.durableEnd, end);
    }
    this.#options.syncRemovalsBlocking();
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

/** What is thrown by mistake is not taken for a failure of the disk. */
function requireWorldly(cause: unknown): void {
  if (!(cause instanceof EvaqError) && !isSystemError(cause)) throw cause;
}

function isSettled(batch: PushBatch): boolean {
  return batch.state === 'settled';
}

export function tooLarge(bytes: number, limit: number, what: string): EvaqError {
  return new EvaqError('EVAQ_RECORD_TOO_LARGE', `${what} has ${bytes} bytes; at most ${limit} are allowed`, {
    details: { bytes, limit },
  });
}

/** What a record takes in a commit. */
function frameBytesOf(payload: Uint8Array, meta: Uint8Array | undefined): number {
  return payload.length + DENSE_FRAME_BYTES + (meta === undefined ? 0 : meta.length + META_LENGTH_BYTES);
}
