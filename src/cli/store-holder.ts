/**
 * Who has a store open for writing, found out without touching its lock: by what the holder wrote into the file, and by what
 * the system says of it. On Linux /proc/locks tells which files are locked; elsewhere it must do that the process is alive.
 */
import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { codeOf } from '../errors.js';
import { LOCK_FILE } from '../layout/store-file.js';

export interface StoreHolder {
  /** Undefined where the system does not tell, and the note is another's. */
  readonly pid?: number;
  readonly script?: string;
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
  const found = locks.filter((one) => one.inode === inode);
  if (found.length > 0) {
    const pid = found.find((one) => one.pid !== undefined)?.pid;
    if (note !== undefined && isAlive(note) && (pid ?? note.pid) === note.pid) return note;
    return pid === undefined ? {} : { pid };
  }
  // On a layered file system the inode is another one; that the noted process has the file open then has to do.
  return note !== undefined && isAlive(note) && hasOpen(note, path) ? note : undefined;
}

interface FileLock {
  /** A lock of an open file description has none. */
  readonly pid: number | undefined;
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
  for (const [, pid, inode] of text.matchAll(
    /^\d+: (?:FLOCK|OFDLCK)\s+ADVISORY\s+WRITE (-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /gm,
  )) {
    locks.push({ pid: Number(pid) > 0 ? Number(pid) : undefined, inode: Number(inode) });
  }
  return locks;
}

function hasOpen({ pid }: StoreHolder, path: string): boolean {
  try {
    const file = realpathSync(path);
    const dir = `/proc/${pid}/fd`;
    return readdirSync(dir).some((fd) => readlinkSync(join(dir, fd)) === file);
  } catch {
    // Not ours to look at, or over.
    return false;
  }
}

function isAlive({ pid, host }: StoreHolder): boolean {
  if (pid === undefined) return false;
  if (host !== undefined && host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
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
    ...('script' in note && typeof note.script === 'string' && note.script !== ''
      ? { script: basename(note.script) }
      : {}),
    ...('since' in note && typeof note.since === 'string' ? { since: note.since } : {}),
    ...('host' in note && typeof note.host === 'string' ? { host: note.host } : {}),
  };
}
