/**
 * Checks a whole store without changing anything (P11): scan and judge, as opening does, and then every byte that opening
 * takes on trust: the bodies of sealed segments, what their footers say of them, and their indexes.
 *
 * It may run beside a writer. What GC takes away meanwhile is not missed, and what only looks torn because it was being
 * written is looked at again.
 */
import { signalOf, throwIfAborted } from '../abortable.js';
import { optionNames, requireFunction, requireNoMore, requireOptions, requireVfs } from '../arguments.js';
import { Callback } from '../callback.js';
import { EvaqError, isNotFound, reported } from '../errors.js';
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import { listQueues, missingQueues } from '../layout/queue-names.js';
import { queueDir, readStore, STORE_FILE } from '../layout/store-file.js';
import { storePathOf } from '../layout/store-path.js';
import { lookAtPlace } from '../layout/store-place.js';
import { type Damage, storeDamage, strangerDamage } from '../log/damage.js';
import type { LoadedQueue } from '../log/log-load.js';
import { withRanges } from '../log/losses.js';
import { type FoundSegment, worthKeeping } from '../log/segment-load.js';
import { type Footer, readFooterIndex, timesOf } from '../segment/segment-footer.js';
import type { SegmentIndex } from '../segment/segment-index.js';
import {
  type DamagedRange,
  type OnEntry,
  type ScanSalvage,
  type SegmentScan,
  scanSegment,
  timesToTell,
} from '../segment/segment-scan.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { isListed, listQueueFiles } from './queue-files.js';
import { liveOutside } from './raw-lost.js';
import { loadStable, type QueuePlace, type StableLoad } from './raw-picture.js';
import { ReadOnlyVfs } from './read-only-vfs.js';
import { findStoreUuid } from './repair-store-file.js';

