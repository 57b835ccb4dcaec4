/**
 * The lock behind `Vfs.lock` on the real disk. It is held on every file that is named, and on their folder where the system locks folders, by
 * every kind of lock that can be loaded; so that nobody gets in who deletes one of them, and so that `flock` in a script is respected.
 *
 * A kind that this process cannot take is looked for in the list of the system, after its own was taken: of two that know of different kinds
 * at least one sees the other.
 */
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { loadNativeLocks, type NativeLocks, type TryLock } from './native-lock.js';
import type { VfsLock, VfsLockResult } from './vfs.js';

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;

/** How often the file may be replaced between opening and locking it, before that counts as somebody else's lock. */
const REPLACED_MAX = 8;

// As big integers: inode numbers of some file systems have more than 53 bits.
export function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

export function lockFile(path: string, note: string, also: readonly string[], fileMode: number): VfsLockResult {
  const locks = loadNativeLocks();
  for (let tries = 0; tries < REPLACED_MAX; tries++) {
    const fd = fs.openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, fileMode);
    const lock = new NodeLock(fd, locks);
    try {
      const taken = lock.takeAll(path, also);
      if (taken === 'replaced') continue;
      // Of whoever holds only the others the file was deleted: what its note said is gone.
      if (taken !== 'taken') return { kind: 'held', note: taken === 'held' ? readNote(fd) : '', ...lock.whose() };
      lock.keep(note);
      return { kind: 'locked', lock };
    } finally {
      lock.closeUnlessKept();
    }
  }
  return { kind: 'held', note: '' };
}

class NodeLock implements VfsLock {
  readonly identity: string;
  readonly #fd: number;
  readonly #locks: NativeLocks;
  /** What is held, by identity. */
  readonly #held = new Map<string, number>();
  #kept = false;

  constructor(fd: number, locks: NativeLocks) {
    this.#fd = fd;
    this.#locks = locks;
    this.identity = identityOf(fs.fstatSync(fd, { bigint: true }));
  }

  takeAll(path: string, also: readonly string[]): 'taken' | 'held' | 'others-held' | 'replaced' {
    this.#held.set(this.identity, this.#fd);
    if (!this.#take(this.#fd)) return 'held';
    // Deleted or replaced before it was locked: what is locked is not what the next one finds.
    if (!isAt(path, this.identity)) return 'replaced';
    if (!this.#takeFolder(dirname(path))) return 'others-held';
    return also.every((one) => this.addBlocking(one)) ? 'taken' : 'others-held';
  }

  addBlocking(path: string): boolean {
    for (let tries = 0; tries < REPLACED_MAX; tries++) {
      let fd: number;
      try {
        fd = fs.openSync(path, O_RDWR | O_NOFOLLOW);
      } catch (error) {
        if (isNothingThere(error)) return true;
        throw error;
      }
      const identity = identityOf(fs.fstatSync(fd, { bigint: true }));
      if (this.#held.has(identity)) {
        fs.closeSync(fd);
        return true;
      }
      // Held or not, it is closed with the others.
      this.#held.set(identity, fd);
      if (!this.#take(fd)) return false;
      if (isAt(path, identity)) return true;
    }
    return false;
  }

  /** The note serves the error message of the next opener and nothing else; a full disk must not keep a store shut. */
  keep(note: string): void {
    this.#kept = true;
    try {
      fs.ftruncateSync(this.#fd, 0);
      fs.writeSync(this.#fd, note, 0);
    } catch {
      // As above.
    }
  }

  closeUnlessKept(): void {
    if (!this.#kept) this.#close();
  }

  async release(): Promise<void> {
    this.#close();
  }

  /** Closing the only descriptor releases a lock. The file stays: unlinking it would let two openers lock two inodes. */
  #close(): void {
    const fds = [...this.#held.values()];
    this.#held.clear();
    const failures: unknown[] = [];
    // The file itself last: who waits for it finds the others free.
    for (const fd of fds.reverse()) {
      try {
        fs.closeSync(fd);
      } catch (error) {
        // The others are to be closed all the same; of this one the system has let go, too.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Nobody else opens these files for long: who has another descriptor of one holds them. */
  whose(): { readonly ours?: boolean } {
    const opened = openFds();
    if (opened === undefined) return {};
    const fds = new Set(this.#held.values());
    return { ours: opened.some((fd) => !fds.has(fd) && this.#held.has(identityOfFd(fd) ?? '')) };
  }

  #take(fd: number): boolean {
    const { own, flock } = this.#locks;
    if (own?.(fd) === false || flock?.(fd) === false) return false;
    if (own === undefined) return !isListed('OFDLCK', fd);
    return flock !== undefined || !isListed('FLOCK', fd);
  }

  /**
   * Windows cannot open a folder, NFS locks only what is open for writing, and so do the locks of `fs-native-extensions` on Linux: what cannot be
   * done is left out.
   */
  #takeFolder(dir: string): boolean {
    if (process.platform === 'win32') return true;
    const { own, flock } = this.#locks;
    const kind = process.platform === 'linux' ? flock : (own ?? flock);
    let fd: number;
    try {
      fd = fs.openSync(dir, O_RDONLY | O_DIRECTORY);
    } catch {
      return true;
    }
    this.#held.set(identityOf(fs.fstatSync(fd, { bigint: true })), fd);
    return kind === undefined ? !isListed('FLOCK', fd) : attempt(kind, fd);
  }
}

function isAt(path: string, identity: string): boolean {
  try {
    return identityOf(fs.lstatSync(path, { bigint: true })) === identity;
  } catch (error) {
    if (isNothingThere(error)) return false;
    throw error;
  }
}

function attempt(kind: TryLock, fd: number): boolean {
  try {
    return kind(fd);
  } catch {
    return true;
  }
}

/** Of this process, all its threads; `undefined` where the system does not list them. */
function openFds(): number[] | undefined {
  for (const dir of ['/proc/self/fd', '/dev/fd']) {
    try {
      return fs.readdirSync(dir).map(Number);
    } catch {
      // Perhaps the other.
    }
  }
  return undefined;
}

function identityOfFd(fd: number): string | undefined {
  try {
    return identityOf(fs.fstatSync(fd, { bigint: true }));
  } catch {
    // That of the listing itself, or closed meanwhile by another thread.
    return undefined;
  }
}

/** On Windows what is locked cannot be read; and the file may have been truncated meanwhile. */
function readNote(fd: number): string {
  try {
    return fs.readFileSync(fd, 'utf8');
  } catch {
    return '';
  }
}

/** Whether Linux lists a lock of that kind on an open file. Elsewhere there is one kind. */
function isListed(kind: 'FLOCK' | 'OFDLCK', fd: number): boolean {
  if (process.platform !== 'linux') return false;
  let text: string;
  try {
    text = fs.readFileSync('/proc/locks', 'utf8');
  } catch {
    return false;
  }
  const { dev, ino } = fs.fstatSync(fd, { bigint: true });
  // As gnu_dev_major and gnu_dev_minor of glibc have it.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  return text.split('\n').some((line) => {
    const [, found, , , , where] = line.split(/\s+/);
    return found === kind && where === file;
  });
}

function hex(value: bigint): string {
  return value.toString(16).padStart(2, '0');
}

function isNothingThere(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
}
