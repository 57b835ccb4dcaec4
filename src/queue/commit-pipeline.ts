/**
 * Appending to a queue: the door of group commit (P1, P4, P7, P8).
 *
 * A push is refused, waits for room, or is accepted: into a batch (`push-batches.ts`) that the loop commits (`commit-loop.ts`), into a commit that begins at
 * once (`eager-commit.ts`), or into one that blocks (`blocking-commit.ts`).
 *
 * Nobody waits for the pipeline to be idle, but `close`: under a steady load it never is (P14).
 *
 * Concurrency: `push`, `pushMany` and `pushSync` at any time.
 */
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import type { IdSpan } from '../ids.js';
import { timeOf } from '../vfs/host.js';
import type { ActiveSegment } from './active-segment.js';
import { BlockingCommits, type BlockingCommitsOptions } from './blocking-commit.js';
import { CommitLoop, type CommitLoopOptions, type CommitParts, type RollFailure } from './commit-loop.js';
import { CommitOutcomes, type CommitOutcomesOptions } from './commit-outcome.js';
import { CommitTraces, type CommitTracesOptions } from './commit-trace.js';
import { DataSync, type DataSyncOptions } from './data-sync.js';
import { EagerCommits, isLarge } from './eager-commit.js';
import { LogEnd, type LogEndOptions } from './log-end.js';
import type { Admission, Metas } from './push-batch.js';
import { PushBatches, type PushBatchesOptions } from './push-batches.js';
import { PushCover, type PushCoverOptions } from './push-cover.js';
import { PushRefusals, type PushRefusalsOptions } from './push-refusal.js';
import { PushRoom } from './push-room.js';
import { frameBytesOf, tooLarge } from './record-size.js';

export interface CommitPipelineOptions
  extends LogEndOptions,
    DataSyncOptions,
    PushBatchesOptions,
    PushCoverOptions,
    PushRefusalsOptions,
    CommitOutcomesOptions,
    CommitTracesOptions,
    CommitLoopOptions,
    BlockingCommitsOptions {
  readonly maxPendingBytes: number;
}

export class CommitPipeline {
  readonly #options: CommitPipelineOptions;
  readonly #parts: CommitParts;
  readonly #batches: PushBatches;
  readonly #room: PushRoom;
  readonly #refusals: PushRefusals;
  readonly #loop: CommitLoop;
  readonly #eager: EagerCommits;
  readonly #blocking: BlockingCommits;

  constructor(options: CommitPipelineOptions, active: ActiveSegment) {
    this.#options = options;
    const batches = new PushBatches(options);
    const room = new PushRoom(options.maxPendingBytes);
    const data = new DataSync(options);
    const end = new LogEnd(options, data, active);
    const cover = new PushCover(options, end);
    const traces = new CommitTraces(options);
    const outcomes = new CommitOutcomes(options, { end, cover, room, traces });
    const parts = { batches, room, end, data, cover, outcomes, traces };
    this.#batches = batches;
    this.#room = room;
    this.#parts = parts;
    this.#loop = new CommitLoop(options, parts);
    this.#refusals = new PushRefusals(options, parts, this.#loop);
    this.#eager = new EagerCommits(options.queue, parts, this.#loop);
    this.#blocking = new BlockingCommits(options, parts, this.#loop, this.#refusals);
  }

  /** The ID that the next record gets. */
  get nextId(): number {
    return this.#parts.end.nextId;
  }

  /** Every ID below it is committed, or was given back: none of them can become visible any more. */
  get settledBelow(): number {
    return this.#loop.settledBelow;
  }

  /** The same of what is durable: for statements that have to hold after a power cut. */
  get durableBelow(): number {
    const { data } = this.#parts;
    return data.isRelaxed ? data.durableBelow : this.settledBelow;
  }

  get active(): ActiveSegment {
    return this.#parts.end.active;
  }

  get pendingBytes(): number {
    return this.#room.pendingBytes;
  }

