/**
 * The file STORE, which makes a folder a store: a file header with the store's UUID. And the layout of the folder.
 *
 * Made once, atomically: written under a temporary name, synced, renamed, the folder synced. A crash before that leaves a folder that holds
 * nothing but what a store in the making may hold, and the next open makes it anew.
 */
import { EvaqError, isSystemError } from '../errors.js';
import { decodeFileHeader, encodeFileHeader, FILE_HEADER_BYTES, type FileHeader } from '../frame/file-header.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';

export const STORE_FILE = 'STORE';
export const STORE_FILE_UNFINISHED = 'STORE.tmp';
export const LOCK_FILE = 'LOCK';
export const QUEUES_DIR = 'queues';
export const WAL_QUEUE = 'wal';
export const DEAD_LETTERS_QUEUE = 'dead-letters';

const QUEUE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

export interface StoreIdentity {
  readonly uuid: Buffer;
  readonly createdMs: number;
  readonly header: FileHeader;
  /** One of the two copies in the file is damaged. */
  readonly damaged: boolean;
}

/** Throws EVAQ_QUEUE_NAME unless `name` may be a queue's: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot. */
export function requireQueueName(name: unknown): asserts name is string {
  if (typeof name === 'string' && QUEUE_NAME.test(name)) return;
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 80)) : typeof name;
  throw new EvaqError('EVAQ_QUEUE_NAME', `${shown} cannot be the name of a queue`, {
    hint: 'Use 1 to 64 letters, digits, dots, underscores and hyphens, not starting with a dot.',
  });
}

export function queueDir(storePath: string, queue: string): string {
  return `${storePath}/${QUEUES_DIR}/${queue}`;
}

/** Who the store is; `undefined` where there is none and one may be made. Rejects where the folder is something else. */
export async function readStore(vfs: Vfs, path: string): Promise<StoreIdentity | undefined> {
  const stat = await vfs.stat(path);
  if (stat === undefined) return undefined;
  if (stat.kind !== 'directory') throw notAStore(path, 'it is not a folder');
  const entries = await vfs.list(path);
  const store = entries.find(({ name }) => name === STORE_FILE);
  if (store === undefined) {
    const foreign = entries.find(({ name }) => name !== LOCK_FILE && name !== STORE_FILE_UNFINISHED);
    if (foreign !== undefined)
      throw notAStore(path, `it holds ${JSON.stringify(foreign.name)} and no ${STORE_FILE} file`);
    return undefined;
  }
  if (store.kind !== 'file') throw notAStore(path, `${STORE_FILE} is not a regular file`);
  const file = await vfs.open(`${path}/${STORE_FILE}`, 'read');
  try {
    const bytes = Buffer.alloc(FILE_HEADER_BYTES);
    const read = await file.readAt(bytes, 0, FILE_HEADER_BYTES, 0);
    const decoding = decodeFileHeader(bytes.subarray(0, read), 'store');
    if (decoding.kind === 'ok') {
      const { header, damaged } = decoding;
      return { uuid: header.storeUuid, createdMs: header.createdMs, header, damaged };
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

/** Makes the folder a store. The caller holds the lock. */
export async function createStore(vfs: Vfs, host: Host, path: string): Promise<StoreIdentity> {
  const uuid = Buffer.alloc(16);
  host.random(uuid);
  // Version 4, variant 1 (RFC 9562), for those who print it.
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x40;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  const salt = Buffer.alloc(4);
  host.random(salt);
  const createdMs = host.now();
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
  const temporary = `${path}/${STORE_FILE_UNFINISHED}`;
  if ((await vfs.stat(temporary)) !== undefined) await vfs.remove(temporary);
  const file = await vfs.create(temporary);
  try {
    const bytes = encodeFileHeader(header);
    await file.writeAt(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close().catch(() => undefined);
  }
  await vfs.rename(temporary, `${path}/${STORE_FILE}`);
  await vfs.syncDir(path);
  return { uuid, createdMs, header, damaged: false };
}

/** Writes both copies again: the intact one gets the bytes that it has. The caller holds the lock. */
export async function mendStore(vfs: Vfs, path: string, identity: StoreIdentity): Promise<void> {
  const file = await vfs.open(`${path}/${STORE_FILE}`, 'write');
  try {
    const bytes = encodeFileHeader(identity.header);
    await file.writeAt(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close().catch(() => undefined);
  }
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
    const made = (await vfs.stat(dir)) === undefined && (await vfs.makeDir(dir));
    try {
      await vfs.syncDir(parentOf(dir));
    } catch (error) {
      if (made || !(isSystemError(error) && FOREIGN_DIR_CODES.has(error.code))) throw error;
    }
  }
}

export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

function notAStore(path: string, why: string): EvaqError {
  return new EvaqError('EVAQ_NOT_A_STORE', `${path} is not an evaq store: ${why}`, {
    details: { path },
    hint: 'Name an empty or a new folder to make a store there; nothing was changed.',
  });
}
