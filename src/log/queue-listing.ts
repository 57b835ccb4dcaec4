/**
 * The files of a queue by what they are, and the opening of them. A name that is none of ours is foreign and left alone.
 */
import { codeOf, EvaqError, isNotFound } from '../errors.js';
import type { SegmentId } from '../ids.js';
import { parseIntakeFileName } from '../intake/intake-name.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';

export interface SegmentFile {
  readonly path: string;
  readonly baseId: number;
  readonly id: SegmentId;
}

export interface QueueListing {
  readonly segments: SegmentFile[];
  readonly unfinished: string[];
  readonly pool: string[];
  /** Oldest first. */
  readonly tombstones: { readonly path: string; readonly generation: number }[];
  /** Oldest first. */
  readonly intake: { readonly path: string; readonly generation: number }[];
  /** The segment IDs in the names of files. */
  readonly segmentIds: number[];
}

/** Rejects with EVAQ_CORRUPT for a link in place of a file, or with the system error. */
export async function listQueue(vfs: Vfs, dir: string, queue: string): Promise<QueueListing> {
  const listing: QueueListing = { segments: [], unfinished: [], pool: [], tombstones: [], intake: [], segmentIds: [] };
  for (const entry of await vfs.list(dir)) {
    const path = `${dir}/${entry.name}`;
    const segment = parseSegmentFileName(entry.name);
    const tombstone = parseTombstoneFileName(entry.name);
    const intake = parseIntakeFileName(entry.name);
    if (segment === undefined && tombstone === undefined && intake === undefined) continue;
    if (entry.kind !== 'file') {
      throw new EvaqError('EVAQ_CORRUPT', `queue '${queue}': ${path} is not a regular file`, {
        details: { queue, path },
        hint: 'Links in place of segments are refused; put the file itself there, or move the link away.',
      });
    }
    if (segment !== undefined) {
      listing.segmentIds.push(segment.segmentId);
      if (segment.kind === 'free') listing.pool.push(path);
      else if (segment.kind === 'unfinished') listing.unfinished.push(path);
      else listing.segments.push({ path, baseId: segment.baseId, id: segment.segmentId });
    } else if (tombstone?.kind === 'unfinished' || intake?.kind === 'unfinished') {
      listing.unfinished.push(path);
    } else if (tombstone !== undefined) {
      listing.tombstones.push({ path, generation: tombstone.generation });
    } else if (intake !== undefined) {
      listing.intake.push({ path, generation: intake.generation });
    }
  }
  listing.tombstones.sort((a, b) => a.generation - b.generation);
  listing.intake.sort((a, b) => a.generation - b.generation);
  return listing;
}

/** Opens a file that was listed; `undefined` where it is gone. Rejects with EVAQ_CORRUPT for a link, or with the system error. */
export async function openListed(vfs: Vfs, path: string, queue: string): Promise<VfsFile | undefined> {
  try {
    return await vfs.open(path, 'read');
  } catch (error) {
    // Reading beside a writer: GC took it meanwhile.
    if (isNotFound(error)) return undefined;
    if (codeOf(error) === 'ELOOP') {
      throw new EvaqError('EVAQ_CORRUPT', `queue '${queue}': ${path} is a symbolic link`, {
        cause: error,
        details: { queue, path },
      });
    }
    throw error;
  }
}

export function unsupportedError(path: string, queue: string, major: number): EvaqError {
  return new EvaqError(
    'EVAQ_UNSUPPORTED_VERSION',
    `${path} has format ${major}, which this version of evaq does not know`,
    {
      details: { path, queue },
      hint: 'Open the store with the newer evaq that wrote it.',
    },
  );
}
