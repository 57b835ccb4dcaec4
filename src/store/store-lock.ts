/**
 * The one writer of a store: an exclusive lock on the file LOCK, which the operating system releases when its holder dies, and on STORE, which nobody
 * but its holder replaces: a LOCK that was deleted, or put there anew, lets nobody in. What stands in LOCK only serves the message for whom it
 * turns away.
 */
import { hostname, uptime } from 'node:os';
import { basename, isAbsolute } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { throwIfAborted } from '../abortable.js';
import { EvaqError, type EvaqErrorDetails, reported } from '../errors.js';
import { LOCK_FILE, STORE_FILE } from '../layout/store-file.js';
import type { Holder, Host } from '../vfs/host.js';
import type { Vfs, VfsLock } from '../vfs/vfs.js';

export interface LockNote extends Holder {
  readonly since: string;
}

export interface LockOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly note: LockNote;
  /** How long to wait for somebody else to leave; 0 = not at all. */
  readonly timeoutMs: number;
  /** Aborted: it waits no longer, and rejects with the reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Between two tries: the first wait, and the longest that it grows to. A try costs a few system calls. */
const POLL_MS_FIRST = 5;
const POLL_MS_MAX = 100;
const NAME_LENGTH_MAX = 100;
/** With one of these, what follows is no script but the program's arguments. */
const NO_SCRIPT = /^(?:-[ep]|-pe|--eval|--print|-i|--interactive)(?:=|$)/;

/**
 * Of this process, or of the one that `holder` tells of. `nowMs` as the store's clock has it. Where the system does not say (a container may forbid it) a field is empty: no store is
 * kept shut by that.
 */
export function ownLockNote(nowMs: number, { holder = thisProcess }: Pick<Host, 'holder'> = {}): LockNote {
  const { pid, host, bootId, script } = holder();
  return { pid, host, bootId, since: new Date(nowMs).toISOString(), script };
}

function thisProcess(): Holder {
  return {
    pid: process.pid,
    host: orEmpty(hostname),
    bootId: orEmpty(bootedAt),
    script: scriptName(process.argv[1], process.execArgv),
  };
}

/** Node makes the path of a script absolute; what is not is something else: an argument to `-e`, or '-'. */
export function scriptName(script: string | undefined, execArgv: readonly string[]): string {
  if (script === undefined || !isAbsolute(script) || execArgv.some((flag) => NO_SCRIPT.test(flag))) return '';
  return basename(script).slice(0, NAME_LENGTH_MAX);
}

/** When the machine was started, to the minute: tells whether a pid in an old note can still be the same process. */
function bootedAt(): string {
  return new Date(Date.now() - uptime() * 1000).toISOString().slice(0, 16);
}

function orEmpty(ask: () => string): string {
  try {
    return ask();
  } catch {
    return '';
  }
}

/**
 * Waits for the lock as long as it may, asking now and then: no system tells when a lock comes free without blocking a thread for it.
 * Rejects with EVAQ_LOCKED, naming the holder, or EVAQ_NATIVE_UNAVAILABLE.
 */
export async function lockStore(path: string, { vfs, host, note, timeoutMs, signal }: LockOptions): Promise<VfsLock> {
  const text = `${JSON.stringify(note)}\n`;
  const started = host.elapsed();
  for (let pollMs = POLL_MS_FIRST; ; pollMs = Math.min(pollMs * 2, POLL_MS_MAX)) {
    throwIfAborted(signal);
    const result = await vfs.lock(`${path}/${LOCK_FILE}`, text, [`${path}/${STORE_FILE}`]);
    if (result.kind === 'locked') return result.lock;
    const leftMs = timeoutMs - (host.elapsed() - started);
    if (leftMs <= 0) throw lockedError(path, parseNote(result.note), note, result.ours, timeoutMs);
    await pause(host, Math.min(pollMs, leftMs));
  }
}

/** Locks one more file of the store, if it is there. @throws as `lockStore` */
export function lockAlso(path: string, file: string, lock: VfsLock, note: LockNote): void {
  if (!lock.addBlocking(file)) throw lockedError(path, {}, note, undefined, 0);
}

/** A fault that passes is to keep nobody out. */
const RELEASE_TRIES = 3;

/** Lets others in. @throws EVAQ_IO where that fails time after time */
export async function releaseLock(path: string, lock: VfsLock): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await lock.release();
      return;
    } catch (cause) {
      if (tries === RELEASE_TRIES) throw reported(cause, `releasing the lock of ${path}`, { path });
    }
  }
}

function pause(host: Host, ms: number): Promise<void> {
  const letGo = host.hold?.();
  return new Promise((resolve) => {
    host.after(ms, () => {
      letGo?.();
      resolve();
    });
  });
}

function lockedError(
  path: string,
  noted: EvaqErrorDetails,
  own: LockNote,
  ours: boolean | undefined,
  timeoutMs: number,
): EvaqError {
  const waited = timeoutMs > 0 ? `, ${timeoutMs} ms long` : '';
  // Where the system does not tell, the note does.
  if (ours ?? (noted.pid === own.pid && noted.host === own.host)) {
    const since = noted.since === undefined ? '' : ` since ${noted.since}`;
    return new EvaqError(
      'EVAQ_LOCKED',
      `${path} is open for writing in this very process, pid ${own.pid}${since}${waited}${isMainThread ? '' : ': another thread of it gets at the store by evaq.connect()'}`,
      {
        details: { path, ...noted, pid: own.pid, host: own.host },
        hint: 'Close it there first, or use that one: an open store may be shared by all of a thread, and another thread gets at it by the port that evaq.connect() gives. Reading is always possible: Evaq.openReadOnly.',
      },
    );
  }
  const holder = isGone(noted, own) ? {} : noted;
  const { pid, script, since } = holder;
  const who = pid === undefined ? 'another process' : `pid ${pid}${script ? ` (${script})` : ''}`;
  return new EvaqError(
    'EVAQ_LOCKED',
    `${path} is open for writing by ${who}${since === undefined ? '' : ` since ${since}`}${waited}`,
    {
      details: { path, ...holder },
      hint: 'Stop it, or wait for it (lockTimeoutMs), or open read-only, which is always possible. There is no file to delete: the lock goes with its holder. Of the processes of a cluster one has the store (README, "Workers").',
    },
  );
}

/** The note is an earlier holder's: whoever has the lock now (`flock` in a script, say) has written none. */
function isGone({ pid, host }: EvaqErrorDetails, own: LockNote): boolean {
  if (pid === undefined || host !== own.host) return false;
  if (pid === own.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ESRCH';
  }
}

function parseNote(text: string): EvaqErrorDetails {
  let note: unknown;
  try {
    note = JSON.parse(text);
  } catch {
    return {};
  }
  if (typeof note !== 'object' || note === null) return {};
  return {
    ...('pid' in note && typeof note.pid === 'number' ? { pid: note.pid } : {}),
    ...('script' in note && typeof note.script === 'string' ? { script: basename(note.script) } : {}),
    ...('since' in note && typeof note.since === 'string' ? { since: note.since } : {}),
    ...('host' in note && typeof note.host === 'string' ? { host: note.host } : {}),
  };
}
