/**
 * Sees to it that a queue that is in the register is never without a segment: the evidence that it has been there. A queue that is open has one that it
 * appends to; one that is recovered and not opened may have had nothing but segments that could not be read.
 */
import { ioError, isNotFound } from '../errors.js';
import { SyncFailure, syncFolder } from '../fail-stop.js';
import type { LoadedQueue } from '../log/log-load.js';
import { SegmentSupply } from '../segment/segment-supply.js';
import type { RecoveryEnvironment } from './queue-recovery.js';
import { startSegment } from './segment-start.js';

/** Makes an empty segment, and resolves with its path. Rejects with EVAQ_NO_SPACE, EVAQ_IO or EVAQ_FAILED. */
export async function makeEvidence(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<string> {
  const { vfs, host, storeUuid, failStop, allocateId } = env;
  const supply = new SegmentSupply({ vfs, host, dir: loaded.dir, storeUuid, allocateId, poolMax: 0 });
  try {
    const { nextId } = loaded;
    const draft = await env.reserve.spend(() => startSegment({ supply, failStop, nextId, relaxed: false, keep: 0 }));
    await draft.file.close().catch(() => undefined);
    return draft.path;
  } catch (error) {
    throw ioError(error, `making a segment for queue '${loaded.queue}'`, { queue: loaded.queue, path: loaded.dir });
  }
}

/** Removes it when there is another, durably: an empty segment without a footer must not be there when a round says that all before are sealed. */
export async function removeEvidence(
  { vfs, failStop }: RecoveryEnvironment,
  { dir }: LoadedQueue,
  path: string,
): Promise<void> {
  try {
    await vfs.remove(path);
  } catch (error) {
    // Done before, and not made durable.
    if (!isNotFound(error)) throw error;
  }
  try {
    await syncFolder(vfs, dir);
  } catch (error) {
    if (error instanceof SyncFailure) throw failStop.fail(error, 'a sync during recovery', dir);
    throw error;
  }
}
