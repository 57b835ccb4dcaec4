/**
 * The one error class for what the world does to a store, and the mapping from the operating system's errors to it.
 * Callers branch on `code`, which is part of the contract; messages are for people and may change in any release.
 * Wrong arguments are plain `TypeError` / `RangeError`.
 */

/** Every code that evaq can reject with. The set is closed: a `switch` over it can be exhaustive. */
export type EvaqErrorCode =
  | 'EVAQ_LOCKED'
  | 'EVAQ_CLOSED'
  | 'EVAQ_READ_ONLY'
  | 'EVAQ_CORRUPT'
  | 'EVAQ_UNSUPPORTED_VERSION'
  | 'EVAQ_NOT_A_STORE'
  | 'EVAQ_FAILED'
  | 'EVAQ_IO'
  | 'EVAQ_NO_SPACE'
  | 'EVAQ_QUEUE_FULL'
  | 'EVAQ_RECORD_NOT_FOUND'
  | 'EVAQ_RECORD_TOO_LARGE'
  | 'EVAQ_QUEUE_NAME'
  | 'EVAQ_NATIVE_UNAVAILABLE';

/** Where and what, as data. Which fields are set depends on the code; every field is optional. */
export interface EvaqErrorDetails {
  /** The store's folder, or the file concerned. */
  readonly path?: string;
  readonly queue?: string;
  /** Byte offset within `path`. */
  readonly offset?: number;
  /** Length in bytes of the damaged or refused range. */
  readonly bytes?: number;
  /** The record concerned, or the first of a range of records. */
  readonly id?: number;
  readonly lastId?: number;
  /** Milliseconds since the epoch: the time range of the records concerned. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** The limit that was exceeded, in the unit of the option that sets it. */
  readonly limit?: number;
  /** Of many records some of which were moved: which, and their IDs where they are now. */
  readonly moved?: readonly { readonly id: number; readonly newId: number }[];
  /** The holder of a lock. */
  readonly pid?: number;
  readonly command?: string;
  readonly since?: string;
  readonly host?: string;
}

export interface EvaqErrorOptions {
  readonly cause?: unknown;
  /** What the reader can do about it, as one sentence or one command. */
  readonly hint?: string;
  readonly details?: EvaqErrorDetails;
}

/** A failure of the store or of the machine under it. `cause` holds the operating system's error where there is one. */
export class EvaqError extends Error {
  override readonly name = 'EvaqError';
  readonly code: EvaqErrorCode;
  readonly hint: string | undefined;
  readonly details: EvaqErrorDetails;

  constructor(code: EvaqErrorCode, message: string, options: EvaqErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}

/** What a `Vfs` rejects with: the shape of Node's own system errors. */
export interface SystemError extends Error {
  readonly errno: number;
  readonly code: string;
}

export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number';
}

// Linux numbers. Node 20 has no name for EDQUOT (its `code` is 'Unknown system error -122'), so numbers are compared.
const ENOENT = 2;
const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const ENFILE = 23;
const EMFILE = 24;
const ENOSPC = 28;
const EDQUOT = 122;

const PASSING_NUMBERS: ReadonlySet<number> = new Set([EINTR, EAGAIN, ENOMEM, ENFILE, EMFILE, ENOSPC, EDQUOT]);
const PASSING_CODES: ReadonlySet<string> = new Set(['EINTR', 'EAGAIN', 'ENOMEM', 'ENFILE', 'EMFILE', 'ENOSPC']);

/** True for "no such file or folder". */
export function isNotFound(error: unknown): boolean {
  return isSystemError(error) && (error.code === 'ENOENT' || error.errno === -ENOENT);
}

/** True where the disk, or the user's share of it, is full. */
export function isNoSpace(error: unknown): boolean {
  return (
    isSystemError(error) && (error.code === 'ENOSPC' || error.errno === -ENOSPC || Math.abs(error.errno) === EDQUOT)
  );
}

/**
 * True where the machine was short of something for a moment (descriptors, memory, space, an uninterrupted call): the call did not do what
 * it should, and the same call may succeed later.
 */
export function isPassing(error: unknown): boolean {
  return isSystemError(error) && (PASSING_NUMBERS.has(Math.abs(error.errno)) || PASSING_CODES.has(error.code));
}

/** Wraps an error of the operating system; anything that is an `EvaqError` already goes through unchanged. */
export function ioError(error: unknown, doing: string, details: EvaqErrorDetails = {}): EvaqError {
  if (error instanceof EvaqError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (isNoSpace(error)) {
    return new EvaqError('EVAQ_NO_SPACE', `no space left while ${doing}: ${reason}`, {
      cause: error,
      details,
      hint: 'Free some space or remove records (removals work on a full disk), then try again.',
    });
  }
  return new EvaqError('EVAQ_IO', `input/output error while ${doing}: ${reason}`, { cause: error, details });
}
