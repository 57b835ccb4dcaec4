/**
 * Removing: rounds of tombstones (P2). Every way a record can go passes through here.
 *
 * What is removed while a round is being written forms the next one. A round is one append and, in mode 'sync', one fdatasync;
 * then its waiters are settled. The caller has marked the records dead before, so they are not delivered again by this process
 * whatever becomes of the round.
 *
 * On a full disk the log is written anew, into the file that is kept for that (`tombstone-spare.ts`): what a round removes is dead in memory by
 * then, so the snapshot says it, whatever it comes to.
 *
 * A round that could not be written all the same rejects its waiters, and its ranges are *owed*: they go with the next round, so that memory and disk
 * agree again as soon as they can.
 *
 * When the log is mostly garbage it is rewritten as a new generation: the snapshot of all that is not live. No removal is ever forgotten: what went
 * with its segment stays as a range, and those merge. So every ID is known to be in a segment or to be gone, and a file that is missing is missed.
 */
import { EvaqError, ioError, isNoSpace, isPassing } from '../errors.js';
import { type FailStop, SyncFailure } from '../fail-stop.js';
import type { IdRange } from '../ids.js';
import type { LogSegment } from '../log/log-segment.js';
import { joinRanges, mergeRanges } from '../tombstone/id-ranges.js';
import { KIND_CLOSE, KIND_REMOVALS, type RoundStatement } from '../tombstone/tombstone-frame.js';
import { TombstoneLog } from '../tombstone/tombstone-log.js';
import { RESERVE_BYTES_MIN } from '../tombstone/tombstone-spare.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { BlockingBudget } from './blocking-budget.js';
import type { Claim } from './claims.js';
import { RemovalTraces } from './removal-trace.js';

/** A log smaller than this is never rewritten. */
const REWRITE_BYTES_MIN = 64 * 1024;
/** At rest it is rewritten from here on; past the other bound it is not worth the search for what that would come to. */
const SHRINK_BYTES_MIN = 8 * 1024;
const SHRINK_BYTES_MAX = 256 * 1024;
/** What is owed is tried again by itself after so long, each time twice as long after another failure. */
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5_000;
/** From so many ranges on, a round lets others have their turn between its steps. */
const MANY_RANGES = 65_536;
/** So often a round that failed is wiped, before the store stops: half of it might come back as a removal that was rejected. */
const WIPE_TRIES = 4;
/** Of one range in a snapshot, about. */
const RANGE_BYTES = 6;

/** What a round states beside its ranges, as of now. */
export interface RoundContext {
  readonly nextId: number;
  /** Every lower ID is durable, or was given back. */
  readonly accountedBelow: number;
  readonly dataSegmentId: number;
  readonly dataOffset: number;
  readonly sealedBelow: number;
  readonly segmentIdMax: number;
  readonly liveRecords: number;
  readonly hasIntake: boolean;
}

export interface RemovalPipelineOptions {
  /** The store's name, for whoever observes it. */
  readonly storeId: string;
  readonly queue: string;
  readonly dir: string;
  readonly vfs: Vfs;
  readonly host: Host;
  readonly storeUuid: Buffer;
  readonly failStop: FailStop;
  /** Whether a round is synced before it resolves. */
  readonly synced: boolean;
  readonly blocking: BlockingBudget;
  readonly context: () => RoundContext;
  /** All IDs up to that one, and above, that are not live in any segment, as ranges; more than is removed durably, never what is only claimed. */
  readonly deadRanges: (below: number) => Iterable<IdRange>;
  /** Gives space back, for a full disk. True if it did. */
  readonly freeSpace: () => Promise<boolean>;
  /** A round is durable: these segments lost records. */
  readonly onSettled: (touched: ReadonlyMap<LogSegment, number>) => void;
}

type Resolve = (removed: boolean) => void;
type Reject = (error: unknown) => void;

