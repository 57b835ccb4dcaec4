/** Backups as calls of a program, and of the command line: a store is copied while it may be in use, and a copy is made a store again. */
import { throwIfAborted, type WaitOptions } from '../abortable.js';
import {
  optionNames,
  requireFunction,
  requireNoMore,
  requireOptions,
  requirePorts,
  requireSignal,
} from '../arguments.js';
import { Callback } from '../callback.js';
import { describe } from '../ids.js';
import { STORE_FILE } from '../layout/store-file.js';
import { storePathOf } from '../layout/store-path.js';
import { timeOf } from '../vfs/host.js';
import { nodeVfsFor } from '../vfs/node-access.js';
import { nodeHost } from '../vfs/node-host.js';
import type { Ports } from './evaq-options.js';
import { type BackupReport, backUpStore } from './store-backup.js';
import { ownLockNote } from './store-lock.js';

export interface CopyProgress {
  /** Bytes that are in the copy so far, those of shared files included. */
  readonly bytes: number;
}

export interface RestoreOptions extends WaitOptions {
  /** Called as it goes on. What it throws ends the call, which rejects with that. */
  readonly onProgress?: (progress: CopyProgress) => unknown;
  /** Called with each folder that was made, `to` included: a call that fails leaves them, empty. */
  readonly onFolder?: (path: string) => unknown;
  /** File system and host; default the real ones. */
  readonly ports?: Ports;
}

export interface BackupOptions extends RestoreOptions {
  /**
   * False: files that do not change any more get one more name in the backup (a hard link), where the file system can do that: it costs no space, and a
   * disk that fails takes both. True: all are copied. Default false.
   */
  readonly copy?: boolean;
}

const RESTORE_NAMES = optionNames('signal', 'onProgress', 'onFolder', 'ports');
const BACKUP_NAMES = optionNames('signal', 'onProgress', 'onFolder', 'ports', 'copy');

/**
 * Makes a copy of the store at `path` in the folder `to`, which is made, or empty. Takes no lock and changes nothing in the store: it may be in use, by this
 * program or another one. When it resolves `to` is a store as of one moment of all queues, durable, closed and verified: every record that was durable
 * before the call and was not removed in the time of it is in it, and none whose removal was durable before the call. In a weaker durability mode call
 * `flush` first. What is remembered of attempts at delivery is not in it. If it rejects, `to` holds no store, and no file of this call.
 * @throws EVAQ_CORRUPT where the store is damaged; EVAQ_NOT_A_STORE where there is none; EVAQ_IO, also where `to` holds something; EVAQ_NO_SPACE,
 * EVAQ_UNSUPPORTED_VERSION, EVAQ_NOT_OWNER; the reason of `signal`
 */
export async function backupStore(
  path: string | URL,
  to: string | URL,
  options: BackupOptions = {},
): Promise<BackupReport> {
  requireNoMore(arguments.length, 3, 'backupStore');
  requireOptions(options, 'backupStore', BACKUP_NAMES);
  const { copy = false } = options;
  if (typeof copy !== 'boolean') throw new TypeError(`copy must be true or false, got ${describe(copy)}`);
  return copied(path, to, options, { links: !copy, skipsIds: false }, 'backupStore');
}

/**
 * Makes a store of the backup at `backup` in the folder `to`, which is made, or empty. The backup stays as it is, and shares no file with it. It is the same
 * store, by its UUID: records that are delivered again have the delivery IDs that they had. New records get IDs far above all that can have been given out
 * since the backup was made, so that none has the delivery ID of a record that is lost. Resolves, and rejects, as `backupStore`.
 */
export async function restoreStore(
  backup: string | URL,
  to: string | URL,
  options: RestoreOptions = {},
): Promise<BackupReport> {
  requireNoMore(arguments.length, 3, 'restoreStore');
  requireOptions(options, 'restoreStore', RESTORE_NAMES);
  return copied(backup, to, options, { links: false, skipsIds: true }, 'restoreStore');
}

async function copied(
  path: string | URL,
  target: string | URL,
  { signal, onProgress, onFolder, ports }: RestoreOptions,
  how: { readonly links: boolean; readonly skipsIds: boolean },
  where: string,
): Promise<BackupReport> {
  const from = storePathOf(path);
  const to = storePathOf(target);
  requireFunction(onProgress, 'onProgress');
  requireFunction(onFolder, 'onFolder');
  requirePorts(ports);
  requireSignal(signal, where);
  throwIfAborted(signal);
  const progress = new Callback(onProgress);
  const folders = new Callback(onFolder);
  const host = ports?.host ?? nodeHost;
  // It belongs to whom its folder belongs to, and may be read by whoever may read the store.
  const vfs = ports?.vfs ?? (await nodeVfsFor({ path: to, mode: undefined, like: `${from}/${STORE_FILE}` }));
  try {
    return await backUpStore(from, to, {
      ...how,
      vfs,
      host,
      lockNote: ownLockNote(timeOf(host), host),
      onFolder: (folder) => folders.tell(folder),
      onBytes: (bytes) => progress.tell({ bytes }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    progress.throwIfFailed();
    folders.throwIfFailed();
    throw error;
  }
}
