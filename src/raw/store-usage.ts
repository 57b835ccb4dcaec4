/**
 * Where the bytes of a store are, and why they are still there: every file of its folder is counted once, so that the sum is what `du` says. Takes no
 * lock, changes nothing (P11), and may run beside a writer, in which case it is a picture of files that come and go.
 */
import { signalOf, throwIfAborted } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions, requireVfs } from '../arguments.js';
import { reported } from '../errors.js';
import { requireCount } from '../ids.js';
import { listQueues } from '../layout/queue-names.js';
import { LOCK_FILE, QUEUES_DIR, queueDir, STORE_FILE, STORE_FILE_UNFINISHED } from '../layout/store-file.js';
import { storePathOf } from '../layout/store-path.js';
import type { Damage } from '../log/damage.js';
import { DEFAULT_QUEUE_OPTIONS } from '../queue/queue-options.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs } from '../vfs/vfs.js';
import { DiskUsage, type UsedSpace } from './disk-usage.js';
import { type QueueUsage, queueUsage, type UsageSettings } from './queue-usage.js';
import { ReadOnlyVfs } from './read-only-vfs.js';
import { identifyStore } from './verify.js';

export interface StoreUsageOptions {
  /** The settings of the store's writer, by which GC goes; a store does not hold them. Defaults: those of a queue. */
  readonly segmentBytes?: number;
  readonly liveShareMax?: number;
  /** Where records differ in size, whether to look at some of each segment rather than go by the average. Default true. */
  readonly sample?: boolean;
  /** Default the real file system. */
  readonly vfs?: Vfs;
  /** Aborted: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface StoreUsage {
  readonly path: string;
  readonly queues: readonly QueueUsage[];
  /** STORE, LOCK and the folders. */
  readonly store: UsedSpace;
  /** What repairs have kept: `.evaq-backup-<time>` folders. Nothing but you removes them. */
  readonly backups: UsedSpace;
  /** What is none of evaq's. */
  readonly others: UsedSpace;
  /** What `du` says of the folder. Queues that are elsewhere are not in it. */
  readonly total: UsedSpace;
}

const NAMES = optionNames('segmentBytes', 'liveShareMax', 'sample', 'vfs', 'signal');
const BACKUP = /^\.evaq-backup-/;
const OWN: ReadonlySet<string> = new Set([STORE_FILE, STORE_FILE_UNFINISHED, LOCK_FILE]);

/** @throws EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO; EVAQ_CORRUPT where nothing of the store tells which one it is */
export async function storeUsage(path: string | URL, options: StoreUsageOptions = {}): Promise<StoreUsage> {
  requireNoMore(arguments.length, 2, 'storeUsage');
  const store = storePathOf(path);
  requireOptions(options, 'storeUsage', NAMES);
  requireVfs(options.vfs);
  const { segmentBytes = DEFAULT_QUEUE_OPTIONS.segmentBytes, liveShareMax = DEFAULT_QUEUE_OPTIONS.gcLiveShareMax } =
    options;
  requireCount(segmentBytes, 'segmentBytes', 1);
  const settings: UsageSettings = { segmentBytes, liveShareMax, samples: options.sample !== false };
  const signal = signalOf(options, 'storeUsage');
  throwIfAborted(signal);
  try {
    return await usageOf(new IdentifyingVfs(options.vfs ?? nodeVfs), store, settings, signal);
  } catch (error) {
    throwIfAborted(signal);
    throw reported(error, `looking at ${store}`, { path: store });
  }
}

/** For reading only, and able to tell files apart that have several names. */
class IdentifyingVfs extends ReadOnlyVfs {
  readonly identities: Vfs['identities'];

  constructor(vfs: Vfs) {
    super(vfs);
    this.identities = vfs.identities;
  }
}

async function usageOf(
  vfs: Vfs,
  store: string,
  settings: UsageSettings,
  signal: AbortSignal | undefined,
): Promise<StoreUsage> {
  const damage: Damage[] = [];
  const { storeUuid } = await identifyStore(vfs, store, damage);
  const { names } = await listQueues(vfs, store);
  const seen = new Set<string>();
  const own = new DiskUsage(vfs, seen);
  const backups = new DiskUsage(vfs, seen);
  const others = new DiskUsage(vfs, seen);
  await own.addFolder(store, false);
  for (const entry of await own.list(store)) {
    if (entry.name === QUEUES_DIR) continue;
    const part = OWN.has(entry.name) ? own : BACKUP.test(entry.name) ? backups : others;
    await part.add(`${store}/${entry.name}`, entry);
  }
  await own.addFolder(`${store}/${QUEUES_DIR}`, false);
  const queues: QueueUsage[] = [];
  for (const entry of await own.list(`${store}/${QUEUES_DIR}`)) {
    throwIfAborted(signal);
    const dir = queueDir(store, entry.name);
    if (!names.includes(entry.name)) {
      await others.add(dir, entry);
      continue;
    }
    const elsewhere = entry.kind !== 'directory';
    // What is behind a link counts by itself.
    if (elsewhere) await own.add(dir, entry);
    const place = { vfs, dir, queue: entry.name, storeUuid };
    queues.push(await queueUsage(place, elsewhere, settings, elsewhere ? new Set() : seen));
  }
  queues.sort((a, b) => (a.queue < b.queue ? -1 : 1));
  const parts = [own.space, backups.space, others.space];
  for (const queue of queues) if (!queue.elsewhere) parts.push(queue.total);
  return { path: store, queues, store: own.space, backups: backups.space, others: others.space, total: sumOf(parts) };
}

export function sumOf(parts: readonly UsedSpace[]): UsedSpace {
  let [files, bytes, diskBytes] = [0, 0, 0];
  for (const part of parts) {
    files += part.files;
    bytes += part.bytes;
    diskBytes += part.diskBytes;
  }
  return { files, bytes, diskBytes };
}
