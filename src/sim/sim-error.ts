/**
 * Errors as Node makes them: `errno` negative, `code`, `syscall`, `path` where the call had one, and the same message. The
 * numbers are Linux's on every machine, so that a history does not depend on where it ran.
 */
import type { SystemError } from '../errors.js';

/** The errors that the simulated disk can be told to raise, by their name in errno(3). */
export type SimErrorName =
  | 'EPERM'
  | 'ENOENT'
  | 'EINTR'
  | 'EIO'
  | 'EBADF'
  | 'EAGAIN'
  | 'ENOMEM'
  | 'EACCES'
  | 'EBUSY'
  | 'EEXIST'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'EINVAL'
  | 'ENFILE'
  | 'EMFILE'
  | 'EFBIG'
  | 'ENOSPC'
  | 'EROFS'
  | 'ENOTEMPTY'
  | 'ESTALE'
  | 'EDQUOT';

const KNOWN: Record<SimErrorName, readonly [number, string]> = {
  EPERM: [1, 'operation not permitted'],
  ENOENT: [2, 'no such file or directory'],
  EINTR: [4, 'interrupted system call'],
  EIO: [5, 'i/o error'],
  EBADF: [9, 'bad file descriptor'],
  EAGAIN: [11, 'resource temporarily unavailable'],
  ENOMEM: [12, 'not enough memory'],
  EACCES: [13, 'permission denied'],
  EBUSY: [16, 'resource busy or locked'],
  EEXIST: [17, 'file already exists'],
  ENOTDIR: [20, 'not a directory'],
  EISDIR: [21, 'illegal operation on a directory'],
  EINVAL: [22, 'invalid argument'],
  ENFILE: [23, 'file table overflow'],
  EMFILE: [24, 'too many open files'],
  EFBIG: [27, 'file too large'],
  ENOSPC: [28, 'no space left on device'],
  EROFS: [30, 'read-only file system'],
  ENOTEMPTY: [39, 'directory not empty'],
  ESTALE: [116, 'stale file handle'],
  // Node has no name for this one, so its code is a sentence: callers that compare `code` with 'EDQUOT' are wrong.
  EDQUOT: [122, 'Unknown system error -122'],
};

export function isSimErrorName(value: unknown): value is SimErrorName {
  return typeof value === 'string' && Object.hasOwn(KNOWN, value);
}

/** An error of the operating system, in the shape that Node gives it. */
export class SimSystemError extends Error implements SystemError {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
  declare readonly path?: string;
  declare readonly dest?: string;

  constructor(name: SimErrorName, syscall: string, path?: string, dest?: string) {
    const [number, text] = KNOWN[name];
    const code = name === 'EDQUOT' ? text : name;
    const where = path === undefined ? '' : ` '${path}'${dest === undefined ? '' : ` -> '${dest}'`}`;
    // A stack would tell of the scheduler alone, and is the larger part of the price.
    const frames = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(`${code}: ${text}, ${syscall}${where}`);
    Error.stackTraceLimit = frames;
    this.errno = -number;
    this.code = code;
    this.syscall = syscall;
    if (path !== undefined) this.path = path;
    if (dest !== undefined) this.dest = dest;
  }
}
