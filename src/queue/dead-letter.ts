/**
 * A dead letter as it is shown, and many of them in numbers.
 */
import type { FailureDetail } from '../frame/metadata.js';
import type { QueueRecord } from '../log/queue-record.js';

/** A record that could not be delivered: what every record has, and its history. */
export interface DeadLetter extends QueueRecord {
  /** The queue that it goes back to. */
  readonly queue: string;
  /** The same as at every try of its delivery. */
  readonly deliveryId: string;
  /** Code of what was thrown, or of the nearest cause that has one. */
  readonly code?: string;
  /** How often its delivery failed, over all its lives. 0: never, or that is not known. */
  readonly attempts: number;
  /** In ms since the epoch; where it was put here by hand: when that was. Absent of what was pushed here. */
  readonly firstFailureMs?: number;
  readonly lastFailureMs?: number;
  /** How often it has gone back. */
  readonly redrives: number;
}

/** Dead letters that have their reason and error code in common. */
export interface DeadLetterGroup {
  readonly reason?: string;
  readonly code?: string;
  readonly count: number;
  /** When the first of them failed first, and the last one last, in ms since the epoch; of what was pushed: when it was. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** The one of them with the lowest ID. */
  readonly sample: {
    readonly id: number;
    readonly queue: string;
    /** Name and message of what was thrown. */
    readonly name?: string;
    readonly message?: string;
  };
}

export interface DeadLetterSummary {
  readonly total: number;
  /** The largest first; at most 1000. */
  readonly groups: readonly DeadLetterGroup[];
  /** How many are in none of them, for there were too many kinds. */
  readonly ungrouped: number;
}

/** A record of the queue `name` as a dead letter, that goes back to `home`. */
export function deadLetterOf(record: QueueRecord, storeId: string, name: string, home: string): DeadLetter {
  const code = codeOfFailure(record.error);
  const times = failureTimesOf(record);
  const { queue, id } = record.identity ?? { queue: name, id: record.id };
  return {
    ...record,
    queue: home,
    deliveryId: `${storeId}:${queue}:${id}`,
    ...(code === undefined ? {} : { code }),
    attempts: record.attempts ?? 0,
    ...(times === undefined ? {} : { firstFailureMs: times[0], lastFailureMs: times[1] }),
    redrives: record.redrives ?? 0,
  };
}

/** When it failed first and last; a reason that came without times came when it moved. */
export function failureTimesOf({ failedMs, reason, timestamp }: QueueRecord): readonly [number, number] | undefined {
  return failedMs ?? (reason === undefined ? undefined : [timestamp, timestamp]);
}

/** The code of a failure, or else of what caused it. */
export function codeOfFailure(failure: FailureDetail | undefined): string | undefined {
  for (let one = failure; one !== undefined; one = one.cause) if (one.code !== undefined) return one.code;
  return undefined;
}
