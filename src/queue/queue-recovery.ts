/**
 * Applies what scanning and judging found: the only part of opening that writes (P5, P9). It parses nothing.
 *
 * Steps, each durable before the next, and each the same if done twice:
 *  1. bytes that are to be cut go to quarantine/
 *  2. torn tails are cut; bytes above the last promised durable offset are written again and synced, since after a sync that failed
 *     they may exist in the page cache only
 *  3. (the store settles moves between queues, in memory)
 *  4. a new generation of the tombstone log: what is dead in the segments that exist
 *  5. segments without a footer get one
 *  6. a new active segment; leftovers are removed
 */
import { ioError, isNoSpace, isNotFound } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { encodeFileHeader } from '../frame/file-header.js';
import type { IdRange, SegmentId } from '../ids.js';
import type { FoundSegment, LoadedQueue } from '../log/log-load.js';
import { worthKeeping } from '../log/log-load.js';
import type { LogSegment } from '../log/log-segment.js';
import { encodeFooter, type SegmentSummary } from '../segment/segment-footer.js';
import type { SegmentSupply } from '../segment/segment-supply.js';
import { KIND_CLOSE, type RoundStatement } from '../tombstone/tombstone-frame.js';
import { TombstoneLog } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';
import { type ReadAt, ReadWindow } from '../vfs/read-window.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { type ActiveSegment, newActiveSegment } from './active-segment.js';
import { newGeneration } from './removal-pipeline.js';
import { newSegment, startSegment } from './segment-start.js';

const COPY_BYTES = 1024 * 1024;
/** A long range is synced in pieces, beside the writing of what follows. */
const SYNC_BYTES = 64 * 1024 * 1024;

/** A torn tail that was cut: the normal result of a crash. */
export interface TornTail {
  readonly queue: string;
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  /** Where the cut bytes are kept, if they were more than zeros and leftovers. */
  readonly quarantine?: string;
}

export interface RecoveryEnvironment {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly storeUuid: Buffer;
  readonly failStop: FailStop;
  readonly allocateId: () => SegmentId;
  readonly reserve: OpeningReserve;
}

/** Space that opening gives back on a full disk, so that a store which filled it can be opened again. */
export class OpeningReserve {
  readonly #vfs: Vfs;
  readonly #queues: () => Iterable<LoadedQueue>;
  /** Files of the recycle pools that are gone. */
  readonly released: Set<string> = new Set();
  #isSpent = false;

  /** `queues` tells those that are not at work yet. */
  constructor(vfs: Vfs, queues: () => Iterable<LoadedQueue>) {
    this.#vfs = vfs;
    this.#queues = queues;
  }

