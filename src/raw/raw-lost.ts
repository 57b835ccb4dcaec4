/**
 * Which records are lost, as ranges of IDs. Loading a queue tells it of what it scans and of files that are missing (`log/losses.ts`); of a sealed segment,
 * for whose body it takes the word of the footer, this does, when the body is read.
 */
import type { IdRange } from '../ids.js';
import { type Damage, isOfRemovals } from '../log/damage.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { LogSegment } from '../log/log-segment.js';

export interface LostRange extends IdRange {
  readonly damage: Damage;
}

/** Ascending. Reading by default stops in front of them rather than pass over a loss in silence. */
export function lostRanges(damage: readonly Damage[]): LostRange[] {
  const lost: LostRange[] = [];
  for (const one of damage) {
    const { firstId, lastId, vague } = one;
    if (vague === true || firstId === undefined || lastId === undefined) continue;
    lost.push({ first: firstId, last: lastId, damage: one });
  }
  return lost.sort((a, b) => a.first - b.first);
}

type Loaded = Pick<LoadedQueue, 'log' | 'nextId'>;

/**
 * Ranges of IDs of which some are lost, and which is not known, by their ends. The last ID of each is of no record that is there: that is where it is told.
 */
export function vagueLosses(damage: readonly Damage[], loaded: Loaded): LostRange[] {
  const vague: LostRange[] = [];
  for (const one of damage) {
    const range = one.vague === true ? vagueRange(one, loaded) : undefined;
    if (range !== undefined) vague.push({ ...range, damage: one });
  }
  return vague.sort((a, b) => a.last - b.last);
}

/**
 * What no ID stands for, among all that were given out: removals are lost, so that what is there may have been removed; or records are lost that stood
 * behind all that are there.
 */
export function doubtOf(damage: readonly Damage[], loaded: Loaded): LostRange | undefined {
  const isShown = loaded.log.liveCount > 0;
  const found = damage.find((one) =>
    one.vague === true ? vagueRange(one, loaded) === undefined : isShown && !one.lossless && isOfRemovals(one),
  );
  return found && { first: 1, last: Math.max(loaded.nextId - 1, 1), damage: found };
}

/** As far as an ID in it has no record: what is live is not lost. */
function vagueRange({ firstId, lastId }: Damage, { log, nextId }: Loaded): IdRange | undefined {
  const first = firstId ?? 1;
  let last = lastId ?? Math.max(nextId - 1, 1);
  while (last >= first && log.isLive(last)) last--;
  return last < first ? undefined : { first, last };
}

/** Live records of the segment that are in none of `runs`, as maximal ranges of IDs that are not there. */
export function liveOutside(segment: LogSegment, runs: readonly IdRange[]): IdRange[] {
  const missing: IdRange[] = [];
  let at = 0;
  for (const live of segment.live.liveRuns()) {
    let next = live.first;
    for (let run = runs[at]; run !== undefined && run.first <= live.last; run = runs[++at]) {
      if (run.last < next) continue;
      if (run.first > next) missing.push({ first: next, last: run.first - 1 });
      next = run.last + 1;
      // It may reach into the next one, too.
      if (run.last > live.last) break;
    }
    if (next <= live.last) missing.push({ first: next, last: live.last });
  }
  return missing;
}
