/**
 * Step 4 of opening (`queue-recovery.ts`): a new generation of the tombstone log, written into the file that is kept for it; and the log that it
 * replaces becomes the next such file. So an open needs no block that the file system has not given out.
 */
import { reported } from '../errors.js';
import { SyncFailure } from '../fail-stop.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { RoundStatement } from '../tombstone/tombstone-frame.js';
import { retireLog, TombstoneLog } from '../tombstone/tombstone-log.js';
import {
  fillSpare,
  makeSpare,
  RESERVE_BYTES_MIN,
  reserveBytesFor,
  type TombstoneSpare,
} from '../tombstone/tombstone-spare.js';
import { timeOf } from '../vfs/host.js';
import { accountOf, NONE } from './account.js';
import { newGeneration } from './new-generation.js';
import { findKept, removableOf } from './opening-reserve.js';
import { type RecoveryEnvironment, syncDirOrStop } from './queue-recovery.js';

/** A log that becomes a spare file keeps this part more than is needed now. */
const SPARE_GROWTH = 1.25;

/** Resolves when it is durable. Rejects with EVAQ_NO_SPACE, EVAQ_IO or EVAQ_FAILED. */
export async function startGeneration(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<TombstoneLog> {
  const { vfs, host, storeUuid } = env;
  const newest = loaded.log.newest;
  const footer = loaded.found.find(({ segment }) => segment === newest)?.footer;
  const statement: Omit<RoundStatement, 'kind'> = {
    round: loaded.tombstones.round + 1,
    nextId: loaded.nextId,
    accountedBelow: loaded.nextId,
    dataSegmentId: newest?.id ?? 0,
    dataOffset: newest === undefined ? 0 : (footer?.end ?? newest.end),
    sealedBelow: loaded.tombstones.sealedBelow,
    segmentIdMax: loaded.segmentIdMax,
    liveRecords: 0,
    hasIntake: loaded.intake.isNamed,
    timestamp: timeOf(host),
  };
  const generation = loaded.generation + 1;
  try {
    const spare = (await findKept(vfs, loaded)).spare ?? (await olderLogAsSpare(env, loaded, generation));
    // Before the log, whose making syncs the folder.
    const isFirst = loaded.tombstoneLogs.length === 0 && spare === undefined;
    const first = isFirst ? await firstSpare(env, loaded.dir, generation + 1) : undefined;
    const log = await env.reserve.spend(() => {
      const source = {
        ...newGeneration(vfs, host, loaded.dir, storeUuid, generation),
        fillAhead: !env.reserve.isSpent,
        spare,
        mayHaveHoles: !loaded.clean,
      };
      const account = accountOf(loaded.log.segments, loaded.nextId, NONE);
      return TombstoneLog.create(source, statement, account, () => host.yield());
    });
    try {
      log.spare =
        first ??
        (await oldLogAsSpare(env, loaded, generation + 1)) ??
        (await anotherSpare(env, loaded.dir, generation + 1));
    } catch (error) {
      // Nobody else knows of it yet.
      await log.close();
      throw error;
    }
    return log;
  } catch (error) {
    throw reported(error, `starting a tombstone log for queue '${loaded.queue}'`, {
      queue: loaded.queue,
      path: loaded.dir,
    });
  }
}

async function firstSpare(
  { vfs, failStop }: RecoveryEnvironment,
  dir: string,
  generation: number,
): Promise<TombstoneSpare | undefined> {
  try {
    return await makeSpare(vfs, dir, generation, RESERVE_BYTES_MIN);
  } catch (error) {
    if (error instanceof SyncFailure) throw failStop.fail(error, 'keeping space for removals', error.path);
    // Until there is one nothing is pushed.
    return undefined;
  }
}

/** Where the old log cannot be one. */
async function anotherSpare(
  env: RecoveryEnvironment,
  dir: string,
  generation: number,
): Promise<TombstoneSpare | undefined> {
  const spare = await firstSpare(env, dir, generation);
  if (spare !== undefined) await syncDirOrStop(env, dir);
  return spare;
}

/**
 * A crash has come between the making of a generation and the renaming of the one before: where the newer is intact the older says nothing that it does
 * not say.
 */
async function olderLogAsSpare(
  env: RecoveryEnvironment,
  { dir, tombstoneLogs, tombstones, damage }: LoadedQueue,
  generation: number,
): Promise<TombstoneSpare | undefined> {
  const path = tombstoneLogs.at(-2);
  if (path === undefined || !tombstones.supersedes || damage.some(({ file }) => tombstoneLogs.includes(file)))
    return undefined;
  const { vfs } = env;
  const stat = await vfs.stat(path);
  if (stat === undefined) return undefined;
  // The newer may have its name in memory alone, if the crash was a kill.
  await syncDirOrStop(env, dir);
  return retireLog(vfs, path, generation, stat.size, stat.size);
}

/** The newest of the logs that are replaced, if it is intact, is what the next generation is written into. */
async function oldLogAsSpare(
  env: RecoveryEnvironment,
  { tombstoneLogs, damage, log, dir, clean }: LoadedQueue,
  generation: number,
): Promise<TombstoneSpare | undefined> {
  const { vfs, failStop } = env;
  const path = tombstoneLogs.at(-1);
  if (path === undefined || damage.some(({ file }) => file === path)) return undefined;
  const stat = await vfs.stat(path);
  if (stat === undefined) return undefined;
  const needed = Math.ceil(SPARE_GROWTH * reserveBytesFor(removableOf(log.segments)));
  const spare = await retireLog(vfs, path, generation, stat.size, Math.max(RESERVE_BYTES_MIN, needed));
  if (spare === undefined || clean) return spare;
  await syncDirOrStop(env, dir);
  try {
    return await fillSpare(vfs, spare);
  } catch (error) {
    if (error instanceof SyncFailure) throw failStop.fail(error, 'keeping space for removals', error.path);
    return undefined;
  }
}
