/**
 * Damage, as it is told to whoever opens, reads or verifies a store.
 */
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { Stranger } from '../layout/queue-names.js';
import { STORE_FILE, type StoreIdentity } from '../layout/store-file.js';
import type { Vfs } from '../vfs/vfs.js';
import { mayMissQueues } from './queue-evidence.js';

/** Damage to bytes that had been synced, in words and numbers. */
export interface Damage {
  readonly queue: string;
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  /** Records that are lost to it, all of them; absent where it cannot be said, or none is. There are both, or neither. */
  readonly firstId?: number;
  readonly lastId?: number;
  /** Time range of the neighbours, in ms since the epoch. */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly what: string;
  /** Records are lost, and which is not known: those named, if any, are all that may be among them. */
  readonly vague?: true;
  /** Nothing is lost: a second copy is intact, or what is damaged can be worked out anew. A repair mends it, and so does an open for writing that meets it. */
  readonly lossless: boolean;
}

/** What is told of a file whose header stands there once instead of twice. */
export function headerCopyDamage(queue: string, file: string): Damage {
  const what = 'one copy of a header is damaged; the other is intact';
  return { queue, file, offset: 0, bytes: FILE_HEADER_BYTES, what, lossless: true };
}

/** Whether removals are lost, if anything is. A log that is missing is told of a segment, of which nothing is damaged. */
export function isOfRemovals({ file, bytes, firstId }: Damage): boolean {
  return file.endsWith('.tomb') || (file.endsWith('.seg') && bytes === 0 && firstId === undefined);
}

/** What is told of the file STORE, of which enough is intact. Rejects with the system error. */
export async function storeDamage(vfs: Vfs, store: string, { damaged, register }: StoreIdentity): Promise<Damage[]> {
  const file = `${store}/${STORE_FILE}`;
  const told: Damage[] = [];
  if (damaged) {
    const what = 'one copy of the header is damaged; the other is intact';
    told.push({ queue: '', file, offset: 0, bytes: FILE_HEADER_BYTES, what, lossless: true });
  }
  const [lost] = register.lost;
  if (lost !== undefined && (await mayMissQueues(vfs, store, register))) {
    const what = 'the register of queues is damaged: a queue may be missing, and its name is not known any more';
    told.push({ queue: '', file, offset: lost.offset, bytes: lost.bytes, what, lossless: false });
  } else if (register.damaged) {
    const what = 'the register of queues is damaged; what it says is known all the same';
    const bytes = register.end - FILE_HEADER_BYTES;
    told.push({ queue: '', file, offset: FILE_HEADER_BYTES, bytes, what, lossless: true });
  }
  return told;
}

/** What is told of something in the place of a queue. */
export function strangerDamage({ name, path, kind }: Stranger): Damage {
  const lossless = kind === 'file';
  const what = lossless ? 'not a folder, and so no queue: it is left alone' : 'it does not lead to a folder';
  return { queue: name, file: path, offset: 0, bytes: 0, what, lossless };
}
