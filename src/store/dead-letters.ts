/**
 * Dead letters of any queue: which queue takes them, and the moves there and back.
 */
import { EvaqError } from '../errors.js';
import type { RecordMeta } from '../frame/metadata.js';
import { describe, requireCount, requireRecordId } from '../ids.js';
import { DEAD_LETTERS_QUEUE, WAL_QUEUE } from '../layout/store-file.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeadLetterOptions, DeadLetterSelection } from '../queue/queue.js';
import type { QueueCore } from '../queue/queue-core.js';
import type { Host } from '../vfs/host.js';
import { failureDetailOf, TEXT_MAX } from './failure-detail.js';
import { type MoveOutcome, moveRecord, moveRecords } from './move.js';

/** Of queues that the user named: their dead letters are in a queue of this name behind theirs. */
const SUFFIX = '.dead';

/** The queue that takes the dead letters of `queue`. Throws a TypeError where that is one itself. */
export function deadLettersNameOf(queue: string): string {
  if (queue === DEAD_LETTERS_QUEUE || queue.endsWith(SUFFIX)) {
    throw new TypeError(`'${queue}' holds dead letters: it has none of its own`);
  }
  return queue === WAL_QUEUE ? DEAD_LETTERS_QUEUE : `${queue}${SUFFIX}`;
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
    if (typeof options !== 'object' || options === null || typeof options.reason !== 'string') {
      throw new TypeError(`options.reason must be a string, got ${describe(options?.reason)}`);
    }
    const { reason, error, delayMs = 0 } = options;
    requireCount(delayMs, 'options.delayMs', 0);
    const dueMs = this.#options.host.now() + delayMs;
    const detail = error === undefined ? undefined : failureDetailOf(error);
    return source.call(async () => {
      const found = this.#options.core(deadLettersNameOf(source.name));
      // Where it is open the record is claimed before anybody else has his turn.
      const target = found instanceof Promise ? await found : found;
      return target.call(() =>
        moveRecord(source, target, id, (record) => ({
          ...carriedMeta(record),
          reason: reason.slice(0, TEXT_MAX),
          ...(detail === undefined ? {} : { error: detail }),
          attempts: (record.attempts ?? 0) + 1,
          dueMs,
        })),
      );
    });
  }

  /** Moves dead letters of `source` back to it; resolves with the new IDs. */
  async redrive(source: QueueCore, which: DeadLetterSelection): Promise<number[]> {
    if (typeof which !== 'function') {
      if (!Array.isArray(which)) {
        throw new TypeError(`redrive takes an array of record IDs or a function, got ${describe(which)}`);
      }
      for (const id of which) requireRecordId(id, 'ids');
    }
    return source.call(async () => {
      const found = this.#options.core(deadLettersNameOf(source.name));
      const dead = found instanceof Promise ? await found : found;
      const ids = typeof which === 'function' ? await select(dead, which) : which;
      const outcome = await dead.call(() =>
        moveRecords(dead, source, ids, (record) => ({
          ...carriedMeta(record),
          redrives: (record.redrives ?? 0) + 1,
        })),
      );
      if (outcome.failure !== undefined) throw partialFailure(outcome.failure.error, outcome);
      return outcome.moved.map(({ newId }) => newId);
    });
  }
}

async function select(queue: QueueCore, filter: (record: QueueRecord) => unknown): Promise<number[]> {
  const ids: number[] = [];
  const source = queue.records(0, Number.MAX_SAFE_INTEGER, false);
  try {
    for (let record = await source.next(); record !== undefined; record = source.inHand() ?? (await source.next())) {
      const answer = filter(record);
      // A promise is no yes. Not every answer is awaited: most are there already.
      if (typeof answer === 'boolean' ? answer : await answer) ids.push(record.id);
    }
  } finally {
    source.stop();
    await source.settled();
  }
  return ids;
}

/** The failure that ended many moves, with what had moved by then. */
function partialFailure(error: unknown, { moved }: MoveOutcome): unknown {
  if (!(error instanceof EvaqError) || moved.length === 0) return error;
  const { code, message, cause, hint, details } = error;
  return new EvaqError(code, `${message} (${moved.length} records had moved by then: see details.moved)`, {
    cause: cause ?? error,
    details: { ...details, moved },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What a record keeps wherever it moves. */
function carriedMeta(record: QueueRecord): RecordMeta {
  return {
    ...(record.headers === undefined ? {} : { headers: record.headers }),
    ...(record.redrives === undefined ? {} : { redrives: record.redrives }),
  };
}
