/**
 * Where the bytes of one queue are: its segments, with what is live in each and what becomes of it, and the sums of all its other files. A part of
 * `storeUsage`, which adds it up.
 */
import { parseDeliveryFileName } from '../delivery/delivery-log-name.js';
import { EvaqError } from '../errors.js';
import { parseIntakeFileName } from '../intake/intake-name.js';
import { FileCache } from '../log/file-cache.js';
import { LiveBytes } from '../log/live-bytes.js';
import type { FoundSegment } from '../log/segment-load.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import type { VfsEntry } from '../vfs/vfs.js';
import { DiskUsage, type UsedSpace } from './disk-usage.js';
import { loadStable, type QueuePlace, type StableLoad } from './raw-picture.js';
import { fatesOf, type GcSettings, type SegmentFate, type Weighed } from './segment-fate.js';

export interface SegmentUsage {
  readonly file: string;
  /** Of its first and its last record; both absent where it has none. */
  readonly firstId?: number;
  readonly lastId?: number;
  /** When its records were pushed, in ms since the epoch: the earliest and the latest. */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly records: number;
  readonly liveRecords: number;
  /** The first record in it that is live: it, and those behind it, keep the file. */
  readonly pinnedById?: number;
  /** Of the file. */
  readonly bytes: number;
  /** What it takes of the disk, as `du` counts. */
  readonly diskBytes: number;
  /** How many of its bytes are live records; an estimate where those differ in size. */
  readonly liveBytes: number;
  /** It has its footer. */
  readonly sealed: boolean;
  /** GC made it, out of others. */
  readonly rewritten: boolean;
  readonly damaged: boolean;
  /** The file has other names, of a backup perhaps: taking it away gives no space back. */
  readonly shared: boolean;
  readonly fate: SegmentFate;
}

export interface QueueUsage {
  readonly queue: string;
  /** Its folder is a link: none of its bytes are in the sum of the store. */
  readonly elsewhere: boolean;
  /** Why nothing is known of what is live in it; its segments then are among the `others`. */
  readonly unreadable?: string;
  /** In ID order. */
  readonly segments: readonly SegmentUsage[];
  /** Dead files that are kept to be overwritten. */
  readonly pool: UsedSpace;
  /** Removals, and the file that the next log of them is written into. */
  readonly tombstones: UsedSpace;
  /** What is remembered of deliveries, and of what came in. */
  readonly logs: UsedSpace;
  /** Unfinished files, one that is kept so that the store opens on a full disk, and segments that others have replaced and that go at the next open. */
  readonly leftovers: UsedSpace;
  /** What was set aside for damage. Nothing but you removes it. */
  readonly quarantine: UsedSpace;
  /** Files that are none of evaq's, and segments that cannot be read. */
  readonly others: UsedSpace;
  /** All that, and the folders. */
  readonly total: UsedSpace;
}

export interface UsageSettings extends GcSettings {
  readonly samples: boolean;
}

export async function queueUsage(
  place: QueuePlace,
  elsewhere: boolean,
  settings: UsageSettings,
  seen: Set<string>,
): Promise<QueueUsage> {
  const { vfs, dir, queue } = place;
  let load: StableLoad | undefined;
  let unreadable: string | undefined;
  try {
    load = await loadStable(place);
  } catch (error) {
    if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
    unreadable = error.message;
  }
  const disk = new DiskUsage(vfs, seen);
  await disk.addFolder(dir, false);
  const sums = newSums();
  const sizes = new Map<string, UsedSpace>();
  const inLog = new Set(load?.loaded.found.map(({ segment }) => segment.path));
  const replaced = new Set(load?.loaded.replaced);
  for (const entry of await disk.list(dir)) {
    const path = `${dir}/${entry.name}`;
    const used = await disk.add(path, entry);
    if (used === undefined) continue;
    if (inLog.has(path)) sizes.set(path, used);
    else sums[kindOf(entry, replaced.has(path))].add(used);
  }
  const weighed = load === undefined ? [] : await weigh(place, load, settings.samples);
  const fates = fatesOf(weighed, settings);
  const segments: SegmentUsage[] = [];
  for (const [at, one] of weighed.entries()) {
    const used = sizes.get(one.found.segment.path);
    // GC took it meanwhile: its bytes are gone, or in the pool.
    if (used !== undefined) segments.push(segmentUsage(one, used, fates[at] ?? { kind: 'drop' }));
  }
  const { pool, tombstones, logs, leftovers, quarantine, others } = sums;
  return {
    queue,
    elsewhere,
    ...(unreadable === undefined ? {} : { unreadable }),
    segments,
    pool: pool.space,
    tombstones: tombstones.space,
    logs: logs.space,
    leftovers: leftovers.space,
    quarantine: quarantine.space,
    others: others.space,
    total: disk.space,
  };
}

