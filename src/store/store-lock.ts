/**
 * The one writer of a store: an exclusive flock on the file LOCK, which the operating system releases when its holder dies. What stands in the
 * file only serves the message for whom it turns away.
 */
import { hostname, uptime } from 'node:os';
import { EvaqError, type EvaqErrorDetails } from '../errors.js';
import { LOCK_FILE } from '../layout/store-file.js';
import type { Vfs, VfsLock } from '../vfs/vfs.js';

export interface LockNote {
  readonly pid: number;
  readonly host: string;
  readonly bootId: string;
  readonly since: string;
  readonly command: string;
}

/**
 * Of this process. `nowMs` as the store's clock has it. Where the system does not say (a container may forbid it) a field is empty: no store is
 * kept shut by that.
 */
export function ownLockNote(nowMs: number): LockNote {
  return {
    pid: process.pid,
    host: orEmpty(hostname),
    bootId: orEmpty(bootedAt),
    since: new Date(nowMs).toISOString(),
    command: process.argv.slice(0, 6).join(' ').slice(0, 300),
  };
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

/** Rejects with EVAQ_LOCKED, naming the holder, or EVAQ_NATIVE_UNAVAILABLE. */
export async function lockStore(vfs: Vfs, path: string, note: LockNote): Promise<VfsLock> {
  const result = await vfs.lock(`${path}/${LOCK_FILE}`, `${JSON.stringify(note)}\n`);
  if (result.kind === 'locked') return result.lock;
  const holder = parseNote(result.note);
  const who =
    holder.pid === undefined
      ? 'another process'
      : `pid ${holder.pid}${holder.command === undefined ? '' : ` (${holder.command})`}`;
  const since = holder.since === undefined ? '' : ` since ${holder.since}`;
  throw new EvaqError('EVAQ_LOCKED', `${path} is open for writing by ${who}${since}`, {
    details: { path, ...holder },
    hint: 'Stop it, or open read-only, which is always possible. There is no file to delete: the lock goes with its holder.',
  });
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
    ...('command' in note && typeof note.command === 'string' ? { command: note.command } : {}),
    ...('since' in note && typeof note.since === 'string' ? { since: note.since } : {}),
    ...('host' in note && typeof note.host === 'string' ? { host: note.host } : {}),
  };
}
