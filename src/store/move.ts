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
import type { QueueCore } from '../queue/queue-core.js';
import { notFound } from '../queue/record-not-found.js';

/** Moves that are under way together: they share commits. Bounded by number and by payload, which is in memory twice. */
export const MOVE_BATCH_RECORDS = 256;
const BATCH_BYTES = 8 * 1024 * 1024;

type Describe = (record: QueueRecord) => RecordMeta;

/** Where a record goes, and what its metadata says beside the origin. */
export interface Route {
  readonly to: QueueCore;
  readonly meta: RecordMeta;
}

/** Asked about each record when it is claimed and read; `undefined`: it stays where it is. */
export type Router = (record: QueueRecord) => Route | undefined | Promise<Route | undefined>;

/** Where a record went. */
export interface Moved {
  readonly id: number;
  /** Its ID where it is now. */
  readonly newId: number;
  /** The queue that it is in now. */
  readonly queue: string;
}

/** What many moves came to: the first failure ends them, when those under way have ended. */
export interface MoveOutcome {
  readonly moved: readonly Moved[];
  /** Those that were there, and had no route. */
  readonly stayed: readonly number[];
  readonly failure: { readonly error: unknown } | undefined;
}

/**
 * Resolves with the record's ID in `to`. `describe` makes the metadata, beside the origin.
 * @throws EVAQ_RECORD_NOT_FOUND; as `push` to the destination (the record stays where it is)
 */
export async function moveRecord(from: QueueCore, to: QueueCore, id: number, describe: Describe): Promise<number> {
  const claim = await from.removing.claim(id);
  if (claim === undefined) throw notFound(from.name, id);
  return moveOne(from, to, claim, describe);
}

/** The same for a record that is leased, by whoever has the lease; `undefined` where it is gone. */
export async function moveLeased(
  from: QueueCore,
  to: QueueCore,
  id: number,
  describe: Describe,
): Promise<number | undefined> {
  const claim = from.claims.takeLeased(id);
  return claim === undefined ? undefined : moveOne(from, to, claim, describe);
}

async function moveOne(from: QueueCore, to: QueueCore, claim: Claim, describe: Describe): Promise<number> {
  const record = await readOrGiveBack(from, claim);
  await settleData(from, [claim]);
  return moveClaimed(from, { claim, record, route: { to, meta: describe(record) } }, new Durably(from));
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

/**
 * Moves those of `ids` that are live and have a route; of those that go to one queue the order is kept. Once the signal is aborted no further batch is
 * begun. Never rejects.
 */
export async function moveRecords(
  from: QueueCore,
  ids: readonly number[],
  router: Router,
  signal?: AbortSignal,
): Promise<MoveOutcome> {
  const moved: Moved[] = [];
  const stayed: number[] = [];
  for (let at = 0; at < ids.length; ) {
    if (signal?.aborted === true) return { moved, stayed, failure: { error: signal.reason } };
    const { taken, next, failure } = await takeBatch(from, ids, at, { router, stayed });
    at = next;
    // The appends are made in one synchronous stretch, and so in order.
    const durably = new Durably(from);
    const outcomes = await Promise.allSettled(taken.map((one) => moveClaimed(from, one, durably)));
    let failed = failure;
    for (const [i, outcome] of outcomes.entries()) {
      const one = taken[i];
      if (outcome.status === 'rejected') failed ??= { error: outcome.reason };
      else if (one !== undefined) moved.push({ id: one.claim.id, newId: outcome.value, queue: one.route.to.name });
    }
    if (failed !== undefined) return { moved, stayed, failure: failed };
  }
  // An ID that was passed over is gone: where its removal was under way, that is over.
  await from.removals.written();
  return { moved, stayed, failure: undefined };
}

interface Taken {
  readonly claim: Claim;
  readonly record: QueueRecord;
  readonly route: Route;
}

interface Batch {
  readonly taken: readonly Taken[];
  readonly next: number;
  readonly failure: MoveOutcome['failure'];
}

/**
 * Claims and reads what may be moved together, from `ids[at]` on. It waits for others only while it holds nothing; what it claims it claims in one
 * synchronous stretch, so that whoever asks later comes later.
 */
async function takeBatch(
  from: QueueCore,
  ids: readonly number[],
  at: number,
  { router, stayed }: { readonly router: Router; readonly stayed: number[] },
): Promise<Batch> {
  const claims: { readonly claim: Claim; readonly at: number }[] = [];
  let next = at;
  for (; next < ids.length && claims.length < MOVE_BATCH_RECORDS; next++) {
    const id = ids[next] ?? 0;
    let claim: Claim | 'gone' | 'busy' | undefined;
    try {
      from.removing.throwIfFailed();
      claim = from.claims.takeIfFree(id);
      if (claim === 'busy' && claims.length > 0) break;
      if (claim === 'busy') claim = await from.removing.claimIfLive(id);
    } catch (error) {
      return { taken: [], next, failure: { error } };
    }
    if (claim !== undefined && typeof claim !== 'string') claims.push({ claim, at: next });
  }
  const taken: Taken[] = [];
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
      const { record, route } = await routed(from, claim, router);
      if (route === undefined) {
        stayed.push(claim.id);
        continue;
      }
      bytes += record.payload.length;
      taken.push({ claim, record, route });
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
    return await from.reads.claimed(claim);
  } catch (error) {
    claim.end('given back');
    throw error;
  }
}

