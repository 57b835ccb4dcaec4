/**
 * The real disk behind the `Vfs` port: the only importer of `node:fs` and `fs-ext` in the library.
 *
 * Callbacks rather than `node:fs/promises`, because a FileHandle costs a second object and a second hop for each call on
 * the hot path. Descriptors are opened close-on-exec by Node itself.
 */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { EvaqError } from '../errors.js';
import type { Vfs, VfsChunk, VfsEntry, VfsFile, VfsLockResult, VfsStat } from './vfs.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_DIRECTORY } = fs.constants;
const FILE_MODE = 0o600;
const DIR_MODE = 0o700;

/** Linux's number: what a handle says whose file is not where it was. */
const ESTALE = 116;

/** A single read or write of more than this is cut by Linux (MAX_RW_COUNT); the loops below go on where it stopped. */
const IO_BYTES_MAX = 0x7fff_f000;

class NodeFile implements VfsFile {
  readonly path: string;
  readonly #fd: number;
  #closed = false;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stat) => (error ? reject(error) : resolve(stat.size)));
    });
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const next = (): void => {
        fs.read(this.#fd, target, offset + done, Math.min(length - done, IO_BYTES_MAX), position + done, (error, n) => {
          if (error) return reject(error);
          done += n;
          if (n === 0 || done === length) return resolve(done);
          next();
        });
      };
      if (length === 0) resolve(0);
      else next();
    });
  }

  writeAt(source: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const next = (): void => {
        fs.write(
          this.#fd,
          source,
          offset + done,
          Math.min(length - done, IO_BYTES_MAX),
          position + done,
          (error, n) => {
            if (error) return reject(error);
            done += n;
            if (done === length) return resolve();
            // A short write is not an error: the next one says why (ENOSPC, EFBIG), or goes on.
            next();
          },
        );
      };
      if (length === 0) resolve();
      else next();
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  truncate(size: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.#fd, size, (error) => (error ? reject(error) : resolve()));
    });
  }

  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void {
    const fd = fs.openSync(this.path, O_RDWR | O_NOFOLLOW);
    try {
      this.#requireSameFile(fd);
      for (const chunk of chunks) writeAllSync(fd, chunk);
      fs.fdatasyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }

  truncateBlocking(size: number): void {
    fs.ftruncateSync(this.#fd, size);
  }

  writeBlocking(chunk: VfsChunk): void {
    writeAllSync(this.#fd, chunk);
  }

  /** A path may lead elsewhere by now (a folder that was replaced): nothing is written to another file than the one that is open. */
  #requireSameFile(fd: number): void {
    const [ours, found] = [this.#fd, fd].map((one) => fs.fstatSync(one, { bigint: true }));
    if (ours?.ino === found?.ino && ours?.dev === found?.dev) return;
    throw Object.assign(new Error(`ESTALE: another file is there now, open '${this.path}'`), {
      errno: -ESTALE,
      code: 'ESTALE',
      syscall: 'open',
      path: this.path,
    });
  }

  identityBlocking(): string {
    return identityOf(fs.fstatSync(this.#fd, { bigint: true }));
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((resolve, reject) => {
      fs.close(this.#fd, (error) => (error ? reject(error) : resolve()));
    });
  }
}

function writeAllSync(fd: number, { source, length, position }: VfsChunk): void {
  for (let done = 0; done < length; ) done += fs.writeSync(fd, source, done, length - done, position + done);
}

function openFd(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, FILE_MODE, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}

function kindOf(entry: { isFile(): boolean; isDirectory(): boolean }): VfsEntry['kind'] {
  return entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : 'other';
}

// As big integers: inode numbers of some file systems have more than 53 bits.
function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

function isNothingThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

type FlockSync = (fd: number, operation: 'exnb' | 'un') => void;

/**
 * `fs-ext` is loaded at the first lock and not at import, so that everything that takes no lock (reading, tools, the simulated
 * disk) works where the native part could not be built. Only `flockSync` is used: the asynchronous form and `statVFS` crash a
 * process that also loads the package in worker threads.
 */
function loadFlock(): FlockSync {
  try {
    const native: { flockSync: FlockSync } = createRequire(import.meta.url)('fs-ext');
    return native.flockSync;
  } catch (cause) {
    throw new EvaqError(
      'EVAQ_NATIVE_UNAVAILABLE',
      'the native package fs-ext, which holds the lock of a store, cannot be loaded',
      {
        cause,
        hint: 'Run: npm install-scripts approve fs-ext && npm rebuild fs-ext (it needs python3, make and a C++ compiler).',
      },
    );
  }
}

function isHeldByAnother(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EWOULDBLOCK');
}

/**
 * Locks the folder itself. The result is its descriptor; `undefined` where that cannot be done: Windows cannot open a folder, and NFS locks only
 * what is open for writing.
 */
function lockFolder(dir: string, flockSync: FlockSync): number | 'held' | undefined {
  if (process.platform === 'win32') return undefined;
  let fd: number | undefined;
  try {
    fd = fs.openSync(dir, O_RDONLY | O_DIRECTORY);
    flockSync(fd, 'exnb');
    return fd;
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd);
    return isHeldByAnother(error) ? 'held' : undefined;
  }
}

async function lock(path: string, note: string): Promise<VfsLockResult> {
  const flockSync = loadFlock();
  const fd = fs.openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, FILE_MODE);
  let identity: string;
  let folder: number | undefined;
  try {
    identity = identityOf(fs.fstatSync(fd, { bigint: true }));
    flockSync(fd, 'exnb');
    const locked = lockFolder(dirname(path), flockSync);
    if (locked === 'held') {
      // Of whoever holds it the file was deleted: what its note said is gone.
      fs.closeSync(fd);
      return { kind: 'held', note: '' };
    }
    folder = locked;
  } catch (error) {
    try {
      if (isHeldByAnother(error)) return { kind: 'held', note: fs.readFileSync(fd, 'utf8') };
      throw error;
    } finally {
      fs.closeSync(fd);
    }
  }
  try {
    fs.ftruncateSync(fd, 0);
    fs.writeSync(fd, note, 0);
  } catch {
    // The note serves the error message of the next opener and nothing else; a full disk must not keep a store shut.
  }
  let held = true;
  return {
    kind: 'locked',
    lock: {
      identity,
      async release() {
        if (!held) return;
        held = false;
        if (folder !== undefined) fs.closeSync(folder);
        // Closing the only descriptor releases the lock. The file stays: unlinking it would let two openers lock two inodes.
        fs.closeSync(fd);
      },
    },
  };
}

export const nodeVfs: Vfs = {
  async list(dir): Promise<VfsEntry[]> {
    const entries = await fs.promises.readdir(dir, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  },

  async stat(path): Promise<VfsStat | undefined> {
    try {
      const stat = await fs.promises.lstat(path);
      return { kind: kindOf(stat), size: stat.size };
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  },

  identities: {
    async of(path): Promise<string | undefined> {
      try {
        return identityOf(await fs.promises.stat(path, { bigint: true }));
      } catch (error) {
        if (isNothingThere(error)) return undefined;
        throw error;
      }
    },

    ofBlocking(path): string | undefined {
      try {
        return identityOf(fs.statSync(path, { bigint: true }));
      } catch (error) {
        if (isNothingThere(error)) return undefined;
        throw error;
      }
    },
  },

  async makeDir(dir): Promise<boolean> {
    try {
      await fs.promises.mkdir(dir, { mode: DIR_MODE });
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
      throw error;
    }
  },

  async create(path): Promise<VfsFile> {
    return new NodeFile(path, await openFd(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW));
  },

  async open(path, access): Promise<VfsFile> {
    return new NodeFile(path, await openFd(path, (access === 'read' ? O_RDONLY : O_RDWR) | O_NOFOLLOW));
  },

  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.unlink(path),

  async syncDir(dir): Promise<void> {
    // Windows cannot open a folder for this, and NTFS journals names by itself.
    if (process.platform === 'win32') return;
    const fd = await openFd(dir, O_RDONLY | O_DIRECTORY);
    try {
      await new Promise<void>((resolve, reject) => fs.fsync(fd, (error) => (error ? reject(error) : resolve())));
    } finally {
      fs.closeSync(fd);
    }
  },

  async freeBytes(path): Promise<number> {
    const { bavail, bsize } = await fs.promises.statfs(path);
    return bavail * bsize;
  },

  lock,
};
