/**
 * Reads a queue's folder as a crash, or somebody's disk, left it: scans and judges. Never writes, takes no lock: what opening for writing,
 * opening for reading and `verify` share. Which files there are says `queue-listing`, what was removed `tombstone-load`, and what should be
 * there and is not `missing-segments`.
 *
 * Tombstones first, for they say up to where the data had been synced; then segments from the newest to the oldest, for each one's link
 * says that of the one before it.
 */
import { EvaqError } from '../errors.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  HEADER_FLAG_RECYCLED,
  HEADER_FLAG_REWRITTEN,
} from '../frame/file-header.js';
import { IntakeMarks } from '../frame/intake-marks.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { FIRST_RECORD_ID, highestGiven, NEXT_ID_MAX } from '../ids.js';
import { loadIntake } from '../intake/intake-load.js';
import { IntakeState } from '../intake/intake-state.js';
import { type Footer, readFooter, summaryTimes } from '../segment/segment-footer.js';
import { judgeSegment, type SegmentVerdict } from '../segment/segment-judge.js';
import { segmentQueueMark } from '../segment/segment-name.js';
import { type SegmentScan, scanSegment, timesToTell } from '../segment/segment-scan.js';
import { RemovedRanges } from '../tombstone/removed-ranges.js';
import type { TombstoneState } from '../tombstone/tombstone-scan.js';
import type { Vfs } from '../vfs/vfs.js';
import type { Damage } from './damage.js';
import { LogSegment } from './log-segment.js';
import { findLosses, isEndMissing, type LossFacts, type PresentSegment } from './losses.js';
import { type LoadedFile, openedAhead } from './opened-ahead.js';
import { missingEvidence } from './queue-evidence.js';
import { listQueue, openListed, type QueueListing, type SegmentFile, unsupportedError } from './queue-listing.js';
import { SegmentLog } from './segment-log.js';
import { loadTombstones } from './tombstone-load.js';

export type { Damage } from './damage.js';

/** A segment as it was found. */
export interface FoundSegment {
  readonly segment: LogSegment;
  readonly header: FileHeader;
  /** One of the two copies of the header is damaged. */
  readonly headerDamaged: boolean;
  readonly fileBytes: number;
  readonly footer: Footer | undefined;
  /** Of those without a valid footer. */
  readonly scan: SegmentScan | undefined;
  readonly verdict: SegmentVerdict | undefined;
  /** Where its content ends: behind it goes a footer, if it has none. */
  readonly contentEnd: number;
  /** How much of it had been synced, by the best statement there is. */
  readonly durableOffset: number;
  /** Of those without a valid footer: what they tell of what came in. */
  readonly marks?: IntakeMarks;
}

export interface LoadedQueue {
  readonly queue: string;
  readonly dir: string;
  readonly log: SegmentLog;
  /** In ID order; only those that belong to the log. */
  readonly found: readonly FoundSegment[];
  /** Left over from a rewrite whose result is there: their records are in the segment that replaced them. */
  readonly replaced: readonly string[];
  /** Files of ours that no open needs: unfinished ones. */
  readonly unfinished: readonly string[];
  /** Segments that cannot be read at all. */
  readonly unreadable: readonly string[];
  readonly pool: readonly string[];
  /** Tombstone logs, oldest first, with those that cannot be read. */
  readonly tombstoneLogs: readonly string[];
  readonly tombstones: TombstoneState;
  /** What is known of what came in, where that was asked for. */
  readonly intake: IntakeState;
  readonly generation: number;
  /** The ID that the next record gets. The store raises it for moves that it settles. */
  nextId: number;
  /** The highest that was given out in the store, as far as this queue knows; and those that stand in the names of its files. */
  readonly segmentIdMax: number;
  readonly segmentIds: readonly number[];
  readonly damage: readonly Damage[];
  /** Files that were listed and gone when they were to be read: a writer's GC is at work. */
  readonly vanished: number;
  /** The last writer closed it and nothing happened since. */
  readonly clean: boolean;
}

