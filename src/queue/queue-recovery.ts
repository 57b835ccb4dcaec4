/**
 * Applies what scanning and judging found: the only part of opening that writes (P5, P9). It parses nothing.
 *
 * Steps, each durable before the next, and each the same if done twice:
 *  1. bytes that are to be cut go to quarantine/
 *  2. torn tails are cut; bytes above the last promised durable offset are written again and synced, since after a sync that failed
 *     they may exist in the page cache only
 *  3. (the store settles moves between queues, in memory)
 *  4. a new generation of the tombstone log: all that was given out and is not live
 *  5. segments without a footer get one, which overwrites one that is damaged: however much of each is there, an intact header of a footer tells that nothing
 *     is lost (FORMAT.md, 12)
 *  6. leftovers are removed; a new active segment
 */
import { isNoSpace, isNotFound } from '../errors.js';
import { type FailStop, SyncFailure } from '../fail-stop.js';
import { encodeFileHeader } from '../frame/file-header.js';
import type { SegmentId } from '../ids.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { LogSegment } from '../log/log-segment.js';
import type { FoundSegment } from '../log/segment-load.js';
import { worthKeeping } from '../log/segment-load.js';
import { encodeFooter, type SegmentSummary, summaryTimes } from '../segment/segment-footer.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { isReadThrough, type SegmentScan } from '../segment/segment-scan.js';
import type { DraftSegment, SegmentSupply } from '../segment/segment-supply.js';
import { KIND_CLOSE, type RoundStatement } from '../tombstone/tombstone-frame.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import { type Host, timeOf } from '../vfs/host.js';
import { type ReadAt, ReadWindow } from '../vfs/read-window.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { type ActiveSegment, newActiveSegment } from './active-segment.js';
import { findKept, type OpeningReserve } from './opening-reserve.js';
import type { LeftSegment } from './segment-sealer.js';
import { newSegment, reuseSegment, startSegment } from './segment-start.js';

const COPY_BYTES = 1024 * 1024;
/** Torn bytes for which there is no space before they are cut are held in memory up to this size. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;
const SECTOR_BYTES = 512;
/** A long range is synced in pieces, beside the writing of what follows. */
const SYNC_BYTES = 64 * 1024 * 1024;

/** A torn tail of a segment or a tombstone log that was cut: the normal result of a crash. */
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

/** Steps 1 and 2. Resolves with what was cut. */
export async function settleTails(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<TornTail[]> {
  const torn: TornTail[] = [];
  // The generation that replaces the log is begun behind what was acknowledged.
  const { torn: tornLog } = loaded.tombstones;
  if (tornLog !== undefined) torn.push({ queue: loaded.queue, ...tornLog });
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
  const end = footer?.end ?? (found.isFooterRotten ? fileBytes : contentEnd);
  let torn: TornTail | undefined;
  let held: Buffer | undefined;
  if (found.verdict?.cutAt !== undefined && found.verdict.cutHoldsBytes) {
    const bytes = fileBytes - contentEnd;
    torn = { queue: loaded.queue, file: segment.path, offset: contentEnd, bytes };
    if (worthKeeping(found)) {
      const readAt: ReadAt = (target, offset, length, at) => file.readAt(target, offset, length, contentEnd + at);
      const quarantine = await env.reserve.spend(() => keepAside(env, loaded, found, readAt, bytes)).catch(unlessFull);
      if (quarantine !== undefined) torn = { ...torn, quarantine };
      else if (bytes <= HELD_BYTES_MAX) {
        held = Buffer.allocUnsafe(bytes);
        held = held.subarray(0, await readAt(held, 0, bytes, 0));
      }
    }
  }
  // First: then what is written again has the space of what is cut.
  await file.truncate(end);
  await rewriteRange(env, file, Math.min(durableOffset, end), end);
  await syncOrStop(env, file);
  // The name may be no more durable than the bytes were.
  await syncDirOrStop(env, loaded.dir);
  if (torn === undefined || held === undefined) return torn;
  // Nothing in them was acknowledged: if others were faster to take the space they are not kept.
  const bytes = held;
  const readAt: ReadAt = (target, offset, length, at) => Promise.resolve(bytes.copy(target, offset, at, at + length));
  const quarantine = await keepAside(env, loaded, found, readAt, bytes.length).catch(unlessFull);
  return quarantine === undefined ? torn : { ...torn, quarantine };
}

function unlessFull(error: unknown): undefined {
  if (!isNoSpace(error)) throw error;
  return undefined;
}

/** Copies torn bytes to `quarantine/`. Rejects where that cannot be, leaving nothing there. */
async function keepAside(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  found: FoundSegment,
  readAt: ReadAt,
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
      const n = await readAt(chunk, 0, Math.min(chunk.length, bytes - done), done);
      if (n === 0) break;
      await copy.writeAt(chunk, 0, n, done);
      done += n;
    }
    await copy.sync();
  } catch (error) {
    await copy.close().catch(() => undefined);
    await vfs.remove(path).catch(() => undefined);
    throw error;
  }
  await copy.close().catch(() => undefined);
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
      await rewritePiece(file, window.chunk, window.bytes, at);
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

