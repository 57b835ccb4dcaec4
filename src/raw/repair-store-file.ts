/** The file STORE, made anew from the headers of the store's other files, each of which names the store's UUID. */
import { isNotFound } from '../errors.js';
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  fileSeed,
} from '../frame/file-header.js';
import { listQueues } from '../layout/queue-names.js';
import { encodeRegister } from '../layout/queue-register.js';
import { queueDir } from '../layout/store-file.js';
import { lookAtPlace } from '../layout/store-place.js';
import { queuesWithEvidence } from '../log/queue-evidence.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import type { Vfs } from '../vfs/vfs.js';

/** The UUID that most files name; `undefined` where no file names one. */
export async function findStoreUuid(vfs: Vfs, store: string): Promise<Buffer | undefined> {
  if ((await lookAtPlace(vfs, store)).kind !== 'folder') return undefined;
  const votes = new Map<string, number>();
  for (const { storeUuid } of await headersOf(vfs, store)) {
    const uuid = storeUuid.toString('hex');
    votes.set(uuid, (votes.get(uuid) ?? 0) + 1);
  }
  const [most] = [...votes].sort(([, a], [, b]) => b - a);
  return most === undefined ? undefined : Buffer.from(most[0], 'hex');
}

/** What STORE is to hold. It takes the oldest file's word for when the store was made. */
export async function remakeStoreFile(vfs: Vfs, store: string, storeUuid: Buffer): Promise<Buffer> {
  let createdMs = Infinity;
  for (const header of await headersOf(vfs, store)) {
    if (header.storeUuid.equals(storeUuid)) createdMs = Math.min(createdMs, header.createdMs);
  }
  const header: FileHeader = {
    kind: 'store',
    flags: 0,
    storeUuid,
    fileId: 0,
    baseId: 0,
    idHighWater: 0,
    createdMs: Number.isFinite(createdMs) ? createdMs : 0,
    salt: 0,
  };
  // Those that are there: of others nothing tells any more.
  const registered = { names: new Set(await queuesWithEvidence(vfs, store)), hasForgotten: true };
  return Buffer.concat([encodeFileHeader(header), encodeRegister(registered, fileSeed(header), 0)]);
}

async function headersOf(vfs: Vfs, store: string): Promise<FileHeader[]> {
  const headers: FileHeader[] = [];
  for (const queue of (await listQueues(vfs, store)).names) {
    const dir = queueDir(store, queue);
    for (const { name, kind } of await vfs.list(dir)) {
      const isSegment = parseSegmentFileName(name)?.kind === 'segment';
      if (kind !== 'file' || !(isSegment || parseTombstoneFileName(name)?.kind === 'log')) continue;
      const head = await readHead(vfs, `${dir}/${name}`);
      const decoding = head === undefined ? undefined : decodeFileHeader(head, isSegment ? 'segment' : 'tombstones');
      if (decoding?.kind === 'ok') headers.push(decoding.header);
    }
  }
  return headers;
}

/** The first bytes of a file; `undefined` where it is gone. */
export async function readHead(vfs: Vfs, path: string): Promise<Buffer | undefined> {
  let file: Awaited<ReturnType<Vfs['open']>>;
  try {
    file = await vfs.open(path, 'read');
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  try {
    const head = Buffer.alloc(FILE_HEADER_BYTES);
    return head.subarray(0, await file.readAt(head, 0, FILE_HEADER_BYTES, 0));
  } finally {
    await file.close().catch(() => undefined);
  }
}
