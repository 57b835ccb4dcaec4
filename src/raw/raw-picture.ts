/**
 * What a reader knows of one queue: the log as it was loaded at some moment, followed since, with descriptors of its own.
 *
 * A writer may be at work all the while. A picture is one that could have been seen at some moment: names are listed before
 * and after loading, and where the difference could make it wrong it is loaded again. Damage counts only when a second look
 * finds it at the same place, since a page that is read while it is being written can look torn.
 *
 * A picture is shared by the reads that began on it and closes its descriptors when the last of them is done and it has been
 * superseded.
 */
import { assert } from '../assert.js';
import { EvaqError, isNotFound, reported } from '../errors.js';
import { nextIdBehind } from '../ids.js';
import { BlockingLooks } from '../log/blocking-looks.js';
import type { Damage } from '../log/damage.js';
import { FileCache } from '../log/file-cache.js';
import { type LoadedQueue, loadQueue, mentionedRound } from '../log/log-load.js';
import { LogReader, type ReadLimits, type ReadOutcome, type SearchOutcome } from '../log/log-reader.js';
import { IDS_UNKNOWN } from '../log/queue-evidence.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Sought } from '../log/segment-walk.js';
import { scanTombstones } from '../tombstone/tombstone-scan.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { haveSameNames, isListed, listQueueFiles, type QueueFiles, wasDisturbed } from './queue-files.js';
import { type FollowOutcome, RawFollower } from './raw-follower.js';
import { doubtOf, type LostRange, lostRanges, vagueLosses } from './raw-lost.js';
import { ReadOnlyVfs } from './read-only-vfs.js';

const INDEX_INTERVAL_BYTES = 4096;
/** Each time the writer's GC must have finished a rewrite or its removals filled a log in the time of one load. */
const LOADS_MAX = 100;

/** Where a queue is, and in whose name its files are checked. */
export interface QueuePlace {
  /** Lets the event loop turn, where loading does much in memory alone or in the calling thread. */
  readonly host?: Pick<Host, 'elapsed' | 'yield'>;
  readonly vfs: Vfs;
  readonly dir: string;
  readonly queue: string;
  readonly storeUuid: Buffer;
  /** It is in the store's register of queues: it is missed where it is not there. */
  readonly isRegistered?: boolean;
  /** Look at the intake log, too, as of this time: nothing that is read depends on it. */
  readonly intakeMs?: number;
}

export interface StableLoad {
  readonly loaded: LoadedQueue;
  readonly files: QueueFiles;
  /** What a second look confirmed. */
  readonly damage: readonly Damage[];
}

/**
 * Loads a queue beside a writer. Rejects with EVAQ_UNSUPPORTED_VERSION, EVAQ_IO, or EVAQ_CORRUPT where files contradict each
 * other so that no log can be made of them.
 */
export async function loadStable(place: QueuePlace, progress?: (bytes: number) => void): Promise<StableLoad> {
  const { vfs, host, dir, queue, storeUuid } = place;
  let seen: ReadonlySet<string> | undefined;
  for (let load = 0; load < LOADS_MAX; load++) {
    const before = await listQueueFiles(vfs, dir);
    const frozen = new ReadOnlyVfs(vfs, { dir, entries: before.entries });
    let loaded: LoadedQueue | undefined;
    let failure: unknown;
    try {
      const options = {
        indexIntervalBytes: INDEX_INTERVAL_BYTES,
        ...(progress === undefined ? {} : { progress }),
        ...(host === undefined ? {} : { pause: () => host.yield(), look: new BlockingLooks(frozen, host) }),
        isRegistered: place.isRegistered === true,
        ...(place.intakeMs === undefined ? {} : { intakeMs: place.intakeMs }),
        idFloor: IDS_UNKNOWN,
      };
      loaded = await loadQueue(frozen, dir, queue, storeUuid, options);
    } catch (error) {
      failure = error;
    }
    const after = await listQueueFiles(vfs, dir);
    if (wasDisturbed(before, after)) continue;
    // What was removed, and how far IDs were given out, was read before the segments, and those that were made meanwhile were not: nothing is missing.
    if (loaded?.damage.some(isOfFolder) === true && !haveSameNames(before, after)) continue;
    if (loaded === undefined) {
      if (isNotFound(failure)) continue;
      throw reported(failure, `reading queue '${queue}'`, { queue, path: dir });
    }
    // What is said of a file that has left the log meanwhile was read off somebody else's bytes.
    let damage = loaded.damage.filter(({ file }) => isListed(after, dir, file));
    if (damage.some((one) => isMissingRounds(one, loaded)) && (await haveCaughtUp(place, loaded))) {
      damage = damage.filter((one) => !isMissingRounds(one, loaded));
    }
    const known = seen;
    seen = new Set(damage.map(placeOf));
    if (damage.length === 0 || (known !== undefined && damage.every((one) => known.has(placeOf(one))))) {
      return { loaded, files: before, damage };
    }
  }
  throw new EvaqError('EVAQ_IO', `queue '${queue}' changes faster than it can be read`, {
    details: { queue, path: dir },
    hint: 'Try again when its writer is less busy.',
  });
}

/** Something that is not there. */
function isOfFolder({ file, bytes }: Damage): boolean {
  return bytes === 0 && !file.endsWith('.tomb') && !file.endsWith('.seg');
}

/** Commits that mention rounds of removals which the tombstone log did not have when it was read, which was before them. */
function isMissingRounds({ file, offset, bytes }: Damage, loaded: LoadedQueue): boolean {
  return bytes === 0 && offset === loaded.tombstones.end && file === loaded.tombstoneLogs.at(-1);
}