/**
 * Where there is no space to write what is read, there is a hole: those are zeros, and durable ones. What else cannot be written is not to be had:
 * rejects.
 */
async function rewritePiece(file: VfsFile, chunk: Buffer, length: number, position: number): Promise<void> {
  try {
    return await file.writeAt(chunk, 0, length, position);
  } catch (error) {
    if (!isNoSpace(error)) throw error;
  }
  for (let from = 0; from < length; ) {
    // Up to the next sector.
    const to = Math.min(length, from + SECTOR_BYTES - ((position + from) % SECTOR_BYTES));
    try {
      await file.writeAt(chunk, from, to - from, position + from);
    } catch (error) {
      if (!isNoSpace(error) || !isZero(chunk.subarray(from, to))) throw error;
    }
    from = to;
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Closes a queue that was recovered and that nobody asked for: its log gets the last word, so that the next open finds it clean. */
export async function closeDormant(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  tombstones: TombstoneLog,
): Promise<void> {
  // The disk is full: some footers are not there, and so there is no last word.
  if (unsealed(loaded).length > 0) return await tombstones.close();
  const newest = loaded.log.newest;
  const statement: RoundStatement = {
    kind: KIND_CLOSE,
    round: loaded.tombstones.round + 2,
    nextId: loaded.nextId,
    accountedBelow: loaded.nextId,
    dataSegmentId: newest?.id ?? 0,
    dataOffset: newest?.fileBytes ?? 0,
    sealedBelow: newest === undefined ? 0 : newest.id + 1,
    segmentIdMax: loaded.segmentIdMax,
    liveRecords: loaded.log.liveCount,
    hasIntake: loaded.intake.isNamed,
    timestamp: timeOf(env.host),
  };
  await tombstones.append(statement, []);
  await tombstones.sync();
  await tombstones.close().catch(() => undefined);
}

/** Those whose footers found no space: they are written when there is some. */
function unsealed({ found }: LoadedQueue): FoundSegment[] {
  return found.filter(({ segment }) => segment.phase === 'rolled' && !segment.isEmpty);
}

/** The same, open, for a queue that starts. */
export async function openUnsealed({ vfs }: RecoveryEnvironment, loaded: LoadedQueue): Promise<LeftSegment[]> {
  const left: LeftSegment[] = [];
  try {
    for (const { segment, scan, contentEnd, isFooterRotten } of unsealed(loaded)) {
      segment.building = scan?.index;
      const active = newActiveSegment(segment, await vfs.open(segment.path, 'write'), undefined);
      active.writtenEnd = contentEnd;
      active.durableEnd = contentEnd;
      left.push({ active, runs: runsOf(segment, scan), isFooterRotten });
    }
  } catch (error) {
    await closeUnsealed(left);
    throw error;
  }
  return left;
}

/** For a queue that does not start after all. Never rejects. */
export async function closeUnsealed(left: readonly LeftSegment[]): Promise<void> {
  await Promise.all(left.map(({ active }) => active.file.close().catch(() => undefined)));
}

/** For the footer, where not all IDs between the first and the last are there. */
function runsOf(segment: LogSegment, scan: SegmentScan | undefined): SegmentSummary['runs'] {
  if (scan === undefined) return undefined;
  const isWhole = scan.count === scan.lastId - scan.firstId + 1;
  return segment.rewritten || segment.damaged || !isWhole ? scan.runs : undefined;
}

/** Step 5. Where there is no space for it, it is left for later: without a footer a segment is read from end to end, and loses nothing. */
export async function sealFound(env: RecoveryEnvironment, loaded: LoadedQueue, removalRound: number): Promise<number> {
  let sealed = 0;
  for (const found of loaded.found) {
    const { segment, scan, contentEnd } = found;
    if (found.footer !== undefined || scan === undefined || segment.isEmpty) continue;
    const summary: SegmentSummary = {
      count: scan.count,
      firstId: scan.firstId,
      lastId: scan.lastId,
      ...summaryTimes(scan.times),
      payloadBytes: scan.payloadBytes,
      dataEnd: contentEnd,
      removalSeq: removalRound,
      runs: runsOf(segment, scan),
      replaces: [],
    };
    const footer = encodeFooter(summary, scan.index, segment.seed, contentEnd, timeOf(env.host));
    const file = await env.vfs.open(segment.path, 'write');
    try {
      await env.reserve.spend(() => file.writeAt(footer, 0, footer.length, contentEnd));
      await file.truncate(contentEnd + footer.length);
      await syncOrStop(env, file);
    } catch (error) {
      unlessFull(error);
      if (!found.isFooterRotten) await file.truncate(contentEnd);
      segment.fileBytes = contentEnd;
      continue;
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

/** Without a block for a file of its own the queue goes on with this one, in which there is nothing: the newest, empty and intact. */
export function reusable({ found, nextId }: LoadedQueue): FoundSegment | undefined {
  const newest = found.reduce<FoundSegment | undefined>(
    (best, one) => (best === undefined || one.segment.id > best.segment.id ? one : best),
    undefined,
  );
  if (newest === undefined) return undefined;
  const { segment, footer, headerDamaged, isFooterRotten } = newest;
  const isBlank = segment.isEmpty && !segment.damaged && footer === undefined && !isFooterRotten;
  return isBlank && !headerDamaged && segment.baseId <= nextId ? newest : undefined;
}

/** For the next open. Where there is no space for it nothing is pushed until there is. */
export async function makeOpeningFile(
  { failStop }: RecoveryEnvironment,
  { openingFile }: SegmentSupply,
): Promise<void> {
  try {
    await openingFile.ensure();
  } catch (error) {
    if (error instanceof SyncFailure) throw failStop.fail(error, 'keeping space for opening', error.path);
  }
}

/** Step 6, first half: where the queue appends from now on. */
export async function startActive(
  env: RecoveryEnvironment,
  loaded: LoadedQueue,
  supply: SegmentSupply,
  relaxed: boolean,
): Promise<ActiveSegment> {
  const start = { supply, failStop: env.failStop, nextId: loaded.nextId, relaxed, keep: 0, spendsReserve: true };
  const empty = reusable(loaded);
  let draft: DraftSegment | undefined;
  try {
    draft = await startSegment(start);
    if (empty !== undefined) {
      // Before a round says that all older segments are sealed.
      await env.vfs.remove(empty.segment.path);
      await syncDirOrStop(env, loaded.dir);
    }
  } catch (error) {
    // There, and empty: the next open takes it for a leftover.
    await draft?.file.close().catch(() => undefined);
    if (empty === undefined || !isNoSpace(error)) throw error;
    draft = await reuseSegment(env.vfs, start, empty);
  }
  const segment = newSegment(draft);
  loaded.log.append(segment);
  const previous = loaded.log.segments.at(-2);
  const link = previous === undefined ? undefined : { segmentId: previous.id, durableOffset: previous.fileBytes };
  return newActiveSegment(segment, draft.file, link);
}

/**
 * Step 6, second half: what no open needs any more. Those that cannot be read are evidence and are moved aside. While the log has no segment at all an
 * empty one stays, without which the queue would be missed; resolves with its path. It has to go before anything says that all are sealed.
 */
export async function removeLeftovers(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<string | undefined> {
  const { vfs } = env;
  const { openingFile } = await findKept(vfs, loaded);
  const kept = reusable(loaded)?.segment;
  const empty = loaded.found
    .filter(({ segment }) => segment.isEmpty && !segment.damaged && segment !== kept)
    .map(({ segment }) => segment.path);
  const spared = loaded.log.segments.length === 0 ? empty.pop() : undefined;
  const damagedEmpty = loaded.found
    .filter(({ segment }) => segment.isEmpty && segment.damaged)
    .map(({ segment }) => segment.path);
  const unread = await replacedByUnread(env, loaded);
  const replaced = loaded.replaced.filter((path) => !unread.has(path));
  const doomed = [...replaced, ...loaded.unfinished.filter((path) => path !== openingFile), ...empty];
  const damagedLogs = new Set(loaded.damage.map(({ file }) => file));
  const aside = [...loaded.unreadable, ...damagedEmpty, ...unread];
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
    try {
      await vfs.rename(path, `${folder}/${path.slice(loaded.dir.length + 1)}`);
    } catch (error) {
      // Done by a try before that failed later.
      if (!isNotFound(error)) throw error;
    }
    await vfs.syncDir(folder);
  }
  if (doomed.length + aside.length > 0) await syncDirOrStop(env, loaded.dir);
  return spared;
}

/** Leftovers of a rewrite whose copy cannot be read from end to end: they go aside, for what it lacks is in them. */
async function replacedByUnread({ vfs }: RecoveryEnvironment, loaded: LoadedQueue): Promise<Set<string>> {
  const unread = new Set<string>();
  if (loaded.replaced.length === 0) return unread;
  for (const { segment, footer } of loaded.found) {
    if (footer === undefined || footer.summary.replaces.length === 0) continue;
    const ids = new Set(footer.summary.replaces);
    const originals = loaded.replaced.filter((path) => ids.has(segmentIdOf(path)));
    if (originals.length === 0) continue;
    const file = await vfs.open(segment.path, 'read');
    try {
      // What cannot be read at all today is no reason to delete anything.
      const isRead = await isReadThrough(file, footer, segment.seed, segment.baseId).catch(() => false);
      if (isRead) continue;
      for (const path of originals) unread.add(path);
    } finally {
      await file.close().catch(() => undefined);
    }
  }
  return unread;
}

function segmentIdOf(path: string): number {
  return parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1))?.segmentId ?? -1;
}

async function syncOrStop(env: RecoveryEnvironment, file: VfsFile): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    throw env.failStop.fail(error, 'a sync during recovery', file.path);
  }
}

export async function syncDirOrStop(env: RecoveryEnvironment, dir: string): Promise<void> {
  try {
    await env.vfs.syncDir(dir);
  } catch (error) {
    throw env.failStop.fail(error, 'a sync during recovery', dir);
  }
}