export interface VerifyOptions {
  /** Default the real file system. */
  readonly vfs?: Vfs;
  /** Told now and then how far it is. What it throws ends the check, and is what that rejects with. */
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Ends the check: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface VerifyProgress {
  readonly queue: string;
  /** Bytes checked so far, in all queues, and to be checked. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** The unsynced end of a segment or a tombstone log, as a crash leaves it. Nothing acknowledged in mode 'sync' is in it; opening for writing cuts it off. */
export interface TornEnd {
  readonly queue: string;
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface VerifiedQueue {
  readonly queue: string;
  /** Its last writer closed it and nothing happened since. */
  readonly clean: boolean;
  readonly segments: number;
  /** Intact records, removed ones included. */
  readonly records: number;
  readonly live: number;
  /** Bytes checked. */
  readonly bytes: number;
}

export interface VerifyReport {
  readonly path: string;
  readonly queues: readonly VerifiedQueue[];
  /** Damage to synced bytes, which no crash explains. Empty: everything acknowledged is there and intact. */
  readonly damage: readonly Damage[];
  readonly torn: readonly TornEnd[];
}

const NAMES = optionNames('vfs', 'onProgress', 'signal');

/**
 * Checks every queue of the store at `path`. Damage is reported, not thrown.
 * @throws EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO
 */
export async function verifyStore(path: string | URL, options: VerifyOptions = {}): Promise<VerifyReport> {
  requireNoMore(arguments.length, 2, 'verifyStore');
  const store = storePathOf(path);
  requireOptions(options, 'verifyStore', NAMES);
  requireVfs(options.vfs);
  requireFunction(options.onProgress, 'onProgress');
  const signal = signalOf(options, 'verifyStore');
  throwIfAborted(signal);
  const vfs = new ReadOnlyVfs(options.vfs ?? nodeVfs);
  const callback = new Callback(options.onProgress);
  const damage: Damage[] = [];
  const torn: TornEnd[] = [];
  const queues: VerifiedQueue[] = [];
  try {
    const { storeUuid, registered } = await identifyStore(vfs, store, damage);
    const listed = await listQueues(vfs, store);
    damage.push(...listed.strangers.map(strangerDamage));
    const names = [...listed.names, ...missingQueues(listed, registered)].sort();
    const places = names.map((queue): QueuePlace => {
      return { vfs, dir: queueDir(store, queue), queue, storeUuid, isRegistered: registered.has(queue), intakeMs: 0 };
    });
    const progress = new Progress(callback, signal);
    for (const place of places) await progress.announce(place);
    for (const place of places) {
      const verified = await verifyQueue(place, progress, damage, torn);
      if (verified !== undefined) queues.push(verified);
    }
  } catch (error) {
    callback.throwIfFailed();
    throwIfAborted(signal);
    throw reported(error, `verifying ${store}`, { path: store });
  }
  callback.throwIfFailed();
  return { path: store, queues, damage, torn };
}

export interface VerifiedStore {
  readonly storeUuid: Buffer;
  readonly registered: ReadonlySet<string>;
}

/** The UUID of the store, and its register of queues: where STORE does not tell it any more, its other files do. */
export async function identifyStore(vfs: Vfs, store: string, damage: Damage[]): Promise<VerifiedStore> {
  const file = `${store}/${STORE_FILE}`;
  try {
    const identity = await readStore(vfs, store, 'read');
    if (identity === undefined) {
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${store}`, { details: { path: store } });
    }
    damage.push(...(await storeDamage(vfs, store, identity)));
    return { storeUuid: identity.uuid, registered: identity.register.names };
  } catch (error) {
    if (!(error instanceof EvaqError) || (error.code !== 'EVAQ_CORRUPT' && error.code !== 'EVAQ_NOT_A_STORE'))
      throw error;
    if ((await lookAtPlace(vfs, store)).kind !== 'folder') throw error;
    if (error.code === 'EVAQ_NOT_A_STORE' && (await vfs.stat(file)) !== undefined) throw error;
    const uuid = await findStoreUuid(vfs, store);
    if (uuid === undefined) throw error;
    const what = error.code === 'EVAQ_CORRUPT' ? 'both copies of the header are damaged' : 'the file is missing';
    const told = `${what}: the store cannot be opened`;
    damage.push({ queue: '', file, offset: 0, bytes: FILE_HEADER_BYTES, what: told, lossless: false });
    return { storeUuid: uuid, registered: new Set() };
  }
}

class Progress {
  readonly #callback: Callback<VerifyProgress>;
  readonly #signal: AbortSignal | undefined;
  #queue = '';
  #bytes = 0;
  #totalBytes = 0;

  constructor(callback: Callback<VerifyProgress>, signal: AbortSignal | undefined) {
    this.#callback = callback;
    this.#signal = signal;
  }

  async announce({ vfs, dir }: QueuePlace): Promise<void> {
    const { segments } = await listQueueFiles(vfs, dir);
    for (const name of segments.keys()) this.#totalBytes += (await vfs.stat(`${dir}/${name}`))?.size ?? 0;
  }

  begin(queue: string): void {
    this.#queue = queue;
  }

  add(bytes: number): void {
    throwIfAborted(this.#signal);
    this.#bytes += bytes;
    const totalBytes = Math.max(this.#totalBytes, this.#bytes);
    this.#callback.tell({ queue: this.#queue, bytes: this.#bytes, totalBytes });
  }
}

async function verifyQueue(
  place: QueuePlace,
  progress: Progress,
  damage: Damage[],
  torn: TornEnd[],
): Promise<VerifiedQueue | undefined> {
  const { vfs, dir, queue } = place;
  progress.begin(queue);
  let load: StableLoad;
  try {
    load = await loadStable(place);
  } catch (error) {
    if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
    const { path = dir, offset = 0, bytes = 0, id, lastId } = error.details;
    damage.push({
      queue,
      file: path,
      offset,
      bytes,
      ...(id === undefined ? {} : { firstId: id }),
      ...(lastId === undefined ? {} : { lastId }),
      what: error.message,
      lossless: false,
    });
    return undefined;
  }
  damage.push(...load.damage);
  let records = 0;
  let bytes = 0;
  for (const found of load.loaded.found) {
    records += found.segment.count;
    bytes += found.fileBytes;
    if (found.footer === undefined) {
      progress.add(found.fileBytes);
      continue;
    }
    const met = await verifySealed(vfs, queue, found, found.footer, progress);
    // A segment that GC took meanwhile is gone with all that was wrong with it.
    if (met.length > 0 && isListed(await listQueueFiles(vfs, dir), dir, found.segment.path)) damage.push(...met);
  }
  torn.push(...(await tornEnds(place, load)));
  return {
    queue,
    clean: load.loaded.clean || load.files.entries.length === 0,
    segments: load.loaded.found.length,
    records,
    live: load.loaded.log.liveCount,
    bytes,
  };
}

/** What is torn now and still is at a second look: the end of a live log is whole a moment later. */
async function tornEnds(place: QueuePlace, load: StableLoad): Promise<TornEnd[]> {
  const first = tornIn(place.queue, load.loaded);
  if (first.length === 0) return first;
  const second = tornIn(place.queue, (await loadStable(place)).loaded);
  return second.filter((one) => first.some(({ file, offset }) => file === one.file && offset === one.offset));
}

function tornIn(queue: string, { found, tombstones }: LoadedQueue): TornEnd[] {
  const torn = found.filter(worthKeeping).map(({ segment, contentEnd, fileBytes }) => {
    return { queue, file: segment.path, offset: contentEnd, bytes: fileBytes - contentEnd };
  });
  return tombstones.torn === undefined ? torn : [...torn, { queue, ...tombstones.torn }];
}

async function verifySealed(
  vfs: Vfs,
  queue: string,
  found: FoundSegment,
  footer: Footer,
  progress: Progress,
): Promise<Damage[]> {
  const { path, seed, baseId } = found.segment;
  let file: VfsFile;
  try {
    file = await vfs.open(path, 'read');
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
  try {
    let reported = 0;
    const index = await readFooterIndex(file, footer, seed);
    const check = index === undefined ? undefined : new IndexCheck(index);
    const report = (bytes: number): void => {
      reported += bytes;
      progress.add(bytes);
    };
    // An entry for every commit and every record, and none of them kept: of tiny records there are millions in a segment.
    const salvage = { rewritten: found.segment.rewritten, index };
    const onEntry: OnEntry = (...entry) => check?.note(...entry);
    const scan = await scanSegment(file, footer.end, seed, baseId, 0, report, onEntry, undefined, salvage);
    progress.add(Math.max(0, footer.end - reported));
    const wrong = disagreement(scan, footer);
    const isLacking = wrong !== undefined || scan.damaged.length > 0;
    const lost = isLacking ? await lostIn(file, found, footer, salvage) : [];
    const met = describeRanges(queue, path, scan.damaged, footer, lost);
    if (wrong !== undefined) met.push(...withRanges(atFooter(queue, path, footer, wrong), lost));
    const wrongIndex = scan.damaged.length === 0 && check?.holds() === false;
    if (index === undefined || wrongIndex) {
      const what = index === undefined ? 'the index is damaged' : 'the index points to where no record is';
      met.push({ ...atFooter(queue, path, footer, what), lossless: index === undefined });
    }
    return met;
  } finally {
    await file.close().catch(() => undefined);
  }
}

/** Live records of which the footer tells and that cannot be read. */
async function lostIn(file: VfsFile, found: FoundSegment, { end }: Footer, salvage: ScanSalvage): Promise<IdRange[]> {
  const { seed, baseId } = found.segment;
  const interval = Number.MAX_SAFE_INTEGER;
  // Once more: what is kept of a scan for this is more than `verify` keeps of a segment that is whole.
  const { runs } = await scanSegment(file, end, seed, baseId, interval, undefined, undefined, undefined, salvage);
  return liveOutside(found.segment, runs);
}

/** Each range with those of the lost records that can have stood there. */
function describeRanges(
  queue: string,
  path: string,
  damaged: readonly DamagedRange[],
  footer: Footer,
  lost: readonly IdRange[],
): Damage[] {
  const met: Damage[] = [];
  const { dataEnd, maxTimeMs } = footer.summary;
  const back = damaged.findLast(({ offset }) => offset < dataEnd);
  let at = 0;
  let next = 0;
  for (const range of damaged) {
    const { offset, end, fromMs, toMs, headerIntact } = range;
    const place = { queue, file: path, offset, bytes: end - offset };
    if (offset >= dataEnd) {
      met.push({ ...place, what: 'the footer is damaged; its summary is intact', lossless: true });
      continue;
    }
    // What no later one can have held was in the last.
    const last = range === back ? Infinity : range.lastId;
    const own: IdRange[] = [];
    for (let one = lost[at]; one !== undefined && one.first <= last; one = lost[at]) {
      own.push({ first: Math.max(one.first, next), last: Math.min(one.last, last) });
      if (one.last > last) break;
      at++;
    }
    next = last + 1;
    const times = own.length === 0 ? {} : timesToTell(fromMs, toMs ?? maxTimeMs);
    const what = headerIntact ? 'the body of a commit is damaged' : 'frames are damaged';
    met.push(...withRanges({ ...place, ...times, what, lossless: false }, own));
  }
  return met;
}

function atFooter(queue: string, path: string, { summary, end }: Footer, what: string): Damage {
  return {
    queue,
    file: path,
    offset: summary.dataEnd,
    bytes: end - summary.dataEnd,
    what,
    lossless: false,
  };
}

/** What the footer says of the records, against the records. Silent where damage was found: then it is the footer that is right. */
function disagreement(scan: SegmentScan, { summary }: Footer): string | undefined {
  if (scan.damaged.length > 0) return undefined;
  const { count, firstId, lastId, payloadBytes } = summary;
  if (scan.count !== count) return `the footer tells of ${count} records, ${scan.count} are there`;
  if (count > 0 && (scan.firstId !== firstId || scan.lastId !== lastId)) {
    return `the footer tells of records ${firstId} to ${lastId}, ${scan.firstId} to ${scan.lastId} are there`;
  }
  if (scan.payloadBytes !== payloadBytes)
    return `the footer tells of ${payloadBytes} payload bytes, ${scan.payloadBytes} are there`;
  return timesOf(summary).covers(scan.times) &&
    summary.minTimeMs === scan.times.minMs &&
    summary.maxTimeMs === scan.times.maxMs
    ? undefined
    : `the footer tells of times from ${summary.minTimeMs} to ${summary.maxTimeMs}, others are there`;
}

/** Whether every entry of an index names a record and its place, against all that are there, which pass by in the order of the file. */
class IndexCheck {
  readonly #index: SegmentIndex;
  #at = 0;
  #holds = true;
  /** What passed by last. */
  #id = -1;
  #offset = -1;
  #mid: 0 | 1 = 0;

  constructor(index: SegmentIndex) {
    this.#index = index;
  }

  note(id: number, offset: number, mid: 0 | 1): void {
    this.#judgeUpTo(offset - 1);
    this.#id = id;
    this.#offset = offset;
    this.#mid = mid;
  }

  /** To be asked when all have passed. */
  holds(): boolean {
    this.#judgeUpTo(Infinity);
    return this.#holds;
  }

  /** Entries of places up to `offset` belong to what passed by last. */
  #judgeUpTo(offset: number): void {
    const { ids, offsets, mids } = this.#index;
    for (; this.#at < offsets.length; this.#at++) {
      const named = offsets[this.#at] ?? 0;
      if (named > offset) return;
      // The first record of a commit goes by the place of the commit in the scan, and may go by its own in the index.
      const own = this.#offset + (mids[this.#at] === 1 && this.#mid === 0 ? COMMIT_HEADER_BYTES : 0);
      if ((named !== this.#offset && named !== own) || ids[this.#at] !== this.#id) this.#holds = false;
    }
  }
}
