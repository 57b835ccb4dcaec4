/**
 * Which records are lost to the damage that loading a queue found, as ranges of IDs: those that should be there, are not, and
 * were not removed. Reading by default stops in front of them rather than pass over a loss in silence.
 */
import type { IdRange } from '../ids.js';
import type { Damage, LoadedQueue } from '../log/log-load.js';
import type { SegmentLog } from '../log/segment-log.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import { scanTombstones } from '../tombstone/tombstone-scan.js';
import type { Vfs } from '../vfs/vfs.js';

export interface LostRange extends IdRange {
  readonly damage: Damage;
}

/** Ascending and disjoint. Reads the tombstone logs again where there is damage to be explained, and nothing otherwise. */
export async function findLost(vfs: Vfs, loaded: LoadedQueue, storeUuid: Buffer): Promise<LostRange[]> {
  const suspects = loaded.damage
    .map((damage) => ({ damage, range: extentOf(damage, loaded) }))
    .filter(({ range }) => range.first <= range.last)
    .sort((a, b) => a.range.first - b.range.first);
  if (suspects.length === 0) return [];
  const removed = await removedRanges(vfs, loaded, storeUuid);
  const lost: LostRange[] = [];
  let next = 0;
  for (const { damage, range } of suspects) {
    const from = Math.max(next, range.first);
    for (const gap of gapsOf(loaded.log, from, range.last, removed)) lost.push({ ...gap, damage });
    next = Math.max(next, range.last + 1);
  }
  return lost;
}

/** The IDs that damage may have cost. Where it names no last one, everything up to the next record is in doubt. */
function extentOf(damage: Damage, loaded: LoadedQueue): IdRange {
  const { firstId, lastId } = damage;
  if (firstId === undefined) return { first: 0, last: -1 };
  if (lastId !== undefined) return { first: firstId, last: lastId };
  let first = firstId;
  for (const { segment } of loaded.found) {
    if (segment.isEmpty || segment.lastId < first) continue;
    // A segment made ahead of time has a base ID that those before it passed; what they hold is not in doubt.
    if (segment.firstId <= first) first = segment.lastId + 1;
    else return { first, last: segment.firstId - 1 };
  }
  return { first, last: Math.max(loaded.nextId, first) - 1 };
}

async function removedRanges(vfs: Vfs, loaded: LoadedQueue, storeUuid: Buffer): Promise<IdRange[]> {
  const ranges: IdRange[] = [];
  for (const path of loaded.tombstoneLogs) {
    const file = await vfs.open(path, 'read');
    try {
      await scanTombstones(file, path, await file.size(), storeUuid, (first, last) => ranges.push({ first, last }));
    } finally {
      await file.close().catch(() => undefined);
    }
  }
  return mergeRanges(ranges);
}

/** Parts of [first, last] that are neither live nor removed. */
function gapsOf(log: SegmentLog, first: number, last: number, removed: readonly IdRange[]): IdRange[] {
  const gaps: IdRange[] = [];
  let at = 0;
  for (let next = first; next <= last; ) {
    const range = removed[at];
    if (range !== undefined && range.last < next) {
      at++;
      continue;
    }
    if (range !== undefined && range.first <= next) {
      next = range.last + 1;
      continue;
    }
    const live = log.firstLive(next);
    const end = Math.min(last, (range?.first ?? Infinity) - 1, (live ?? Infinity) - 1);
    if (end >= next) gaps.push({ first: next, last: end });
    next = live !== undefined && live === end + 1 ? live + 1 : end + 1;
  }
  return gaps;
}
