/**
 * Which records are lost, as ranges of IDs. Loading a queue tells it of what it scans and of files that are missing (`log/losses.ts`); of a sealed segment,
 * for whose body it takes the word of the footer, this does, when the body is read.
 */
import type { IdRange } from '../ids.js';
import type { Damage } from '../log/damage.js';
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
