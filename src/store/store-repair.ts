/**
 * Carries out a repair: the only part of evaq that writes to a damaged store other than to go on with it.
 *
 * Under the store's lock from the first look to the last:
 *  1. the store is looked at, and the plan made
 *  2. every file that will be changed is copied to `.evaq-backup-<time>/`, synced
 *  3. headers, and the file STORE, that can be made anew are written
 *  4. the store is opened with `onCorruption: 'quarantine'`: what cannot be read goes to quarantine/, new tombstone logs are begun
 *  5. damaged segments are rewritten: their intact records go to a new file, which names the one it replaces; that one goes to quarantine/
 *  6. the store is closed and verified; and it is proved that all that could be read before can be read still (P15)
 *
 * A crash leaves a store that is as damaged as it was, or less, with its backup; repairing starts over.
 */
import { resolve } from 'node:path';
import { EvaqError, isNotFound, reported } from '../errors.js';
import { decodeFileHeader, FILE_HEADER_BYTES, fileSeed } from '../frame/file-header.js';
import { listQueues } from '../layout/queue-names.js';
import { parentOf, queueDir } from '../layout/store-file.js';
import type { Damage } from '../log/log-load.js';
import { DEFAULT_QUEUE_OPTIONS } from '../queue/queue-options.js';
import { goneFrom, type Readable, readableOf } from '../raw/readable.js';
import type { RepairPlan } from '../raw/repair-plan.js';
import { type RepairSurvey, surveyRepair } from '../raw/repair-survey.js';
import { verifyStore } from '../raw/verify.js';
import { readFooter } from '../segment/segment-footer.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import { DESCRIPTORS_MAX } from '../vfs/descriptor-budget.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs, VfsEntry, VfsFile, VfsIdentities, VfsLock, VfsLockResult, VfsStat } from '../vfs/vfs.js';
import { openStore } from './open-store.js';
import { type LockNote, lockStore } from './store-lock.js';

const COPY_BYTES = 1024 * 1024;

export interface RepairOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly lockNote: LockNote;
  /** Looked at until the first byte is changed. */
  readonly signal?: AbortSignal;
}

export interface RepairReport {
  readonly plan: RepairPlan;
  /** False: nothing is damaged, or something must be settled by hand first; nothing was changed. */
  readonly applied: boolean;
  /** Where the changed files are as they were. */
  readonly backup: string | undefined;
  /** What is damaged still. */
  readonly left: readonly Damage[];
}

/**
 * Repairs the store at `path`. When it resolves with `applied` the result is durable, and no record that was intact is lost: that
 * has been looked at, record by record.
 * @throws EVAQ_CORRUPT where one is lost all the same: its files are kept in the backup; EVAQ_LOCKED, EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO, EVAQ_NO_SPACE, EVAQ_NATIVE_UNAVAILABLE
 */
export async function repairStore(path: string, options: RepairOptions): Promise<RepairReport> {
  const { vfs, host, lockNote } = options;
  const store = resolve(path);
  const before = await surveyRepair(store, readOptions(options));
  if (!isRepairable(before.plan))
    return { plan: before.plan, applied: false, backup: undefined, left: before.plan.damage };
  const lock = await lockStore(store, { vfs, host, note: lockNote, timeoutMs: 0 }).catch((error: unknown) => {
    throw reported(error, `locking ${store}`, { path: store });
  });
  try {
    // Nobody writes to it from here on.
    const survey = await surveyRepair(store, readOptions(options));
    const { plan } = survey;
    if (!isRepairable(plan)) return { plan, applied: false, backup: undefined, left: plan.damage };
    const before = await readableOf(store, options);
    const backup = await backUp(survey, options);
    options.signal?.throwIfAborted();
    await writePatches(survey, vfs);
    const readable = await readableAt(store, before, survey, options);
    await rewriteDamaged(plan, options, lock);
    const { damage } = await verifyStore(store, { vfs });
    if (readable !== undefined) requireKept(goneFrom(readable, await readableOf(store, { vfs, host })), store, backup);
    return { plan, applied: true, backup, left: damage };
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw reported(error, `repairing ${store}`, { path: store });
  } finally {
    await lock.release();
  }
}

