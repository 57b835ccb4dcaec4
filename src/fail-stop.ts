/**
 * The switch that a failed sync throws, for a whole store (P7): after it nothing is acknowledged by this handle any more. What was durable can
 * still be read. The cure is to close and reopen, which reads the disk anew.
 */
import { EvaqError, isPassing, messageOf } from './errors.js';

/**
 * A sync was made and failed: what it was to make durable may or may not be, and no later sync can tell (Linux reports a failed write-back
 * once, and may have dropped the pages). Whoever meets one throws the switch; every other failure of the same step leaves a known state.
 */
export class SyncFailure extends Error {
  override readonly name = 'SyncFailure';
  readonly path: string;

  constructor(cause: unknown, path: string) {
    super(messageOf(cause), { cause });
    this.path = path;
  }
}

/** Syncs the content of a file; whatever goes wrong is a `SyncFailure`. */
export async function syncFile(file: { readonly path: string; sync(): Promise<void> }): Promise<void> {
  try {
    await file.sync();
  } catch (cause) {
    throw new SyncFailure(cause, file.path);
  }
}

const NOTHING: readonly never[] = [];

/**
 * Syncs the content of a file before it returns. Where no descriptor could be opened for it nothing was tried, and that error is passed on as
 * it is; all else is a `SyncFailure`.
 */
export function syncFileBlocking(file: {
  readonly path: string;
  writeAndSyncBlocking(chunks: Iterable<never>): void;
}): void {
  let begun = false;
  const nothing: Iterable<never> = {
    [Symbol.iterator]() {
      begun = true;
      return NOTHING.values();
    },
  };
  try {
    file.writeAndSyncBlocking(nothing);
  } catch (cause) {
    throw begun ? new SyncFailure(cause, file.path) : cause;
  }
}

/**
 * Syncs the names in a folder. It is opened for that: being short of a descriptor, of memory or of space is passed on as it is, since no name
 * depends on it that was acknowledged, and a later sync of the folder makes up for it. All else is a `SyncFailure`.
 */
export async function syncFolder(vfs: { syncDir(dir: string): Promise<void> }, dir: string): Promise<void> {
  try {
    await vfs.syncDir(dir);
  } catch (cause) {
    throw isPassing(cause) ? cause : new SyncFailure(cause, dir);
  }
}

export class FailStop {
  #error: EvaqError | undefined;
  readonly #told: (() => void)[] = [];

  /** The failure, or undefined while all is well. */
  get error(): EvaqError | undefined {
    return this.#error;
  }

  /** Throws the switch (only the first cause counts) and returns the error that every waiter is to get. */
  fail(failure: unknown, doing: string, path: string): EvaqError {
    if (this.#error !== undefined) return this.#error;
    const cause = failure instanceof SyncFailure ? failure.cause : failure;
    const reason = messageOf(cause);
    return this.stop(
      new EvaqError('EVAQ_FAILED', `the store has stopped: ${doing} failed: ${reason}`, {
        cause,
        details: { path },
        hint: 'Close the store and open it again: what was acknowledged is there. Until then it can only be read.',
      }),
    );
  }

  /** Throws the switch with an error that says all (only the first cause counts), and returns the one that every waiter is to get. */
  stop(error: EvaqError): EvaqError {
    if (this.#error !== undefined) return this.#error;
    this.#error = error;
    for (const tell of this.#told.splice(0)) tell();
    return error;
  }

  /** Calls `tell`, which must not throw, when the switch is thrown: for those who wait for what cannot come then. */
  onStop(tell: () => void): void {
    this.#told.push(tell);
  }

  throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}