export interface LoadOptions {
  readonly indexIntervalBytes: number;
  /** Lets the event loop turn; called now and then where much is done in memory alone. */
  readonly pause?: () => Promise<void>;
  readonly progress?: (bytes: number) => void;
  /** For who is going to push, or looks at everything: what came in is remembered, as of this time. */
  readonly intakeMs?: number;
  /** The queue is in the register: it has been there before. */
  readonly isRegistered?: boolean;
  /** Where nothing tells which IDs it has given out, it goes on from here. */
  readonly idFloor?: number;
}

/** Scans and judges one queue. Rejects with EVAQ_UNSUPPORTED_VERSION, EVAQ_CORRUPT for a link in place of a file, or EVAQ_IO. */
export async function loadQueue(
  vfs: Vfs,
  dir: string,
  queue: string,
  storeUuid: Buffer,
  options: LoadOptions,
): Promise<LoadedQueue> {
  const listing = await listQueue(vfs, dir, queue);
  const damage: Damage[] = [];
  const removed = new RemovedRanges();
  const tombstones = await loadTombstones(vfs, listing, queue, storeUuid, damage, removed);
  // What they said of the data is lost with removals.
  const isWitnessed = damage.every(({ lossless }) => lossless);

  const found: FoundSegment[] = [];
  const unreadable: string[] = [];
  const replacedIds = new Set<number>();
  let vanished = 0;
  let unreadableEnd = 0;
  let isEndShort = false;
  // Raised by the links as they are met; one map for all segments, of which there may be ten thousand.
  const durable = new Map(tombstones.durableData);
  const links = new Map<number, number>();
  // From the newest on, so that the link of each is known before the one it speaks of is judged.
  const files = [...listing.segments].sort((a, b) => b.baseId - a.baseId || b.id - a.id);
  let at = 0;
  for await (const handle of openedAhead(
    files.map(({ path }) => path),
    (path) => openListed(vfs, path, queue),
  )) {
    const newest = at === 0;
    const file = files[at++];
    if (handle === undefined || file === undefined) {
      vanished++;
      continue;
    }
    const one = await loadSegment(
      handle,
      file,
      queue,
      storeUuid,
      tombstones,
      isWitnessed,
      durable,
      newest,
      options,
      damage,
    );
    if (typeof one === 'string') {
      unreadable.push(file.path);
      // Its IDs were handed out, whatever became of them; a record takes 8 bytes at least.
      const bytes = await handle.size();
      unreadableEnd = Math.max(unreadableEnd, file.baseId + Math.ceil(bytes / DENSE_FRAME_BYTES));
      // Nor does that tell how many there were, if it is not all of it, or none of it.
      const isPart = one === 'misplaced' || bytes < (durable.get(file.id) ?? 0);
      if (isPart && found.every(({ segment }) => segment.isEmpty)) isEndShort = true;
      continue;
    }
    found.push(one);
    for (const id of one.footer?.summary.replaces ?? []) if (id !== one.segment.id) replacedIds.add(id);
    const link = one.scan?.link ?? (await linkOf(handle, one));
    if (link !== undefined) {
      links.set(one.segment.id, link.segmentId);
      durable.set(link.segmentId, Math.max(durable.get(link.segmentId) ?? 0, link.durableOffset));
    }
  }

  found.reverse();
  const intake = await loadIntakeOf(vfs, dir, queue, storeUuid, listing, options.intakeMs, damage);
  intake.isNamed = tombstones.hasIntake && intake.file !== undefined;
  if (options.intakeMs !== undefined && tombstones.hasIntake && listing.intake.length === 0)
    damage.push({ queue, file: dir, offset: 0, bytes: 0, what: INTAKE_MISSING, lossless: false });

  const log = new SegmentLog(options.indexIntervalBytes);
  const kept: FoundSegment[] = [];
  const replaced: string[] = [];
  for (const one of found) {
    if (replacedIds.has(one.segment.id)) {
      replaced.push(one.segment.path);
      continue;
    }
    const newest = kept.at(-1)?.segment;
    if (newest !== undefined && !one.segment.isEmpty && !newest.isEmpty && newest.lastId >= one.segment.firstId) {
      throw new EvaqError(
        'EVAQ_CORRUPT',
        `queue '${queue}': ${one.segment.path} holds IDs that ${newest.path} holds too`,
        {
          details: { queue, path: one.segment.path, id: one.segment.firstId, lastId: one.segment.lastId },
          hint: 'A foreign or restored file is in the folder; move it away.',
        },
      );
    }
    kept.push(one);
  }
  // Of what does not count no damage is told: another speaks for it.
  for (let i = damage.length - 1; i >= 0; i--) if (replaced.includes(damage[i]?.file ?? '')) damage.splice(i, 1);
  if (options.intakeMs !== undefined) {
    for (const { marks, segment } of kept)
      if (marks !== undefined) intake.adopt(marks, segment.lastId, options.intakeMs);
  }
  // Empty segments have nothing to be found by, and would stand in the way of the order.
  for (const one of kept) if (!one.segment.isEmpty) addToLog(log, one);
  await removeFrom(log, removed, options.pause);
  let nextId = Math.max(FIRST_RECORD_ID, tombstones.nextId, unreadableEnd, removed.last + 1);

  const mentioned = mentionedRound(kept, tombstones.round);
  if (mentioned > tombstones.round && vanished === 0) {
    damage.push({
      queue,
      file: listing.tombstones.at(-1)?.path ?? dir,
      offset: tombstones.end,
      bytes: 0,
      what: `${mentioned - tombstones.round} rounds of removals are lost`,
      lossless: false,
    });
    // Said once: the next rounds go on behind those that were lost.
    tombstones.round = mentioned;
    tombstones.isLastLost = true;
  }
  let clean = tombstones.closedWithLive !== undefined;
  for (const one of kept) if (one.footer === undefined && !one.segment.isEmpty) clean = false;
  for (const one of kept) {
    nextId = Math.max(nextId, one.header.baseId, one.segment.isEmpty ? 0 : one.segment.lastId + 1);
    // IDs that were handed out before they were durable must not come again, though their records may be gone.
    if (one.segment.relaxed && one.footer === undefined && !clean) nextId = Math.max(nextId, one.header.idHighWater);
    for (const range of one.scan?.damaged ?? []) nextId = Math.max(nextId, range.lastId + 1);
  }
  // Of a file that cannot be read the IDs are guessed.
  nextId = Math.min(nextId, NEXT_ID_MAX);
  const evidence = options.isRegistered === true ? missingEvidence(listing) : undefined;
  const facts: LossFacts = {
    queue,
    dir,
    segments: kept.map((one) => presentIn(one, links)),
    there: new Set(listing.segments.map(({ id }) => id)),
    removed,
    tombstones,
    // Where the queue was closed the IDs that were given out are known.
    nextId: clean ? Math.min(nextId, Math.max(tombstones.nextId, log.lastVisibleId + 1)) : nextId,
    liveCount: log.liveCount,
    closedWithLive: clean ? tombstones.closedWithLive : undefined,
    damage,
    isEndGone: isEndShort || isEndGone(kept),
    hasVanished: vanished > 0,
    evidence,
  };
  const told = findLosses(facts);
  if (isEndMissing(facts, told)) nextId = Math.max(nextId, options.idFloor ?? 0);
  return {
    queue,
    dir,
    log,
    found: kept,
    replaced,
    unfinished: listing.unfinished,
    unreadable,
    pool: listing.pool,
    tombstoneLogs: listing.tombstones.map(({ path }) => path),
    tombstones,
    intake,
    generation: highestGiven(
      tombstones.generation,
      listing.tombstones.map(({ generation }) => generation),
    ),
    nextId,
    segmentIdMax: found.reduce((highest, { segment }) => Math.max(highest, segment.id), tombstones.segmentIdMax),
    segmentIds: listing.segmentIds,
    damage: told,
    vanished,
    clean,
  };
}

