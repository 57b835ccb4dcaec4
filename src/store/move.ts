/**
 * Moving a record from one queue to another, once (P10).
 *
 *     claim in the source -> read -> append to the destination, naming the origin -> durable -> tombstone in the source
 *
 * The append is the commit point: a crash after it leaves a record that names its origin in an unsealed segment, and the next open removes
 * the origin. Until the source's tombstone is durable the destination seals no segment that may hold the record.
 */
import { EvaqError } from '../errors.js';
import { encodeMeta, type RecordMeta } from '../frame/metadata.js';
import type { QueueRecord } from '../log/queue-record.js';
import { notFound } from '../queue/queue.js';
import type { QueueCore } from '../queue/queue-core.js';
import type { Host } from '../vfs/host.js';

/** After a removal that found no space: so long until the next try. */
const RETRY_MS = 250;

type Describe = (record: QueueRecord) => RecordMeta;

/**
 * Resolves with the record's ID in `to`. `describe` makes the metadata, beside the origin.
 * @throws EVAQ_RECORD_NOT_FOUND; as `push` to the destination (the record stays where it is)
 */
export async function moveRecord(
  host: Host,
  from: QueueCore,
  to: QueueCore,
  id: number,
  describe: Describe,
): Promise<number> {
  if (!from.claim(id)) throw notFound(from.name, id);
  return moveClaimed(host, from, to, id, describe, await readOrUnclaim(from, id));
}

/** Moves those of `ids` that are live; they keep their order. One outcome for each of them. */
export async function moveRecords(
  host: Host,
  from: QueueCore,
  to: QueueCore,
  ids: readonly number[],
  describe: Describe,
): Promise<PromiseSettledResult<number>[]> {
  const claimed = ids.filter((id) => from.claim(id));
  const records = await Promise.allSettled(claimed.map((id) => readOrUnclaim(from, id)));
  // Reads come back in any order; the appends are made in one synchronous stretch.
  return Promise.allSettled(
    claimed.map((id, i) => {
      const read = records[i];
      return read?.status === 'fulfilled'
        ? moveClaimed(host, from, to, id, describe, read.value)
        : Promise.reject<number>(read?.reason);
    }),
  );
}

async function readOrUnclaim(from: QueueCore, id: number): Promise<QueueRecord> {
  try {
    return await from.readClaimed(id);
  } catch (error) {
    from.unclaim(id);
    throw error;
  }
}

/** Appends before its first await. */
async function moveClaimed(
  host: Host,
  from: QueueCore,
  to: QueueCore,
  id: number,
  describe: Describe,
  record: QueueRecord,
): Promise<number> {
  const endMove = to.beginMove();
  let newId: number;
  try {
    const timestamp = record.origin?.timestamp ?? record.timestamp;
    const meta = encodeMeta({ ...describe(record), origin: { queue: from.name, id, timestamp } });
    newId = await to.commits.push(record.payload, meta);
    if (to.options.durability !== 'sync') await to.commits.syncNow();
  } catch (error) {
    // Where the failure is a failed sync, whether the append happened is unknown, and nothing is acknowledged any more.
    from.unclaim(id);
    endMove();
    throw error;
  }
  try {
    await from.removeClaimed(id);
    endMove();
  } catch (error) {
    if (!(error instanceof EvaqError) || error.code === 'EVAQ_FAILED') {
      endMove();
      throw error;
    }
    // The record has moved; only the tombstone is owed, and goes with the next round that finds space.
    void settleOwed(host, from, id, endMove);
  }
  return newId;
}

async function settleOwed(host: Host, from: QueueCore, id: number, endMove: () => void): Promise<void> {
  while (from.isOpen) {
    await new Promise<void>((resolve) => host.after(RETRY_MS, resolve));
    if (!from.removals.owes(id)) return endMove();
    const settled = await from.removals.submit([], new Map()).then(
      () => true,
      () => false,
    );
    if (settled) return endMove();
  }
}
