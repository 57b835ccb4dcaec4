/**
 * The file STORE, which makes a folder a store: a file header with the store's UUID, and the register of its queues (`queue-register.ts`). And the
 * layout of the folder.
 *
 * Made once, atomically: written under a temporary name, synced, renamed, the folder synced. A crash before that leaves a folder that holds
 * nothing but what a store in the making may hold, and the next open makes it anew.
 */
import { EvaqError, isNotFound, isSystemError } from '../errors.js';
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  fileSeed,
} from '../frame/file-header.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import {
  EMPTY_REGISTER,
  encodeRegister,
  type QueueRegister,
  type Registered,
  readRegister,
  registerEnd,
} from './queue-register.js';
import { isOfTheSystem, lookAtPlace } from './store-place.js';

export const STORE_FILE = 'STORE';
export const STORE_FILE_UNFINISHED = 'STORE.tmp';
export const LOCK_FILE = 'LOCK';
export const QUEUES_DIR = 'queues';
export const WAL_QUEUE = 'wal';
export const DEAD_LETTERS_QUEUE = 'dead-letters';

/** Of a queue that the user named, the dead letters are in a queue of its name with this behind it. */
export const DEAD_LETTERS_SUFFIX = '.dead';

/** Any name has its queue of dead letters. */
const QUEUE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}(?:\.dead)?$/;

export interface StoreIdentity {
  readonly uuid: Buffer;
  readonly createdMs: number;
  readonly header: FileHeader;
  /** One of the two copies in the file is damaged. */
  readonly damaged: boolean;
  /** The queues that there have been. */
  readonly register: QueueRegister;
}

/** Throws EVAQ_QUEUE_NAME unless `name` may be a queue's: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot. */
export function requireQueueName(name: unknown): asserts name is string {
  if (typeof name === 'string' && QUEUE_NAME.test(name)) return;
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 80)) : typeof name;
  throw new EvaqError('EVAQ_QUEUE_NAME', `${shown} cannot be the name of a queue`, {
    hint: 'Use 1 to 64 letters, digits, dots, underscores and hyphens, not starting with a dot.',
  });
}

/** Names of devices, with whatever ending: Windows has no such files. */
const DEVICE_NAME = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/**
 * Throws EVAQ_QUEUE_NAME unless a queue of that name, and later its dead letters, may be made beside `others`: some file systems could not keep it, or
 * not keep it apart. Queues that are there already are served, whatever their names, and have dead letters.
 */
export function requireNewQueueName(name: string, others: ReadonlySet<string>): void {
  const details = { queue: name };
  if (name.endsWith(DEAD_LETTERS_SUFFIX) && others.has(name.slice(0, -DEAD_LETTERS_SUFFIX.length))) return;
  if (DEVICE_NAME.test(name) || name.endsWith('.')) {
    throw new EvaqError(
      'EVAQ_QUEUE_NAME',
      `'${name}' cannot be the name of a new queue: Windows has no folder of that name`,
      { details, hint: 'Avoid the names of devices (con, nul, com1 …), and a dot at the end.' },
    );
  }
  const taken = new Map<string, string>();
  for (const other of others) for (const one of namesWith(other)) taken.set(one.toLowerCase(), one);
  for (const one of namesWith(name)) {
    const other = taken.get(one.toLowerCase());
    if (other === undefined || other === one) continue;
    throw new EvaqError(
      'EVAQ_QUEUE_NAME',
      `'${other}' is or will be a queue: '${one}' would be the same folder on macOS and Windows`,
      { details, hint: 'Use one spelling of a name, or another name.' },
    );
  }
}

/** A queue, and that of its dead letters. */
function namesWith(queue: string): readonly string[] {
  return queue.endsWith(DEAD_LETTERS_SUFFIX) ? [queue] : [queue, `${queue}${DEAD_LETTERS_SUFFIX}`];
}

