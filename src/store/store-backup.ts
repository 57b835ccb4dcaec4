/**
 * A consistent copy of a store, in use or not, as another store. It takes no lock on the store and changes nothing in it.
 *
 *  1. what does not change any more, which is nearly all of it, is linked or copied, however long that takes
 *  2. one moment of all queues is looked for (`raw/store-cut.ts`), and what it has beyond 1 is added; until nothing of it went away meanwhile
 *  3. each queue gets a log of removals that says what is live in that moment, and the folder its file STORE: now it is a store, as a crash leaves one
 *  4. it is opened, which settles what is between queues and seals what was not sealed, and closed
 *  5. every byte of it is verified
 *
 * What is remembered of message IDs and checkpoints goes with it, as of the same moment; what is remembered of deliveries (attempts, times of the next
 * try) does not, so that handlers begin anew with each record.
 */
import { EvaqError, isNotFound, reported } from '../errors.js';
import { encodeFileHeader, fileSeed } from '../frame/file-header.js';
import { type IdRange, nextIdBehind } from '../ids.js';
import { parseIntakeFileName } from '../intake/intake-name.js';
import { forgottenQueueError, listQueues, missingQueueError, missingQueues } from '../layout/queue-names.js';
import { encodeRegister } from '../layout/queue-register.js';
import { parentOf, QUEUES_DIR, queueDir, readStore, STORE_FILE, type StoreIdentity } from '../layout/store-file.js';
import type { LoadedQueue } from '../log/log-load.js';
import { IDS_UNKNOWN, idFloor, mayMissQueues } from '../log/queue-evidence.js';
import { accountOf, NONE } from '../queue/account.js';
import { newGeneration } from '../queue/new-generation.js';
import { DEFAULT_QUEUE_OPTIONS } from '../queue/queue-options.js';
import type { QueuePlace } from '../raw/raw-picture.js';
import { cutStore, loadIntact, type QueueCut, type SettledIds, settledIn } from '../raw/store-cut.js';
import { verifyStore } from '../raw/verify.js';
import { TombstoneLog } from '../tombstone/tombstone-log.js';
import { DESCRIPTORS_MAX } from '../vfs/descriptor-budget.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { BackupFiles } from './backup-files.js';
import { emptyFolder, requireOutside, takeFolder } from './backup-folder.js';
import { openStore } from './open-store.js';
import type { LockNote } from './store-lock.js';

/** Each time a segment must have gone, or a queue come, in the time of two looks at all that is not sealed. */
const TRIES_MAX = 50;

export interface BackupOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly lockNote: LockNote;
  /** Whether files may be shared with the store, where the file system can do that. A disk that fails takes both then. */
  readonly links: boolean;
  /**
   * Whether it takes the place of a store that may have gone on since: its queues give out IDs above all that that one can have given out, so that what is
   * pushed then has no delivery ID of another record, and no checkpoint is past it.
   */
  readonly skipsIds?: boolean;
  /** Told of each folder that was made in `to`, and of `to`. */
  readonly onFolder?: (path: string) => void;
  /** Told how many bytes are in the backup. What it throws ends the backup. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface BackedUpQueue {
  readonly queue: string;
  readonly live: number;
  readonly segments: number;
}

export interface BackupReport {
  readonly from: string;
  readonly path: string;
  /** When the moment was, of which it is a copy; in ms since the epoch. */
  readonly atMs: number;
  readonly queues: readonly BackedUpQueue[];
  readonly linkedFiles: number;
  readonly linkedBytes: number;
  readonly copiedFiles: number;
  readonly copiedBytes: number;
}

/**
 * Makes a backup of the store at `from` in the folder `to`, which is made, or empty. When it resolves the backup is durable, a store that was closed, and
 * verified: every record in it that was durable before the call and was not removed in the time of it, and none whose removal was durable before the
 * call. A record that is moved meanwhile is in one of the two queues. If it rejects, what is in `to` is no store, and no file of this call is left there;
 * folders are, of which `onFolder` was told.
 * @throws EVAQ_CORRUPT where the store is damaged so that something is lost: then nothing is made of it; EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO, EVAQ_NO_SPACE
 */
export async function backUpStore(from: string, to: string, options: BackupOptions): Promise<BackupReport> {
  const { vfs, signal, onFolder } = options;
  let isTaken = false;
  try {
    await requireOutside(vfs, from, to);
    await takeFolder(vfs, to, (path) => onFolder?.(path));
    isTaken = true;
    return await backUp(from, to, options);
  } catch (error) {
    // What cannot be removed is left, and is told by the folder that is not empty.
    if (isTaken) await emptyFolder(vfs, to).catch(() => undefined);
    if (signal?.aborted === true) throw signal.reason;
    throw reported(error, `backing up ${from} to ${to}`, { path: to });
  }
}

