/**
 * The one list of what is lost, from which an open, readers, `verify` and the plan of a repair speak.
 *
 * Every ID that was given out is in a segment, or was removed, which the tombstone log says; what is neither is lost. Damage that was met in files
 * says where, and how far it can go; of that the IDs are lost that should be there and are not. What is lost beside that was in a file that is missing.
 *
 * How far IDs are known to have been given out, to records that were durable:
 * - a tombstone log says so of all below some ID (`accountedBelow`);
 * - so does a segment of all below its own, since it is begun behind them; not one of a mode that resolves before the sync, unless the one that its link
 *   names is not there;
 * - between a segment and the one that its link names, which is there, no ID was ever given to a record. Where the link cannot be read, nothing tells
 *   whether the one that it names is there: records may be missing, which is told as doubt, unless a close says that none is.
 *
 * A log that keeps no accounts tells nothing of IDs between segments: what went with its segment is forgotten. Then only a close says that something is
 * missing, by how many records were live.
 *
 * Pure functions of what loading found.
 */
import { HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import { countIds } from '../tombstone/id-ranges.js';
import type { RemovedRanges } from '../tombstone/removed-ranges.js';
import type { TombstoneState } from '../tombstone/tombstone-scan.js';
import { type Damage, isOfRemovals } from './damage.js';
import type { LogSegment } from './log-segment.js';

/** A segment of the log, with what is there in it. */
export interface PresentSegment {
  readonly segment: LogSegment;
  /** Of one that was scanned and in which something is damaged: the IDs that are there, ascending. */
  readonly runs: readonly IdRange[] | undefined;
  /** The segment that its link names, if it has one; 'unreadable' where what stands in its place is damaged. */
  readonly link: number | 'unreadable' | undefined;
}

export interface LossFacts {
  readonly queue: string;
  readonly dir: string;
  /** In ID order, empty ones included. */
  readonly segments: readonly PresentSegment[];
  /** IDs of all segments whose files are there, whatever is in them. */
  readonly there: ReadonlySet<number>;
  readonly removed: RemovedRanges;
  readonly tombstones: TombstoneState;
  readonly nextId: number;
  readonly liveCount: number;
  /** Records that were live when the queue was closed, if it was and nothing happened since. */
  readonly closedWithLive: number | undefined;
  /** What was met in files. Without a last ID: up to the next record. */
  readonly damage: readonly Damage[];
  /** Of what stood last in the log the end is gone or cannot be read: nothing there tells how many records it had. */
  readonly isEndGone: boolean;
  /** Files went while they were being read: what is missed may have gone with them. */
  readonly hasVanished: boolean;
  /** The queue is in the register of its store, and this is missing of it: see `queue-evidence.ts`. */
  readonly evidence: string | undefined;
}

/** So many ranges are told one by one; what is behind them in one. */
const RANGES_TOLD_MAX = 4096;

/** All damage, each with the records that it has cost: both ends of each range of them, one entry a range. */
export function findLosses(facts: LossFacts): Damage[] {
  const absent = absentIn(facts);
  const lost = facts.removed.notIn(absent);
  const { parts, rest } = shareOut(
    lost,
    facts.damage.map((one) => extentOf(one, facts)),
  );
  const told = facts.damage.flatMap((damage, i) =>
    damage.firstId === undefined ? [damage] : withRanges(damage, parts[i] ?? []),
  );
  if (!facts.hasVanished) told.push(...findMissing(facts, absent, rest, told));
  return facts.tombstones.isLastLost ? withDoubt(told) : told;
}

/** Where the last round is lost, what has cost it says that more may be: once. */
function withDoubt(told: readonly Damage[]): Damage[] {
  const first = told.findIndex((one) => !one.lossless && isOfRemovals(one));
  return told.map((one, i) => (i === first ? { ...one, what: `${one.what}${BEHIND_LAST}` } : one));
}

const BEHIND_LAST = ', and records behind the last one may be lost';

/** `damage` once for each range that it has cost; once, without IDs, if that is none. */
export function withRanges(damage: Damage, ranges: readonly IdRange[]): Damage[] {
  const { firstId: _, lastId: __, ...rest } = damage;
  if (ranges.length === 0) return [rest];
  const told: Damage[] = ranges
    .slice(0, RANGES_TOLD_MAX)
    .map(({ first, last }) => ({ ...rest, firstId: first, lastId: last }));
  const next = ranges[RANGES_TOLD_MAX];
  const last = ranges.at(-1);
  if (next !== undefined && last !== undefined)
    told.push({ ...rest, firstId: next.first, lastId: last.last, vague: true });
  return told;
}

const MISSING = 'a segment file is missing';
const MAY_MISS = 'a segment file may be missing: the link that would tell is damaged';
const END_GONE = 'the end of the newest segment is gone';

function findMissing(
  facts: LossFacts,
  absent: readonly IdRange[],
  rest: readonly IdRange[],
  told: readonly Damage[],
): Damage[] {
  const { queue, dir, closedWithLive, liveCount, evidence } = facts;
  const isDoubtful = told.some((one) => !one.lossless && isOfRemovals(one));
  // Removals are lost: what is missing may have been removed. Where no account is left either, nothing tells how far it goes.
  const vague = isDoubtful ? ({ vague: true } as const) : {};
  const accountedBelow = facts.tombstones.accountedBelow || (isDoubtful ? Infinity : 0);
  const place = { queue, file: dir, offset: 0, bytes: 0, lossless: false };
  const what = evidence ?? MISSING;
  const missing: Damage[] = [];
  const candidates: IdRange[] = [];
  // Each range lies in one gap.
  for (const [i, ranges] of shareOut(rest, absent).parts.entries()) {
    const gap = absent[i];
    if (gap === undefined || ranges.length === 0) continue;
    const reach = reachIn(facts, accountedBelow, gap);
    const certain = { first: 1, last: reach.certainBelow - 1 };
    const { parts, rest: uncertain } = shareOut(ranges, [certain]);
    const [inside = []] = parts;
    if (inside.length > 0) missing.push(...withRanges({ ...place, ...vague, what }, inside));
    candidates.push(...uncertain);
    if (reach.mayGoOn && closedWithLive === undefined && uncertain.length > 0)
      missing.push(...withRanges({ ...place, what: MAY_MISS, vague: true }, uncertain));
  }
  const known = [...told, ...missing].filter((one) => one.vague !== true);
  const count = closedWithLive === undefined ? 0 : closedWithLive - liveCount - countIds(rangesOf(known));
  if (count > 0) {
    const named = countIds(candidates);
    const short = { ...place, what: `${what}: ${count} records that were live at the last close` };
    if (named < count) missing.push({ ...short, vague: true });
    else missing.push(...withRanges(named === count ? short : { ...short, vague: true }, candidates));
  } else if (closedWithLive !== undefined && liveCount > closedWithLive && !isDoubtful) {
    const more = `${liveCount} records are live, ${closedWithLive} were at the last close: a segment file is foreign`;
    missing.push({ ...place, what: more, vague: true });
  }
  const isNewestGone = lacksNewest(facts);
  // Whatever else is damaged: of what is gone that says nothing.
  if (missing.length === 0 && (isNewestGone || evidence !== undefined)) return [{ ...place, what, vague: true }];
  // Without a close there may have been more than is known of.
  if (facts.tombstones.closedWithLive !== undefined || !(isNewestGone || facts.isEndGone)) return missing;
  const open = isNewestGone ? what : END_GONE;
  missing.push({ ...place, what: `${open}: what was lost beside that is not known`, vague: true });
  return missing;
}

/**
 * Files went that held the last IDs: there may have been more than anything tells of, all of them acknowledged. `told` is what `findLosses` says. A close tells
 * of all, if no later round is lost. Where one is (`isLastLost`), files may have gone that nothing names: a writer goes on as if they had, whatever this says.
 */
export function isEndMissing(facts: LossFacts, told: readonly Damage[]): boolean {
  if (facts.tombstones.closedWithLive !== undefined && !facts.tombstones.isLastLost) return false;
  if (facts.isEndGone || facts.evidence !== undefined) return true;
  if (facts.hasVanished) return false;
  if (lacksNewest(facts)) return true;
  const last = facts.segments.findLast(({ segment }) => !segment.isEmpty)?.segment.lastId ?? 0;
  return told.some(({ file, lastId = 0 }) => file === facts.dir && lastId > last);
}

/** What is lost for certain, as ranges. */
export function rangesOf(damage: readonly Damage[]): IdRange[] {
  const ranges: IdRange[] = [];
  for (const { firstId, lastId } of damage)
    if (firstId !== undefined && lastId !== undefined) ranges.push({ first: firstId, last: lastId });
  return ranges;
}

/** The segment that was appended to when a round was written last, and all behind it, are not there. */
function lacksNewest({ there, tombstones: { dataSegmentId } }: LossFacts): boolean {
  if (dataSegmentId === 0) return false;
  for (const id of there) if (id >= dataSegmentId) return false;
  return true;
}

/** How far the IDs of a gap were given to records. */
interface Reach {
  /** All in front of it were, for certain. */
  readonly certainBelow: number;
  /** The others of the gap may have been, too: the link that would tell cannot be read. */
  readonly mayGoOn: boolean;
}

function reachIn({ segments, there }: LossFacts, accountedBelow: number, gap: IdRange): Reach {
  if (accountedBelow === 0) return { certainBelow: 0, mayGoOn: false };
  let before: LogSegment | undefined;
  let below = accountedBelow;
  for (const { segment, link } of segments) {
    if (segment.isEmpty) {
      // Made ahead of time, behind all that there was.
      if (isStrict(segment)) below = Math.max(below, segment.baseId);
      continue;
    }
    if (segment.lastId < gap.first) {
      before = segment;
      continue;
    }
    const isWithin = segment.firstId < gap.first;
    if (isWithin || (before !== undefined && link === before.id)) return { certainBelow: 0, mayGoOn: false };
    const isUnnamed = typeof link === 'number' && !there.has(link);
    const certainBelow = isStrict(segment) || isUnnamed ? Infinity : accountedBelow;
    return { certainBelow, mayGoOn: link === 'unreadable' };
  }
  return { certainBelow: below, mayGoOn: false };
}

/** What is in front of it was durable before it was begun. */
function isStrict({ relaxed, flags }: LogSegment): boolean {
  return !relaxed && (flags & HEADER_FLAG_REWRITTEN) === 0;
}

/**
 * IDs that are in no segment: between segments, in front of the first and behind the last; and within those that were scanned, where something is damaged. What
 * is not in a footer's runs was not there when that was written.
 */
function absentIn({ segments, nextId }: LossFacts): IdRange[] {
  const absent: IdRange[] = [];
  let next = 1;
  const present = (first: number, last: number): void => {
    if (first > next) absent.push({ first: next, last: first - 1 });
    next = Math.max(next, last + 1);
  };
  for (const { segment, runs } of segments) {
    if (segment.isEmpty) continue;
    if (runs === undefined) present(segment.firstId, segment.lastId);
    else for (const { first, last } of runs) present(first, last);
  }
  if (nextId > next) absent.push({ first: next, last: nextId - 1 });
  return absent;
}

/** The IDs that damage may have cost. Where it names no last one, everything up to the next record is in doubt. */
function extentOf({ firstId, lastId, file }: Damage, { segments, nextId }: LossFacts): IdRange | undefined {
  if (firstId === undefined) return undefined;
  if (lastId !== undefined) return { first: firstId, last: lastId };
  // Names sort as the log does.
  const behind = segments.find(({ segment }) => !segment.isEmpty && segment.path > file)?.segment.firstId ?? nextId;
  return { first: firstId, last: behind - 1 };
}

/**
 * Cuts ascending ranges up by extents, which may be in any order: what is in two of them goes to the one that begins first. `rest` is in none.
 */
function shareOut(
  ranges: readonly IdRange[],
  extents: readonly (IdRange | undefined)[],
): { readonly parts: IdRange[][]; readonly rest: IdRange[] } {
  const parts: IdRange[][] = extents.map(() => []);
  const rest: IdRange[] = [];
  const order = extents
    .flatMap((extent, i) => (extent === undefined ? [] : [{ ...extent, i }]))
    .sort((a, b) => a.first - b.first);
  let at = 0;
  for (const range of ranges) {
    let next = range.first;
    // The first extent that reaches up to it. One in front may end behind others: those are looked at again for the next range.
    while ((order[at]?.last ?? Infinity) < next) at++;
    for (let j = at; next <= range.last; j++) {
      const extent = order[j];
      if (extent === undefined || extent.first > range.last) break;
      if (extent.last < next) continue;
      if (extent.first > next) rest.push({ first: next, last: extent.first - 1 });
      const last = Math.min(range.last, extent.last);
      parts[extent.i]?.push({ first: Math.max(next, extent.first), last });
      next = last + 1;
    }
    if (next <= range.last) rest.push({ first: next, last: range.last });
  }
  return { parts, rest };
}