export function queueDir(storePath: string, queue: string): string {
  return `${storePath}/${QUEUES_DIR}/${queue}`;
}

/**
 * Who the store is; `undefined` where there is none and one may be made. Rejects where the folder is something else. `purpose`: whether the caller would
 * make one, for the hint.
 */
export async function readStore(
  vfs: Vfs,
  path: string,
  purpose: Purpose = 'write',
): Promise<StoreIdentity | undefined> {
  const place = await lookAtPlace(vfs, path);
  if (place.kind === 'nothing') return undefined;
  if (place.kind === 'lost link') throw lostLinkError(path);
  if (place.kind === 'other') throw notAStore(path, 'it is not a folder', purpose);
  const { entries } = place;
  const store = entries.find(({ name }) => name === STORE_FILE);
  if (store === undefined) {
    const isForeign = (name: string): boolean => name !== LOCK_FILE && name !== STORE_FILE_UNFINISHED;
    const foreign = entries.find(({ name }) => isForeign(name) && !isOfTheSystem(name));
    if (foreign === undefined) return undefined;
    const hint = entries.some(({ name }) => name === QUEUES_DIR)
      ? `If it was one: 'evaq repair ${path}' shows how it would be mended.`
      : undefined;
    throw notAStore(path, `it holds ${JSON.stringify(foreign.name)} and no ${STORE_FILE} file`, purpose, hint);
  }
  if (store.kind !== 'file') throw notAStore(path, `${STORE_FILE} is not a regular file`, purpose);
  const file = await vfs.open(`${path}/${STORE_FILE}`, 'read');
  try {
    const bytes = Buffer.alloc(FILE_HEADER_BYTES);
    const read = await file.readAt(bytes, 0, FILE_HEADER_BYTES, 0);
    const decoding = decodeFileHeader(bytes.subarray(0, read), 'store');
    if (decoding.kind === 'ok') {
      const { header, damaged } = decoding;
      const { names, ...rest } = await readRegister(file, fileSeed(header), await file.size());
      const register = { ...rest, names: new Set([...names].filter((name) => QUEUE_NAME.test(name))) };
      return { uuid: header.storeUuid, createdMs: header.createdMs, header, damaged, register };
    }
    if (decoding.kind === 'unsupported') {
      throw new EvaqError(
        'EVAQ_UNSUPPORTED_VERSION',
        `${path} has format ${decoding.major}, which this version of evaq does not know`,
        {
          details: { path },
          hint: 'Open the store with the newer evaq that wrote it.',
        },
      );
    }
    throw new EvaqError('EVAQ_CORRUPT', `${path}/${STORE_FILE} is damaged in both of its copies`, {
      details: { path: `${path}/${STORE_FILE}`, offset: 0, bytes: read },
      hint: `The other files of the store hold the UUID that this one held: see 'evaq repair ${path}'.`,
    });
  } finally {
    await file.close().catch(() => undefined);
  }
}

/** Locks one more file of the store; throws where somebody else has it. */
type Take = (file: string) => void;

/**
 * Makes the folder a store. The caller holds the lock. Should its file have been deleted, so that two are here: `take` locks a file, and throws where
 * somebody else has it. Of the unfinished file only he who has locked it renames or removes it; so nobody replaces a STORE that there is.
 */
export async function createStore(vfs: Vfs, host: Host, path: string, take: Take): Promise<StoreIdentity> {
  const uuid = Buffer.alloc(16);
  host.random(uuid);
  // Version 4, variant 1 (RFC 9562), for those who print it.
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x40;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  const salt = Buffer.alloc(4);
  host.random(salt);
  const createdMs = timeOf(host);
  const header: FileHeader = {
    kind: 'store',
    flags: 0,
    storeUuid: uuid,
    fileId: 0,
    baseId: 0,
    idHighWater: 0,
    createdMs,
    salt: salt.readUInt32LE(0),
  };
  const temporary = await writeUnfinished(vfs, path, encodeFileHeader(header), take);
  if ((await vfs.stat(`${path}/${STORE_FILE}`)) !== undefined) {
    await vfs.remove(temporary);
    const made = await readStore(vfs, path);
    if (made !== undefined) return made;
    throw notAStore(path, `its ${STORE_FILE} file comes and goes`, 'write');
  }
  await vfs.rename(temporary, `${path}/${STORE_FILE}`);
  await vfs.syncDir(path);
  return { uuid, createdMs, header, damaged: false, register: EMPTY_REGISTER };
}

