/**
 * Carries out the steps of GC, each safe at every instant of a crash (P6).
 *
 * drop:     out of the log -> (last reader has left) -> renamed into the pool, or unlinked -> folder synced -> tombstones may go
 * rewrite:  what is live now copied, every record checked on the way, to a file of a temporary name -> footer names what it replaces ->
 *           file synced -> renamed -> folder synced -> swapped in memory -> the old ones as in drop
 *
 * Everything is synced whatever the queue's durability, since it destroys the only other copy.
 *
 * A step that fails leaves nothing behind for good (P14). What is still to go is remembered, and `tidy` goes on with it:
 * - the files of dead segments (`dying`): removing them is tried again, and a full disk has them to give
 * - the files of segments that were rewritten: until they are gone the copy, which says that they no longer count, stays
 * - a copy that was given up and may have got its name: it would speak for its originals, so those stay as they are until it is gone
 * Only a sync that failed stops the store (P7).
 *
 * Concurrency: one step at a time; the scheduler sees to it.
 */
import { assert } from '../assert.js';
import { EvaqError, isNotFound, reported } from '../errors.js';
import { type FailStop, SyncFailure, syncFolder } from '../fail-stop.js';
import { COMMIT_FLAG_SPARSE, COMMIT_HEADER_BYTES, KIND_RECORDS } from '../frame/commit-header.js';
import { type BadRange, CommitScanner } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES, HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import { newFrameView, viewFrame } from '../frame/record-frame.js';
import type { IdRange, SegmentId } from '../ids.js';
import type { LiveSet } from '../index/live-set.js';
import type { FileCache } from '../log/file-cache.js';
import { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import { encodeFooter, type SegmentSummary } from '../segment/segment-footer.js';
import type { SegmentIndex } from '../segment/segment-index.js';
import { type OnIntact, salvageBad, salvageBehind } from '../segment/segment-salvage.js';
import type { DraftSegment, SegmentSupply } from '../segment/segment-supply.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { Copier } from './copier.js';

/** How long it may hold the event loop at a time. */
const SLICE_MS = 1.5;
/** How long it waits at a time to keep to its rate: so soon it notices that the store has stopped. */
const NAP_MS = 100;

export interface GcRunnerOptions {
  readonly queue: string;
  readonly dir: string;
  readonly vfs: Vfs;
  readonly host: Host;
  readonly log: SegmentLog;
  readonly files: FileCache;
  readonly supply: SegmentSupply;
  readonly failStop: FailStop;
  readonly indexIntervalBytes: number;
  /** Upper bound of what it reads and writes; undefined = none. */
  readonly bytesPerSecond: number | undefined;
  readonly removalRound: () => number;
  /** Resolves when the removals asked for up to the call are durable, whatever the mode, or were rejected. */
  readonly removalsWritten: () => Promise<void>;
  /** Resolves when what was written of tombstones is durable, whatever the mode. */
  readonly tombstonesDurable: () => Promise<void>;
  /** Enters records into the account that are lost, and have been told; resolves when that is durable, or could not be written. */
  readonly account: (lost: readonly IdRange[]) => Promise<void>;
  /** Damage met on the way: the file is kept aside under quarantine/. */
  readonly onDamage: (segment: LogSegment, offset: number, bytes: number, firstId: number, lastId: number) => void;
}

export interface RewriteManner {
  /** A file of the recycle pool may be overwritten. Not for small copies: those files are large, and the last one is a reserve. */
  readonly usesPool: boolean;
  /** Keeps to `bytesPerSecond`. */
  readonly isPaced: boolean;
}

const THOROUGH: RewriteManner = { usesPool: true, isPaced: true };

export interface GcCounters {
  droppedSegments: number;
  rewrittenSegments: number;
  copiedRecords: number;
  copiedBytes: number;
  /** Back to the file system: files that were removed, or cut. */
  reclaimedBytes: number;
  /** In the pool, to be overwritten. */
  recycledBytes: number;
}

export function newGcCounters(): GcCounters {
  return {
    droppedSegments: 0,
    rewrittenSegments: 0,
    copiedRecords: 0,
    copiedBytes: 0,
    reclaimedBytes: 0,
    recycledBytes: 0,
  };
}

export class GcRunner {
  readonly #options: GcRunnerOptions;
  /** Dead and out of the log, but their files are still there: their tombstones must not be forgotten. */
  readonly dying: Set<LogSegment> = new Set();
  /** Segments whose files are still there, and the copies that have replaced them. */
  readonly #replaced = new Map<LogSegment, LogSegment>();
  /** Segments of which a copy was given up that may be found under its name. */
  readonly #bound = new Map<SegmentId, readonly LogSegment[]>();
  readonly counters: GcCounters = newGcCounters();
  #sliceStart = 0;
  #isPaced = true;
  #budgetStart = 0;
  #budgetBytes = 0;
  #stopped = false;
  /** Ends the wait under way. */
  #wake: () => void = () => undefined;

  constructor(options: GcRunnerOptions) {
    this.#options = options;
  }

  /** Nothing that failed is left to be done again. */
  get isTidy(): boolean {
    return this.dying.size === 0 && this.#replaced.size === 0 && !this.#options.supply.hasGivenUp;
  }

  /** It must stay as it is until a copy of it that was given up is gone for good. */
  isBound(segment: LogSegment): boolean {
    for (const sources of this.#bound.values()) if (sources.includes(segment)) return true;
    return false;
  }

  /** The queue is being closed: gives up a rewrite under way at its next step, and does not wait for that to keep to its rate. */
  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  /** Does again what failed. Rejects if it fails again. */
  async tidy(): Promise<void> {
    const { supply } = this.#options;
    await this.#synced('removing what was given up', () => supply.sweep());
    for (const id of this.#bound.keys()) if (!supply.isGivenUp(id)) this.#bound.delete(id);
    await this.#retire([...this.#replaced.keys(), ...this.dying]);
  }

  /** Removes segments in which nothing is live; how many there were. Rejects if a file is still there: then it is for `tidy`. */
  async drop(segments: readonly LogSegment[]): Promise<number> {
    const isDead = (segment: LogSegment): boolean => segment.phase === 'sealed' && segment.isDead;
    // Chosen before: what is removed meanwhile need not be durable, and its segment would be missed.
    const dead = segments.filter(isDead);
    // Some of a round's records may be in these segments, the others elsewhere: they are to be gone together, or not at all.
    await this.#options.tombstonesDurable();
    return this.#drop(dead.filter(isDead));
  }

  async #drop(chosen: readonly LogSegment[]): Promise<number> {
    const segments = chosen.filter((segment) => !this.isBound(segment));
    for (const segment of segments) {
      this.dying.add(segment);
    }
    this.#options.log.drop(segments);
    this.counters.droppedSegments += segments.length;
    await this.#retire(segments);
    return segments.length;
  }

  /**
   * Copies what is live in neighbouring segments into one; by default into a file of the pool if there is one, and at the rate. False if it was given up: nothing has changed then. Rejects if a step failed; what that
   * leaves is for `tidy`.
   */
  async rewrite(sources: readonly LogSegment[], { usesPool, isPaced }: RewriteManner = THOROUGH): Promise<boolean> {
    const { supply, removalsWritten } = this.#options;
    const [first] = sources;
    assert(first !== undefined, 'something is rewritten');
    if (sources.some((one) => one.pendingRemovals > 0)) await removalsWritten();
    if (sources.some((one) => one.phase !== 'sealed' || one.pendingRemovals > 0 || this.isBound(one))) return false;
    const keep = usesPool ? 0 : Infinity;
    this.#isPaced = isPaced;
    // From here on removals leave word of themselves.
    const begun = sources.map((segment) => ({ segment, live: segment.beginRewrite() }));
    let draft: DraftSegment | undefined;
    let copy: Copy;
    const lost: IdRange[] = [];
    try {
      draft = await this.#synced('starting a copy', () => supply.draft(first.baseId, HEADER_FLAG_REWRITTEN, 0, keep));
      copy = await this.#copy(draft, begun, lost);
      // What was dead when it began is not in the copy. From its name on the copy speaks for the originals, so all that has to be durable.
      await removalsWritten();
      if (copy.summary.count === 0) {
        // All of it was dead, or cannot be read: there is nothing to keep in the log.
        await this.#giveUp(draft, sources);
        draft = undefined;
        if (lost.length > 0) await this.#options.account(lost);
        return (await this.#drop(sources.filter(isSpent))) > 0;
      }
      await this.#publish(draft);
      this.#swap(draft, sources, copy);
    } catch (error) {
      if (this.#options.failStop.error !== undefined) await draft?.file.close().catch(() => undefined);
      else if (draft !== undefined) await this.#giveUp(draft, sources);
      throw reported(error, 'rewriting segments', { queue: this.#options.queue });
    } finally {
      for (const source of sources) source.endRewrite();
    }
    this.counters.rewrittenSegments += sources.length;
    this.counters.copiedBytes += copy.fileBytes;
    this.counters.copiedRecords += copy.summary.count;
    this.counters.reclaimedBytes += Math.max(0, draft.formerBytes - copy.fileBytes);
    if (lost.length > 0) await this.#options.account(lost);
    await this.#retire(sources);
    return true;
  }

  /** Syncs and names the copy. A failed sync here acknowledges nothing, yet the handle stops: the disk is not to be trusted. */
  async #publish(draft: DraftSegment): Promise<void> {
    return await this.#synced('making a rewritten segment durable', () => this.#options.supply.publishComplete(draft));
  }

  async #giveUp(draft: DraftSegment, sources: readonly LogSegment[]): Promise<void> {
    const { supply } = this.#options;
    await this.#synced('removing a copy', () => supply.discard(draft));
    if (supply.isGivenUp(draft.id)) this.#bound.set(draft.id, sources);
  }

  /** Runs a step that makes something durable: a sync that fails stops the store. */
  async #synced<T>(doing: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      if (error instanceof SyncFailure) throw this.#options.failStop.fail(error, doing, error.path);
      throw error;
    }
  }

  /** Synchronous: from one state of the log to the next. */
  #swap(draft: DraftSegment, sources: readonly LogSegment[], copy: Copy): void {
    const { log } = this.#options;
    const { summary } = copy;
    const segment = new LogSegment({
      id: draft.id,
      baseId: draft.baseId,
      path: draft.path,
      seed: draft.seed,
      flags: draft.flags,
      phase: 'sealed',
      end: summary.dataEnd,
      fileBytes: copy.fileBytes,
    });
    segment.adopt(summary);
    segment.wide = copy.index.wide;
    if (sources.some(({ damaged }) => damaged)) segment.noteGiven();
    for (const source of sources) {
      // Removals and claims that began meanwhile: it is the copy that they hold from now on.
      source.bequeath(segment);
      this.#replaced.set(source, segment);
    }
    log.replace(sources, segment, copy.index);
  }

  /** Takes away the files of segments that are out of the log. Rejects if one is still there. */
  async #retire(segments: readonly LogSegment[]): Promise<void> {
    const { supply, files, queue } = this.#options;
    // A copy goes after those that it has replaced: without it they would count again.
    const needed = new Set(this.#replaced.values());
    const intact: LogSegment[] = [];
    let failure: unknown;
    for (const segment of segments) {
      if (needed.has(segment)) continue;
      await segment.whenUnpinned();
      await files.forget(segment.path);
      if (!segment.damaged) {
        intact.push(segment);
        continue;
      }
      try {
        await this.#synced('setting a damaged segment aside', () => this.#quarantine(segment));
        this.#noteGone(segment);
      } catch (error) {
        if (this.#options.failStop.error !== undefined) throw error;
        failure ??= error;
      }
    }
    if (intact.length > 0) {
      const retired = await this.#synced('removing dead segments', () => supply.retire(intact));
      for (const segment of intact) {
        if (retired.removed.has(segment.id)) this.counters.reclaimedBytes += segment.fileBytes;
        else if (retired.recycled.has(segment.id)) this.counters.recycledBytes += segment.fileBytes;
        else continue;
        this.#noteGone(segment);
      }
      failure ??= retired.failure;
    }
    if (failure !== undefined) throw reported(failure, 'removing dead segments', { queue });
  }

  #noteGone(segment: LogSegment): void {
    segment.noteFileGone();
    this.dying.delete(segment);
    this.#replaced.delete(segment);
  }

  /** A damaged file is evidence: it is moved aside whole, never deleted. Each step can be done again. */
  async #quarantine(segment: LogSegment): Promise<void> {
    const { vfs, dir } = this.#options;
    const aside = `${dir}/quarantine`;
    const path = `${aside}/${segment.path.slice(dir.length + 1)}`;
    await vfs.makeDir(aside);
    // Also if it was there: made by a call that failed, it would not be durable.
    await syncFolder(vfs, dir);
    try {
      await vfs.rename(segment.path, path);
    } catch (error) {
      // Done before, and reported as failed; or somebody deleted it.
      if (!isNotFound(error)) throw error;
    }
    await syncFolder(vfs, aside);
    await syncFolder(vfs, dir);
  }

  /** `lost`: takes what could not be read. */
  async #copy(draft: DraftSegment, sources: readonly Begun[], lost: IdRange[]): Promise<Copy> {
    const copier = new Copier(draft, this.#options.indexIntervalBytes, this.#options.removalRound());
    this.#sliceStart = this.#options.host.elapsed();
    for (const source of sources) {
      const { segment } = source;
      segment.pin();
      try {
        await this.#options.files.using(segment.path, (file) => this.#copySegment(copier, source, file, lost));
      } finally {
        segment.unpin();
      }
    }
    await copier.flush();
    const summary = copier.summary(sources.map(({ segment }) => segment.id));
    const footer = encodeFooter(summary, copier.index, draft.seed, 0, timeOf(this.#options.host));
    await draft.file.writeAt(footer, 0, footer.length, summary.dataEnd);
    const fileBytes = summary.dataEnd + footer.length;
    if (draft.formerBytes > fileBytes) await draft.file.truncate(fileBytes);
    return { summary, index: copier.index, fileBytes };
  }

  async #copySegment(copier: Copier, { segment: source, live }: Begun, file: VfsFile, lost: IdRange[]): Promise<void> {
    await this.#options.log.ensureIndexed(source, file);
    const index = this.#options.log.indexOf(source);
    const scanner = new CommitScanner(file, source.seed, FILE_HEADER_BYTES, source.end, 'resync');
    const from = { source: file, seed: source.seed, rewritten: source.rewritten, index };
    const view = newFrameView();
    let expected = source.firstId;
    let bad: BadRange | undefined;
    // What is missed between the last record and the next was in the bad range.
    const settle = (to: number): void => {
      if (bad === undefined) return;
      const first = live.firstLive(expected);
      if (first === undefined || first > to) return;
      lost.push({ first, last: to });
      this.#options.onDamage(source, bad.offset, bad.end - bad.offset, first, to);
    };
    const take: OnIntact = (frame, bytes, at) => {
      if (frame.id < expected || frame.id > source.lastId) return;
      settle(frame.id - 1);
      copier.add(source, live, bytes, at, frame);
      expected = frame.id + 1;
    };
    for (;;) {
      const outcome = await scanner.next();
      if (outcome === 'end') return settle(source.lastId);
      const { header, buffer, bodyAt } = scanner;
      if (outcome === 'bad') {
        source.damaged = true;
        const { offset } = bad ?? scanner.bad;
        bad = { ...scanner.bad, offset };
        await salvageBad(scanner, from, take);
        await copier.flush();
        continue;
      }
      if (header.kind !== KIND_RECORDS) continue;
      // One that begins behind the last record that the segment has is none of its.
      const isIn = header.firstId >= expected && header.firstId <= source.lastId;
      if (isIn) {
        settle(header.firstId - 1);
        bad = undefined;
      }
      const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
      const end = bodyAt + header.bodyBytes;
      let at = bodyAt;
      let taken = 0;
      for (; isIn && taken < header.count; taken++) {
        const id = header.firstId + taken;
        if (!viewFrame(buffer, at, end, sparse, id, header.firstId, header.timestamp, view)) break;
        // One that is not above those in front of it is none.
        if (view.id < expected || view.id > source.lastId) break;
        copier.add(source, live, buffer, at, view);
        at += view.frameBytes;
        expected = view.id + 1;
        if (copier.wantsFlush || (taken & 1023) === 1023) {
          if (copier.wantsFlush) await copier.flush();
          await this.#pace(view.frameBytes);
        }
      }
      if (taken < header.count || at !== end) {
        source.damaged = true;
        bad ??= {
          offset: scanner.offset,
          end: scanner.offset + COMMIT_HEADER_BYTES + header.bodyBytes,
          headerIntact: true,
          allZero: false,
        };
        salvageBehind(scanner, expected - 1, from, take);
      }
      await this.#pace(header.bodyBytes);
    }
  }

  /** Lets others have their turn, and keeps to the rate. Throws where the rewrite is to be given up. */
  async #pace(bytes: number): Promise<void> {
    const { host, bytesPerSecond } = this.#options;
    this.#throwIfStopped();
    this.#budgetBytes += bytes;
    if (host.elapsed() - this.#sliceStart > SLICE_MS) {
      await host.yield();
      this.#sliceStart = host.elapsed();
    }
    if (bytesPerSecond === undefined || !this.#isPaced) return;
    const due = (this.#budgetBytes / bytesPerSecond) * 1000;
    if (host.elapsed() - this.#budgetStart > due + 1000) {
      this.#budgetStart = host.elapsed();
      this.#budgetBytes = 0;
      return;
    }
    for (;;) {
      const early = due - (host.elapsed() - this.#budgetStart);
      if (early <= 5) return;
      await this.#nap(Math.min(early, NAP_MS));
      this.#throwIfStopped();
    }
  }

  async #nap(ms: number): Promise<void> {
    let cancel: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      cancel = this.#options.host.after(ms, resolve);
    });
    cancel();
  }

  #throwIfStopped(): void {
    const { failStop, queue } = this.#options;
    failStop.throwIfFailed();
    if (!this.#stopped) return;
    throw new EvaqError('EVAQ_CLOSED', `'${queue}' is being closed: a rewrite was given up`);
  }
}

/** Of a segment of which a copy came out empty: what is still live cannot be read. */
function isSpent(source: LogSegment): boolean {
  return source.isDead || (source.damaged && source.pendingRemovals === 0);
}

/** A segment that is being rewritten, and what was live in it when that began. */
interface Begun {
  readonly segment: LogSegment;
  readonly live: LiveSet;
}

interface Copy {
  readonly summary: SegmentSummary;
  readonly index: SegmentIndex;
  readonly fileBytes: number;
}
