/** What `evaq info` knows of a store: one look, without a lock. */
import { EvaqError } from '../../errors.js';
import {
  type QueueUsage,
  ReadOnlyEvaq,
  type ReadOnlyQueue,
  type ReadOnlyQueueStats,
  type StoreUsage,
  storeUsage,
  type UsedSpace,
} from '../../raw.js';
import { STORE_FILE_LOST } from '../lost-store-file.js';
import { isoTime } from '../record-format.js';
import { holderOf, type StoreHolder } from '../store-holder.js';

/** How its last writer left it. */
export type StoreState =
  | { readonly kind: 'clean' }
  | { readonly kind: 'open'; readonly holder: StoreHolder }
  /** Its writer died; the next one to open it recovers it. */
  | { readonly kind: 'unclean' }
  /** It cannot be opened, and why not. */
  | { readonly kind: 'broken'; readonly what: string };

export interface QueueInfo extends ReadOnlyQueueStats {
  readonly oldestTime: string | undefined;
  /** Records pushed in a second, about, over the last minute or more of pushes; absent where the last push was more than five minutes ago. */
  readonly ratePerSecond?: number;
}

export interface StoreInfo {
  /** Version of this layout. */
  readonly v: 1;
  readonly path: string;
  readonly uuid?: string;
  readonly created?: string;
  readonly state: StoreState;
  readonly disk: {
    /** What `du` says. */
    readonly bytes: number;
    readonly files: number;
    readonly freeBytes?: number;
    readonly recycled: UsedSpace;
    readonly quarantine: UsedSpace;
    readonly backups: UsedSpace;
    readonly others: UsedSpace;
  };
  readonly queues: readonly QueueInfo[];
}

const RATE_SPAN_MS = 60_000;
const RATE_AGE_MS = 5 * 60_000;

/** Rejects where there is no store at all; one that is broken is told of. */
export async function gatherStore(dir: string): Promise<StoreInfo> {
  let store: ReadOnlyEvaq;
  try {
    store = await ReadOnlyEvaq.open(dir);
  } catch (error) {
    if (!(error instanceof EvaqError) || (error.code !== 'EVAQ_CORRUPT' && error.code !== 'EVAQ_NOT_A_STORE'))
      throw error;
    // Other files tell that it was one, if it was.
    const usage = await storeUsage(dir, { sample: false }).catch(() => undefined);
    if (usage === undefined) throw error;
    const what = error.code === 'EVAQ_CORRUPT' ? 'both copies of the header in STORE are damaged' : STORE_FILE_LOST;
    return { v: 1, path: usage.path, state: { kind: 'broken', what }, disk: diskOf(usage), queues: [] };
  }
  await using open = store;
  return await gatherOpen(open);
}

async function gatherOpen(store: ReadOnlyEvaq): Promise<StoreInfo> {
  const usage = await storeUsage(store.path, { sample: false });
  const queues: QueueInfo[] = [];
  for (const name of await store.queueNames()) {
    const used = usage.queues.find(({ queue }) => queue === name);
    queues.push(await gatherQueue(await store.queue(name), used));
  }
  // Asked last: a writer that closed meanwhile has left the queues clean.
  const holder = holderOf(store.path);
  const clean = queues.every((queue) => queue.clean);
  return {
    v: 1,
    path: store.path,
    uuid: store.uuid,
    created: isoTime(store.createdMs),
    state: holder !== undefined ? { kind: 'open', holder } : { kind: clean ? 'clean' : 'unclean' },
    disk: { ...diskOf(usage), freeBytes: await store.freeBytes() },
    queues,
  };
}

function diskOf({ total, backups, others, queues }: StoreUsage): StoreInfo['disk'] {
  return {
    bytes: total.diskBytes,
    files: total.files,
    recycled: sum(queues.map(({ pool }) => pool)),
    quarantine: sum(queues.map(({ quarantine }) => quarantine)),
    backups,
    others,
  };
}

function sum(spaces: readonly UsedSpace[]): UsedSpace {
  let [files, bytes, diskBytes] = [0, 0, 0];
  for (const space of spaces) {
    files += space.files;
    bytes += space.bytes;
    diskBytes += space.diskBytes;
  }
  return { files, bytes, diskBytes };
}

async function gatherQueue(queue: ReadOnlyQueue, used: QueueUsage | undefined): Promise<QueueInfo> {
  const stats = await queue.stats();
  // A damaged one has no time to tell; that it is damaged is told elsewhere.
  const oldest = stats.oldestId === undefined ? undefined : await queue.get(stats.oldestId).catch(() => undefined);
  const rate = used === undefined ? undefined : rateOf(used, Date.now());
  return {
    ...stats,
    oldestTime: oldest === undefined ? undefined : isoTime(oldest.timestamp),
    ...(rate === undefined ? {} : { ratePerSecond: rate }),
  };
}

/** From the newest segments back, until they span a minute. */
function rateOf({ segments }: QueueUsage, nowMs: number): number | undefined {
  let [records, fromMs, toMs] = [0, Infinity, -Infinity];
  for (const segment of segments.toReversed()) {
    if (segment.fromMs === undefined || segment.toMs === undefined) continue;
    records += segment.records;
    fromMs = Math.min(fromMs, segment.fromMs);
    toMs = Math.max(toMs, segment.toMs);
    if (toMs - fromMs >= RATE_SPAN_MS) break;
  }
  if (records === 0 || nowMs - toMs > RATE_AGE_MS) return undefined;
  return Math.round((1e6 * records) / Math.max(1000, toMs - fromMs)) / 1000;
}
