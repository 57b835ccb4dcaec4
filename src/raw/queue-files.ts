/**
 * The names in a queue's folder, as a reader beside a writer sees them, and what a change of names means to it.
 *
 * A listing is not a snapshot: a file renamed while the folder is read may be missed. What makes that harmless are the
 * names: segment IDs and generations are never used again, a file is renamed away before it is overwritten, and GC names its
 * result before it takes the originals away.
 */
import { isNotFound } from '../errors.js';
import { parseIntakeFileName } from '../intake/intake-name.js';
import { lostQueueError } from '../layout/queue-names.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import type { Vfs, VfsEntry } from '../vfs/vfs.js';

export interface QueueFiles {
  readonly entries: readonly VfsEntry[];
  /** By name: the base ID. */
  readonly segments: ReadonlyMap<string, number>;
  readonly tombstones: ReadonlySet<string>;
  readonly intake: ReadonlySet<string>;
  /** Names of the recycle pool. */
  readonly pool: readonly string[];
}

/** A folder that is not there holds nothing: the wal of a store whose making was cut short. Rejects with EVAQ_CORRUPT where a link leads nowhere. */
export async function listQueueFiles(vfs: Vfs, dir: string): Promise<QueueFiles> {
  let entries: VfsEntry[];
  try {
    entries = await vfs.list(dir);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    if ((await vfs.stat(dir)) !== undefined)
      throw lostQueueError({ name: dir.slice(dir.lastIndexOf('/') + 1), path: dir });
    entries = [];
  }
  const segments = new Map<string, number>();
  const tombstones = new Set<string>();
  const intake = new Set<string>();
  const pool: string[] = [];
  for (const { name } of entries) {
    const segment = parseSegmentFileName(name);
    if (segment?.kind === 'segment') segments.set(name, segment.baseId);
    else if (segment?.kind === 'free') pool.push(name);
    else if (parseTombstoneFileName(name)?.kind === 'log') tombstones.add(name);
    else if (parseIntakeFileName(name)?.kind === 'log') intake.add(name);
  }
  return { entries, segments, tombstones, intake, pool };
}

/** True if nothing came and nothing went: what was loaded is still all there is, but for what was appended since. */
export function haveSameNames(a: QueueFiles, b: QueueFiles): boolean {
  if (a.segments.size !== b.segments.size) return false;
  if (!sameSet(a.tombstones, b.tombstones) || !sameSet(a.intake, b.intake)) return false;
  for (const name of b.segments.keys()) if (!a.segments.has(name)) return false;
  return true;
}

/**
 * True if what was loaded between the two listings may be wrong and not just old: GC put a rewritten segment among the others
 * (the originals may have been missed, with their records), or the tombstones went over to a new generation.
 *
 * Segments that only went had no live record left; segments that came at the end are news for the next look.
 */
export function wasDisturbed(before: QueueFiles, after: QueueFiles): boolean {
  if (!sameSet(before.tombstones, after.tombstones)) return true;
  let baseIdMax = -1;
  for (const baseId of before.segments.values()) baseIdMax = Math.max(baseIdMax, baseId);
  for (const [name, baseId] of after.segments) if (!before.segments.has(name) && baseId <= baseIdMax) return true;
  return false;
}

/** Whether the file at `path`, or the folder itself, is part of the listing. */
export function isListed(files: QueueFiles, dir: string, path: string): boolean {
  const name = path.slice(dir.length + 1);
  return path === dir || files.segments.has(name) || files.tombstones.has(name) || files.intake.has(name);
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const name of b) if (!a.has(name)) return false;
  return true;
}