/** What goes into one round, and who waits for it: parallel columns, so that a removal costs its promise and little else. */
interface Round {
  /** Single IDs, as they came. */
  readonly ids: number[];
  readonly ranges: IdRange[];
  /** Runs of IDs, each list ascending: first and last of one after those of the other. */
  readonly runs: (readonly number[])[];
  /** Records that go back if the round is not written. They hold their segments by themselves. */
  readonly claims: Claim[];
  /** By segment: how many records of it the round removes, but for those that are claimed. */
  readonly touched: Map<LogSegment, number>;
  readonly resolves: Resolve[];
  readonly rejects: Reject[];
  /** Who wants to know when it is over, however it ends. */
  readonly tickets: (() => void)[];
}

function newRound(): Round {
  return { ids: [], ranges: [], runs: [], claims: [], touched: new Map(), resolves: [], rejects: [], tickets: [] };
}

function isEmpty({ resolves, claims }: Round): boolean {
  return resolves.length === 0 && claims.length === 0;
}

/** What a round removes for good, sorted and merged: what is owed if it cannot be written. */
function ownRanges({ ids, ranges }: Round, owed: readonly IdRange[]): readonly IdRange[] {
  // Each part ascends: joining them costs their length, however much is owed.
  return joinRanges(owed, joinRanges(mergeRanges(ranges), rangesOfIds(ids)));
}

function rangesOfIds(ids: readonly number[]): IdRange[] {
  if (ids.length === 0) return [];
  const ranges: IdRange[] = [];
  const sorted = Float64Array.from(ids).sort();
  let first = sorted[0] ?? 0;
  let last = first;
  for (let i = 1; i < sorted.length; i++) {
    const id = sorted[i] ?? 0;
    if (id > last + 1) {
      ranges.push({ first, last });
      first = id;
    }
    last = id;
  }
  ranges.push({ first, last });
  return ranges;
}

/** Who wants space kept for removals. */
interface Reserving {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: Reject;
}

const NOTHING_OWED = { ranges: [], touched: new Map<LogSegment, number>() } as const;
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

let capturedResolve: Resolve = () => undefined;
let capturedReject: Reject = () => undefined;
function capture(resolve: Resolve, reject: Reject): void {
  capturedResolve = resolve;
  capturedReject = reject;
}

export class RemovalPipeline {
  readonly #options: RemovalPipelineOptions;
  #log: TombstoneLog;
  #round: number;
  #durableRound: number;
  #open: Round = newRound();
  /** Asked for and not written, for want of space: merged ranges, and the segments that they hold. */
  #owed: { readonly ranges: readonly IdRange[]; readonly touched: ReadonlyMap<LogSegment, number> } = NOTHING_OWED;
  /**
   * resting: nothing to do. due: it begins when the code now running is done. writing: `round` is on its way. rewriting: the log is being replaced.
   * between: it lets the waiters of a round go on.
   */
  #state:
    | { readonly kind: 'resting' | 'due' | 'rewriting' | 'between' }
    | { readonly kind: 'writing'; readonly round: Round } = RESTING;
  /** Those who want the log replaced by its snapshot. */
  #shrinking: (() => void)[] = [];
  #reserving: Reserving[] = [];
  /** What log and spare file are to have: what they had, and the highest that was asked for. */
  #reserveBytes: number;
  #rewriteAtBytes: number;
  /** Called when nothing is owed any more. */
  #settling: (() => void)[] = [];
  #retryMs = RETRY_MS_MIN;
  #cancelRetry: (() => void) | undefined;
  #isClosing = false;
  /** A log is not closed under a sync, and not synced while it is being replaced. */
  #rewriting: Promise<unknown> = Promise.resolve();
  #syncing: Promise<unknown> = Promise.resolve();
  #idle: (() => void)[] = [];
  readonly #traces: RemovalTraces;

  constructor(options: RemovalPipelineOptions, log: TombstoneLog, round: number) {
    this.#options = options;
    this.#traces = new RemovalTraces(options);
    this.#log = log;
    this.#round = round;
    this.#durableRound = round;
    this.#rewriteAtBytes = rewriteAt(log);
    this.#reserveBytes = Math.max(RESERVE_BYTES_MIN, log.reserveBytes);
  }

