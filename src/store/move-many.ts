/**
 * Moves of many records at the caller's pace, over `moveRecords`: a batch after the other, each a call of its own, so that a close waits for a batch
 * and not for the whole, which may take days.
 */
import { onceAborted, throwIfAborted } from '../abortable.js';
import { Callback } from '../callback.js';
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { MoveProgress, MoveResult, ResolvedMove } from '../queue/move-options.js';
import { closedError, type QueueCore } from '../queue/queue-core.js';
import type { ResolvedSelection } from '../queue/record-selection.js';
import type { Host } from '../vfs/host.js';
import { IdRuns, type Walk, walkOf, walkRange } from './chosen-records.js';
import { MOVE_BATCH_RECORDS, type Moved, moveRecords, type Router } from './move.js';
import { Pace } from './pace.js';
import { eachNamed, eachSelected } from './selected-records.js';

/** IDs that were refused, for the result. */
const REFUSED_IDS_MAX = 100;

export interface ManyMoves {
  readonly host: Host;
  readonly from: QueueCore;
  readonly selection: ResolvedSelection;
  readonly router: Router;
  /** The queue that a record would go to, without opening it; `undefined`: it would stay. */
  readonly goesTo: (record: QueueRecord) => string | undefined;
  readonly options: ResolvedMove;
}

/**
 * Moves what is selected. By IDs, and where no record has to be looked at, the first batch is claimed before the first await.
 * @throws what ended it; where that is a failure of the store `details.done` says how many had moved
 */
export async function moveMany(moves: ManyMoves): Promise<MoveResult> {
  const { from, selection, options } = moves;
  if (options.dryRun) return dryRun(moves);
  from.requireOpen();
  const release = from.hold();
  const tally = new Tally();
  try {
    const { signal } = options;
    if (selection.kind === 'ids') {
      await moveAll(moves, walkOf(selection.ids), selection.ids.length, tally);
    } else if (selection.accepts === undefined) {
      const to = Math.min(selection.to, from.log.lastVisibleId);
      await moveAll(moves, walkRange(from, selection.from, to), from.log.liveCount, tally);
    } else {
      const runs = new IdRuns();
      await eachSelected(from, moves.host, selection, signal, (record) => {
        if (moves.goesTo(record) === undefined) tally.refuse(record.id);
        else runs.add(record.id);
        return runs.count < options.limit;
      });
      await moveAll(moves, runs.walk(), runs.count, tally);
    }
    return tally.result();
  } finally {
    release();
  }
}

async function moveAll(
  { host, from, router, options }: ManyMoves,
  walk: Walk,
  count: number,
  tally: Tally,
): Promise<void> {
  const { ratePerSecond, limit, signal } = options;
  const progress = new Callback(options.onProgress);
  const pace = ratePerSecond === undefined ? undefined : new Pace(ratePerSecond);
  const total = Math.min(count, limit);
  for (;;) {
    const ids = walk.next(Math.min(MOVE_BATCH_RECORDS, pace?.batch ?? Infinity, limit - tally.moved));
    if (ids.length === 0) return progress.throwIfFailed();
    while (pace !== undefined && pace.waitMs(host.elapsed()) > 0) {
      await pause(host, from, pace.waitMs(host.elapsed()), signal);
      throwIfAborted(signal);
      requireGoing(from, tally.moved);
    }
    requireGoing(from, tally.moved);
    const begunMs = host.elapsed();
    const { moved, stayed, failure } = await from.call(() => moveRecords(from, ids, router, signal));
    pace?.went(moved.length, begunMs);
    for (const id of stayed) tally.refuse(id);
    tally.move(moved, failure === undefined ? ids.length - moved.length - stayed.length : 0);
    progress.tell({ ...tally.result(), total, batch: moved });
    throwIfAborted(signal);
    if (failure !== undefined) throw withDone(failure.error, tally.moved);
    // There was nothing to wait for.
    if (moved.length === 0) await host.yield();
  }
}

/** Throws, with how many were done, where the queue closes or the store has stopped. */
export function requireGoing(from: QueueCore, done: number): void {
  if (!from.isOpen) throw withDone(closedError(from.name), done);
  try {
    from.removing.throwIfFailed();
  } catch (error) {
    throw withDone(error, done);
  }
}

/** Resolves after that time; earlier where the signal is aborted, or there is news of the queue: that it closes, say. */
async function pause(host: Host, { news }: QueueCore, ms: number, signal: AbortSignal | undefined): Promise<void> {
  const ends: (() => void)[] = [];
  await new Promise<void>((resolve) => {
    ends.push(
      host.after(ms, resolve),
      news.add(resolve),
      onceAborted(signal, () => resolve()),
    );
  });
  for (const end of ends) end();
}

async function dryRun({ host, from, selection, goesTo, options }: ManyMoves): Promise<MoveResult> {
  const { signal, limit } = options;
  const tally = new Tally();
  const each = (record: QueueRecord): boolean => {
    if (tally.moved >= limit) return false;
    const queue = goesTo(record);
    if (queue === undefined) tally.refuse(record.id);
    else tally.move([{ queue }], 0);
    return tally.moved < limit;
  };
  if (selection.kind === 'range') await eachSelected(from, host, selection, signal, each);
  else tally.move([], await eachNamed(from, selection.ids, signal, each));
  return tally.result();
}

/** What has been done so far. */
class Tally {
  moved = 0;
  #gone = 0;
  #refused = 0;
  readonly #queues = new Map<string, number>();
  readonly #refusedIds: number[] = [];

  move(moved: readonly Pick<Moved, 'queue'>[], gone: number): void {
    this.moved += moved.length;
    this.#gone += gone;
    for (const { queue } of moved) this.#queues.set(queue, (this.#queues.get(queue) ?? 0) + 1);
  }

  refuse(id: number): void {
    this.#refused++;
    if (this.#refusedIds.length < REFUSED_IDS_MAX) this.#refusedIds.push(id);
  }

  result(): Omit<MoveProgress, 'total' | 'batch'> {
    return {
      moved: this.moved,
      queues: Object.fromEntries(this.#queues),
      gone: this.#gone,
      refused: this.#refused,
      refusedIds: [...this.#refusedIds],
    };
  }
}

/** The failure that ended something of many parts, with how many had been done by then. */
export function withDone(error: unknown, done: number): unknown {
  if (!(error instanceof EvaqError)) return error;
  const { code, message, cause, hint, details } = error;
  return new EvaqError(code, done === 0 ? message : `${message} (${done} were done by then)`, {
    cause: cause ?? error,
    details: { ...details, done },
    ...(hint === undefined ? {} : { hint }),
  });
}
