/**
 * Dead letters of any queue: which queue takes them, and the moves there and back.
 */
import type { FailureFacts } from '../delivery/failure-facts.js';
import { EvaqError } from '../errors.js';
import type { RecordMeta } from '../frame/metadata.js';
import { describe, requireCount, requireRecordId } from '../ids.js';
import { DEAD_LETTERS_QUEUE, DEAD_LETTERS_SUFFIX, WAL_QUEUE } from '../layout/store-file.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeadLetterOptions, DeadLetterSelection } from '../queue/dead-letter-options.js';
import type { QueueCore } from '../queue/queue-core.js';
import { clampTime } from '../times.js';
import { type Host, timeOf } from '../vfs/host.js';
import { failureDetailOf, TEXT_MAX } from './failure-detail.js';
import { type MoveOutcome, moveLeased, moveRecord, moveRecords, type Router } from './move.js';
import { eachSelected } from './selected-records.js';

export function holdsDeadLetters(queue: string): boolean {
  return queue === DEAD_LETTERS_QUEUE || queue.endsWith(DEAD_LETTERS_SUFFIX);
}

/** The queue that takes the dead letters of `queue`. Throws a TypeError where that is one itself. */
export function deadLettersNameOf(queue: string): string {
  if (holdsDeadLetters(queue)) {
    throw new TypeError(`'${queue}' holds dead letters: it has none of its own`);
  }
  return queue === WAL_QUEUE ? DEAD_LETTERS_QUEUE : `${queue}${DEAD_LETTERS_SUFFIX}`;
}

/** Whose dead letters the queue `name` takes. */
export function homeNameOf(name: string): string {
  return name === DEAD_LETTERS_QUEUE ? WAL_QUEUE : name.slice(0, -DEAD_LETTERS_SUFFIX.length);
}

export interface DeadLettersOptions {
  readonly host: Host;
  /** The queue of that name: itself if it is open, else it is opened, and made if there is none. */
  readonly core: (name: string) => QueueCore | Promise<QueueCore>;
}