/** Whether the tombstone log has by now the rounds that were missing: then it was only read too early. */
async function haveCaughtUp({ vfs, storeUuid }: QueuePlace, loaded: LoadedQueue): Promise<boolean> {
  const path = loaded.tombstoneLogs.at(-1);
  if (path === undefined) return false;
  const mentioned = mentionedRound(loaded.found, loaded.tombstones.round);
  const file = await vfs.open(path, 'read').catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  if (file === undefined) return false;
  try {
    const tombstones = await scanTombstones(file, path, await file.size(), storeUuid, () => undefined);
    return tombstones.kind === 'ok' && tombstones.state.round >= mentioned;
  } finally {
    await file.close().catch(() => undefined);
  }
}

function placeOf({ file, offset, what, firstId }: Damage): string {
  return `${file}:${offset}:${offset === 0 ? `${what}:${firstId}` : ''}`;
}

export class RawPicture {
  readonly loaded: LoadedQueue;
  readonly files: QueueFiles;
  readonly damage: readonly Damage[];
  /** Records lost to damage that loading found. */
  readonly lost: readonly LostRange[];
  /** See `vagueLosses`. */
  readonly vague: readonly LostRange[];
  /** See `doubtOf`. */
  readonly doubt: LostRange | undefined;
  readonly #cache: FileCache;
  readonly #reader: LogReader;
  readonly #follower: RawFollower;
  /** How much of each list of arrivals has been taken in. */
  readonly #left = new WeakMap<readonly number[], number>();
  readonly #leaving = new Set<number>();
  #users = 0;
  #superseded = false;

  private constructor(place: QueuePlace, load: StableLoad, lost: readonly LostRange[]) {
    this.loaded = load.loaded;
    this.files = load.files;
    this.damage = load.damage;
    this.lost = lost;
    this.vague = vagueLosses(load.damage, load.loaded);
    this.doubt = doubtOf(load.damage, load.loaded);
    this.#cache = new FileCache(new ReadOnlyVfs(place.vfs));
    this.#follower = new RawFollower(load.loaded, this.#cache, place.storeUuid);
    // Whether what cannot be read is damage, or a file that GC took away, is for the caller to find out: so it must not be passed over.
    this.#reader = new LogReader(load.loaded.log, this.#cache, {
      queue: place.queue,
      onDamage: 'fail',
      keepsPlace: false,
      noteDamage: () => undefined,
    });
  }

  static async load(place: QueuePlace): Promise<RawPicture> {
    for (let load = 0; ; load++) {
      const stable = await loadStable(place);
      try {
        const picture = new RawPicture(place, stable, lostRanges(stable.damage));
        if ((await picture.follow()) === 'followed' || load >= LOADS_MAX) return picture;
        await picture.supersede();
      } catch (error) {
        if (!isGone(error) || load >= LOADS_MAX) throw error;
      }
    }
  }

  get log(): SegmentLog {
    return this.loaded.log;
  }

  /** The lowest ID that was not given to a record, as far as can be seen. */
  get nextId(): number {
    return nextIdBehind(this.loaded.seenBelow, this.#follower.nextId, (this.log.newest?.lastId ?? 0) + 1);
  }

  /** See `RawFollower.arrivals`. */
  get arrivals(): ReadonlyMap<string, readonly number[]> {
    return this.#follower.arrivals;
  }

  /** Records that have arrived in another queue are not live in this one any more. Synchronous. */
  leave(lists: readonly (readonly number[])[]): void {
    for (const ids of lists) {
      for (let i = this.#left.get(ids) ?? 0; i < ids.length; i++) this.#leaving.add(ids[i] ?? 0);
      this.#left.set(ids, ids.length);
    }
    // The other queue may have been looked at later than this one, and know of records that are not here yet.
    const known = this.log.newest?.lastId ?? 0;
    for (const id of this.#leaving) {
      if (id > known) continue;
      this.log.kill(id);
      this.#leaving.delete(id);
    }
  }

  follow(): Promise<FollowOutcome> {
    return this.#follower.follow();
  }

  /** Runs `use`, which reads; the descriptors stay open as long. */
  async using<T>(use: () => Promise<T>): Promise<T> {
    this.#users++;
    try {
      return await use();
    } finally {
      this.#users--;
      await this.#closeIfDone();
    }
  }

  /** See `LogReader.read`. Rejects with EVAQ_CORRUPT at a live record that cannot be read. */
  read(from: number, to: number, limits: ReadLimits): Promise<ReadOutcome> {
    return this.#reader.read(from, to, limits);
  }

  /** See `LogReader.search`. Rejects as `read`. */
  search(from: number, to: number, limits: ReadLimits, sought: Sought): Promise<SearchOutcome> {
    return this.#reader.search(from, to, limits, sought);
  }

  /** See `LogReader.get`; `undefined` for what is not live. */
  async get(id: number): Promise<QueueRecord | undefined> {
    if (!this.log.isLive(id)) return undefined;
    const record = await this.#reader.get(id);
    return this.log.isLive(id) ? record : undefined;
  }

  /** Nobody begins to read on it any more. */
  async supersede(): Promise<void> {
    this.#superseded = true;
    await this.#closeIfDone();
  }

  async #closeIfDone(): Promise<void> {
    assert(this.#users >= 0, 'a picture is left as often as it is entered');
    if (this.#superseded && this.#users === 0) await this.#cache.close();
  }
}

/** True if a read failed because the file is not there any more. */
export function isGone(error: unknown): boolean {
  return isNotFound(error) || (error instanceof EvaqError && isNotFound(error.cause));
}
