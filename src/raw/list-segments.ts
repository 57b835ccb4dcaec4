/** The segment files of a queue's folder, each with what its name, its header and its footer say. */
import { throwIfAborted } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions, requireSignal, requireVfs } from '../arguments.js';
import { EvaqError, isNotFound, reported } from '../errors.js';
import { storePathOf } from '../layout/store-path.js';
import type { SegmentSummary } from '../segment/segment-footer.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs } from '../vfs/vfs.js';
import { RawSegment } from './raw-segment.js';
import { ReadOnlyVfs } from './read-only-vfs.js';

export interface ListedSegment {
  readonly name: string;
  readonly path: string;
  /** `unfinished`: in the making, no part of the queue. `free`: dead, and kept to be overwritten. */
  readonly kind: 'segment' | 'unfinished' | 'free';
  readonly segmentId: number;
  /** The lowest ID that it may hold; undefined of `free`. */
  readonly baseId?: number;
  /** Of the file. */
  readonly bytes: number;
  /** What its footer says, if it was sealed and that is intact. */
  readonly footer?: SegmentSummary;
  /** Why header and footer could not be read. */
  readonly error?: EvaqError;
}

export interface ListSegmentsOptions {
  /** Default the real file system. */
  readonly vfs?: Vfs;
  readonly signal?: AbortSignal;
}

const NAMES = optionNames('vfs', 'signal');

/**
 * In the order of the names, which is that of the IDs. Reads a few KiB of each file, and no record; files that go meanwhile are left out.
 * @param dir the folder of a queue: `<store>/queues/<name>`
 * @throws EVAQ_NOT_A_STORE if there is no such folder, EVAQ_IO
 */
export async function listSegments(dir: string | URL, options: ListSegmentsOptions = {}): Promise<ListedSegment[]> {
  requireNoMore(arguments.length, 2, 'listSegments');
  const folder = storePathOf(dir);
  requireOptions(options, 'listSegments', NAMES);
  requireVfs(options.vfs);
  const { signal } = options;
  requireSignal(signal, 'listSegments');
  throwIfAborted(signal);
  const vfs = new ReadOnlyVfs(options.vfs ?? nodeVfs);
  const listed: ListedSegment[] = [];
  for (const name of await namesIn(vfs, folder)) {
    throwIfAborted(signal);
    const found = await lookAt(vfs, `${folder}/${name}`, name);
    if (found !== undefined) listed.push(found);
  }
  return listed;
}

async function namesIn(vfs: Vfs, folder: string): Promise<string[]> {
  try {
    return (await vfs.list(folder)).map(({ name }) => name).sort();
  } catch (error) {
    if (isNotFound(error)) {
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no folder ${folder}`, {
        cause: error,
        details: { path: folder },
        hint: 'Segments are in the folder of a queue: <store>/queues/<name>.',
      });
    }
    throw reported(error, `reading ${folder}`, { path: folder });
  }
}

async function lookAt(vfs: Vfs, path: string, name: string): Promise<ListedSegment | undefined> {
  const parsed = parseSegmentFileName(name);
  if (parsed === undefined) return undefined;
  const { kind, segmentId } = parsed;
  const base = parsed.kind === 'free' ? {} : { baseId: parsed.baseId };
  try {
    await using segment = await RawSegment.open(path, { vfs });
    const { footer, size } = segment;
    const sealed = footer === undefined || kind !== 'segment' ? {} : { footer };
    return { name, path, kind, segmentId, ...base, bytes: size, ...sealed };
  } catch (error) {
    const stat = await vfs.stat(path);
    // Gone meanwhile.
    if (stat === undefined) return undefined;
    if (!(error instanceof EvaqError)) throw error;
    return { name, path, kind, segmentId, ...base, bytes: stat.size, error };
  }
}