  /** The number of the last round that is durable. */
  get durableRound(): number {
    return this.#durableRound;
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
    this.#reserveBytes = Math.max(this.#reserveBytes, bytes);
    return new Promise((resolve, reject) => {
      this.#reserving.push({ bytes, resolve, reject });
      this.#schedule();
    });
  }

  /** Records whose removal is not written yet, for want of space. */
  get owedRanges(): number {
    return this.#owed.ranges.length;
  }

  /** True if the removal of `id` was asked for and could not be written yet. */
  owes(id: number): boolean {
    const { ranges } = this.#owed;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle]?.last ?? Infinity) < id) low = middle + 1;
      else high = middle;
    }
    return (ranges[low]?.first ?? Infinity) <= id;
  }

  /** The same of any record up to `id`. */
  owesUpTo(id: number): boolean {
    return (this.#owed.ranges[0]?.first ?? Infinity) <= id;
  }

  /** Removes what the caller has marked dead: resolves when that is durable in the mode in force. */
  submit(ranges: readonly IdRange[], touched: ReadonlyMap<LogSegment, number>): Promise<boolean> {
    const open = this.#open;
    for (const range of ranges) open.ranges.push(range);
    for (const [segment, count] of touched) open.touched.set(segment, (open.touched.get(segment) ?? 0) + count);
    return this.#wait();
  }

  /** The same for what is given as first and last of one run after the other, ascending: it becomes ranges in turns of its own. */
  submitRuns(runs: readonly number[], touched: ReadonlyMap<LogSegment, number>): Promise<boolean> {
    this.#open.runs.push(runs);
    return this.submit([], touched);
  }

  /** The same for one record of a segment; resolves with true. */
  submitOne(id: number, segment: LogSegment): Promise<boolean> {
    const { ids, touched } = this.#open;
    ids.push(id);
    touched.set(segment, (touched.get(segment) ?? 0) + 1);
    return this.#wait();
  }

  /**
   * The same for a claimed record, whose claim ends with the round: 'removed' when that is durable; 'given back' if it could not be written, and
   * then this rejects.
   */
  submitClaim(claim: Claim): Promise<boolean> {
    this.#open.claims.push(claim);
    return this.#wait();
  }

  /**
   * Resolves when all that was asked for up to now is durable in the mode in force, with what is owed, which is tried once more. Rejects as a removal
   * does if it is not.
   */
  join(): Promise<unknown> {
    const isPending = !isEmpty(this.#open) || this.#state.kind === 'writing' || this.#owed.ranges.length > 0;
    return isPending ? this.#wait() : Promise.resolve();
  }

  /** Resolves when the removals asked for up to now are settled: durable, or rejected. */
  written(): Promise<void> {
    const underWay = this.#state.kind === 'writing' ? this.#state.round : undefined;
    const newest = isEmpty(this.#open) ? underWay : this.#open;
    return newest === undefined ? Promise.resolve() : new Promise((resolve) => newest.tickets.push(resolve));
  }

  #wait(): Promise<boolean> {
    const promise = new Promise<boolean>(capture);
    this.#open.resolves.push(capturedResolve);
    this.#open.rejects.push(capturedReject);
    this.#schedule();
    return promise;
  }

  /** Calls `action` when nothing is owed any more: at once, or after the round that brings it to disk. */
  whenNothingOwed(action: () => void): void {
    if (this.#owed.ranges.length === 0) action();
    else this.#settling.push(action);
  }

  /** Replaces the log by a snapshot if that halves it: for a queue that has come to rest. Never rejects; does nothing beside removals. */
  async shrink(): Promise<void> {
    const { bytes } = this.#log;
    if (bytes < SHRINK_BYTES_MIN || bytes > SHRINK_BYTES_MAX || this.#state.kind !== 'resting') return;
    let snapshotBytes = 0;
    for (const _ of this.#options.deadRanges(0)) {
      snapshotBytes += RANGE_BYTES;
      if (snapshotBytes > bytes / 2) return;
    }
    await new Promise<void>((resolve) => {
      this.#shrinking.push(resolve);
      this.#schedule();
    });
  }

  /**
   * Resolves when there is nothing left to do, and tries nothing again by itself from then on. For `close` alone: under a load that never pauses that
   * is never.
   */
  settled(): Promise<void> {
    this.#cancelRetry?.();
    this.#isClosing = true;
    if (this.#state.kind === 'resting') return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Syncs what was written (weaker modes), if it is not synced; fail-stop if that fails. */
  async syncNow(): Promise<void> {
    await this.#rewriting;
    this.#options.failStop.throwIfFailed();
    const round = this.#round;
    const log = this.#log;
    if (!log.isUnsynced) return;
    const syncing = log.sync();
    // Several may be under way: a log is closed when all of them are over.
    this.#syncing = Promise.allSettled([this.#syncing, syncing]);
    try {
      await syncing;
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'a sync', log.path);
    }
    this.#durableRound = Math.max(this.#durableRound, round);
  }

  /** The same, blocking, for what `pushSync` vouches for. Throws a `SyncFailure`, or what kept it from being tried. */
  syncBlocking(): void {
    const round = this.#round;
    if (this.#durableRound >= round) return;
    this.#log.syncBlocking();
    this.#durableRound = Math.max(this.#durableRound, round);
  }

  /**
   * Writes the last word of a clean close, with everything that is owed: the data is durable up to the given place. Rejects if it cannot, with EVAQ_FAILED
   * where a sync failed.
   */
  async writeClose(dataSegmentId: number, dataOffset: number): Promise<void> {
    const statement = { ...this.#statement(KIND_CLOSE, this.#round + 1), dataSegmentId, dataOffset };
    await this.#append(statement, this.#owed.ranges, []);
    try {
      await this.#log.sync();
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'a sync', this.#log.path);
    }
  }

  async close(): Promise<void> {
    await this.#syncing;
    await this.#log.close();
  }

  #schedule(): void {
    if (this.#state.kind !== 'resting') return;
    this.#state = { kind: 'due' };
    this.#options.host.soon(() => void this.#run());
  }

  /** Writes round after round until there is none. Never rejects: what is thrown in here is a bug, and stops the store instead of hanging it. */
  async #run(): Promise<void> {
    try {
      while (!isEmpty(this.#open) || this.#shrinking.length > 0 || this.#reserving.length > 0) {
        const round = this.#open;
        this.#open = newRound();
        this.#state = { kind: 'writing', round };
        await this.#write(round);
        const shrinking = this.#shrinking.splice(0);
        if (this.#log.bytes >= this.#rewriteAtBytes || shrinking.length > 0) {
          this.#state = { kind: 'rewriting' };
          await this.#rewriteInTurn();
        }
        for (const tell of shrinking) tell();
        const reserving = this.#reserving.splice(0);
        if (reserving.length > 0) {
          this.#state = { kind: 'rewriting' };
          for (const one of reserving) await this.#reserve(one);
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
    this.#open = newRound();
    for (const round of rounds) this.#reject(round, error);
    for (const tell of this.#shrinking.splice(0)) tell();
    for (const { reject } of this.#reserving.splice(0)) reject(error);
  }

  async #write(round: Round): Promise<void> {
    const { failStop, queue, synced } = this.#options;
    if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    let own: readonly IdRange[] = [];
    if (round.runs.length > 0) {
      own = await this.#rangesOfRuns(round);
      if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    }
    own = joinRanges(own, ownRanges(round, this.#owed.ranges));
    const claimed = rangesOfIds(round.claims.map(({ id }) => id));
    const ranges = joinRanges(own, claimed);
    // With what is owed, which goes along.
    const touched = joinCounts(this.#owed.touched, round.touched);
    this.#owed = NOTHING_OWED;
    if (ranges.length > 0) {
      const number = this.#round + 1;
      this.#traces.begin(ranges);
      if (ranges.length >= MANY_RANGES) await this.#options.host.yield();
      try {
        await this.#append(this.#statement(KIND_REMOVALS, number), own, claimed);
      } catch (cause) {
        this.#owed = { ranges: own, touched };
        this.#retryLater();
        // What is given back must not go by a round that was written all the same: it is wiped for good first.
        if (round.claims.length > 0 && failStop.error === undefined) await this.#syncWiped();
        if (failStop.error !== undefined) return this.#reject(round, failStop.error);
        return this.#reject(round, ioError(cause, `removing from queue '${queue}'`, { queue, path: this.#log.path }));
      }
      this.#round = number;
      if (synced) {
        try {
          await this.#log.sync();
        } catch (cause) {
          return this.#reject(round, failStop.fail(cause, 'a sync', this.#log.path));
        }
        this.#durableRound = number;
      }
      if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    }
    // From here on nobody waits for this round any more.
    this.#state = BETWEEN;
    // A segment may have been replaced meanwhile: it is its heir that is let go.
    for (const [segment, count] of touched) segment.release(count);
    // In this very stretch: a snapshot that is taken later must not miss what the log it replaces has said.
    for (const claim of round.claims) claim.end('removed');
    for (const resolve of round.resolves) resolve(true);
    for (const tell of round.tickets) tell();
    for (const settle of this.#settling.splice(0)) settle();
    this.#retryMs = RETRY_MS_MIN;
    this.#options.onSettled(touched);
    this.#traces.over();
  }

  /** Merged. Many are made in several turns of the event loop. */
  async #rangesOfRuns({ runs }: Round): Promise<readonly IdRange[]> {
    let all: readonly IdRange[] = [];
    let made = 0;
    for (const list of runs) {
      const ranges: IdRange[] = [];
      for (let i = 0; i < list.length; i += 2) {
        ranges.push({ first: list[i] ?? 0, last: list[i + 1] ?? 0 });
        if (++made % MANY_RANGES === 0) await this.#options.host.yield();
      }
      all = joinRanges(all, ranges);
    }
    return all;
  }

  /** Tries again what is owed, if no other removal does so before. */
  #retryLater(): void {
    if (this.#owed.ranges.length === 0 || this.#isClosing || this.#options.failStop.error !== undefined) return;
    this.#cancelRetry ??= this.#options.host.after(this.#retryMs, () => {
      this.#cancelRetry = undefined;
      this.#retryMs = Math.min(RETRY_MS_MAX, 2 * this.#retryMs);
      if (this.#owed.ranges.length > 0) this.#wait().catch(() => undefined);
    });
  }

  /**
   * Appends a round of what is dead already and of what is claimed; on a full disk the first by writing the log anew. Where that does not do, frees
   * what can be freed and tries again.
   */
  async #append(statement: RoundStatement, own: readonly IdRange[], claimed: readonly IdRange[]): Promise<void> {
    const { blocking, host, freeSpace } = this.#options;
    const pause = (): Promise<void> => host.yield();
    let ranges = joinRanges(own, claimed);
    try {
      return await this.#log.append(statement, ranges, blocking.write, pause);
    } catch (cause) {
      await this.#wipe();
      if (isNoSpace(cause)) {
        // The log is not looked at any more when it has been replaced, and what is claimed may yet be given back.
        if (claimed.length > 0) await this.#syncWiped();
        if (await this.#rewriteInTurn()) {
          ranges = claimed;
          if (await this.#tryAppend(statement, ranges, pause)) return;
        }
      }
      if (!(await freeSpace().catch(() => false))) throw cause;
      if (!(await this.#tryAppend(statement, ranges, pause))) throw cause;
    }
  }

  async #tryAppend(
    statement: RoundStatement,
    ranges: readonly IdRange[],
    pause: () => Promise<void>,
  ): Promise<boolean> {
    if (this.#options.failStop.error !== undefined) return false;
    try {
      await this.#log.append(statement, ranges, undefined, pause);
      return true;
    } catch {
      await this.#wipe();
      return false;
    }
  }

  async #reserve({ bytes, resolve, reject }: Reserving): Promise<void> {
    const { failStop, vfs } = this.#options;
    try {
      failStop.throwIfFailed();
      await this.#log.reserve(vfs, bytes);
      resolve();
    } catch (cause) {
      reject(cause instanceof SyncFailure ? failStop.fail(cause, 'keeping space for removals', cause.path) : cause);
    }
  }

  /** A fault that passes is waited out, for some turns. */
  async #wipe(): Promise<void> {
    const { failStop, host } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#log.wipeAppended();
      } catch (cause) {
        if (tries === WIPE_TRIES || !isPassing(cause)) {
          throw failStop.fail(cause, 'wiping a failed round of removals', this.#log.path);
        }
        await host.yield();
      }
    }
  }

  async #syncWiped(): Promise<void> {
    try {
      await this.#log.sync();
    } catch (cause) {
      this.#options.failStop.fail(cause, 'wiping a failed round of removals', this.#log.path);
    }
  }

  #reject(round: Round, error: EvaqError): void {
    if (this.#state.kind === 'writing' && this.#state.round === round) this.#state = BETWEEN;
    const outcome = this.#options.failStop.error === undefined ? 'given back' : 'unknown';
    for (const claim of round.claims.splice(0)) claim.end(outcome);
    for (const reject of round.rejects.splice(0)) reject(error);
    round.resolves.length = 0;
    for (const tell of round.tickets.splice(0)) tell();
    this.#traces.over({ error });
  }

  #statement(kind: number, round: number): RoundStatement {
    return { kind, round, timestamp: timeOf(this.#options.host), ...this.#options.context() };
  }

  /** Nobody syncs the log meanwhile. */
  async #rewriteInTurn(): Promise<boolean> {
    const rewriting = this.#rewrite();
    this.#rewriting = rewriting;
    return await rewriting;
  }

  /** Replaces the log by a snapshot. If that fails the old one serves on, until it has grown by as much again: false. */
  async #rewrite(): Promise<boolean> {
    const { vfs, dir, host, storeUuid, failStop, deadRanges } = this.#options;
    if (failStop.error !== undefined) return false;
    const old = this.#log;
    try {
      const { spare } = old;
      const source = { ...newGeneration(vfs, host, dir, storeUuid, old.generation + 1), spare };
      const { kind: _, ...statement } = this.#statement(0, this.#round);
      const { accountedBelow } = statement;
      // Of what is under way it does not speak: it is in no segment for sure, and in none of its ranges.
      const account = { ...statement, nextId: accountedBelow };
      this.#log = await TombstoneLog.create(source, account, deadRanges(accountedBelow), () => host.yield());
      this.#durableRound = this.#round;
      this.#rewriteAtBytes = rewriteAt(this.#log);
    } catch {
      this.#rewriteAtBytes = Math.max(this.#rewriteAtBytes, old.bytes * 2);
      await old.missSpare(vfs);
      return false;
    }
    // The old generation is superseded already; a leftover is harmless, since what it removes stays removed.
    await this.#syncing;
    await old.close().catch(() => undefined);
    await old.succeededBy(vfs, this.#log, Math.max(this.#reserveBytes, this.#log.bytes));
    return true;
  }
}

/** The parameters of a new generation, with chance for its salt. Throws EVAQ_QUEUE_FULL where there is no such number any more. */
export function newGeneration(
  vfs: Vfs,
  host: Host,
  dir: string,
  storeUuid: Buffer,
  generation: number,
): Parameters<typeof TombstoneLog.create>[0] {
  if (!Number.isSafeInteger(generation)) {
    throw new EvaqError('EVAQ_QUEUE_FULL', `${dir}: there is no number left for another tombstone log`, {
      details: { path: dir, limit: Number.MAX_SAFE_INTEGER },
      hint: 'Its records can be read with openReadOnly. Push to a new store.',
    });
  }
  const salt = Buffer.alloc(4);
  host.random(salt);
  return { vfs, dir, storeUuid, generation, salt: salt.readUInt32LE(0), nowMs: timeOf(host) };
}

/** Rounds are written twice, so a log of nothing but its snapshot's size in rounds is about half garbage. */
function rewriteAt(log: TombstoneLog): number {
  return Math.max(REWRITE_BYTES_MIN, 2 * log.snapshotBytes + REWRITE_BYTES_MIN / 2);
}
