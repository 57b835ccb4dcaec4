/**
 * The parameters of a new generation of a tombstone log, with chance for its salt.
 */
import { EvaqError } from '../errors.js';
import type { TombstoneLog } from '../tombstone/tombstone-log.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';

/** Throws EVAQ_QUEUE_FULL where there is no such number any more. */
export function newGeneration(
  vfs: Vfs,
  host: Host,
  dir: string,
  storeUuid: Buffer,
  generation: number,
): Parameters<typeof TombstoneLog.create>[0] {
  if (!Number.isSafeInteger(generation)) {
    throw new EvaqError('EVAQ_QUEUE_FULL', `${dir}: there is no number left for another tombstone log`, {
      details: { path: dir, limit: Number.MAX_SAFE_INTEGER },
      hint: 'Its records can be read with openReadOnly. Push to a new store.',
    });
  }
  const salt = Buffer.alloc(4);
  host.random(salt);
  return { vfs, dir, storeUuid, generation, salt: salt.readUInt32LE(0), nowMs: timeOf(host) };
}