async function backUp(from: string, to: string, options: BackupOptions): Promise<BackupReport> {
  const { vfs, host, links, signal, onBytes } = options;
  let bytes = 0;
  const files = new BackupFiles({
    vfs,
    links,
    pause: async () => {
      signal?.throwIfAborted();
      await host.yield();
    },
    onBytes: (more) => {
      bytes += more;
      onBytes?.(bytes);
    },
  });
  const target = new Target(to, files, options);
  for (let tries = 1; ; tries++) {
    signal?.throwIfAborted();
    const identity = await identityOf(vfs, from);
    const places = await placesOf(vfs, from, identity, () => host.yield());
    const settled = await target.addSettled(places);
    const atMs = timeOf(host);
    const intake = await intakeOf(places);
    const cuts = await cutStore(places, settled);
    const isWhole =
      cuts !== undefined &&
      (await target.addCut(cuts)) &&
      isSame(intake, await intakeOf(places)) &&
      haveSameQueues(places, await listQueues(vfs, from));
    if (isWhole) {
      await target.finish(identity, cuts, intake);
      const queues = await settleAndVerify(to, options);
      const { linked, copied } = files;
      return {
        from,
        path: to,
        atMs,
        queues,
        linkedFiles: linked.files,
        linkedBytes: linked.bytes,
        copiedFiles: copied.files,
        copiedBytes: copied.bytes,
      };
    }
    if (tries === TRIES_MAX) {
      throw new EvaqError('EVAQ_IO', `${from} changes faster than it can be copied`, {
        details: { path: from },
        hint: 'Try again when its writer is less busy.',
      });
    }
  }
}

