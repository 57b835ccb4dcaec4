/**
 * Who has a store open for writing, found out without touching its lock: by what the holder wrote into the file, and by what
 * the system says of it. On Linux /proc/locks tells which files are locked; elsewhere it must do that the process is alive.
 */
import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { LOCK_FILE } from '../layout/store-file.js';

export interface StoreHolder {
  readonly pid: number;
  readonly command?: string;
  readonly since?: string;
  readonly host?: string;
}

/** `undefined` where nobody has it, as far as can be told. */
export function holderOf(dir: string): StoreHolder | undefined {
  const path = join(dir, LOCK_FILE);
  let text: string;
  let inode: number;
  try {
    text = readFileSync(path, 'utf8');
    inode = statSync(path).ino;
  } catch {
    // Never opened for writing, or not ours to read.
    return undefined;
  }
  const note = parseNote(text);
  const locks = readLocks();
  if (locks === undefined) return note !== undefined && isAlive(note) ? note : undefined;
  const lock = locks.find((one) => one.inode === inode);
  if (lock !== undefined) return note?.pid === lock.pid ? note : { pid: lock.pid };
  // On a layered file system the inode is another one; that the noted process holds some lock then has to do.
  return note !== undefined && locks.some(({ pid }) => pid === note.pid) && isAlive(note) ? note : undefined;
}

interface FileLock {
  readonly pid: number;
  readonly inode: number;
}

/** Exclusive locks of the kind that a store is held with; `undefined` where the system does not tell. */
function readLocks(): FileLock[] | undefined {
  let text: string;
  try {
    text = readFileSync('/proc/locks', 'utf8');
  } catch {
    return undefined;
  }
  const locks: FileLock[] = [];
  for (const [, pid, inode] of text.matchAll(/^\d+: FLOCK\s+ADVISORY\s+WRITE (\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /gm)) {
    locks.push({ pid: Number(pid), inode: Number(inode) });
  }
  return locks;
}

function isAlive({ pid, host }: StoreHolder): boolean {
  if (host !== undefined && host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function parseNote(text: string): StoreHolder | undefined {
  let note: unknown;
  try {
    note = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof note !== 'object' || note === null || !('pid' in note) || typeof note.pid !== 'number') return undefined;
  return {
    pid: note.pid,
    ...('command' in note && typeof note.command === 'string' ? { command: note.command } : {}),
    ...('since' in note && typeof note.since === 'string' ? { since: note.since } : {}),
    ...('host' in note && typeof note.host === 'string' ? { host: note.host } : {}),
  };
}
