/**
 * Removing: rounds of tombstones (P2). Every way a record can go passes through here.
 *
 * What is removed while a round is being written forms the next one. A round is one append and, in mode 'sync', one fdatasync;
 * then its waiters are settled. The caller has marked the records dead before, so they are not delivered again by this process
 * whatever becomes of the round. One that could not be written rejects its waiters, and is owed (`owed-removals.ts`).
 *
 * Concurrency: removals at any time; one `#run` at a time, which alone appends to the log and replaces it (`removal-log.ts`).
 */
import { type EvaqError, ioError } from '../errors.js';
import type { IdRange } from '../ids.js';
import type { LogSegment } from '../log/log-segment.js';
import { joinRanges } from '../tombstone/id-ranges.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Claim } from './claims.js';
import { OwedRemovals, type OwedRemovalsOptions } from './owed-removals.js';
import { RemovalLog, type RemovalLogOptions } from './removal-log.js';
import { MANY_RANGES, RemovalRound } from './removal-round.js';
import { RemovalTraces, type RemovalTracesOptions } from './removal-trace.js';

export interface RemovalPipelineOptions extends RemovalLogOptions, OwedRemovalsOptions, RemovalTracesOptions {
  /** Whether a round is synced before it resolves. */
  readonly synced: boolean;
  /** A round is durable: these segments lost records. */
  readonly onSettled: (touched: ReadonlyMap<LogSegment, number>) => void;
}

/** What is to be done with the log between two rounds. */
interface Chore {
  readonly work: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const RESTING = { kind: 'resting' } as const;
const BETWEEN = { kind: 'between' } as const;

function joinCounts(
  some: ReadonlyMap<LogSegment, number>,
  others: ReadonlyMap<LogSegment, number>,
): ReadonlyMap<LogSegment, number> {
  if (some.size === 0) return others;
  const all = new Map(some);
  for (const [segment, count] of others) all.set(segment, (all.get(segment) ?? 0) + count);
  return all;
}

export class RemovalPipeline {
  readonly #options: RemovalPipelineOptions;
  readonly #log: RemovalLog;
  readonly #owed: OwedRemovals;
  readonly #traces: RemovalTraces;
  #open = new RemovalRound();
  /**
   * resting: nothing to do. due: it begins when the code now running is done. writing: `round` is on its way. rewriting: the log is being replaced.
   * between: it lets the waiters of a round go on.
   */
  #state:
    | { readonly kind: 'resting' | 'due' | 'rewriting' | 'between' }
    | { readonly kind: 'writing'; readonly round: RemovalRound } = RESTING;
  readonly #chores: Chore[] = [];
  #idle: (() => void)[] = [];

  constructor(options: RemovalPipelineOptions, log: TombstoneLog, round: number) {
    this.#options = options;
    this.#traces = new RemovalTraces(options);
    this.#log = new RemovalLog(options, log, round);
    this.#owed = new OwedRemovals(options, () => void this.#wait().catch(() => undefined));
  }

  /** The number of the last round that is durable. */
  get durableRound(): number {
    return this.#log.durableRound;
  }

  get logBytes(): number {
    return this.#log.bytes;
  }

  /** Of a snapshot and the rounds behind it so many find space, whatever others do with the disk. */
  get reserveBytes(): number {
    return this.#log.reserveBytes;
  }

  /** Sees to it that `reserveBytes` is that much. Rejects with a system error where there is no space for it, or with EVAQ_FAILED. */
  reserve(bytes: number): Promise<void> {
    this.#log.expectReserve(bytes);
    return this.#chore(() => this.#log.reserve(bytes));
  }

  /** Records whose removal is not written yet, for want of space. */
  get owedRanges(): number {
    return this.#owed.ranges.length;
  }

  /** True if the removal of `id` was asked for and could not be written yet. */
  owes(id: number): boolean {
    return this.#owed.has(id);
  }

  /** The same of any record up to `id`. */
  owesUpTo(id: number): boolean {
    return this.#owed.hasUpTo(id);
  }

  /** Removes what the caller has marked dead: resolves when that is durable in the mode in force. */
  submit(ranges: readonly IdRange[], touched: ReadonlyMap<LogSegment, number>): Promise<boolean> {
    this.#open.addRanges(ranges, touched);
    return this.#wait();
  }

  /** The same for what is given as first and last of one run after the other, ascending: it becomes ranges in turns of its own. */
  submitRuns(runs: readonly number[], touched: ReadonlyMap<LogSegment, number>): Promise<boolean> {
    this.#open.addRuns(runs);
    return this.submit([], touched);
  }

  /** The same for one record of a segment; resolves with true. */
  submitOne(id: number, segment: LogSegment): Promise<boolean> {
    this.#open.addOne(id, segment);
    return this.#wait();
  }

  /**
   * The same for a claimed record, whose claim ends with the round: 'removed' when that is durable; 'given back' if it could not be written, and
   * then this rejects.
   */
  submitClaim(claim: Claim): Promise<boolean> {
    this.#open.addClaim(claim);
    return this.#wait();
  }

  /**
   * Resolves when all that was asked for up to now is durable in the mode in force, with what is owed, which is tried once more. Rejects as a removal
   * does if it is not.
   */
  join(): Promise<unknown> {
    const isPending = !this.#open.isEmpty || this.#state.kind === 'writing' || !this.#owed.isNothing;
    return isPending ? this.#wait() : Promise.resolve();
  }

  /** Resolves when the removals asked for up to now are settled: durable, or rejected. */
  written(): Promise<void> {
    const underWay = this.#state.kind === 'writing' ? this.#state.round : undefined;
    const newest = this.#open.isEmpty ? underWay : this.#open;
    return newest === undefined ? Promise.resolve() : new Promise((resolve) => newest.whenOver(resolve));
  }