/** The claimed record and its route; where it has none, or either fails, it is given back. */
async function routed(
  from: QueueCore,
  claim: Claim,
  router: Router,
): Promise<{ readonly record: QueueRecord; readonly route: Route | undefined }> {
  const record = await readOrGiveBack(from, claim);
  let route: Route | undefined;
  try {
    const answer = router(record);
    route = answer !== undefined && 'then' in answer ? await answer : answer;
  } catch (error) {
    claim.end('given back');
    throw error;
  }
  if (route === undefined) claim.end('given back');
  return { record, route };
}

/** Appends before its first await. */
async function moveClaimed(
  from: QueueCore,
  { claim, record, route: { to, meta: described } }: Taken,
  durably: Durably,
): Promise<number> {
  const endMove = to.beginMove();
  let newId: number;
  try {
    const timestamp = record.origin?.timestamp ?? record.timestamp;
    const identity = record.identity ?? {
      queue: record.origin?.queue ?? from.name,
      id: record.origin?.id ?? record.id,
    };
    const origin = { queue: from.name, id: record.id, timestamp };
    const meta = encodeMeta({ ...described, origin, identity });
    newId = await to.commits.push(record.payload, meta);
    if (to.options.durability !== 'sync') await durably.appended(to);
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
  from.removals.whenNothingOwed(() => void durably.removed(to).then(endMove, endMove));
  return newId;
}

/** Makes durable what the moves of a batch have written: one sync for all that come to it in the same stretch, for each is behind what it wrote. */
class Durably {
  readonly #from: QueueCore;
  readonly #appended = new Map<QueueCore, Promise<void>>();
  readonly #removed = new Map<QueueCore, Promise<void>>();

  constructor(from: QueueCore) {
    this.#from = from;
  }

  appended(to: QueueCore): Promise<void> {
    return joined(this.#appended, to, () => to.commits.syncNow());
  }

  /** A close of either queue waits for it. */
  removed(to: QueueCore): Promise<void> {
    const from = this.#from;
    const durable = (): Promise<void> => joined(this.#removed, from, () => from.removalsDurable());
    return to.finishing(() => from.finishing(durable));
  }
}

/** Those who come before it is begun, when the code now running is done, share it. */
function joined(under: Map<QueueCore, Promise<void>>, queue: QueueCore, begin: () => Promise<void>): Promise<void> {
  const known = under.get(queue);
  if (known !== undefined) return known;
  const next = Promise.resolve().then(() => {
    under.delete(queue);
    return begin();
  });
  under.set(queue, next);
  return next;
}