const INTAKE_MISSING = 'the intake log is missing: message IDs and checkpoints are forgotten';

async function loadIntakeOf(
  vfs: Vfs,
  dir: string,
  queue: string,
  storeUuid: Buffer,
  listing: QueueListing,
  nowMs: number | undefined,
  damage: Damage[],
): Promise<IntakeState> {
  if (nowMs === undefined || listing.intake.length === 0) return new IntakeState();
  const loaded = await loadIntake(listing.intake, {
    dir,
    storeUuid,
    nowMs,
    open: (path) => openListed(vfs, path, queue),
    unsupported: (path, major) => unsupportedError(path, queue, major),
  });
  damage.push(...loaded.damage.map((one) => ({ queue, ...one })));
  return loaded.state;
}

function presentIn({ segment, scan }: FoundSegment, links: ReadonlyMap<number, number>): PresentSegment {
  const runs = scan !== undefined && scan.damaged.length > 0 ? scan.runs : undefined;
  return { segment, runs, link: links.get(segment.id) };
}

/** Of the last segment with records, or of one behind it, the end is gone or cannot be read: how many records there were is not known. */
function isEndGone(kept: readonly FoundSegment[]): boolean {
  for (const { segment, verdict } of kept.toReversed()) {
    if (verdict !== undefined && verdict.missingBytes > 0) return true;
    if (verdict?.damage.some((one) => one.lastId < one.firstId && one.toMs === undefined) === true) return true;
    if (!segment.isEmpty) return false;
  }
  return false;
}

