/**
 * What must be there of a queue that is in the register (`layout/queue-register.ts`): a log of removals and a segment. A writer never is without them, not
 * at any instant of a crash. And where IDs go on when nothing tells which were given out.
 */
import { EvaqError, isNotFound } from '../errors.js';
import { listQueues } from '../layout/queue-names.js';
import { missesQueues, type QueueRegister } from '../layout/queue-register.js';
import { queueDir } from '../layout/store-file.js';
import type { Vfs } from '../vfs/vfs.js';
import { listQueue, type QueueListing } from './queue-listing.js';

/** What is missing of a registered queue; `undefined` where its evidence is there, or what is missing is told by others. */
export function missingEvidence({ segments, tombstones }: QueueListing): string | undefined {
  if (segments.length > 0) return undefined;
  return tombstones.length > 0
    ? 'all segments of the queue are gone'
    : 'the folder of the queue is gone, or nothing of the queue is in it';
}

/** Queues of which a log of removals and a segment are there. Rejects with the system error. */
export async function queuesWithEvidence(vfs: Vfs, store: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of (await listQueues(vfs, store)).names) {
    if (await hasEvidence(vfs, queueDir(store, name), name)) names.push(name);
  }
  return names;
}

/** A folder that cannot be looked at says nothing: of that it rejects. In one with a link in the place of a file nothing counts. */
async function hasEvidence(vfs: Vfs, dir: string, queue: string): Promise<boolean> {
  try {
    const { segments, tombstones } = await listQueue(vfs, dir, queue);
    return segments.length > 0 && tombstones.length > 0;
  } catch (error) {
    if (isNotFound(error) || (error instanceof EvaqError && error.code === 'EVAQ_CORRUPT')) return false;
    throw error;
  }
}

/** Whether a queue may be missing whose name nothing tells: its entry in the register is lost, and none that is there explains it. */
export async function mayMissQueues(vfs: Vfs, store: string, register: QueueRegister): Promise<boolean> {
  return register.lost.length > 0 && missesQueues(register, await queuesWithEvidence(vfs, store));
}

/** More than a queue gives out in any case that is not looked at more closely, and more than one segment can hold. */
export const IDS_UNKNOWN: number = 2 ** 29;
/** Faster than any queue gives out IDs for long. */
const IDS_PER_MS = 2 ** 14;
const ID_FLOOR_MAX = 2 ** 52;

/**
 * An ID above all that a queue can have given out since the store was made (P8), for when everything is gone that would tell. It goes by the clock, and
 * holds for the first half billion records whatever the clock did.
 */
export function idFloor(createdMs: number, nowMs: number): number {
  return Math.min(ID_FLOOR_MAX, IDS_UNKNOWN + Math.max(0, nowMs - createdMs) * IDS_PER_MS);
}
