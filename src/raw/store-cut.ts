/**
 * One moment of a store that is in use, for a backup: of each queue which segments there are, how far each reaches, and which records are live; so that
 * of all queues together it could have been the state of the store, but for records that were removed or moved while it was being looked at.
 *
 * Queues are looked at one after the other, and records move between them meanwhile. So each is looked at twice, and what has arrived from another queue
 * is told by its origin:
 *
 *     it arrived, and its queue was looked at after that     it is there: at its source it is not live, whatever that one's removals said by then
 *     it arrived behind what was seen of its queue           it is not there yet: at its source it is live still
 *     what is known of it does not fit together, or a file   look at everything again
 *     went away in between
 *
 * What GC takes away belongs to records that are removed. A removal that was durable before the first look is seen by it, and none is taken back here
 * but that of a move whose other end is not in the cut.
 */
import { EvaqError, isNotFound } from '../errors.js';
import { HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import type { RecordOrigin } from '../frame/metadata.js';
import type { IdRange } from '../ids.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { FoundSegment } from '../log/segment-load.js';
import type { MovedRecord } from '../segment/segment-scan.js';
import { loadStable, type QueuePlace } from './raw-picture.js';
import { RawSegment } from './raw-segment.js';

export interface QueueCut {
  readonly place: QueuePlace;
  /** With its liveness as it is in the cut. */
  readonly loaded: LoadedQueue;
}

/**
 * By queue, the IDs of records in segments that had their footers before the cut was begun: of what had moved into those all removals at the sources were
 * durable by then, and that is long ago where the store was imported: what is now at such an ID of the source may be another record. By IDs and not by
 * files, for GC writes such records anew meanwhile.
 */
export type SettledIds = ReadonlyMap<string, readonly IdRange[]>;

/** Those of one queue, ascending. What is between two segments that are in it belongs to it: no record comes there any more. */
export function settledIn({ found }: LoadedQueue): IdRange[] {
  const ranges: IdRange[] = [];
  let isJoined = false;
  for (const { segment, header, footer } of found) {
    if (segment.isEmpty) continue;
    // A copy had its footer before it had its name; so had what it is a copy of.
    const isSettled = footer !== undefined || (header.flags & HEADER_FLAG_REWRITTEN) !== 0;
    const newest = isJoined ? ranges.pop() : undefined;
    if (isSettled) ranges.push({ first: newest?.first ?? segment.firstId, last: segment.lastId });
    else if (newest !== undefined) ranges.push(newest);
    isJoined = isSettled;
  }
  return ranges;
}

/**
 * `undefined`: it changed while it was looked at; to be tried again. Rejects with EVAQ_CORRUPT where anything is damaged, EVAQ_UNSUPPORTED_VERSION, or
 * EVAQ_IO.
 */
export async function cutStore(
  places: readonly QueuePlace[],
  settled: SettledIds,
): Promise<readonly QueueCut[] | undefined> {
  const cuts = new Map<string, QueueCut>();
  const laters = new Map<string, LoadedQueue>();
  for (const place of places) cuts.set(place.queue, { place, loaded: await loadIntact(place) });
  for (const place of places) laters.set(place.queue, await loadIntact(place));
  try {
    const late = new Map<string, readonly MovedRecord[]>();
    const inCut = new Map<string, readonly MovedRecord[]>();
    const ways = new Ways();
    for (const { place, loaded } of cuts.values()) {
      late.set(place.queue, await arrivals(place, laters.get(place.queue)?.found ?? [], settled));
      inCut.set(place.queue, await arrivals(place, loaded.found, settled));
    }
    for (const arrived of [late, inCut]) for (const [queue, records] of arrived) ways.add(queue, records);
    // What had left a queue before the look at it, for one that had been looked at already, is nowhere: it is put back. Where it had gone on from there to a
    // place that is in the cut, that one speaks for it.
    for (const [queue, { loaded }] of cuts) {
      for (const { id, origin } of late.get(queue) ?? []) {
        if (id < loaded.seenBelow || ways.leadsInto(cuts, queue, id)) continue;
        if (!putBack(origin, cuts.get(origin.queue), laters.get(origin.queue))) return undefined;
      }
    }
    for (const arrived of inCut.values())
      for (const { origin } of arrived) cuts.get(origin.queue)?.loaded.log.kill(origin.id);
  } catch (error) {
    if (isNotFound(error) || (error instanceof EvaqError && isNotFound(error.cause))) return undefined;
    throw error;
  }
  return [...cuts.values()];
}

/** Where records went from where they had been: out of the dead letters and into them again, say. */
class Ways {
  /** By queue and ID. */
  readonly #next = new Map<string, Map<number, { readonly queue: string; readonly id: number }>>();

  add(queue: string, arrived: readonly MovedRecord[]): void {
    for (const { id, origin } of arrived) {
      const next = this.#next.get(origin.queue) ?? new Map<number, { queue: string; id: number }>();
      this.#next.set(origin.queue, next.set(origin.id, { queue, id }));
    }
  }

  /** Whether the record that came to `id` went on to a place that is in the cut, live or dead. */
  leadsInto(cuts: ReadonlyMap<string, QueueCut>, queue: string, id: number): boolean {
    const been = new Set<object>();
    let at = this.#next.get(queue)?.get(id);
    while (at !== undefined && !been.has(at)) {
      been.add(at);
      const cut = cuts.get(at.queue)?.loaded;
      if (cut !== undefined && at.id < cut.seenBelow && isIn(cut.found, at.id)) return true;
      at = this.#next.get(at.queue)?.get(at.id);
    }
    return false;
  }
}

/** Loads a queue. Rejects with EVAQ_CORRUPT where it is damaged so that something is lost. */
export async function loadIntact(place: QueuePlace): Promise<LoadedQueue> {
  const { loaded, damage } = await loadStable(place);
  const lost = damage.find(({ lossless }) => !lossless);
  if (lost === undefined) return loaded;
  const { file, offset, bytes, what } = lost;
  throw new EvaqError('EVAQ_CORRUPT', `queue '${place.queue}': ${file} is damaged at offset ${offset}: ${what}`, {
    details: { queue: place.queue, path: file, offset, bytes },
    hint: "See 'evaq verify' for all of it, and 'evaq repair', which keeps what it changes; or copy the folder while nobody has it open.",
  });
}

/** Records that came from other queues, of which it is not known that their sources have forgotten them. */
async function arrivals(
  { vfs, queue }: QueuePlace,
  found: readonly FoundSegment[],
  settled: SettledIds,
): Promise<readonly MovedRecord[]> {
  const known = settled.get(queue) ?? [];
  const arrived: MovedRecord[] = [];
  for (const { segment, header, scan } of found) {
    if (segment.isEmpty || known.some(({ first, last }) => first <= segment.firstId && segment.lastId <= last))
      continue;
    // The scan of a copy says nothing of moves.
    if (scan !== undefined && (header.flags & HEADER_FLAG_REWRITTEN) === 0) {
      arrived.push(...scan.moved);
      continue;
    }
    await using raw = await RawSegment.open(segment.path, { vfs });
    for await (const entry of raw.records()) {
      if (entry.valid && entry.record.origin !== undefined)
        arrived.push({ id: entry.record.id, origin: entry.record.origin });
    }
  }
  return arrived.filter(({ id }) => !known.some(({ first, last }) => first <= id && id <= last));
}

/** A record has left its origin for a place that is not in the cut. False: where it was cannot be told any more. */
function putBack({ id }: RecordOrigin, source: QueueCut | undefined, later: LoadedQueue | undefined): boolean {
  // Of a queue that was made meanwhile.
  if (source === undefined || later === undefined) return false;
  const { log, found, seenBelow } = source.loaded;
  if (log.isLive(id)) return true;
  if (id < seenBelow) {
    if (!isIn(found, id)) return false;
    log.revive(id);
    return true;
  }
  // It had come there only after that queue was looked at. Where it had been before, its arrival there tells; or it had not come by the second look, either.
  return id >= later.seenBelow || isIn(later.found, id);
}

/** Whether a record is in a segment, live or dead. */
function isIn(found: readonly FoundSegment[], id: number): boolean {
  return found.some(
    (one) => !one.segment.isEmpty && one.segment.firstId <= id && id <= one.segment.lastId && holds(one, id),
  );
}

function holds({ footer, scan }: FoundSegment, id: number): boolean {
  const runs = footer === undefined ? scan?.runs : footer.summary.runs;
  return runs === undefined || runs.some(({ first, last }) => first <= id && id <= last);
}
