/**
 * The tombstone log of a queue as its rounds use it: appended to, made durable, and written anew as another generation.
 *
 * On a full disk it is written anew, into the file that is kept for that (`tombstone-spare.ts`): what a round removes is dead in memory by then, so the
 * snapshot says it, whatever it comes to.
 *
 * When it is mostly garbage it is rewritten: the snapshot of all that is not live. No removal is ever forgotten: what went with its segment stays as a
 * range, and those merge. So every ID is known to be in a segment or to be gone, and a file that is missing is missed.
 *
 * Concurrency: one append, reserve or rewrite at a time. Syncs at any time: a log is not closed under one, and not synced while it is being replaced.
 */
import { bothOver } from '../all-over.js';
import { isNoSpace, isPassing } from '../errors.js';
import { type FailStop, SyncFailure } from '../fail-stop.js';
import type { IdRange } from '../ids.js';
import { joinRanges } from '../tombstone/id-ranges.js';
import { KIND_CLOSE, KIND_REMOVALS, type RoundStatement } from '../tombstone/tombstone-frame.js';
import { TombstoneLog } from '../tombstone/tombstone-log.js';
import { RESERVE_BYTES_MIN } from '../tombstone/tombstone-spare.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { BlockingBudget } from './blocking-budget.js';
import { newGeneration } from './new-generation.js';

/** A log smaller than this is never rewritten. */
const REWRITE_BYTES_MIN = 64 * 1024;
/** At rest it is rewritten from here on; past the other bound it is not worth the search for what that would come to. */
const SHRINK_BYTES_MIN = 8 * 1024;
const SHRINK_BYTES_MAX = 256 * 1024;
/** Of one range in a snapshot, about. */
const RANGE_BYTES = 6;
/** So often a round that failed is wiped, before the store stops: half of it might come back as a removal that was rejected. */
const WIPE_TRIES = 4;

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

export interface RemovalLogOptions {
  readonly dir: string;
  readonly vfs: Vfs;
  readonly host: Host;
  readonly storeUuid: Buffer;
  readonly failStop: FailStop;
  readonly blocking: BlockingBudget;
  readonly context: () => RoundContext;
  /** All IDs up to that one, and above, that are not live in any segment, as ranges; more than is removed durably, never what is only claimed. */
  readonly deadRanges: (below: number) => Iterable<IdRange>;
  /** Gives space back, for a full disk. True if it did. */
  readonly freeSpace: () => Promise<boolean>;
}

export class RemovalLog {
  readonly #options: RemovalLogOptions;
  /** Of the generation in force. */
  #log: TombstoneLog;
  #round: number;
  #durableRound: number;
  /** What log and spare file are to have: what they had, and the highest that was asked for. */
  #reserveBytes: number;
  #rewriteAtBytes: number;
  #rewriting: Promise<unknown> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  constructor(options: RemovalLogOptions, log: TombstoneLog, round: number) {
    this.#options = options;
    this.#log = log;
    this.#round = round;
    this.#durableRound = round;
    this.#rewriteAtBytes = rewriteAt(log);
    this.#reserveBytes = Math.max(RESERVE_BYTES_MIN, log.reserveBytes);
  }

  /** The number of the last round that was written. */
  get round(): number {
    return this.#round;
  }

  /** The number of the last round that is durable. */
  get durableRound(): number {
    return this.#durableRound;
  }

  get path(): string {
    return this.#log.path;
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  /** Of a snapshot and the rounds behind it so many find space, whatever others do with the disk. */
  get reserveBytes(): number {
    return this.#log.reserveBytes;
  }

  /** It is mostly garbage. */
  get isDueForRewrite(): boolean {
    return this.#log.bytes >= this.#rewriteAtBytes;
  }

  /** For a queue that has come to rest: whether a snapshot halves it. */
  isWorthShrinking(): boolean {
    const { bytes } = this.#log;
    if (bytes < SHRINK_BYTES_MIN || bytes > SHRINK_BYTES_MAX) return false;
    let snapshotBytes = 0;
    for (const _ of this.#options.deadRanges(0)) {
      snapshotBytes += RANGE_BYTES;
      if (snapshotBytes > bytes / 2) return false;
    }
    return true;
  }

  /** `reserve` will see to it that `reserveBytes` is at least that much. */
  expectReserve(bytes: number): void {
    this.#reserveBytes = Math.max(this.#reserveBytes, bytes);
  }

  /** From now on it is so much, if it was more. Rejects with a system error: then it may be. */
  async giveBack(bytes: number): Promise<void> {
    this.#options.failStop.throwIfFailed();
    this.#reserveBytes = Math.max(RESERVE_BYTES_MIN, Math.min(this.#reserveBytes, bytes));
    await this.#log.giveBack(this.#options.vfs, this.#reserveBytes);
  }

  /** Rejects with a system error where there is no space for it, or with EVAQ_FAILED. */
  async reserve(bytes: number): Promise<void> {
    const { failStop, vfs } = this.#options;
    try {
      failStop.throwIfFailed();
      await this.#log.reserve(vfs, bytes);
    } catch (cause) {
      throw cause instanceof SyncFailure ? failStop.fail(cause, 'keeping space for removals', cause.path) : cause;
    }
  }

  /**
   * Appends a round of what is dead already and of what is claimed; on a full disk the first by writing the log anew. Where that does not do, frees
   * what can be freed and tries again. Where it rejects, nothing of it is in the log.
   */
  append(round: number, own: readonly IdRange[], claimed: readonly IdRange[]): Promise<void> {
    return this.#append(this.#statement(KIND_REMOVALS, round), own, claimed);
  }

  /** A round is in the log. */
  noteWritten(round: number): void {
    this.#round = round;
  }

  /** A sync that began behind its append has returned. */
  noteDurable(round: number): void {
    this.#durableRound = round;
  }

  /** Rejects with what the system says. */
  sync(): Promise<void> {
    return this.#log.sync();
  }

  /** Makes it durable that what was wiped is not there. Where that fails the store stops. */
  async syncWiped(): Promise<void> {
    try {
      await this.#log.sync();
    } catch (cause) {
      this.#options.failStop.fail(cause, 'wiping a failed round of removals', this.#log.path);
    }
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
    this.#syncing = bothOver(this.#syncing, syncing);
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

  /** Replaces the log by a snapshot. If that fails the old one serves on, until it has grown by as much again: false. */
  async rewrite(): Promise<boolean> {
    const rewriting = this.#rewrite();
    // Nobody syncs the log meanwhile.
    this.#rewriting = rewriting;
    return await rewriting;
  }

  /** As `RemovalPipeline.writeClose`. */
  async writeClose(owed: readonly IdRange[], dataSegmentId: number, dataOffset: number): Promise<void> {
    const statement = { ...this.#statement(KIND_CLOSE, this.#round + 1), dataSegmentId, dataOffset };
    await this.#append(statement, owed, []);
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
        if (claimed.length > 0) await this.syncWiped();
        if (await this.rewrite()) {
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

  #statement(kind: number, round: number): RoundStatement {
    return { kind, round, timestamp: timeOf(this.#options.host), ...this.#options.context() };
  }

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

/** Rounds are written twice, so a log of nothing but its snapshot's size in rounds is about half garbage. */
function rewriteAt(log: TombstoneLog): number {
  return Math.max(REWRITE_BYTES_MIN, 2 * log.snapshotBytes + REWRITE_BYTES_MIN / 2);
}
