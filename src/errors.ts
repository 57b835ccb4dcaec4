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
  | 'EVAQ_NOT_OWNER'
  | 'EVAQ_FAILED'
  | 'EVAQ_IO'
  | 'EVAQ_NO_SPACE'
  | 'EVAQ_QUEUE_FULL'
  | 'EVAQ_DUPLICATE'
  | 'EVAQ_RECORD_NOT_FOUND'
  | 'EVAQ_RECORD_TOO_LARGE'
  | 'EVAQ_QUEUE_NAME'
  | 'EVAQ_NATIVE_UNAVAILABLE'
  | 'EVAQ_UNSUPPORTED'
  | 'EVAQ_UNAUTHORIZED';

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
  /** Of a batch: the message that came in before, and its place in the batch. `id` is that of its record, if it is in another batch. */
  readonly messageId?: string;
  readonly index?: number;
  /** The limit that was exceeded, in the unit of the option that sets it. */
  readonly limit?: number;
  /** Which limit of the queue or store that is: `limits.bytes`, `limits.records`, or `minFreeBytes`. */
  readonly exceeded?: 'bytes' | 'records' | 'minFreeBytes';
  /** How much of it is taken: by live records, pushes under way and removals under way; of `minFreeBytes`, how much is free. */
  readonly used?: number;
  /** How much the push would take. */
  readonly wanted?: number;
  /** Of many records some of which were moved: which, and their IDs where they are now. */
  readonly moved?: readonly { readonly id: number; readonly newId: number }[];
  /** Of many records: how many had been moved, or removed. */
  readonly done?: number;
  /** The holder of a lock. */
  readonly pid?: number;
  /** The name of its script. */
  readonly script?: string;
  readonly since?: string;
  readonly host?: string;
}

export interface EvaqErrorOptions {
  readonly cause?: unknown;
  /** What the reader can do about it, as one sentence or one command. */
  readonly hint?: string;
  readonly details?: EvaqErrorDetails;
}

/** What an `EvaqError` of any copy of this package carries: a test runner, or a bundle beside the package, loads it more than once. */
const BRAND = Symbol.for('evaq.EvaqError');

/**
 * A failure of the store or of the machine under it. `cause` holds the operating system's error where there is one. `instanceof EvaqError` holds
 * for those of every copy of this package that the process has loaded.
 */
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
// Not a field: what is printed of an error is its data.
Object.defineProperty(EvaqError.prototype, BRAND, { value: true });
Object.defineProperty(EvaqError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    // Of a class derived from this one the usual question is asked.
    if (this !== EvaqError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return isObject(value) && Reflect.get(value, BRAND) === true;
  },
});

/** Whoever made it: errors of Node, and what callers throw, may come from another realm, where `Error` is another class. */
function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The code of an error, by which Node and the operating system tell what happened. */
export function codeOf(error: unknown): string | undefined {
  return isObject(error) && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** What a thrown thing says of itself, in one line. */
export function messageOf(thrown: unknown): string {
  return isObject(thrown) && 'message' in thrown && typeof thrown.message === 'string'
    ? thrown.message
    : String(thrown);
}

/** What a `Vfs` rejects with: the shape of Node's own system errors. */
export interface SystemError extends Error {
  readonly errno: number;
  readonly code: string;
}

export function isSystemError(error: unknown): error is SystemError {
  return codeOf(error) !== undefined && isObject(error) && 'errno' in error && typeof error.errno === 'number';
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

/**
 * What a call rejects with for what it met: an `EvaqError` as it is, an error of the operating system wrapped, and anything else as itself: what a
 * callback threw is the caller's, and a fault of ours is not to be told as one of the disk.
 */
export function reported(error: unknown, doing: string, details: EvaqErrorDetails = {}): unknown {
  return isSystemError(error) ? ioError(error, doing, details) : error;
}

/** What can be done about it, by the code of the operating system. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'This user may not do that there: see the owner and the mode of the path, and of the folders above it.'],
  ['EPERM', 'This user may not do that there: see the owner and the mode of the path, and of the folders above it.'],
  ['EROFS', 'The file system is mounted for reading only. A store on it can be read: Evaq.openReadOnly.'],
  ['ENOTDIR', 'A part of the path is a file and no folder.'],
  ['ELOOP', 'A part of the path is a symbolic link that leads in a circle, or one in the place of a file.'],
  ['ENAMETOOLONG', 'The path, or a name in it, is too long for the file system.'],
  ['EMFILE', 'This process has too many files open: close some, or raise its limit (ulimit -n).'],
  ['ENFILE', 'The machine has too many files open.'],
  ['EIO', "The device reports an error: see the system's log, and back up what can be read."],
  ['ESTALE', 'The network file system has lost the file: evaq wants a local one.'],
]);

/** Wraps an error of the operating system; anything that is an `EvaqError` already goes through unchanged. */
export function ioError(error: unknown, doing: string, details: EvaqErrorDetails = {}): EvaqError {
  if (error instanceof EvaqError) return error;
  const reason = messageOf(error);
  if (isNoSpace(error)) {
    return new EvaqError('EVAQ_NO_SPACE', `no space left while ${doing}: ${reason}`, {
      cause: error,
      details,
      hint: 'Free some space or remove records (removals work on a full disk), then try again.',
    });
  }
  const hint = isSystemError(error) ? HINTS.get(error.code) : undefined;
  return new EvaqError('EVAQ_IO', `input/output error while ${doing}: ${reason}`, {
    cause: error,
    details,
    ...(hint === undefined ? {} : { hint }),
  });
}