/** So many ranges are applied in one turn of the event loop: some milliseconds. */
const REMOVALS_A_TURN = 8192;

async function removeFrom(log: SegmentLog, removed: RemovedRanges, pause: LoadOptions['pause']): Promise<void> {
  for (let i = 0; i < removed.count; i++) {
    log.killRange(removed.firsts[i] ?? 0, removed.lasts[i] ?? 0);
    if ((i + 1) % REMOVALS_A_TURN === 0) await pause?.();
  }
  log.changes = 0;
}

/** The highest number of a round of removals that a segment speaks of. Commits tell its low half: it is one that is near `round`, the last known. */
export function mentionedRound(found: readonly FoundSegment[], round: number): number {
  let mentioned = 0;
  for (const { scan, footer } of found) {
    const one = scan === undefined ? (footer?.summary.removalSeq ?? 0) : roundNear(round, scan.removalSeq);
    mentioned = Math.max(mentioned, one);
  }
  return mentioned;
}

function roundNear(round: number, low: number): number {
  const half = 2 ** 32;
  const same = round - (round % half) + low;
  if (same > round + half / 2 && same >= half) return same - half;
  return same < round - half / 2 ? same + half : same;
}

/** Puts a found segment into the log, with the index that its scan made, if it was scanned. */
function addToLog(log: SegmentLog, one: FoundSegment): void {
  log.append(one.segment);
  if (one.scan === undefined) return;
  const { index } = one.scan;
  one.segment.wide = index.wide;
  log.index.load(one.segment.slot, index.ids, index.offsets, index.mids);
}

/** Nothing in it counts. 'misplaced': it is another segment's file, in the place of what is gone. */
type Unread = 'unreadable' | 'misplaced';

