/**
 * Carries out the steps of GC, each safe at every instant of a crash (P6).
 *
 * drop:     out of the log -> (last reader has left) -> renamed into the pool, or unlinked -> folder synced -> tombstones may go
 * rewrite:  live records copied, every one checked on the way, to a file of a temporary name -> footer names what it replaces ->
 *           file synced -> renamed -> folder synced -> swapped in memory -> the old ones as in drop
 *
 * Everything is synced whatever the queue's durability, since it destroys the only other copy. A copy that could no longer be right (a
 * removal under way failed and came back) is thrown away.
 */
import { assert } from '../assert.js';
import { EvaqError, ioError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { COMMIT_FLAG_SPARSE, COMMIT_HEADER_BYTES, KIND_RECORDS } from '../frame/commit-header.js';
import { salvageCommit } from '../frame/commit-salvage.js';
import { CommitScanner } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES, HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import { type FrameView, newFrameView, viewFrame } from '../frame/record-frame.js';
import type { FileCache } from '../log/file-cache.js';
import { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import { encodeFooter, type SegmentSummary } from '../segment/segment-footer.js';
import type { SegmentIndex } from '../segment/segment-index.js';
import type { DraftSegment, SegmentSupply } from '../segment/segment-supply.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { Copier } from './copier.js';

/** How long it may hold the event loop at a time. */
const SLICE_MS = 1.5;

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
  /** Waits until every removal asked for so far is durable, or was rejected. */
  readonly removalsSettled: () => Promise<void>;
  /** Damage met on the way: the file is kept aside under quarantine/. */
  readonly onDamage: (segment: LogSegment, offset: number, bytes: number, firstId: number, lastId: number) => void;
}

export interface GcCounters {
  droppedSegments: number;
  rewrittenSegments: number;
  copiedRecords: number;
  copiedBytes: number;
  reclaimedBytes: number;
}

export class GcRunner {
  readonly #options: GcRunnerOptions;
  /**
   * Dead and out of the log, but their files are still there: their tombstones must not be forgotten. Those of rewritten segments may be: the
   * copy names what it replaces.
   */
  readonly dying: Set<LogSegment> = new Set();
  readonly counters: GcCounters = {
    droppedSegments: 0,
    rewrittenSegments: 0,
    copiedRecords: 0,
    copiedBytes: 0,
    reclaimedBytes: 0,
  };
  #sliceStart = 0;
  #budgetStart = 0;
  #budgetBytes = 0;

  constructor(options: GcRunnerOptions) {
    this.#options = options;
  }

  /** Removes segments in which nothing is live; how many there were. */
  async drop(segments: readonly LogSegment[]): Promise<number> {
    return this.#drop(segments.filter((segment) => segment.phase === 'sealed' && segment.isDead));
  }

  async #drop(segments: readonly LogSegment[]): Promise<number> {
    const { log } = this.#options;
    for (const segment of segments) {
      this.dying.add(segment);
      log.drop(segment);
    }
    await this.#retire(segments);
    this.counters.droppedSegments += segments.length;
    return segments.length;
  }

  /** Copies what is live in neighbouring segments into one. False if it was given up: nothing has changed then. */
  async rewrite(sources: readonly LogSegment[]): Promise<boolean> {
    const { supply, log } = this.#options;
    const [first] = sources;
    assert(first !== undefined, 'something is rewritten');
    await this.#options.removalsSettled();
    if (sources.some((one) => one.phase !== 'sealed' || one.pendingRemovals > 0)) return false;
    // From here on removals leave word of themselves.
    for (const source of sources) source.beginRewrite();
    let draft: DraftSegment | undefined;
    try {
      draft = await supply.draft(first.baseId, HEADER_FLAG_REWRITTEN, 0, 0);
      const copy = await this.#copy(draft, sources);
      // A removal that is not durable yet may have kept its record out of the copy: from its name on, the copy speaks for the
      // originals, so it must not get one before every such removal is past recall.
      await this.#options.removalsSettled();
      if (copy === undefined || sources.some((one) => !one.isRewriteSound || one.pendingRemovals > 0)) {
        await supply.discard(draft);
        return false;
      }
      if (copy.summary.count === 0) {
        // All of it died meanwhile, durably, or cannot be read: there is nothing to keep in the log.
        await supply.discard(draft);
        draft = undefined;
        return (await this.#drop(sources.filter(isSpent))) > 0;
      }
      draft = await this.#publish(draft);
      if (sources.some((one) => !one.isRewriteSound)) {
        // A removal made since was taken back; the copy still holds its record, only this process has lost track.
        await supply.retire([{ path: draft.path, id: draft.id }]);
        return false;
      }
      this.#swap(draft, sources, copy);
    } catch (error) {
      if (draft !== undefined) await supply.discard(draft);
      throw ioError(error, 'rewriting segments', { queue: this.#options.queue });
    } finally {
      for (const source of sources) source.endRewrite();
    }
    await draft.file.close().catch(() => undefined);
    await this.#retire(sources);
    this.counters.rewrittenSegments += sources.length;
    assert(log.segments.length > 0, 'a log has a newest segment');
    return true;
  }

  /** Syncs and names the copy. A failed sync here acknowledges nothing, yet the handle stops: the disk is not to be trusted. */
  async #publish(draft: DraftSegment): Promise<DraftSegment> {
    try {
      return await this.#options.supply.publish(draft);
    } catch (cause) {
      throw this.#options.failStop.fail(cause, 'making a rewritten segment durable', draft.path);
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
    // Removals and claims that began while the copy was being made durable: it is the copy that they hold from now on.
    for (const source of sources) source.bequeath(segment);
    log.replace(sources, segment, copy.index);
  }

  async #retire(segments: readonly LogSegment[]): Promise<void> {
    const { supply, files, failStop, queue } = this.#options;
    for (const segment of segments) {
      await segment.whenUnpinned();
      await files.forget(segment.path);
    }
    const intact = segments.filter((segment) => !segment.damaged);
    for (const segment of segments) if (segment.damaged) await this.#quarantine(segment);
    try {
      await supply.retire(intact);
    } catch (cause) {
      const error = ioError(cause, 'removing dead segments', { queue });
      if (error.code === 'EVAQ_IO') failStop.fail(cause, 'removing dead segments', segments[0]?.path ?? '');
      throw error;
    }
    for (const segment of segments) {
      this.dying.delete(segment);
      this.counters.reclaimedBytes += segment.fileBytes;
    }
  }

  /** A damaged file is evidence: it is moved aside whole, never deleted. */
  async #quarantine(segment: LogSegment): Promise<void> {
    const { vfs, dir } = this.#options;
    const aside = `${dir}/quarantine`;
    if (await vfs.makeDir(aside)) await vfs.syncDir(dir);
    await vfs.rename(segment.path, `${aside}/${segment.path.slice(dir.length + 1)}`);
    await vfs.syncDir(aside);
  }

  async #copy(draft: DraftSegment, sources: readonly LogSegment[]): Promise<Copy | undefined> {
    const copier = new Copier(draft, this.#options.indexIntervalBytes, this.#options.removalRound());
    this.#sliceStart = this.#options.host.elapsed();
    for (const source of sources) {
      source.pin();
      try {
        await this.#options.files.using(source.path, (file) => this.#copySegment(copier, source, file));
      } finally {
        source.unpin();
      }
      if (!source.isRewriteSound) return undefined;
    }
    await copier.flush();
    const summary = copier.summary(sources.map((source) => source.id));
    const footer = encodeFooter(summary, copier.index, draft.seed, 0, this.#options.host.now());
    await draft.file.writeAt(footer, 0, footer.length, summary.dataEnd);
    const fileBytes = summary.dataEnd + footer.length;
    if (draft.formerBytes > fileBytes) await draft.file.truncate(fileBytes);
    this.counters.copiedBytes += fileBytes;
    this.counters.copiedRecords += summary.count;
    return { summary, index: copier.index, fileBytes };
  }

  async #copySegment(
    copier: Copier,
    source: LogSegment,
    file: ConstructorParameters<typeof CommitScanner>[0],
  ): Promise<void> {
    const scanner = new CommitScanner(file, source.seed, FILE_HEADER_BYTES, source.end, 'resync');
    const view = newFrameView();
    let expected = source.firstId;
    for (;;) {
      const outcome = await scanner.next();
      if (outcome === 'end') return;
      const { header, buffer, bodyAt } = scanner;
      if (outcome === 'bad') {
        const before = copier.count;
        if (scanner.bad.headerIntact && header.kind === KIND_RECORDS) {
          const take = (frame: FrameView, at: number): void => copier.add(source, buffer, at, frame);
          salvageCommit(
            buffer,
            bodyAt,
            scanner.bodyHeld,
            header,
            source.seed,
            scanner.bad.offset + COMMIT_HEADER_BYTES,
            take,
          );
        }
        await copier.flush();
        this.#noteDamage(source, scanner, expected, before === copier.count);
        continue;
      }
      if (header.kind !== KIND_RECORDS) continue;
      const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
      const end = bodyAt + header.bodyBytes;
      let at = bodyAt;
      for (let i = 0; i < header.count; i++) {
        if (!viewFrame(buffer, at, end, sparse, header.firstId + i, header.firstId, header.timestamp, view)) break;
        copier.add(source, buffer, at, view);
        at += view.frameBytes;
        expected = view.id + 1;
        if (copier.wantsFlush || (i & 1023) === 1023) {
          if (copier.wantsFlush) await copier.flush();
          await this.#pace(view.frameBytes);
        }
      }
      await this.#pace(header.bodyBytes);
    }
  }

  #noteDamage(source: LogSegment, scanner: CommitScanner, expected: number, nothingSaved: boolean): void {
    source.damaged = true;
    const { bad, header } = scanner;
    const last = bad.headerIntact && nothingSaved ? header.firstId + header.count - 1 : source.lastId;
    this.#options.onDamage(source, bad.offset, bad.end - bad.offset, expected, last);
  }

  /** Lets others have their turn, and keeps to the rate. */
  async #pace(bytes: number): Promise<void> {
    const { host, bytesPerSecond, failStop } = this.#options;
    failStop.throwIfFailed();
    this.#budgetBytes += bytes;
    if (host.elapsed() - this.#sliceStart > SLICE_MS) {
      await host.yield();
      this.#sliceStart = host.elapsed();
    }
    if (bytesPerSecond === undefined) return;
    const due = (this.#budgetBytes / bytesPerSecond) * 1000;
    const spent = host.elapsed() - this.#budgetStart;
    if (spent > due + 1000) {
      this.#budgetStart = host.elapsed();
      this.#budgetBytes = 0;
    } else if (due - spent > 5) {
      await new Promise<void>((resolve) => host.after(due - spent, resolve));
    }
  }
}

/** Of a segment of which a copy came out empty: what is still live cannot be read, unless a removal was taken back or begun since. */
function isSpent(source: LogSegment): boolean {
  return source.isDead || (source.damaged && source.pendingRemovals === 0 && source.isRewriteSound);
}

interface Copy {
  readonly summary: SegmentSummary;
  readonly index: SegmentIndex;
  readonly fileBytes: number;
}

/** Whether an error of a step leaves GC able to go on with other steps. */
export function isPassing(error: unknown): boolean {
  return error instanceof EvaqError && error.code !== 'EVAQ_FAILED';
}