/**
 * What a repair must keep: what could be read before it. But for queues whose removals are known again, once the header of their log is there: of those
 * what can be read then; and all of that where the store could not be opened before.
 */
async function readableAt(
  store: string,
  before: Readable | undefined,
  { patches }: RepairSurvey,
  { vfs, host }: RepairOptions,
): Promise<Readable | undefined> {
  const logs = [...patches.keys()].filter((path) => path.endsWith('.tomb')).map(parentOf);
  if (before !== undefined && logs.length === 0) return before;
  const mended = await readableOf(store, { vfs, host });
  if (before === undefined || mended === undefined) return mended;
  return new Map(
    [...before].map(([queue, was]) => [queue, (logs.includes(queueDir(store, queue)) && mended.get(queue)) || was]),
  );
}

/** A repair that has cost anything is none. What it did stands: the files as they were are in the backup, and in quarantine/. */
function requireKept(gone: ReturnType<typeof goneFrom>, store: string, backup: string): void {
  const [first] = gone;
  if (first === undefined) return;
  const count = gone.reduce((sum, range) => sum + range.last - range.first + 1, 0);
  const which = `queue '${first.queue}': ${count} records that could be read before the repair cannot be read after it, from record ${first.first} on`;
  throw new EvaqError(
    'EVAQ_CORRUPT',
    `${store}: ${which}; the files that were changed are in ${backup}, as they were`,
    {
      details: { path: backup, queue: first.queue, id: first.first, lastId: first.last },
      hint: 'Copy them back over the store. This should never be: please report it.',
    },
  );
}

function readOptions({ vfs, signal }: RepairOptions): { vfs: Vfs; signal?: AbortSignal } {
  return { vfs, ...(signal === undefined ? {} : { signal }) };
}

function isRepairable({ steps }: RepairPlan): boolean {
  return steps.length > 0 && steps.every(({ action }) => action !== 'by-hand');
}

/** Copies every file that will be changed or moved, and makes the copies durable. */
async function backUp({ plan, patches, tornFiles }: RepairSurvey, { vfs, host }: RepairOptions): Promise<string> {
  const { path } = plan;
  const files = new Set([...patches.keys(), ...plan.steps.map(({ file }) => file), ...tornFiles]);
  for (const queue of (await listQueues(vfs, path)).names) {
    const dir = queueDir(path, queue);
    for (const { name, kind } of await vfs.list(dir)) {
      if (kind !== 'file') continue;
      const file = `${dir}/${name}`;
      // Opening makes new tombstone logs, and puts footers to segments that have none.
      if (parseTombstoneFileName(name)?.kind === 'log') files.add(file);
      else if (parseSegmentFileName(name)?.kind === 'segment' && !(await isSealed(vfs, file))) files.add(file);
    }
  }
  const backup = await makeBackupDir(path, { vfs, host });
  const made = new Set([backup]);
  for (const file of [...files].sort()) {
    if ((await vfs.stat(file))?.kind !== 'file') continue;
    const copy = `${backup}${file.slice(path.length)}`;
    await makeDirsBelow(vfs, backup, parentOf(copy), made);
    await copyFile(vfs, file, copy);
  }
  for (const dir of made) await vfs.syncDir(dir);
  return backup;
}

async function makeBackupDir(path: string, { vfs, host }: Pick<RepairOptions, 'vfs' | 'host'>): Promise<string> {
  const time = new Date(timeOf(host)).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  for (let i = 1; ; i++) {
    const backup = `${path}/.evaq-backup-${time}${i === 1 ? '' : `-${i}`}`;
    if (!(await vfs.makeDir(backup))) continue;
    await vfs.syncDir(path);
    return backup;
  }
}

async function makeDirsBelow(vfs: Vfs, top: string, dir: string, made: Set<string>): Promise<void> {
  if (made.has(dir) || dir.length <= top.length) return;
  await makeDirsBelow(vfs, top, parentOf(dir), made);
  await vfs.makeDir(dir);
  made.add(dir);
}