export class DeadLetters {
  readonly #options: DeadLettersOptions;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /** Moves a record of `source` to its dead letters. */
  async add(source: QueueCore, id: number, options: DeadLetterOptions): Promise<number> {
    requireRecordId(id, 'id');
    const { reason, error, delayMs } = letterOf(options);
    const nowMs = timeOf(this.#options.host);
    const dueMs = clampTime(nowMs + delayMs);
    const moved = source.call(async () => {
      const found = this.#options.core(deadLettersNameOf(source.name));
      // Where it is open the record is claimed before anybody else has his turn.
      const target = 'then' in found ? await found : found;
      // Also where the store closes meanwhile: it is a part of a call that was let in.
      return target.finishing(() =>
        moveRecord(source, target, id, (record) => letterMeta(record, { reason, error, nowMs, dueMs })),
      );
    });
    // It may not have its claim yet.
    return source.removing.waiting(moved);
  }

  /** The queue that takes the dead letters of `source`; `undefined` where that holds dead letters itself. */
  queueFor(source: QueueCore): Promise<QueueCore> | undefined {
    if (holdsDeadLetters(source.name)) return undefined;
    return Promise.resolve(this.#options.core(deadLettersNameOf(source.name)));
  }

  /** Moves a record that is leased, because its delivery is over; false where it is gone. */
  async addLeased(source: QueueCore, id: number, facts: FailureFacts): Promise<boolean> {
    return source.call(async () => {
      const target = await this.#options.core(deadLettersNameOf(source.name));
      return target.call(async () => {
        const newId = await moveLeased(source, target, id, (record) => overMeta(record, facts));
        return newId !== undefined;
      });
    });
  }

  /** Moves dead letters of `source` back to it; resolves with the new IDs. */
  async redrive(source: QueueCore, which: DeadLetterSelection, signal?: AbortSignal): Promise<number[]> {
    const own = typeof which === 'function' ? [] : idsOf(which);
    return source.call(async () => {
      const found = this.#options.core(deadLettersNameOf(source.name));
      const dead = 'then' in found ? await found : found;
      const ids = typeof which === 'function' ? await select(dead, this.#options.host, which, signal) : own;
      const router: Router = (record) => ({ to: source, meta: redrivenMeta(record) });
      const outcome = await dead.finishing(() => moveRecords(dead, ids, router, signal));
      if (outcome.failure !== undefined) throw partialFailure(outcome.failure.error, outcome);
      return outcome.moved.map(({ newId }) => newId);
    });
  }
}

/** What a caller says of a record that he gives up. @throws TypeError, RangeError that names what is wrong */
export function letterOf(options: DeadLetterOptions): { reason: string; error: unknown; delayMs: number } {
  if (typeof options !== 'object' || options === null || typeof options.reason !== 'string') {
    throw new TypeError(`options.reason must be a string, got ${describe(options?.reason)}`);
  }
  if (options.reason === '') throw new RangeError('options.reason must not be empty');
  const { reason, error, delayMs = 0 } = options;
  requireCount(delayMs, 'options.delayMs', 0);
  return { reason, error, delayMs };
}

/** A list of IDs as it is at the call: it is the caller's, who may change it meanwhile. */
export function idsOf(which: unknown): number[] {
  if (!Array.isArray(which)) {
    throw new TypeError(`redrive takes an array of record IDs or a function, got ${describe(which)}`);
  }
  return which.map((id: unknown) => {
    requireRecordId(id, 'ids');
    return id;
  });
}

/** Of a record that is given up by hand. */
export function letterMeta(
  record: QueueRecord,
  { reason, error, nowMs, dueMs }: { reason: string; error: unknown; nowMs: number; dueMs: number },
): RecordMeta {
  return {
    ...carriedMeta(record),
    reason: reason.slice(0, TEXT_MAX),
    ...(error === undefined ? {} : { error: failureDetailOf(error) }),
    attempts: (record.attempts ?? 0) + 1,
    failedMs: [record.failedMs?.[0] ?? nowMs, nowMs],
    dueMs,
  };
}

/** Of one whose delivery is over. */
export function overMeta(record: QueueRecord, facts: FailureFacts): RecordMeta {
  const { reason, error, attempts, firstFailureMs, lastFailureMs } = facts;
  return {
    ...carriedMeta(record),
    reason: reason.slice(0, TEXT_MAX),
    ...(error === undefined ? {} : { error: failureDetailOf(error) }),
    attempts,
    failedMs: [record.failedMs?.[0] ?? firstFailureMs, lastFailureMs],
  };
}

/** The IDs of those dead letters that there are at the call and that the filter accepts. */
async function select(
  queue: QueueCore,
  host: Host,
  accepts: (record: QueueRecord) => unknown,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const ids: number[] = [];
  const selection = { kind: 'range', from: 0, to: Number.MAX_SAFE_INTEGER, accepts } as const;
  await eachSelected(queue, host, selection, signal, ({ id }) => ids.push(id) > 0, 'within a call');
  return ids;
}

/** The failure that ended many moves, with what had moved by then. */
export function partialFailure(error: unknown, { moved }: Pick<MoveOutcome, 'moved'>): unknown {
  if (!(error instanceof EvaqError)) return error;
  const { code, message, cause, hint, details } = error;
  const told =
    moved.length === 0 ? message : `${message} (${moved.length} records had moved by then: see details.moved)`;
  return new EvaqError(code, told, {
    cause: cause ?? error,
    details: { ...details, moved: moved.map(({ id, newId }) => ({ id, newId })) },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What a record keeps of its history when it goes back. */
export function redrivenMeta(record: QueueRecord): RecordMeta {
  return { ...carriedMeta(record), redrives: (record.redrives ?? 0) + 1 };
}

/** What a record keeps wherever it moves. */
export function carriedMeta(record: QueueRecord): RecordMeta {
  return {
    ...(record.headers === undefined ? {} : { headers: record.headers }),
    ...(record.redrives === undefined ? {} : { redrives: record.redrives }),
    ...(record.attempts === undefined ? {} : { attempts: record.attempts }),
    ...(record.failedMs === undefined ? {} : { failedMs: record.failedMs }),
  };
}