async function loadSegment(
  handle: LoadedFile,
  file: SegmentFile,
  queue: string,
  storeUuid: Buffer,
  tombstones: TombstoneState,
  isWitnessed: boolean,
  durable: ReadonlyMap<number, number>,
  newest: boolean,
  options: LoadOptions,
  damage: Damage[],
): Promise<FoundSegment | Unread> {
  const { path, baseId, id } = file;
  const fileBytes = await handle.size();
  const head = Buffer.alloc(FILE_HEADER_BYTES);
  const headBytes = await handle.readAt(head, 0, FILE_HEADER_BYTES, 0);
  const decoding = decodeFileHeader(head.subarray(0, headBytes), 'segment');
  if (decoding.kind === 'unsupported') throw unsupportedError(path, queue, decoding.major);
  const matches =
    decoding.kind === 'ok' &&
    decoding.header.storeUuid.equals(storeUuid) &&
    decoding.header.fileId === id &&
    decoding.header.baseId === baseId;
  if (matches && isOfAnotherQueue(decoding.header, path)) {
    // Segment IDs are given out store-wide: no file of this name was ever in this queue, and nothing of it is lost with it.
    damage.push({ queue, file: path, offset: 0, bytes: fileBytes, what: OF_ANOTHER_QUEUE, lossless: false });
    return 'unreadable';
  }
  if (!matches) {
    // The newest one may be nothing yet; a header is synced before the name, so anywhere else it is damage.
    if (
      decoding.kind !== 'blank' ||
      !newest ||
      (durable.get(id) ?? 0) > 0 ||
      (fileBytes > FILE_HEADER_BYTES && !(await isZero(handle, fileBytes)))
    ) {
      const what =
        decoding.kind === 'ok'
          ? 'the header belongs to another segment or store'
          : 'the header is damaged: nothing in it can be read';
      damage.push({ queue, file: path, offset: 0, bytes: fileBytes, firstId: baseId, what, lossless: false });
    }
    return decoding.kind === 'ok' ? 'misplaced' : 'unreadable';
  }
  if (decoding.damaged) {
    damage.push({
      queue,
      file: path,
      offset: 0,
      bytes: FILE_HEADER_BYTES,
      what: 'one copy of a header is damaged; the other is intact',
      lossless: true,
    });
  }
  const { header, seed } = decoding;
  const init = { id, baseId, path, seed, flags: header.flags };
  const footer = await readFooter(handle, fileBytes, seed);
  const durableOffset = durable.get(id) ?? 0;
  const sealed = (header.flags & HEADER_FLAG_REWRITTEN) !== 0 || id < tombstones.sealedBelow;
  if (footer !== undefined) {
    const segment = new LogSegment({ ...init, phase: 'sealed', end: footer.summary.dataEnd, fileBytes });
    segment.adopt(footer.summary);
    if (!segment.isEmpty) segment.indexPlace = { kind: 'footer', footer };
    return {
      segment,
      header,
      headerDamaged: decoding.damaged,
      fileBytes,
      footer,
      scan: undefined,
      verdict: undefined,
      contentEnd: footer.summary.dataEnd,
      // It was synced before it got its name, or something says so; else it may be in the page cache only.
      durableOffset: sealed || durableOffset >= footer.end ? footer.end : footer.summary.dataEnd,
    };
  }

  let marks: IntakeMarks | undefined;
  const marksOf = (): IntakeMarks | undefined => {
    marks = options.intakeMs === undefined ? undefined : new IntakeMarks();
    return marks;
  };
  const scanTo = (size: number): Promise<SegmentScan> =>
    scanSegment(handle, size, seed, baseId, options.indexIntervalBytes, options.progress, undefined, marksOf(), {
      rewritten: (header.flags & HEADER_FLAG_REWRITTEN) !== 0,
      index: undefined,
    });
  let scan = await scanTo(fileBytes);
  const promised = Math.max(durableOffset, scan.promisedOffset);
  const isRecycled = (header.flags & HEADER_FLAG_RECYCLED) !== 0;
  const verdict = judgeSegment(scan, { durableOffset: promised, sealed, isWitnessed, isRecycled });
  if (verdict.cutAt !== undefined && scan.dataEnd > verdict.cutAt) scan = await scanTo(verdict.cutAt);
  // A copy had its footer before it had its name, and what it was made of had one before: those moves were over by then. In a store that was imported
  // an origin may be an ID that is another record's now.
  if ((header.flags & HEADER_FLAG_REWRITTEN) !== 0) scan.moved.length = 0;
  for (const range of verdict.damage) {
    const lost = range.lastId >= range.firstId;
    damage.push({
      queue,
      file: path,
      offset: range.offset,
      bytes: range.end - range.offset,
      ...(lost ? { firstId: range.firstId, lastId: range.lastId, ...timesToTell(range.fromMs, range.toMs) } : {}),
      // Nothing intact follows in this file: what comes behind it says how far it goes.
      ...(!lost && range.toMs === undefined ? { firstId: range.firstId } : {}),
      what: range.headerIntact ? 'the body of a commit is damaged' : 'frames are damaged',
      lossless: false,
    });
  }
  if (verdict.missingBytes > 0) {
    const what =
      scan.end < promised ? 'synced bytes at the end of a segment are gone' : 'a sealed segment has lost its footer';
    damage.push({
      queue,
      file: path,
      offset: scan.end,
      bytes: verdict.missingBytes,
      firstId: scan.lastId + 1,
      what,
      lossless: false,
    });
  }
  const contentEnd = verdict.cutAt ?? (scan.footerAt >= 0 ? scan.footerAt : scan.end);
  const segment = new LogSegment({ ...init, phase: 'rolled', end: contentEnd, fileBytes });
  const whole = scan.count === scan.lastId - scan.firstId + 1;
  segment.adopt({ ...scan, ...summaryTimes(scan.times), runs: whole ? undefined : scan.runs });
  segment.damaged = verdict.damage.length > 0;
  return {
    segment,
    header,
    headerDamaged: decoding.damaged,
    fileBytes,
    footer: undefined,
    scan,
    verdict,
    contentEnd,
    durableOffset: promised,
    ...(marks === undefined ? {} : { marks }),
  };
}