/**
 * Writes the file anew, with the header that it has and a register that says `registered`; resolves with the register then. The caller holds the lock.
 */
export async function mendStore(
  vfs: Vfs,
  path: string,
  { header }: StoreIdentity,
  registered: Registered,
  nowMs: number,
): Promise<QueueRegister> {
  const bytes = Buffer.concat([encodeFileHeader(header), encodeRegister(registered, fileSeed(header), nowMs)]);
  const temporary = await writeUnfinished(vfs, path, bytes);
  await vfs.rename(temporary, `${path}/${STORE_FILE}`);
  await vfs.syncDir(path);
  return { ...EMPTY_REGISTER, ...registered, end: registerEnd(registered) };
}

/** Writes the file under its unfinished name, and resolves with that: at every instant of a crash STORE is as before or as it is to be. */
async function writeUnfinished(vfs: Vfs, path: string, bytes: Buffer, take?: Take): Promise<string> {
  const temporary = `${path}/${STORE_FILE_UNFINISHED}`;
  if ((await vfs.stat(temporary)) !== undefined) await removeUnfinished(vfs, temporary, take);
  const file = await vfs.create(temporary);
  try {
    take?.(temporary);
    await file.writeAt(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close().catch(() => undefined);
  }
  return temporary;
}

async function removeUnfinished(vfs: Vfs, temporary: string, take: Take | undefined): Promise<void> {
  take?.(temporary);
  await vfs.remove(temporary).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

/** A folder above the store that this user may not read was not made by evaq, so its names are none of ours. */
const FOREIGN_DIR_CODES: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EINVAL']);

/**
 * Makes a folder and what is missing above it, each name durable. Those that are there count, too: a process that died before it could sync
 * their names may have made them.
 */
export async function makeDirs(vfs: Vfs, path: string): Promise<void> {
  const dirs: string[] = [];
  for (let at = path; at !== '' && at !== '/'; at = parentOf(at)) dirs.unshift(at);
  for (const dir of dirs) {
    const stat = await vfs.stat(dir);
    const made = stat === undefined && (await vfs.makeDir(dir));
    try {
      await vfs.syncDir(parentOf(dir));
      // Behind a link the folder has its name elsewhere.
      if (stat?.kind === 'other') await vfs.syncDir(`${dir}/..`);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (stat?.kind === 'other' && (error.code === 'ENOENT' || error.code === 'ELOOP')) throw lostLinkError(dir);
      if (made || !FOREIGN_DIR_CODES.has(error.code)) throw error;
    }
  }
}

export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

function lostLinkError(path: string): EvaqError {
  return new EvaqError('EVAQ_NOT_A_STORE', `${path} is not an evaq store: it is a link that leads to no folder`, {
    details: { path },
    hint: 'Bring back what it leads to (a disk that is not mounted, say), make that folder, or name another one; nothing was changed.',
  });
}

type Purpose = 'read' | 'write';

function notAStore(path: string, why: string, purpose: Purpose, hint?: string): EvaqError {
  const otherwise =
    purpose === 'read'
      ? `Name the folder of a store: the one that holds ${STORE_FILE} and ${QUEUES_DIR}/.`
      : 'Name an empty or a new folder to make a store there; nothing was changed.';
  return new EvaqError('EVAQ_NOT_A_STORE', `${path} is not an evaq store: ${why}`, {
    details: { path },
    hint: hint ?? otherwise,
  });
}
