/**
 * The one writer of a store: an exclusive flock on the file LOCK, which the operating system releases when its holder dies. What stands in the
 * file only serves the message for whom it turns away.
 */
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