  /** Given up: from now on nothing more than needed is allocated. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Runs `step`; on a full disk gives the reserve up and runs it once more. */
  async spend<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      let released = false;
      for (const loaded of this.#queues()) if (await this.#release(loaded)) released = true;
      if (!released) throw error;
      this.#isSpent = true;
      return await step();
    }
  }

  /**
   * The pool, what is unfinished, and the zeros ahead of the tombstone log, which the next generation replaces. True if there was any.
   */
  async #release({ pool, unfinished, tombstoneLogs, tombstones }: LoadedQueue): Promise<boolean> {
    let released = false;
    for (const path of [...pool, ...unfinished]) {
      if (this.released.has(path)) continue;
      this.released.add(path);
      try {
        await this.#vfs.remove(path);
        released = true;
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const newest = tombstoneLogs.at(-1);
    // Where a round is damaged the bytes are evidence.
    if (newest === undefined || tombstones.damaged.some(({ allZero }) => !allZero)) return released;
    if ((await this.#vfs.stat(newest)) === undefined) return released;
    const file = await this.#vfs.open(newest, 'write');
    try {
      if ((await file.size()) <= tombstones.end) return released;
      await file.truncate(tombstones.end);
      return true;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}

/** Steps 1 and 2. Resolves with what was cut. */
export async function settleTails(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<TornTail[]> {
  const torn: TornTail[] = [];
  for (const found of loaded.found) {
    const { segment, footer, durableOffset } = found;
    if (found.headerDamaged) await mendHeader(env, found);
    if (footer !== undefined && durableOffset >= footer.end) continue;
    if (footer === undefined && segment.isEmpty && found.verdict?.cutAt === undefined) continue;
    const file = await env.vfs.open(segment.path, 'write');
    try {
      const cut = await settleTail(env, loaded, found, file);
      if (cut !== undefined) torn.push(cut);
    } finally {
      await file.close().catch(() => undefined);
    }
  }
  return torn;
}

/** Writes both copies again: the intact one gets the bytes that it has. */
async function mendHeader(env: RecoveryEnvironment, { header, segment }: FoundSegment): Promise<void> {
  const file = await env.vfs.open(segment.path, 'write');
  try {
    const bytes = encodeFileHeader(header);
    await file.writeAt(bytes, 0, bytes.length, 0);
    await syncOrStop(env, file);
  } finally {
    await file.close().catch(() => undefined);
  }
}

async function settleTail(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  found: FoundSegment,
  file: VfsFile,
): Promise<TornTail | undefined> {
  const { segment, footer, contentEnd, fileBytes, durableOffset } = found;
  const end = footer?.end ?? contentEnd;
  let torn: TornTail | undefined;
  if (found.verdict?.cutAt !== undefined && found.verdict.cutHoldsBytes) {
    const bytes = fileBytes - contentEnd;
    torn = { queue: loaded.queue, file: segment.path, offset: contentEnd, bytes };
    if (worthKeeping(found))
      torn = { ...torn, quarantine: await env.reserve.spend(() => keepAside(env, loaded, found, file, bytes)) };
  }
  await rewriteRange(env, file, Math.min(durableOffset, end), end);
  await file.truncate(end);
  await syncOrStop(env, file);
  // The name may be no more durable than the bytes were.
  await syncDirOrStop(env, loaded.dir);
  return torn;
}

async function keepAside(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  found: FoundSegment,
  file: VfsFile,
  bytes: number,
): Promise<string> {
  const { vfs } = env;
  const aside = `${loaded.dir}/quarantine`;
  if (await vfs.makeDir(aside)) await vfs.syncDir(loaded.dir);
  const name = found.segment.path.slice(loaded.dir.length + 1);
  const path = `${aside}/${name}.${found.contentEnd}.torn`;
  // A crash during an earlier recovery may have left the same bytes, whole or in part.
  if ((await vfs.stat(path)) !== undefined) await vfs.remove(path);
  const copy = await vfs.create(path);
  try {
    const chunk = Buffer.allocUnsafe(Math.min(bytes, COPY_BYTES));
    for (let done = 0; done < bytes; ) {
      const n = await file.readAt(chunk, 0, Math.min(chunk.length, bytes - done), found.contentEnd + done);
      if (n === 0) break;
      await copy.writeAt(chunk, 0, n, done);
      done += n;
    }
    await copy.sync();
  } finally {
    await copy.close().catch(() => undefined);
  }
  await vfs.syncDir(aside);
  return path;
}

/**
 * Reads a range and writes the same bytes to the same place, so that the next sync has something to write. While one piece is written the next is
 * read, and the disk is set to work before the end.
 */
async function rewriteRange(env: RecoveryEnvironment, file: VfsFile, from: number, to: number): Promise<void> {
  const window = new ReadWindow({ carryBytesMax: 0, reuse: true });
  const readAt: ReadAt = (...read) => file.readAt(...read);
  let syncing = Promise.resolve();
  let syncedTo = from;
  try {
    for (let at = from; at < to; at += window.bytes) {
      await window.fill(readAt, at, 1, Math.min(COPY_BYTES, to - at));
      if (window.bytes === 0) break;
      window.readAhead(readAt, COPY_BYTES, to);
      await file.writeAt(window.chunk, 0, window.bytes, at);
      if (at - syncedTo < SYNC_BYTES) continue;
      await syncing;
      syncing = syncOrStop(env, file);
      // It is awaited before the next, or below.
      syncing.catch(() => undefined);
      syncedTo = at;
    }
    await syncing;
  } finally {
    await Promise.allSettled([syncing, window.settled()]);
  }
}

/** Records that are dead for readers and may come back. */
export interface Revocable {
  /** The lowest such ID from `from` on. */
  nextClaimed(from: number): number | undefined;
}

const NONE: Revocable = { nextClaimed: () => undefined };

/**
 * What is dead in the segments that exist, as a snapshot holds it, but for what may come back. Both are looked at as they are when a range is
 * pulled; the cost is that of the ranges and of the claims in them.
 */
export function* deadRangesOf(segments: readonly LogSegment[], except: Revocable): Generator<IdRange> {
  for (const segment of segments) {
    if (segment.isEmpty || segment.live.liveCount === segment.count) continue;
    for (const { first, last } of segment.live.deadRuns()) {
      // All of the run at once: one that comes back while a range is being written must not be taken for dead by then.
      const spared: number[] = [];
      for (let id = except.nextClaimed(first); id !== undefined && id <= last; id = except.nextClaimed(id + 1))
        spared.push(id);
      let from = first;
      for (const id of spared) {
        if (id > from) yield { first: from, last: id - 1 };
        from = id + 1;
      }
      if (from <= last) yield { first: from, last };
    }
  }
}

/** Step 4. */
export async function startGeneration(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<TombstoneLog> {
  const { vfs, host, storeUuid } = env;
  const newest = loaded.log.newest;
  const footer = loaded.found.find(({ segment }) => segment === newest)?.footer;
  const statement: Omit<RoundStatement, 'kind'> = {
    round: loaded.tombstones.round + 1,
    nextId: loaded.nextId,
    dataSegmentId: newest?.id ?? 0,
    dataOffset: newest === undefined ? 0 : (footer?.end ?? newest.end),
    sealedBelow: loaded.tombstones.sealedBelow,
    segmentIdMax: loaded.segmentIdMax,
    liveRecords: 0,
    timestamp: host.now(),
  };
  try {
    return await env.reserve.spend(() => {
      const source = {
        ...newGeneration(vfs, host, loaded.dir, storeUuid, loaded.generation + 1),
        fillAhead: !env.reserve.isSpent,
      };
      return TombstoneLog.create(source, statement, deadRangesOf(loaded.log.segments, NONE), () => host.yield());
    });
  } catch (error) {
    throw ioError(error, `starting a tombstone log for queue '${loaded.queue}'`, {
      queue: loaded.queue,
      path: loaded.dir,
    });
  }
}

/** Closes a queue that was recovered and that nobody asked for: its log gets the last word, so that the next open finds it clean. */
export async function closeDormant(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  tombstones: TombstoneLog,
): Promise<void> {
  const newest = loaded.log.newest;
  const statement: RoundStatement = {
    kind: KIND_CLOSE,
    round: loaded.tombstones.round + 2,
    nextId: loaded.nextId,
    dataSegmentId: newest?.id ?? 0,
    dataOffset: newest?.fileBytes ?? 0,
    sealedBelow: newest === undefined ? 0 : newest.id + 1,
    segmentIdMax: loaded.segmentIdMax,
    liveRecords: loaded.log.liveCount,
    timestamp: env.host.now(),
  };
  await tombstones.append(statement, []);
  await tombstones.sync();
  await tombstones.close().catch(() => undefined);
}

/** Step 5. */
export async function sealFound(env: RecoveryEnvironment, loaded: LoadedQueue, removalRound: number): Promise<number> {
  let sealed = 0;
  for (const found of loaded.found) {
    const { segment, scan, contentEnd } = found;
    if (found.footer !== undefined || scan === undefined || segment.isEmpty) continue;
    const summary: SegmentSummary = {
      count: scan.count,
      firstId: scan.firstId,
      lastId: scan.lastId,
      minTimeMs: scan.minTimeMs,
      maxTimeMs: scan.maxTimeMs,
      payloadBytes: scan.payloadBytes,
      dataEnd: contentEnd,
      removalSeq: removalRound,
      runs:
        segment.rewritten || segment.damaged || scan.count !== scan.lastId - scan.firstId + 1 ? scan.runs : undefined,
      replaces: [],
    };
    const footer = encodeFooter(summary, scan.index, segment.seed, contentEnd, env.host.now());
    const file = await env.vfs.open(segment.path, 'write');
    try {
      await env.reserve.spend(() => file.writeAt(footer, 0, footer.length, contentEnd));
      await file.truncate(contentEnd + footer.length);
      await syncOrStop(env, file);
    } finally {
      await file.close().catch(() => undefined);
    }
    segment.advance('sealed');
    segment.noteFooterDurable();
    segment.fileBytes = contentEnd + footer.length;
    sealed++;
  }
  return sealed;
}

/** Step 6, first half: where the queue appends from now on. */
export async function startActive(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  supply: SegmentSupply,
  relaxed: boolean,
): Promise<ActiveSegment> {
  const draft = await startSegment({ supply, failStop: env.failStop, nextId: loaded.nextId, relaxed, keep: 0 });
  const segment = newSegment(draft);
  loaded.log.append(segment);
  const previous = loaded.log.segments.at(-2);
  const link = previous === undefined ? undefined : { segmentId: previous.id, durableOffset: previous.fileBytes };
  return newActiveSegment(segment, draft.file, link);
}

/** Step 6, second half: what no open needs any more. Those that cannot be read are evidence and are moved aside. */
export async function removeLeftovers(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<void> {
  const { vfs } = env;
  const empty = loaded.found
    .filter(({ segment }) => segment.isEmpty && !segment.damaged)
    .map(({ segment }) => segment.path);
  const damagedEmpty = loaded.found
    .filter(({ segment }) => segment.isEmpty && segment.damaged)
    .map(({ segment }) => segment.path);
  const doomed = [...loaded.replaced, ...loaded.unfinished, ...empty];
  const damagedLogs = new Set(loaded.damage.map(({ file }) => file));
  const aside = [...loaded.unreadable, ...damagedEmpty];
  for (const path of loaded.tombstoneLogs) (damagedLogs.has(path) ? aside : doomed).push(path);
  for (const path of doomed) {
    try {
      await vfs.remove(path);
    } catch (error) {
      // An unfinished tombstone log was in the way of the new one, and went when that was made.
      if (!isNotFound(error)) throw error;
    }
  }
  for (const path of aside) {
    if (!damagedLogs.has(path) && loaded.unreadable.includes(path)) {
      // Blank: a file that never came to hold anything.
      await vfs.remove(path);
      continue;
    }
    const folder = `${loaded.dir}/quarantine`;
    await vfs.makeDir(folder);
    await vfs.rename(path, `${folder}/${path.slice(loaded.dir.length + 1)}`);
    await vfs.syncDir(folder);
  }
  if (doomed.length + aside.length > 0) await syncDirOrStop(env, loaded.dir);
}

async function syncOrStop(env: RecoveryEnvironment, file: VfsFile): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    throw env.failStop.fail(error, 'a sync during recovery', file.path);
  }
}

async function syncDirOrStop(env: RecoveryEnvironment, dir: string): Promise<void> {
  try {
    await env.vfs.syncDir(dir);
  } catch (error) {
    throw env.failStop.fail(error, 'a sync during recovery', dir);
  }
}
