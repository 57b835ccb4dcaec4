/**
 * Removing: rounds of tombstones (P2). Every way a record can go passes through here.
 *
 * What is removed while a round is being written forms the next one. A round is one append and, in mode 'sync', one fdatasync;
 * then its waiters are settled. The caller has marked the records dead before, so they are not delivered again by this process
 * whatever becomes of the round.
 *
 * A round that could not be written (a full disk) rejects its waiters, and its ranges are *owed*: they go with the next round, so
 * that memory and disk agree again as soon as they can.
 *
 * When the log is mostly garbage it is rewritten as a new generation: the snapshot of what is dead in the segments that still exist.
 * A tombstone is thus forgotten only after the unlink of its segment is durable, since until then the segment is in the snapshot.
 */
import { ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import type { IdRange } from '../ids.js';
import type { LogSegment } from '../log/log-segment.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import { KIND_CLOSE, KIND_REMOVALS, type RoundStatement } from '../tombstone/tombstone-frame.js';
import { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { BlockingBudget } from './blocking-budget.js';

/** A log smaller than this is never rewritten. */
const REWRITE_BYTES_MIN = 64 * 1024;
/** At rest it is rewritten from here on; past the other bound it is not worth the search for what that would come to. */
const SHRINK_BYTES_MIN = 8 * 1024;
const SHRINK_BYTES_MAX = 256 * 1024;
/** Of one range in a snapshot, about. */
const RANGE_BYTES = 6;

/** What a round states beside its ranges, as of now. */
export interface RoundContext {
  readonly nextId: number;
  readonly dataSegmentId: number;
  readonly dataOffset: number;
  readonly sealedBelow: number;
  readonly segmentIdMax: number;
  readonly liveRecords: number;
}

export interface RemovalPipelineOptions {
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
  /** All IDs that are dead in segments whose files still exist, as ranges; more than is removed durably, never what is only claimed. */
  readonly deadRanges: () => Iterable<IdRange>;
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
  /** By segment: how many records of it the round removes. */
  readonly touched: Map<LogSegment, number>;
  readonly resolves: Resolve[];
  readonly rejects: Reject[];
}

function newRound(): Round {
  return { ids: [], ranges: [], touched: new Map(), resolves: [], rejects: [] };
}

/** All that a round removes, sorted and merged. */
function rangesOf(round: Round): IdRange[] {
  const { ids, ranges } = round;
  if (ids.length === 0) return mergeRanges(ranges);
  const sorted = Float64Array.from(ids).sort();
  const all: IdRange[] = [...ranges];
  let first = sorted[0] ?? 0;
  let last = first;
  for (let i = 1; i < sorted.length; i++) {
    const id = sorted[i] ?? 0;
    if (id > last + 1) {
      all.push({ first, last });
      first = id;
    }
    last = id;
  }
  all.push({ first, last });
  return mergeRanges(all);
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
  #owed: Round = newRound();
  #running = false;
  #inFlight = false;
  #shrinkWanted = false;
  #rewriteAtBytes: number;
  /** A log is not closed under a sync, and not synced while it is being replaced. */
  #rewriting: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();
  #idle: (() => void)[] = [];

  constructor(options: RemovalPipelineOptions, log: TombstoneLog, round: number) {
    this.#options = options;
    this.#log = log;
    this.#round = round;
    this.#durableRound = round;
    this.#rewriteAtBytes = rewriteAt(log);
  }

  /** The number of the last round that is durable. */
  get durableRound(): number {
    return this.#durableRound;
  }

  get logBytes(): number {
    return this.#log.bytes;
  }

  /** Records whose removal is not written yet, for want of space. */
  get owedRanges(): number {
    return this.#owed.ranges.length;
  }

  /** True if the removal of `id` was asked for and could not be written yet. */
  owes(id: number): boolean {
    return this.#owed.ranges.some((range) => range.first <= id && id <= range.last);
  }

  /** The same of any record up to `id`. */
  owesUpTo(id: number): boolean {
    return this.#owed.ranges.some(({ first }) => first <= id);
  }

  /** Removes what the caller has marked dead: resolves when that is durable in the mode in force. No range: waits for what is owed. */
  submit(ranges: readonly IdRange[], touched: ReadonlyMap<LogSegment, number>): Promise<boolean> {
    const open = this.#open;
    for (const range of ranges) open.ranges.push(range);
    for (const [segment, count] of touched) open.touched.set(segment, (open.touched.get(segment) ?? 0) + count);
    return this.#wait();
  }

  /** The same for one record of a segment; resolves with true. */
  submitOne(id: number, segment: LogSegment): Promise<boolean> {
    const { ids, touched } = this.#open;
    ids.push(id);
    touched.set(segment, (touched.get(segment) ?? 0) + 1);
    return this.#wait();
  }

  #wait(): Promise<boolean> {
    const promise = new Promise<boolean>(capture);
    this.#open.resolves.push(capturedResolve);
    this.#open.rejects.push(capturedReject);
    if (!this.#running) this.#schedule();
    return promise;
  }

  /** Replaces the log by a snapshot if that halves it: for a queue that has come to rest. Never rejects. */
  async shrink(): Promise<void> {
    const { bytes } = this.#log;
    if (bytes < SHRINK_BYTES_MIN || bytes > SHRINK_BYTES_MAX || this.#busy()) return;
    let snapshotBytes = 0;
    for (const _ of this.#options.deadRanges()) {
      snapshotBytes += RANGE_BYTES;
      if (snapshotBytes > bytes / 2) return;
    }
    this.#shrinkWanted = true;
    this.#schedule();
    await this.settled();
  }

  /** Resolves when every removal asked for so far is written or has been rejected. */
  settled(): Promise<void> {
    if (!this.#busy()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Syncs what was written (weaker modes); fail-stop if that fails. */
  async syncNow(): Promise<void> {
    await this.#rewriting;
    const round = this.#round;
    const log = this.#log;
    const syncing = log.sync();
    this.#syncing = syncing.catch(() => undefined);
    try {
      await syncing;
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'a sync', log.path);
    }
    this.#durableRound = Math.max(this.#durableRound, round);
  }

  /** Writes the last word of a clean close, with everything that is owed: the data is durable up to the given place. Rejects if it cannot. */
  async writeClose(dataSegmentId: number, dataOffset: number): Promise<void> {
    const statement = { ...this.#statement(KIND_CLOSE, this.#round + 1), dataSegmentId, dataOffset };
    await this.#log.append(statement, mergeRanges(this.#owed.ranges));
    await this.#log.sync();
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #busy(): boolean {
    return this.#open.resolves.length > 0 || this.#inFlight || this.#shrinkWanted;
  }

  #schedule(): void {
    if (this.#running) return;
    this.#running = true;
    this.#options.host.soon(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#open.resolves.length > 0 || this.#shrinkWanted) {
      const round = this.#take();
      this.#inFlight = true;
      await this.#write(round);
      if (this.#log.bytes >= this.#rewriteAtBytes || this.#shrinkWanted) {
        this.#shrinkWanted = false;
        this.#rewriting = this.#rewrite();
        await this.#rewriting;
      }
      this.#inFlight = false;
      await new Promise<void>((resolve) => this.#options.host.soon(resolve));
    }
    this.#running = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /** The open round, with what is owed. */
  #take(): Round {
    const round = this.#open;
    this.#open = newRound();
    for (const range of this.#owed.ranges) round.ranges.push(range);
    for (const [segment, count] of this.#owed.touched)
      round.touched.set(segment, (round.touched.get(segment) ?? 0) + count);
    this.#owed = newRound();
    return round;
  }

  async #write(round: Round): Promise<void> {
    const { failStop, queue, synced } = this.#options;
    if (failStop.error !== undefined) return this.#reject(round, failStop.error);
    const ranges = rangesOf(round);
    if (ranges.length > 0) {
      const number = this.#round + 1;
      try {
        await this.#append(this.#statement(KIND_REMOVALS, number), ranges);
      } catch (cause) {
        this.#owed = { ...newRound(), ranges, touched: round.touched };
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
    // A rewrite may have replaced a segment meanwhile.
    for (const [segment, count] of round.touched) segment.release(count);
    for (const resolve of round.resolves) resolve(true);
    this.#options.onSettled(round.touched);
  }

  /** Appends; on a full disk frees what can be freed and tries again. */
  async #append(statement: RoundStatement, ranges: readonly IdRange[]): Promise<void> {
    try {
      await this.#log.append(statement, ranges, this.#options.blocking.write);
    } catch (cause) {
      await this.#wipe();
      if (!(await this.#options.freeSpace().catch(() => false))) throw cause;
      try {
        await this.#log.append(statement, ranges);
      } catch (again) {
        await this.#wipe();
        throw again;
      }
    }
  }

  async #wipe(): Promise<void> {
    try {
      await this.#log.wipeAppended();
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'wiping a failed round of removals', this.#log.path);
    }
  }

  #reject(round: Round, error: unknown): void {
    for (const reject of round.rejects) reject(error);
  }

  #statement(kind: number, round: number): RoundStatement {
    return { ...this.#options.context(), kind, round, timestamp: this.#options.host.now() };
  }

  /** Replaces the log by a snapshot. If that fails the old one serves on, until it has grown by as much again. */
  async #rewrite(): Promise<void> {
    const { vfs, dir, host, storeUuid, failStop, deadRanges } = this.#options;
    if (failStop.error !== undefined) return;
    const old = this.#log;
    const source = newGeneration(vfs, host, dir, storeUuid, old.generation + 1);
    try {
      const { kind: _, ...statement } = this.#statement(0, this.#round);
      this.#log = await TombstoneLog.create(source, statement, deadRanges(), () => host.yield());
      this.#durableRound = this.#round;
      this.#rewriteAtBytes = rewriteAt(this.#log);
    } catch {
      this.#rewriteAtBytes = Math.max(this.#rewriteAtBytes, old.bytes * 2);
      return;
    }
    // The old generation is superseded already; a leftover is harmless, since what it removes stays removed.
    await this.#syncing;
    await old.close().catch(() => undefined);
    await vfs.remove(old.path).catch(() => undefined);
  }
}

/** The parameters of a new generation, with chance for its salt. */
export function newGeneration(
  vfs: Vfs,
  host: Host,
  dir: string,
  storeUuid: Buffer,
  generation: number,
): Parameters<typeof TombstoneLog.create>[0] {
  const salt = Buffer.alloc(4);
  host.random(salt);
  return { vfs, dir, storeUuid, generation, salt: salt.readUInt32LE(0), nowMs: host.now() };
}

/** Rounds are written twice, so a log of nothing but its snapshot's size in rounds is about half garbage. */
function rewriteAt(log: TombstoneLog): number {
  return Math.max(REWRITE_BYTES_MIN, 2 * log.snapshotBytes + REWRITE_BYTES_MIN / 2);
}
