/**
 * The queues of a store: what stands in the folder that holds them. One reading of it for writers, readers, `verify` and repairs, so that
 * nothing is recovered by one and passed over by the other.
 *
 * A link to a folder is a queue like any other: a queue may lie on another disk. A link that leads nowhere is not the same as no queue, for
 * then its records are somewhere else.
 */
import { codeOf, EvaqError, isNotFound } from '../errors.js';
import type { Vfs } from '../vfs/vfs.js';
import { DEAD_LETTERS_QUEUE, QUEUES_DIR, queueDir, requireQueueName, STORE_FILE, WAL_QUEUE } from './store-file.js';

/** Something that has the name of a queue and is none. */
export interface Stranger {
  readonly name: string;
  readonly path: string;
  /** 'file': somebody's, and left alone. 'lost': a link that leads to no folder, or anything in the place of a queue that every store has. */
  readonly kind: 'file' | 'lost';
}

export interface QueueNames {
  /** Sorted. */
  readonly names: readonly string[];
  readonly strangers: readonly Stranger[];
}

const ALWAYS_THERE: ReadonlySet<string> = new Set([WAL_QUEUE, DEAD_LETTERS_QUEUE]);

/** A folder of queues that is not there holds none: the making of the store was cut short. Rejects with the system error. */
export async function listQueues(vfs: Vfs, store: string): Promise<QueueNames> {
  const names: string[] = [];
  const strangers: Stranger[] = [];
  for (const { name, kind } of await entriesOf(vfs, `${store}/${QUEUES_DIR}`)) {
    if (!isQueueName(name)) continue;
    const path = queueDir(store, name);
    if (kind === 'directory' || (kind === 'other' && (await leadsToFolder(vfs, path)))) names.push(name);
    else strangers.push({ name, path, kind: kind === 'file' && !ALWAYS_THERE.has(name) ? 'file' : 'lost' });
  }
  return { names: names.sort(), strangers };
}

/** The names alone. Rejects with EVAQ_CORRUPT where a queue may be missing: for those who would write without it. */
export async function requireQueues(vfs: Vfs, store: string): Promise<QueueNames> {
  const listed = await listQueues(vfs, store);
  for (const stranger of listed.strangers) if (stranger.kind === 'lost') throw lostQueueError(stranger);
  return listed;
}

/** Queues that are in the register, and of which there is no folder; what is in its place, if anything, is told as a stranger. Sorted. */
export function missingQueues({ names, strangers }: QueueNames, register: ReadonlySet<string>): string[] {
  const there = new Set([...names, ...strangers.map(({ name }) => name)]);
  return [...register].filter((name) => !there.has(name)).sort();
}

/** @see missingQueues */
export function missingQueueError(name: string, store: string): EvaqError {
  const path = queueDir(store, name);
  return new EvaqError('EVAQ_CORRUPT', `queue '${name}': its folder ${path} is gone, and records may have been in it`, {
    details: { queue: name, path },
    hint: missingHint(store),
  });
}

/** A queue may be missing whose entry in the register is lost. */
export function forgottenQueueError(store: string): EvaqError {
  const what = 'the register of queues is damaged: a queue may be missing, and its name is not known any more';
  const file = `${store}/${STORE_FILE}`;
  return new EvaqError('EVAQ_CORRUPT', `${file}: ${what}`, { details: { path: file }, hint: missingHint(store) });
}

/** What to do where something is not there that was. */
export function missingHint(store: string): string {
  return `Bring back what is missing (mount the disk that it is on, complete the restore). To go on without it: 'evaq repair ${store}', or open with onCorruption: 'quarantine'.`;
}

export function lostQueueError({ name, path }: Omit<Stranger, 'kind'>): EvaqError {
  return new EvaqError('EVAQ_CORRUPT', `queue '${name}': ${path} does not lead to a folder`, {
    details: { queue: name, path },
    hint: 'If it is a link, bring back what it leads to (a disk that is not mounted, say), or move the link away.',
  });
}

function isQueueName(name: string): boolean {
  try {
    requireQueueName(name);
    return true;
  } catch {
    return false;
  }
}

async function entriesOf(vfs: Vfs, dir: string): ReturnType<Vfs['list']> {
  try {
    return await vfs.list(dir);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** `stat` does not follow links, and listing does. */
async function leadsToFolder(vfs: Vfs, path: string): Promise<boolean> {
  try {
    await vfs.list(path);
    return true;
  } catch (error) {
    if (LEADS_NOWHERE.has(codeOf(error) ?? '')) return false;
    throw error;
  }
}

const LEADS_NOWHERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);
