/**
 * Putting a record among the dead letters, and choosing some of them, as a caller says it.
 */
import { type OptionNames, optionNames } from '../arguments.js';
import type { QueueRecord } from '../log/queue-record.js';

export interface DeadLetterOptions {
  /** Why it could not be delivered, as a short code or sentence. */
  readonly reason: string;
  /** What was thrown, whatever it is; name, message, code, cause and errors are kept, each text cut to 4096 characters. */
  readonly error?: unknown;
  /** Not to be retried before so many ms have passed. Default 0. */
  readonly delayMs?: number;
  /** As in `WaitOptions`. */
  readonly signal?: AbortSignal;
}

/** Which dead letters: by ID, or those that a function says yes to. What it resolves with is awaited. */
export type DeadLetterSelection = readonly number[] | ((record: QueueRecord) => boolean | Promise<boolean>);

export const DEAD_LETTER_NAMES: OptionNames = optionNames('reason', 'error', 'delayMs', 'signal');