async function identityOf(vfs: Vfs, from: string): Promise<StoreIdentity> {
  const identity = await readStore(vfs, from, 'read');
  if (identity !== undefined) return identity;
  throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${from}`, { details: { path: from } });
}

async function placesOf(
  vfs: Vfs,
  from: string,
  { uuid, register }: StoreIdentity,
  pause: () => Promise<void>,
): Promise<QueuePlace[]> {
  const listed = await listQueues(vfs, from);
  const [missing] = missingQueues(listed, register.names);
  if (missing !== undefined) throw missingQueueError(missing, from);
  if (await mayMissQueues(vfs, from, register)) throw forgottenQueueError(from);
  return listed.names.map((queue) => {
    const isRegistered = register.names.has(queue);
    return { vfs, pause, dir: queueDir(from, queue), queue, storeUuid: uuid, isRegistered };
  });
}

function haveSameQueues(places: readonly QueuePlace[], { names }: { readonly names: readonly string[] }): boolean {
  return places.length === names.length && places.every(({ queue }, i) => queue === names[i]);
}

/** What is remembered of message IDs, by file, as it was before the cut: what it speaks of had been in segments by then. */
async function intakeOf(places: readonly QueuePlace[]): Promise<Map<string, Buffer>> {
  const logs = new Map<string, Buffer>();
  for (const { vfs, dir } of places) {
    for (const { name, kind } of await vfs.list(dir)) {
      if (kind !== 'file' || parseIntakeFileName(name)?.kind !== 'log') continue;
      const path = `${dir}/${name}`;
      const bytes = await readAll(vfs, path);
      if (bytes !== undefined) logs.set(path, bytes);
    }
  }
  return logs;
}

/** If it has grown, segments may have been sealed of which the older one does not tell. */
function isSame(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean {
  return a.size === b.size && [...a].every(([path, bytes]) => b.get(path)?.equals(bytes) === true);
}

async function readAll(vfs: Vfs, path: string): Promise<Buffer | undefined> {
  try {
    const file = await vfs.open(path, 'read');
    try {
      const bytes = Buffer.alloc(await file.size());
      return bytes.subarray(0, await file.readAt(bytes, 0, bytes.length, 0));
    } finally {
      await file.close().catch(() => undefined);
    }
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** The folder of the backup, as long as it is no store. */
class Target {
  readonly #to: string;
  readonly #files: BackupFiles;
  readonly #options: BackupOptions;
  readonly #made = new Set<string>();
  /** Of segments, and what was put there for them. */
  readonly #added = new Set<string>();

  constructor(to: string, files: BackupFiles, options: BackupOptions) {
    this.#to = to;
    this.#files = files;
    this.#options = options;
  }

  /** Adds what will not change any more, and resolves with what is in it. */
  async addSettled(places: readonly QueuePlace[]): Promise<SettledIds> {
    const settled = new Map<string, IdRange[]>();
    for (const place of places) {
      const loaded = await loadIntact(place);
      settled.set(place.queue, settledIn(loaded));
      for (const { segment, footer } of loaded.found) {
        if (footer !== undefined)
          await this.#files.addWhole(segment.path, await this.#place(place.queue, segment.path));
      }
    }
    return settled;
  }

  /** Adds all segments of the cut. False: one is gone. */
  async addCut(cuts: readonly QueueCut[]): Promise<boolean> {
    for (const { place, loaded } of cuts) {
      for (const { segment, footer, contentEnd, isFooterRotten } of loaded.found) {
        const to = await this.#place(place.queue, segment.path);
        const isThere =
          footer === undefined
            ? await this.#files.addFront(segment.path, to, isFooterRotten ? Infinity : contentEnd)
            : await this.#files.addWhole(segment.path, to);
        if (!isThere) return false;
      }
    }
    return true;
  }

  /** What is to be the copy of a file of that queue. */
  async #place(queue: string, path: string): Promise<string> {
    const dir = queueDir(this.#to, queue);
    if (!this.#made.has(dir) && (await this.#options.vfs.makeDir(dir))) this.#options.onFolder?.(dir);
    this.#made.add(dir);
    const to = `${dir}/${path.slice(path.lastIndexOf('/') + 1)}`;
    this.#added.add(to);
    return to;
  }

  /** Makes a store of it. */
  async finish(identity: StoreIdentity, cuts: readonly QueueCut[], intake: ReadonlyMap<string, Buffer>): Promise<void> {
    const { vfs, host } = this.#options;
    const names = cuts.filter(({ loaded }) => hasEvidence(loaded)).map(({ place }) => place.queue);
    const kept = new Set<string>();
    for (const { place, loaded } of cuts)
      for (const { segment } of loaded.found) kept.add(await this.#place(place.queue, segment.path));
    for (const path of this.#added) if (!kept.has(path)) await this.#files.remove(path);
    for (const [path, bytes] of intake) {
      const dir = parentOf(path);
      await this.#files.write(await this.#place(dir.slice(dir.lastIndexOf('/') + 1), path), bytes);
    }
    for (const { place, loaded } of cuts) {
      if (!names.includes(place.queue)) continue;
      await this.#place(place.queue, '');
      await this.#writeRemovals(place, loaded, this.#nextIdOf(loaded, identity));
    }
    for (const dir of this.#made) await vfs.syncDir(dir);
    await vfs.syncDir(`${this.#to}/${QUEUES_DIR}`);
    // What is registered has a segment. The only one of a queue may have been blank, which counts for nothing and is not copied.
    const entered = cuts.filter(({ loaded }) => loaded.found.length > 0).map(({ place }) => place.queue);
    const { hasForgotten } = identity.register;
    const register = encodeRegister({ names: new Set(entered), hasForgotten }, fileSeed(identity.header), timeOf(host));
    await this.#files.write(`${this.#to}/${STORE_FILE}`, Buffer.concat([encodeFileHeader(identity.header), register]));
    await vfs.syncDir(this.#to);
  }

  #nextIdOf({ nextId }: LoadedQueue, { createdMs }: StoreIdentity): number {
    const { host, skipsIds } = this.#options;
    return skipsIds === true ? nextIdBehind(idFloor(createdMs, timeOf(host)), nextId + IDS_UNKNOWN) : nextId;
  }

  /** As an open begins a generation: all that is not live was removed, or never was. */
  async #writeRemovals({ queue, storeUuid }: QueuePlace, loaded: LoadedQueue, nextId: number): Promise<void> {
    const { vfs, host } = this.#options;
    const { log, found, tombstones, segmentIdMax, generation } = loaded;
    const newest = found.at(-1);
    const statement = {
      round: tombstones.round + 1,
      nextId,
      accountedBelow: nextId,
      dataSegmentId: newest?.segment.id ?? 0,
      dataOffset: newest === undefined ? 0 : (newest.footer?.end ?? newest.segment.end),
      sealedBelow: tombstones.sealedBelow,
      segmentIdMax,
      liveRecords: 0,
      // Said when it is settled.
      hasIntake: false,
      timestamp: timeOf(host),
    };
    const source = newGeneration(vfs, host, queueDir(this.#to, queue), storeUuid, generation + 1);
    const made = await TombstoneLog.create(source, statement, accountOf(log.segments, nextId, NONE), () =>
      host.yield(),
    );
    await made.close();
  }
}

/** A queue that was made has a log of removals and a segment; what else is there is a folder that a crash has left. */
function hasEvidence({ found, tombstoneLogs }: LoadedQueue): boolean {
  return found.length > 0 || tombstoneLogs.length > 0;
}

/** Opens and closes it, as any writer does after a crash, and reads every byte. */
async function settleAndVerify(to: string, { vfs, host, lockNote, signal }: BackupOptions): Promise<BackedUpQueue[]> {
  const store = await openStore({
    vfs,
    host,
    path: to,
    lockNote,
    lockTimeoutMs: 0,
    create: false,
    onCorruption: 'fail',
    descriptorsMax: DESCRIPTORS_MAX,
    queueDefaults: { ...DEFAULT_QUEUE_OPTIONS, gcAutomatic: false },
    onProgress: undefined,
    ownsLease: () => false,
  });
  await store.close();
  const { damage, torn, queues } = await verifyStore(to, { vfs, ...(signal === undefined ? {} : { signal }) });
  const [wrong] = [...damage.filter(({ lossless }) => !lossless), ...torn];
  if (wrong !== undefined) {
    throw new EvaqError('EVAQ_CORRUPT', `the backup at ${to} is not intact: ${wrong.file}, offset ${wrong.offset}`, {
      details: { path: wrong.file, offset: wrong.offset, bytes: wrong.bytes },
      hint: 'The store itself may be damaged where nobody has read it: run evaq verify on it.',
    });
  }
  return queues.map(({ queue, live, segments }) => ({ queue, live, segments }));
}