async function copyFile(vfs: Vfs, from: string, to: string): Promise<void> {
  const source = await vfs.open(from, 'read');
  try {
    const target = await vfs.create(to);
    try {
      const chunk = Buffer.allocUnsafe(COPY_BYTES);
      for (let at = 0; ; ) {
        const read = await source.readAt(chunk, 0, COPY_BYTES, at);
        if (read === 0) break;
        await target.writeAt(chunk, 0, read, at);
        at += read;
      }
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function isSealed(vfs: Vfs, path: string): Promise<boolean> {
  const file = await vfs.open(path, 'read');
  try {
    const head = Buffer.alloc(FILE_HEADER_BYTES);
    const decoding = decodeFileHeader(head.subarray(0, await file.readAt(head, 0, head.length, 0)), 'segment');
    if (decoding.kind !== 'ok') return false;
    return (await readFooter(file, await file.size(), fileSeed(decoding.header))) !== undefined;
  } finally {
    await file.close();
  }
}

/** What can be made anew is written: in place, since the backup has what was there. */
async function writePatches({ patches }: RepairSurvey, vfs: Vfs): Promise<void> {
  for (const [path, bytes] of patches) {
    const file = await openOrCreate(vfs, path);
    try {
      await file.writeAt(bytes, 0, bytes.length, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await vfs.syncDir(parentOf(path));
  }
}

async function openOrCreate(vfs: Vfs, path: string): Promise<VfsFile> {
  try {
    return await vfs.open(path, 'write');
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return vfs.create(path);
  }
}

/** Opening sets aside what cannot be read; what can be, in part, is rewritten. */
async function rewriteDamaged(
  { path, steps }: RepairPlan,
  { vfs, host, lockNote }: RepairOptions,
  lock: VfsLock,
): Promise<void> {
  const damaged = new Set(steps.filter(({ action }) => action === 'rewrite').map(({ file }) => file));
  const store = await openStore({
    vfs: new LockedVfs(vfs, lock),
    host,
    path,
    lockNote,
    lockTimeoutMs: 0,
    create: false,
    onCorruption: 'quarantine',
    descriptorsMax: DESCRIPTORS_MAX,
    queueDefaults: { ...DEFAULT_QUEUE_OPTIONS, gcAutomatic: false },
    onProgress: undefined,
    ownsLease: () => false,
  });
  let failure: unknown;
  try {
    for (const name of store.queueNames) {
      const core = await store.queue(name, store.options.queueDefaults);
      await core.rewrite(damaged);
    }
  } catch (error) {
    failure = error;
  }
  await store.close().catch((error: EvaqError) => {
    failure ??= error;
  });
  if (failure !== undefined) throw failure;
}

/** The file system, to one who has the lock already. */
class LockedVfs implements Vfs {
  readonly #vfs: Vfs;
  readonly #lock: VfsLock;

  constructor(vfs: Vfs, lock: VfsLock) {
    this.#vfs = vfs;
    this.#lock = lock;
  }

  lock(): Promise<VfsLockResult> {
    const lock = this.#lock;
    const { identity } = lock;
    const held: VfsLock = {
      ...(identity === undefined ? {} : { identity }),
      addBlocking: (path) => lock.addBlocking(path),
      release: () => Promise.resolve(),
    };
    return Promise.resolve({ kind: 'locked', lock: held });
  }

  get identities(): VfsIdentities | undefined {
    return this.#vfs.identities;
  }

  list(dir: string): Promise<VfsEntry[]> {
    return this.#vfs.list(dir);
  }

  stat(path: string): Promise<VfsStat | undefined> {
    return this.#vfs.stat(path);
  }

  makeDir(dir: string): Promise<boolean> {
    return this.#vfs.makeDir(dir);
  }

  create(path: string): Promise<VfsFile> {
    return this.#vfs.create(path);
  }

  open(path: string, access: 'read' | 'write'): Promise<VfsFile> {
    return this.#vfs.open(path, access);
  }

  get openBlocking(): ((path: string) => VfsFile) | undefined {
    return this.#vfs.openBlocking;
  }

  get endsBlocking(): Vfs['endsBlocking'] {
    return this.#vfs.endsBlocking;
  }

  rename(from: string, to: string): Promise<void> {
    return this.#vfs.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#vfs.remove(path);
  }

  syncDir(dir: string): Promise<void> {
    return this.#vfs.syncDir(dir);
  }

  freeBytes(path: string): Promise<number> {
    return this.#vfs.freeBytes(path);
  }
}
