/**
 * All segments of a queue as they are found, judged from the newest to the oldest: the link of each one says how much of the one before it had been
 * synced. And which of them count.
 */
import { EvaqError } from '../errors.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { Vfs } from '../vfs/vfs.js';
import { type EndsLook, FileVanished, openedAhead } from './opened-ahead.js';
import { openListed, type QueueListing } from './queue-listing.js';
import { type FoundSegment, linkOf, loadSegment, type SegmentLoading } from './segment-load.js';

export interface FoundSegments {
  /** In ID order, leftovers of rewrites included. */
  readonly found: readonly FoundSegment[];
  /** Which segment the link of each names, by its ID; 'unreadable' where what stands in its place is damaged. */
  readonly links: ReadonlyMap<number, number | 'unreadable'>;
  /** Files of which nothing can be read. */
  readonly unreadable: readonly string[];
  /** Behind the last ID that one of those can have held. */
  readonly unreadableEnd: number;
  /** One of those is not all there, and behind it is no record: how many there were is not known. */
  readonly isEndShort: boolean;
  /** Files that were listed and gone when they were to be read. */
  readonly vanished: number;
}

/** `loading.durable` is raised by the links on the way. Rejects as `loadSegment`, and with EVAQ_CORRUPT for a link in place of a file. */
export async function findSegments(
  vfs: Vfs,
  listing: QueueListing,
  loading: SegmentLoading,
  look: EndsLook | undefined,
): Promise<FoundSegments> {
  const { queue, durable } = loading;
  const found: FoundSegment[] = [];
  const links = new Map<number, number | 'unreadable'>();
  const unreadable: string[] = [];
  let unreadableEnd = 0;
  let isEndShort = false;
  let vanished = 0;
  let isLinkLost = false;
  // From the newest on, so that the link of each is known before the one it speaks of is judged.
  const files = [...listing.segments].sort((a, b) => b.baseId - a.baseId || b.id - a.id);
  let at = 0;
  for await (const handle of openedAhead(
    files.map(({ path }) => path),
    (path) => openListed(vfs, path, queue),
    look,
  )) {
    const newest = at === 0;
    const file = files[at++];
    if (handle === undefined || file === undefined) {
      vanished++;
      continue;
    }
    // What a link that cannot be read said of this one is lost, too.
    const witnessed = isLinkLost ? { ...loading, isWitnessed: false } : loading;
    isLinkLost = false;
    const one = await unlessVanished(loadSegment(handle, file, newest, witnessed));
    if (one === undefined) {
      vanished++;
      continue;
    }
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
    const link = await linkOf(handle, one);
    if (link === 'unreadable') {
      links.set(one.segment.id, link);
      isLinkLost = true;
    } else if (link !== 'none') {
      links.set(one.segment.id, link.segmentId);
      durable.set(link.segmentId, Math.max(durable.get(link.segmentId) ?? 0, link.durableOffset));
    }
  }
  found.reverse();
  return { found, links, unreadable, unreadableEnd, isEndShort, vanished };
}

/** Undefined: the file is gone. */
async function unlessVanished<T>(loading: Promise<T>): Promise<T | undefined> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof FileVanished) return undefined;
    throw error;
  }
}

/**
 * Those that count, in ID order, and the paths of those whose records are in another. Throws EVAQ_CORRUPT where two that count hold the same IDs: nobody may
 * choose between them.
 */
export function withoutReplaced(
  found: readonly FoundSegment[],
  queue: string,
): { readonly kept: readonly FoundSegment[]; readonly replaced: readonly string[] } {
  const replacedIds = new Set<number>();
  for (const { segment, footer } of found)
    for (const id of footer?.summary.replaces ?? []) if (id !== segment.id) replacedIds.add(id);
  const kept: FoundSegment[] = [];
  const replaced: string[] = [];
  for (const one of found) {
    const { segment } = one;
    if (replacedIds.has(segment.id)) {
      replaced.push(segment.path);
      continue;
    }
    const before = kept.at(-1)?.segment;
    if (before !== undefined && !segment.isEmpty && !before.isEmpty && before.lastId >= segment.firstId) {
      throw new EvaqError('EVAQ_CORRUPT', `queue '${queue}': ${segment.path} holds IDs that ${before.path} holds too`, {
        details: { queue, path: segment.path, id: segment.firstId, lastId: segment.lastId },
        hint: 'A foreign or restored file is in the folder; move it away.',
      });
    }
    kept.push(one);
  }
  return { kept, replaced };
}
