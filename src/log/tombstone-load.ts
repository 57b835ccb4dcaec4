/**
 * Reads the tombstone logs of a queue and judges the newest: what was removed, and what its rounds say of the data.
 */
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { RemovedRanges } from '../tombstone/removed-ranges.js';
import {
  newTombstoneState,
  scanTombstones,
  type TombstoneRange,
  type TombstoneState,
} from '../tombstone/tombstone-scan.js';
import type { Vfs } from '../vfs/vfs.js';
import { type Damage, headerCopyDamage } from './damage.js';
import { openListed, type QueueListing, unsupportedError } from './queue-listing.js';

/**
 * All logs that are there count, since what was removed stays removed: an older generation is a subset of the newer one, unless that is
 * damaged.
 */
export async function loadTombstones(
  vfs: Vfs,
  listing: QueueListing,
  queue: string,
  storeUuid: Buffer,
  damage: Damage[],
  removed: RemovedRanges,
): Promise<TombstoneState> {
  let state = newTombstoneState();
  let isLastLost = listing.tombstones.length === 0 && listing.segments.length > 0;
  for (const [i, { path }] of listing.tombstones.entries()) {
    const newest = i === listing.tombstones.length - 1;
    const file = await openListed(vfs, path, queue);
    if (file === undefined) continue;
    try {
      const size = await file.size();
      const scan = await scanTombstones(file, path, size, storeUuid, (first, last) => removed.add(first, last));
      if (scan.kind === 'unsupported') throw unsupportedError(path, queue, scan.major);
      if (scan.kind === 'unreadable') {
        isLastLost ||= newest;
        damage.push({
          queue,
          file: path,
          offset: 0,
          bytes: size,
          what: 'the header of a tombstone log is damaged, or of another queue: removals may be undone',
          lossless: false,
        });
        continue;
      }
      if (scan.headerDamaged) damage.push(headerCopyDamage(queue, path));
      const promised = Math.max(scan.state.promisedOffset, scan.header.baseId);
      const lost = scan.state.missingRounds + (scan.state.snapshotComplete ? 0 : 1);
      // Numbers that leave something out, and no byte in front that is bad: nobody writes that. What is torn in front of a good round held the others.
      const badBefore = Math.max(promised, scan.state.end);
      if (newest && lost > 0 && !scan.state.damaged.some(({ offset }) => offset < badBefore) && size >= promised) {
        const what = `${lost} rounds of removals are lost`;
        damage.push({ queue, file: path, offset: FILE_HEADER_BYTES, bytes: 0, what, lossless: false });
      }
      for (const range of scan.state.damaged) {
        if (range.offset >= promised || !newest) continue;
        if (lost > 0 && range.end > scan.state.end) isLastLost = true;
        damage.push({
          queue,
          file: path,
          offset: range.offset,
          bytes: range.end - range.offset,
          what: lost > 0 ? `${lost} rounds of removals are lost` : 'a round of removals is damaged; its copy is intact',
          lossless: lost === 0,
        });
      }
      if (newest) {
        // What else is bad may be of what the file held before.
        const isOfThis = (one: TombstoneRange): boolean => one.headerIntact || one.end <= scan.state.end;
        const torn = scan.state.damaged.filter((one) => one.offset >= promised && isOfThis(one));
        const [first] = torn;
        const end = torn.at(-1)?.end ?? 0;
        if (first !== undefined) scan.state.torn = { file: path, offset: first.offset, bytes: end - first.offset };
      }
      // By the size of the file: what is there and bad has been told above, and may have an intact copy.
      if (newest && size < promised) {
        isLastLost = true;
        damage.push({
          queue,
          file: path,
          offset: Math.min(size, scan.state.end),
          bytes: promised - Math.min(size, scan.state.end),
          what: 'the end of a tombstone log is gone',
          lossless: false,
        });
      }
      state = mergeStates(state, scan.state);
    } finally {
      await file.close().catch(() => undefined);
    }
  }
  if (listing.tombstones.length === 0 && listing.segments.length > 0) {
    damage.push({
      queue,
      file: listing.segments[0]?.path ?? '',
      offset: 0,
      bytes: 0,
      what: 'the tombstone log is missing: removals may be undone',
      lossless: false,
    });
  }
  state.isLastLost = isLastLost;
  return state;
}

/** The older state is superseded in all but what only grows. */
function mergeStates(older: TombstoneState, newer: TombstoneState): TombstoneState {
  for (const [id, offset] of older.durableData) {
    newer.durableData.set(id, Math.max(offset, newer.durableData.get(id) ?? 0));
  }
  return {
    ...newer,
    generation: Math.max(older.generation, newer.generation),
    round: Math.max(older.round, newer.round),
    supersedes: older.round <= newer.round,
    nextId: Math.max(older.nextId, newer.nextId),
    accountedBelow: Math.max(older.accountedBelow, newer.accountedBelow),
    sealedBelow: Math.max(older.sealedBelow, newer.sealedBelow),
    segmentIdMax: Math.max(older.segmentIdMax, newer.segmentIdMax),
  };
}