  /**
   * Resolves with its ID when the record is committed in the durability mode in force. `signal`, not aborted yet: a push that still waits for room when
   * it is aborted is not accepted, and rejects with its reason.
   */
  push(
    payload: Uint8Array,
    meta: Uint8Array | undefined,
    signal?: AbortSignal,
    admission?: Admission,
  ): Promise<number> {
    const bytes = frameBytesOf(payload, meta);
    const failure = this.#refusals.ofBytes(bytes);
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#room.mustWait(bytes)) {
      const timestamp = timeOf(this.#options.host);
      const copy = new Uint8Array(payload);
      return this.#room.wait(bytes, () => this.#accept(copy, meta, bytes, timestamp, admission), signal);
    }
    return this.#accept(payload, meta, bytes, this.#batches.timeOfPush(), admission);
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
    const failure = this.#refusals.ofBytes(bytesMax);
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
    return this.#blocking.push(payload, meta, admission);
  }

  /** The same without a record of its own: durable on return is all that was pushed before it, and all removals that resolved before it. */
  flushSync(): void {
    this.#blocking.flush();
  }

  /** Resolves when all that was pushed up to the call is settled, whatever became of it. Never rejects. */
  committed(): Promise<void> {
    return new Promise((resolve) => {
      this.#room.afterWaiting(() => {
        const newest = this.#batches.newest ?? this.#loop.inHand;
        // Behind the continuations of those who pushed.
        const tell = (): void => this.#options.host.soon(resolve);
        if (newest === undefined) tell();
        else newest.whenSettled(tell);
      });
    });
  }

  /** The commit that failed last: another object for each. */
  get lastFailure(): { readonly error: unknown } | undefined {
    return this.#parts.outcomes.lastFailure;
  }

  /**
   * Resolves when all that was pushed up to the call is settled and, but for what was rejected, durable; what is pushed meanwhile is not waited for
   * (P14). Rejects with EVAQ_FAILED.
   */
  async flush(): Promise<void> {
    await this.committed();
    this.#options.failStop.throwIfFailed();
    if (this.#parts.data.isRelaxed) await this.syncNow();
  }

  /** For `close`, when nothing new is pushed any more: resolves when nothing is left to do. */
  settled(): Promise<void> {
    return this.#loop.settled();
  }

  /** Makes durable what was written up to the call (weaker modes). Rejects with EVAQ_FAILED; then the store has stopped. */
  syncNow(): Promise<void> {
    return this.#parts.data.syncNow(this.active, this.settledBelow);
  }

  /** The last commit found the disk full. */
  get foundNoSpace(): boolean {
    return this.#parts.end.foundNoSpace;
  }

  /**
   * Leaves the active segment for one that takes next to no space, in front of the next commit; if it holds any record. Resolves when that is done or
   * has failed, with what it failed by: then it is tried again behind the next commit.
   */
  roll(): Promise<RollFailure | undefined> {
    return this.#loop.roll();
  }

  /** A statement about the data for tombstones: of this segment, all below the offset is durable. */
  durablePosition(): { readonly segmentId: number; readonly offset: number } {
    return { segmentId: this.active.segment.id, offset: this.active.durableEnd };
  }

  /** Gives up the segment made ahead of time. Nothing may be under way. */
  async close(): Promise<void> {
    await this.#parts.data.settled();
    await this.#parts.end.close();
  }

  #accept(
    payload: Uint8Array,
    meta: Uint8Array | undefined,
    bytes: number,
    timestamp: number,
    admission: Admission | undefined,
  ): Promise<number> {
    const refusal = this.#refusals.ofIds(1);
    if (refusal !== undefined) return Promise.reject(refusal);
    const batch = this.#batches.openFor(bytes, timestamp);
    const promise = batch.push(payload, meta, admission);
    this.#room.takeFor(batch, bytes);
    if (isLarge(batch)) this.#eager.commitOpen();
    this.#loop.schedule();
    return promise;
  }

  #acceptMany(
    payloads: readonly Uint8Array[],
    metas: Metas,
    bytes: number,
    timestamp: number,
    admission: Admission | undefined,
  ): Promise<IdSpan> {
    const refusal = this.#refusals.ofIds(payloads.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    const batch = this.#batches.openFor(bytes, timestamp);
    if (this.#eager.canStream(bytes, payloads.length)) return this.#eager.stream(payloads, metas, bytes, admission);
    const promise = batch.pushMany(payloads, metas, undefined, admission);
    this.#room.takeFor(batch, bytes);
    this.#loop.schedule();
    return promise;
  }
}