  #wait(): Promise<boolean> {
    const promise = this.#open.wait();
    this.#schedule();
    return promise;
  }

  /** Calls `action` when nothing is owed any more: at once, or after the round that brings it to disk. */
  whenNothingOwed(action: () => void): void {
    this.#owed.whenNothing(action);
  }

  /** Replaces the log by a snapshot if that halves it: for a queue that has come to rest. Never rejects; does nothing beside removals. */
  async shrink(): Promise<void> {
    if (this.#state.kind !== 'resting' || !this.#log.isWorthShrinking()) return;
    await this.#chore(async () => void (await this.#log.rewrite())).catch(() => undefined);
  }

  /** For a queue that has come to rest: `reserveBytes` need not be more than so much. Never rejects. */
  async giveBack(bytes: number): Promise<void> {
    await this.#chore(() => this.#log.giveBack(bytes)).catch(() => undefined);
  }

  #chore(work: Chore['work']): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#chores.push({ work, resolve, reject });
      this.#schedule();
    });
  }

  /**
   * Resolves when there is nothing left to do, and tries nothing again by itself from then on. For `close` alone: under a load that never pauses that
   * is never.
   */
  settled(): Promise<void> {
    this.#owed.giveUpRetrying();
    if (this.#state.kind === 'resting') return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Syncs what was written (weaker modes), if it is not synced; fail-stop if that fails. */
  syncNow(): Promise<void> {
    return this.#log.syncNow();
  }

  /** The same, blocking, for what `pushSync` vouches for. Throws a `SyncFailure`, or what kept it from being tried. */
  syncBlocking(): void {
    this.#log.syncBlocking();
  }

  /**
   * Writes the last word of a clean close, with everything that is owed: the data is durable up to the given place. Rejects if it cannot, with EVAQ_FAILED
   * where a sync failed.
   */
  writeClose(dataSegmentId: number, dataOffset: number): Promise<void> {
    return this.#log.writeClose(this.#owed.ranges, dataSegmentId, dataOffset);
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #schedule(): void {
    if (this.#state.kind !== 'resting') return;
    this.#state = { kind: 'due' };
    this.#options.host.soon(() => void this.#run());
  }

  /** Writes round after round until there is none. Never rejects: what is thrown in here is a bug, and stops the store instead of hanging it. */
  async #run(): Promise<void> {
    try {
      while (!this.#open.isEmpty || this.#chores.length > 0) {
        const round = this.#open;
        this.#open = new RemovalRound();
        this.#state = { kind: 'writing', round };
        await this.#write(round);
        if (this.#log.isDueForRewrite) {
          this.#state = { kind: 'rewriting' };
          await this.#log.rewrite();
        }
        for (const { work, resolve, reject } of this.#chores.splice(0)) {
          this.#state = { kind: 'rewriting' };
          await work().then(resolve, reject);
        }
        this.#state = BETWEEN;
        await new Promise<void>((resolve) => this.#options.host.soon(resolve));
      }
    } catch (cause) {
      this.#fail(this.#options.failStop.fail(cause, 'removing', this.#log.path));
    }
    this.#state = RESTING;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Nobody is left waiting. */
  #fail(error: EvaqError): void {
    const rounds = [this.#open];
    if (this.#state.kind === 'writing') rounds.push(this.#state.round);
    this.#open = new RemovalRound();
    for (const round of rounds) this.#reject(round, error);
    for (const { reject } of this.#chores.splice(0)) reject(error);
  }

  async #write(round: RemovalRound): Promise<void> {
    const { failStop, host, queue, synced } = this.#options;
    if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    let own: readonly IdRange[] = [];
    if (round.hasRuns) {
      own = await round.rangesOfRuns(() => host.yield());
      if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    }
    // With what is owed, which goes along.
    const owed = this.#owed.take();
    own = joinRanges(own, round.ownRanges(owed.ranges));
    const claimed = round.claimedRanges();
    const ranges = joinRanges(own, claimed);
    const touched = joinCounts(owed.touched, round.touched);
    if (ranges.length > 0) {
      const number = this.#log.round + 1;
      this.#traces.begin(ranges);
      if (ranges.length >= MANY_RANGES) await host.yield();
      try {
        await this.#log.append(number, own, claimed);
      } catch (cause) {
        this.#owed.owe({ ranges: own, touched });
        // What is given back must not go by a round that was written all the same: it is wiped for good first.
        if (round.hasClaims && failStop.error === undefined) await this.#log.syncWiped();
        if (failStop.error !== undefined) return this.#reject(round, failStop.error);
        return this.#reject(round, ioError(cause, `removing from queue '${queue}'`, { queue, path: this.#log.path }));
      }
      this.#log.noteWritten(number);
      if (synced) {
        try {
          await this.#log.sync();
        } catch (cause) {
          return this.#reject(round, failStop.fail(cause, 'a sync', this.#log.path));
        }
        this.#log.noteDurable(number);
      }
      if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    }
    // From here on nobody waits for this round any more.
    this.#state = BETWEEN;
    // A segment may have been replaced meanwhile: it is its heir that is let go.
    for (const [segment, count] of touched) segment.release(count);
    round.resolve();
    this.#owed.noteSettled();
    this.#options.onSettled(touched);
    this.#traces.over();
  }

  #reject(round: RemovalRound, error: EvaqError): void {
    if (this.#state.kind === 'writing' && this.#state.round === round) this.#state = BETWEEN;
    round.reject(error, this.#options.failStop.error === undefined ? 'given back' : 'unknown');
    this.#traces.over({ error });
  }
}
