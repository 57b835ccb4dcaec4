/**
 * Committing: one loop that takes batch after batch from its place to its settling, and is one commit at a time (P1, P4, P7).
 *
 * What is pushed while a commit is in flight forms the next. There is no timer: a batch is whatever came during the last sync. A commit is one
 * positioned write and, in mode 'sync', one fdatasync; then it is settled, in order. What the loop is doing is one value (`commit-state.ts`).
 *
 * Invariants
 * - A segment is left in front of a commit that would make it too large, or where that was asked for.
 * - After every await the batch in flight is looked at again: a blocking push may have committed it meanwhile.
 * - Whatever is thrown here by mistake throws the fail-stop switch, and nobody is left waiting.
 *
 * Concurrency: one `#run` at a time; everything else is synchronous.
 */
import { assert } from '../assert.js';
import { EvaqError, ioError, isSystemError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import type { Host } from '../vfs/host.js';
import type { ActiveSegment } from './active-segment.js';
import type { CommitOutcomes } from './commit-outcome.js';
import { batchInHand, type CommitState, checkFollows, cutUnderWay, isLooping } from './commit-state.js';
import type { CommitTraces } from './commit-trace.js';
import type { DataSync } from './data-sync.js';
import type { LogEnd } from './log-end.js';
import { isSettled, type PushBatch } from './push-batch.js';
import type { PushBatches } from './push-batches.js';
import type { PushCover } from './push-cover.js';
import type { PushRoom } from './push-room.js';

export interface CommitLoopOptions {
  readonly queue: string;
  readonly host: Host;
  readonly failStop: FailStop;
}

/** What all of a queue's commits share, whoever begins them. */
export interface CommitParts {
  readonly batches: PushBatches;
  readonly room: PushRoom;
  readonly end: LogEnd;
  readonly data: DataSync;
  readonly cover: PushCover;
  readonly outcomes: CommitOutcomes;
  readonly traces: CommitTraces;
}

/** What kept the active segment from being left. */
export interface RollFailure {
  readonly error: unknown;
}

export class CommitLoop {
  readonly #options: CommitLoopOptions;
  readonly #parts: CommitParts;
  #state: CommitState = { kind: 'idle' };
  /** The active segment is to be left. Who asked for it is told when that was tried. */
  #rollAsked: ((failure: RollFailure | undefined) => void)[] = [];
  /** A roll that was asked for failed: it is tried again behind the next commit. */
  #rollOwed = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: CommitLoopOptions, parts: CommitParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** The batch that was taken and is not done with. */
  get inHand(): PushBatch | undefined {
    return batchInHand(this.#state);
  }

  /** Why nothing may be appended for now. */
  get cutUnderWay(): EvaqError | undefined {
    return cutUnderWay(this.#state);
  }

  /** Every ID below it is committed, or was given back: none of them can become visible any more. */
  get settledBelow(): number {
    const batch = this.inHand;
    return batch?.state === 'placed' ? batch.firstId : this.#parts.end.nextId;
  }

  /** No commit is in flight, none is due before the open batch, and the segment is not being left: a commit can begin at once. */
  get isAtRest(): boolean {
    const { kind } = this.#state;
    if (kind !== 'idle' && kind !== 'scheduled' && kind !== 'between') return false;
    return this.#parts.batches.fullCount === 0 && this.#rollAsked.length === 0;
  }

  /** Something is pushed: sees to it that it is committed, with all that comes in this turn. */
  schedule(): void {
    if (this.#state.kind !== 'idle') return;
    this.#become({ kind: 'scheduled' });
    this.#options.host.soon(() => {
      if (this.#state.kind === 'scheduled') void this.#run();
    });
  }

  /** Takes over a batch that has its place and is being written: at rest only. `broken`: it is to be cut away. */
  goOnWith(batch: PushBatch, written: Promise<void>, broken?: EvaqError): void {
    const looping = isLooping(this.#state);
    this.#become({ kind: 'begun', batch, written, broken });
    if (!looping) void this.#run();
  }

  /** As `CommitPipeline.roll`. */
  roll(): Promise<RollFailure | undefined> {
    return new Promise((resolve) => {
      this.#rollAsked.push(resolve);
      this.schedule();
    });
  }

  /** Resolves when nothing is left to do. */
  settled(): Promise<void> {
    if (this.#state.kind === 'idle' && !this.#parts.room.isWaitedFor) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Throws the fail-stop switch, if nobody did; nobody is left waiting, for these batches or any other. The error for a caller. */
  stop(cause: unknown, batches: readonly PushBatch[] = []): EvaqError {
    const { end, outcomes, room } = this.#parts;
    const error = this.#options.failStop.fail(cause, 'committing', end.active.file.path);
    const fail = (batch: PushBatch): void => {
      if (!isSettled(batch)) outcomes.fail(batch, error);
    };
    const { inHand } = this;
    for (const batch of batches) fail(batch);
    if (inHand !== undefined) fail(inHand);
    this.#parts.batches.dropAll(fail);
    for (const resolve of this.#rollAsked.splice(0)) resolve({ error });
    room.rejectAll(error);
    return error;
  }

  /** The one place where the state changes. */
  #become(state: CommitState): void {
    checkFollows(this.#state, state);
    this.#state = state;
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
          batch = this.#parts.batches.takeNext();
          if (batch === undefined) break;
          await this.#commit(batch);
        }
        this.#finish(batch);
        batch = undefined;
        // The waiters' continuations run before the next batch is taken: their pushes belong into it.
        await new Promise<void>((resolve) => host.soon(resolve));
      }
    } catch (cause) {
      this.stop(cause, batch === undefined ? [] : [batch]);
      if (batch !== undefined) this.#parts.traces.over(batch);
    }
    this.#become({ kind: 'idle' });
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** A batch is settled, and no write of it is under way. The next one may have been begun by a waiter of it. */
  #finish(batch: PushBatch): void {
    const { batches, room, traces } = this.#parts;
    assert(isSettled(batch), 'a batch that is done with is settled');
    traces.over(batch);
    if (this.#state.kind !== 'begun' && this.#state.kind !== 'between') this.#become({ kind: 'between' });
    batches.giveBack(batch);
    if (this.#rollOwed) {
      this.#rollOwed = false;
      this.#rollAsked.push(() => undefined);
    }
    room.grant();
  }

  async #commit(batch: PushBatch): Promise<void> {
    const { failStop, queue } = this.#options;
    const { end, cover, outcomes } = this.#parts;
    batch.state = 'taken';
    const isFull = !end.takes(batch.length);
    if (isFull || !cover.covers(batch.count)) {
      this.#become({ kind: 'switching', batch });
      let doing = 'keeping space for removals';
      try {
        if (!cover.covers(batch.count)) await cover.renew(batch.count);
        if (isSettled(batch)) return;
        doing = 'starting a segment';
        if (isFull) await end.switchSegment();
      } catch (cause) {
        requireWorldly(cause);
        if (!isSettled(batch)) outcomes.fail(batch, failStop.error ?? ioError(cause, doing, { queue }));
        return;
      }
      if (isSettled(batch)) return;
    }
    this.#become({ kind: 'writing', batch });
    end.place(batch);
    const written = end.write(batch);
    await this.#commitPlaced(batch, written);
  }

  /** From the place to the settling. After every await the batch is looked at again: `pushSync` may have committed it. */
  async #commitPlaced(batch: PushBatch, written: Promise<void>): Promise<void> {
    const { failStop } = this.#options;
    const { end, data, outcomes, traces } = this.#parts;
    const { active } = end;
    traces.begin(batch);
    try {
      await written;
    } catch (cause) {
      if (!isSettled(batch) && !(await end.writeAgain(batch, active, cause))) {
        if (!isSettled(batch)) await this.#cutBack(batch, active, cause);
        return;
      }
      if (isSettled(batch)) return;
    }
    end.fillAhead(active, batch);
    if (!data.isRelaxed) {
      try {
        await data.timedSync(active);
      } catch (cause) {
        const error = failStop.fail(cause, 'a sync', active.file.path);
        if (!isSettled(batch)) outcomes.fail(batch, error);
        return;
      }
    }
    if (isSettled(batch)) return;
    // Nothing is acknowledged after a failure elsewhere in the store either.
    if (failStop.error !== undefined) return outcomes.fail(batch, failStop.error);
    if (!data.isRelaxed) active.durableEnd = Math.max(active.durableEnd, batch.offset + batch.length);
    // Before anybody is told: a waiter may begin the next commit.
    this.#become({ kind: 'between' });
    outcomes.settle(batch);
    traces.over(batch);
  }

  /** After a failed write: makes the file end where it ended, durably, so that what was half written can never come back. */
  async #cutBack(batch: PushBatch, active: ActiveSegment, cause: unknown): Promise<void> {
    const { failStop, queue } = this.#options;
    const { end, outcomes } = this.#parts;
    const { path } = active.file;
    const error = ioError(cause, `appending to queue '${queue}'`, { queue, path, offset: batch.offset });
    if (this.#state.kind !== 'cutting') this.#become({ kind: 'cutting', batch, error });
    let failure = error;
    try {
      await end.cut(active, batch.offset);
      end.takeBack(batch, batch.offset, active.segment.building?.offsets.at(-1) ?? -Infinity, error);
    } catch (cutCause) {
      failure = failStop.fail(cutCause, 'cutting a failed write back', path);
    }
    this.#become({ kind: 'between' });
    if (!isSettled(batch)) outcomes.fail(batch, failure);
  }

  /** Tries what was asked for. Wanted for tidiness only: a push that needs a segment will say what is wrong. */
  async #roll(): Promise<void> {
    const { end } = this.#parts;
    this.#become({ kind: 'switching', batch: undefined });
    const asked = this.#rollAsked.splice(0);
    let failure: RollFailure | undefined;
    try {
      if (!end.active.segment.isEmpty) await end.switchSegment('small');
    } catch (error) {
      failure = { error };
      requireWorldly(error);
      this.#rollOwed = true;
    } finally {
      for (const resolve of asked) resolve(failure);
    }
  }
}

/** What is thrown by mistake is not taken for a failure of the disk. */
function requireWorldly(cause: unknown): void {
  if (!(cause instanceof EvaqError) && !isSystemError(cause)) throw cause;
}