/** What is told of a segment that came here from elsewhere. */
const OF_ANOTHER_QUEUE = "a segment of another queue: nothing in it is this one's";

/** Whether nothing stands in the file: then it never came to hold anything. A sector that is gone leaves what is behind it. */
async function isZero(handle: LoadedFile, size: number): Promise<boolean> {
  const chunk = Buffer.allocUnsafe(Math.min(size, ZERO_CHECK_BYTES));
  for (let at = 0; at < size; ) {
    const held = await handle.readAt(chunk, 0, Math.min(chunk.length, size - at), at);
    if (held === 0) return true;
    if (!chunk.subarray(0, held).every((byte) => byte === 0)) return false;
    at += held;
  }
  return true;
}

const ZERO_CHECK_BYTES = 256 * 1024;

function isOfAnotherQueue({ queueMark }: FileHeader, path: string): boolean {
  return queueMark !== undefined && queueMark !== segmentQueueMark(path);
}

/** The link of a sealed segment is its first frame. */
async function linkOf(handle: LoadedFile, one: FoundSegment): Promise<SegmentScan['link']> {
  if (one.footer === undefined || one.segment.rewritten) return undefined;
  const end = Math.min(one.contentEnd, FILE_HEADER_BYTES + 48);
  return (await scanSegment(handle, end, one.segment.seed, one.segment.baseId, Number.MAX_SAFE_INTEGER)).link;
}

/** Whether the cut bytes of a torn segment may be something: those of a recycled file can be frames of its former life. */
export function worthKeeping(one: FoundSegment): boolean {
  if (one.verdict === undefined || one.verdict.cutAt === undefined || !one.verdict.cutHoldsBytes) return false;
  const { cutAt } = one.verdict;
  const recycled = (one.header.flags & HEADER_FLAG_RECYCLED) !== 0;
  return (
    !recycled ||
    one.verdict.cutHoldsCommits ||
    (one.scan?.damaged.some((range) => range.offset >= cutAt && range.headerIntact) ?? false)
  );
}
