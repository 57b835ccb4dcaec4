/**
 * Reads a queue's folder as a crash, or somebody's disk, left it: scans and judges. Never writes, takes no lock: what opening for writing,
 * opening for reading and `verify` share. Which files there are says `queue-listing`, what was removed `tombstone-load`, which segments there are
 * `segments-found`, and what should be there and is not `losses`. Tombstones first, for they say up to where the data had been synced.
 */
import { FIRST_RECORD_ID, highestGiven, NEXT_ID_MAX } from '../ids.js';
import { loadIntake } from '../intake/intake-load.js';
import { IntakeState } from '../intake/intake-state.js';
import { RemovedRanges } from '../tombstone/removed-ranges.js';
import type { TombstoneState } from '../tombstone/tombstone-scan.js';
import type { Vfs } from '../vfs/vfs.js';
import type { Damage } from './damage.js';
import { findLosses, isEndMissing, type LossFacts, type PresentSegment } from './losses.js';
import type { EndsLook } from './opened-ahead.js';
import { missingEvidence } from './queue-evidence.js';
import { listQueue, openListed, type QueueListing, unsupportedError } from './queue-listing.js';
import type { FoundSegment, SegmentLoading } from './segment-load.js';
import { SegmentLog } from './segment-log.js';
import { findSegments, withoutReplaced } from './segments-found.js';
import { loadTombstones } from './tombstone-load.js';

export type { Damage } from './damage.js';

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
  /**
   * Below it are the IDs of all records that the files tell of: `nextId`, without those that a writer in a weaker mode may have given out besides. Such a
   * writer goes on here while it lives, so what is moved or pushed later is told by it.
   */
  readonly seenBelow: number;
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
  /** How ends of files may be read in the calling thread. */
  readonly look?: EndsLook;
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

  const loading: SegmentLoading = {
    queue,
    storeUuid,
    indexIntervalBytes: options.indexIntervalBytes,
    progress: options.progress,
    withIntake: options.intakeMs !== undefined,
    sealedBelow: tombstones.sealedBelow,
    // What they said of the data is lost with removals.
    isWitnessed: damage.every(({ lossless }) => lossless),
    // Raised by the links as they are met; one map for all segments, of which there may be ten thousand.
    durable: new Map(tombstones.durableData),
    damage,
  };
  const segments = await findSegments(vfs, listing, loading, options.look);
  const { unreadable, vanished } = segments;
  const intake = await loadIntakeOf(vfs, dir, queue, storeUuid, listing, options.intakeMs, damage);
  intake.isNamed = tombstones.hasIntake && intake.file !== undefined;
  if (options.intakeMs !== undefined && tombstones.hasIntake && listing.intake.length === 0)
    damage.push({ queue, file: dir, offset: 0, bytes: 0, what: INTAKE_MISSING, lossless: false });

  const log = new SegmentLog(options.indexIntervalBytes);
  const { kept, replaced } = withoutReplaced(segments.found, queue);
  // Of what does not count no damage is told: another speaks for it.
  for (let i = damage.length - 1; i >= 0; i--) if (replaced.includes(damage[i]?.file ?? '')) damage.splice(i, 1);
  if (options.intakeMs !== undefined) {
    for (const { marks, segment } of kept)
      if (marks !== undefined) intake.adopt(marks, segment.lastId, options.intakeMs);
  }
  // Empty segments have nothing to be found by, and would stand in the way of the order.
  for (const one of kept) if (!one.segment.isEmpty) addToLog(log, one);
  await removeFrom(log, removed, options.pause);
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
  const clean =
    tombstones.closedWithLive !== undefined &&
    kept.every(({ footer, segment }) => footer !== undefined || segment.isEmpty);
  const known = Math.max(FIRST_RECORD_ID, tombstones.nextId, segments.unreadableEnd, removed.last + 1);
  let seenBelow = endOfIds(kept, known);
  let nextId = clean ? seenBelow : Math.max(seenBelow, highWater(kept));
  const evidence = options.isRegistered === true ? missingEvidence(listing) : undefined;
  const facts: LossFacts = {
    queue,
    dir,
    segments: kept.map((one) => presentIn(one, segments.links)),
    there: new Set(listing.segments.map(({ id }) => id)),
    removed,
    tombstones,
    // Where the queue was closed the IDs that were given out are known.
    nextId: clean ? Math.min(nextId, Math.max(tombstones.nextId, log.lastVisibleId + 1)) : nextId,
    liveCount: log.liveCount,
    closedWithLive: clean ? tombstones.closedWithLive : undefined,
    damage,
    isEndGone: segments.isEndShort || isEndGone(kept),
    hasVanished: vanished > 0,
    evidence,
  };
  const told = findLosses(facts);
  if (isEndMissing(facts, told)) nextId = seenBelow = Math.max(nextId, options.idFloor ?? 0);
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
    seenBelow,
    nextId,
    segmentIdMax: segments.found.reduce(
      (highest, { segment }) => Math.max(highest, segment.id),
      tombstones.segmentIdMax,
    ),
    segmentIds: listing.segmentIds,
    damage: told,
    vanished,
    clean,
  };
}

/** Behind the last ID that `kept` tell of, damage included; `known` at least. Of a file that cannot be read the IDs are guessed. */
function endOfIds(kept: readonly FoundSegment[], known: number): number {
  let end = known;
  for (const { header, segment, scan } of kept) {
    end = Math.max(end, header.baseId, segment.isEmpty ? 0 : segment.lastId + 1);
    for (const { lastId } of scan?.damaged ?? []) end = Math.max(end, lastId + 1);
  }
  return Math.min(end, NEXT_ID_MAX);
}

/** IDs that were handed out before they were durable must not come again, though their records may be gone. */
function highWater(kept: readonly FoundSegment[]): number {
  let high = 0;
  for (const { header, segment, footer } of kept)
    if (segment.relaxed && footer === undefined) high = Math.max(high, header.idHighWater);
  return Math.min(high, NEXT_ID_MAX);
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

function presentIn({ segment, scan }: FoundSegment, links: ReadonlyMap<number, number | 'unreadable'>): PresentSegment {
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
