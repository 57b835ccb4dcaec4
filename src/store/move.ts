/**
 * Moving records from one queue to another, once each (P10).
 *
 *     claim in the source -> read -> append to the destination, naming the origin -> durable -> tombstone in the source
 *
 * The append is the commit point: a crash after it leaves a record that names its origin in an unsealed segment, and the next open removes
 * the origin. Until the source's tombstone is durable the destination seals no segment that may hold the record.
 */
import { EvaqError } from '../errors.js';
import { encodeMeta, type RecordMeta } from '../frame/metadata.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { Claim } from '../queue/claims.js';
import { notFound } from '../queue/queue.js';
import type { QueueCore } from '../queue/queue-core.js';

/** Moves that are under way together: they share commits. Bounded by number and by payload, which is in memory twice. */
const BATCH_RECORDS = 256;
const BATCH_BYTES = 8 * 1024 * 1024;

type Describe = (record: QueueRecord) => RecordMeta;

/** Where a record went. */
export interface Moved {
  readonly id: number;
  /** Its ID where it is now. */
  readonly newId: number;
}

/** What many moves came to: the first failure ends them, when those under way have ended. */
export interface MoveOutcome {
  readonly moved: readonly Moved[];
  readonly failure: { readonly error: unknown } | undefined;
}

/**
 * Resolves with the record's ID in `to`. `describe` makes the metadata, beside the origin.
 * @throws EVAQ_RECORD_NOT_FOUND; as `push` to the destination (the record stays where it is)
 */
export async function moveRecord(from: QueueCore, to: QueueCore, id: number, describe: Describe): Promise<number> {
  const claim = await from.removing.claim(id);
  if (claim === undefined) throw notFound(from.name, id);
  const record = await readOrGiveBack(from, claim);
  await settleData(from, [claim]);
  return moveClaimed(from, to, claim, describe, record);
}

/**
 * The copy must not be more durable than what it is a copy of: a record that was itself moved here names the one that it stands for, and if it were
 * lost, that one would be live beside the copy.
 */
async function settleData(from: QueueCore, claims: readonly Claim[]): Promise<void> {
  if (from.options.durability === 'sync') return;
  try {
    await from.commits.syncNow();
  } catch (error) {
    for (const claim of claims) claim.end('given back');
    throw error;
  }
}

/** Moves those of `ids` that are live; they keep their order. Never rejects. */
export async function moveRecords(
  from: QueueCore,
  to: QueueCore,
  ids: readonly number[],
  describe: Describe,
  onMoved: (moved: readonly Moved[]) => void = () => undefined,
): Promise<MoveOutcome> {
  const moved: Moved[] = [];
  for (let at = 0; at < ids.length; ) {
    const { taken, next, failure } = await takeBatch(from, ids, at);
    at = next;
    // The appends are made in one synchronous stretch, and so in order.
    const moves = taken.map(({ claim, record }) => moveClaimed(from, to, claim, describe, record));
    const outcomes = await Promise.allSettled(moves);
    const done: Moved[] = [];
    let failed = failure;
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') failed ??= { error: outcome.reason };
      else done.push({ id: taken[i]?.claim.id ?? 0, newId: outcome.value });
    }
    for (const one of done) moved.push(one);
    if (done.length > 0) onMoved(done);
    if (failed !== undefined) return { moved, failure: failed };
  }
  // An ID that was passed over is gone: where its removal was under way, that is over.
  await from.removals.written();
  return { moved, failure: undefined };
}

interface Batch {
  readonly taken: readonly { readonly claim: Claim; readonly record: QueueRecord }[];
  readonly next: number;
  readonly failure: MoveOutcome['failure'];
}

/**
 * Claims and reads what may be moved together, from `ids[at]` on. It waits for others only while it holds nothing; what it claims it claims in one
 * synchronous stretch, so that whoever asks later comes later.
 */
async function takeBatch(from: QueueCore, ids: readonly number[], at: number): Promise<Batch> {
  const claims: { readonly claim: Claim; readonly at: number }[] = [];
  let next = at;
  for (; next < ids.length && claims.length < BATCH_RECORDS; next++) {
    const id = ids[next] ?? 0;
    let claim: Claim | 'gone' | 'busy' | undefined;
    try {
      from.removing.throwIfFailed();
      claim = from.claims.takeIfFree(id);
      if (claim === 'busy' && claims.length > 0) break;
      if (typeof claim === 'string' && claims.length === 0) claim = await from.removing.claim(id);
    } catch (error) {
      return { taken: [], next, failure: { error } };
    }
    if (claim !== undefined && typeof claim !== 'string') claims.push({ claim, at: next });
  }
  const taken: { claim: Claim; record: QueueRecord }[] = [];
  let failure: MoveOutcome['failure'];
  let bytes = 0;
  for (const { claim, at } of claims) {
    if (failure !== undefined || bytes >= BATCH_BYTES) {
      // For the next batch, which begins with the first of them.
      next = Math.min(next, at);
      claim.end('given back');
      continue;
    }
    try {
      const record = await readOrGiveBack(from, claim);
      bytes += record.payload.length;
      taken.push({ claim, record });
    } catch (error) {
      failure = { error };
    }
  }
  try {
    await settleData(
      from,
      taken.map(({ claim }) => claim),
    );
    return { taken, next, failure };
  } catch (error) {
    return { taken: [], next, failure: { error } };
  }
}

async function readOrGiveBack(from: QueueCore, claim: Claim): Promise<QueueRecord> {
  try {
    return await from.readClaimed(claim);
  } catch (error) {
    claim.end('given back');
    throw error;
  }
}

/** Appends before its first await. */
async function moveClaimed(
  from: QueueCore,
  to: QueueCore,
  claim: Claim,
  describe: Describe,
  record: QueueRecord,
): Promise<number> {
  const endMove = to.beginMove();
  let newId: number;
  try {
    const timestamp = record.origin?.timestamp ?? record.timestamp;
    const meta = encodeMeta({ ...describe(record), origin: { queue: from.name, id: record.id, timestamp } });
    newId = await to.commits.push(record.payload, meta);
    if (to.options.durability !== 'sync') await to.commits.syncNow();
  } catch (error) {
    // Where the failure is a failed sync, whether the append happened is unknown, and nothing is acknowledged any more.
    claim.end(error instanceof EvaqError && error.code === 'EVAQ_FAILED' ? 'unknown' : 'given back');
    endMove();
    throw error;
  }
  try {
    await from.removing.removeMoved(claim);
  } catch (error) {
    if (!(error instanceof EvaqError) || error.code === 'EVAQ_FAILED') {
      endMove();
      throw error;
    }
    // The record has moved; only the tombstone is owed, and goes with the next round that finds space.
  }
  // The call need not wait for it, a close of either queue does.
  const settle = (): Promise<void> => to.finishing(() => from.finishing(() => from.removalsDurable()));
  from.removals.whenNothingOwed(() => void settle().then(endMove, endMove));
  return newId;
}