type Kind = 'pool' | 'tombstones' | 'logs' | 'leftovers' | 'quarantine' | 'others';

class Sum {
  space: UsedSpace = { files: 0, bytes: 0, diskBytes: 0 };

  add({ files, bytes, diskBytes }: UsedSpace): void {
    const { space } = this;
    this.space = { files: space.files + files, bytes: space.bytes + bytes, diskBytes: space.diskBytes + diskBytes };
  }
}

function newSums(): Record<Kind, Sum> {
  return {
    pool: new Sum(),
    tombstones: new Sum(),
    logs: new Sum(),
    leftovers: new Sum(),
    quarantine: new Sum(),
    others: new Sum(),
  };
}

function kindOf({ name, kind }: VfsEntry, isReplaced: boolean): Kind {
  if (kind === 'directory') return name === 'quarantine' ? 'quarantine' : 'others';
  if (isReplaced) return 'leftovers';
  const segment = parseSegmentFileName(name);
  if (segment !== undefined)
    return segment.kind === 'free' ? 'pool' : segment.kind === 'segment' ? 'others' : 'leftovers';
  if (parseTombstoneFileName(name) !== undefined) return 'tombstones';
  return parseDeliveryFileName(name) !== undefined || parseIntakeFileName(name) !== undefined ? 'logs' : 'others';
}

const NO_TURNS = { yield: () => Promise.resolve() };

async function weigh({ vfs, host }: QueuePlace, { loaded, damage }: StableLoad, samples: boolean): Promise<Weighed[]> {
  const files = new FileCache(vfs);
  const liveBytes = new LiveBytes({ log: loaded.log, files, host: host ?? NO_TURNS });
  const damaged = new Set(damage.filter(({ lossless }) => !lossless).map(({ file }) => file));
  const weighed: Weighed[] = [];
  try {
    for (const found of loaded.found) {
      const { segment } = found;
      if (samples && !segment.isEmpty) await liveBytes.measure(segment);
      // The estimate is a share of the file, and a file that is appended to is more than what is written.
      const written = segment.fileBytes === 0 ? 1 : segment.end / segment.fileBytes;
      const share = found.footer === undefined ? written : 1;
      const bytes = Math.round(liveBytes.of(segment) * share);
      weighed.push({ found, liveBytes: bytes, isDamaged: damaged.has(segment.path) });
    }
  } finally {
    await files.close();
  }
  return weighed;
}

function segmentUsage(
  { found, liveBytes, isDamaged }: Weighed,
  { bytes, diskBytes, shared }: UsedSpace,
  fate: SegmentFate,
): SegmentUsage {
  const { segment, footer }: FoundSegment = found;
  const { isEmpty, count, live, times, rewritten, path } = segment;
  const pinnedById = isEmpty ? undefined : live.firstLive(segment.firstId);
  return {
    file: path,
    ...(isEmpty ? {} : { firstId: segment.firstId, lastId: segment.lastId, fromMs: times.minMs, toMs: times.maxMs }),
    records: count,
    liveRecords: live.liveCount,
    ...(pinnedById === undefined ? {} : { pinnedById }),
    bytes,
    diskBytes,
    liveBytes,
    sealed: footer !== undefined,
    rewritten,
    damaged: isDamaged,
    shared: shared === true,
    fate,
  };
}
