/**
 * The real disk behind the `Vfs` port: with `node-lock.ts` the only importer of `node:fs` in the library.
 *
 * Callbacks rather than `node:fs/promises`, because a FileHandle costs a second object and a second hop for each call on
 * the hot path. Descriptors are opened close-on-exec by Node itself.
 */
import * as fs from 'node:fs';
import { codeOf, isSystemError } from '../errors.js';
import { identityOf, lockFile } from './node-lock.js';
import { NodeWatch } from './node-watch.js';
import type { Vfs, VfsAnchor, VfsChunk, VfsEnds, VfsEntry, VfsFile, VfsStat, VfsWatch } from './vfs.js';

/** Opening a pipe in the place of a file waits for nobody; of a file it says nothing. Windows has none. */
const O_NONBLOCK: number = fs.constants.O_NONBLOCK ?? 0;
const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY, O_DIRECTORY } = fs.constants;
const FILE_MODE = 0o600;
const DIR_MODE = 0o700;

/** Linux's number: what a handle says whose file is not where it was. */
const ESTALE = 116;

/** A single read or write of more than this is cut by Linux (MAX_RW_COUNT); the loops below go on where it stopped. */
const IO_BYTES_MAX = 0x7fff_f000;

/** Written at a time by `extend`: the kernel holds the file for as long, and a blocking write waits. */
const ZEROS: Buffer = Buffer.alloc(128 * 1024);

/** What `stat` counts blocks in, whatever the file system's own are. */
const STAT_BLOCK_BYTES = 512;

class NodeFile implements VfsFile {
  readonly path: string;
  readonly #fd: number;
  #closed = false;
  /** Changes and syncs in the thread pool, until their callers hear of them. */
  #underWay = 0;

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
    this.#underWay++;
    return new Promise((resolve, reject) => {
      let done = 0;
      const over = (error: Error | null): void => {
        this.#underWay--;
        if (error === null) resolve();
        else reject(error);
      };
      const next = (): void => {
        fs.write(
          this.#fd,
          source,
          offset + done,
          Math.min(length - done, IO_BYTES_MAX),
          position + done,
          (error, n) => {
            if (error) return over(error);
            done += n;
            if (done === length) return over(null);
            // A short write is not an error: the next one says why (ENOSPC, EFBIG), or goes on.
            next();
          },
        );
      };
      if (length === 0) over(null);
      else next();
    });
  }

  /** Appending is what kernels do at the end of a file under its lock, on every system. */
  async extend(length: number): Promise<void> {
    const fd = await openFd(this.path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
    try {
      this.#requireSameFile(fd);
      for (let left = length; left > 0; ) left -= await append(fd, Math.min(left, ZEROS.length));
    } finally {
      // On a network's file system it waits for what was written.
      await closeFd(fd);
    }
  }

  sync(): Promise<void> {
    return this.#change((over) => fs.fdatasync(this.#fd, over));
  }

  truncate(size: number): Promise<void> {
    return this.#change((over) => fs.ftruncate(this.#fd, size, over));
  }

  #change(call: (over: (error: Error | null) => void) => void): Promise<void> {
    this.#underWay++;
    return new Promise((resolve, reject) => {
      call((error) => {
        this.#underWay--;
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  get isQuiet(): boolean {
    return this.#underWay === 0;
  }

  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void {
    if (this.isQuiet) {
      for (const chunk of chunks) writeAllSync(this.#fd, chunk);
      fs.fdatasyncSync(this.#fd);
      return;
    }
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
    throw staleError('another file is there now', this.path);
  }

  identityBlocking(): string {
    return identityOf(fs.fstatSync(this.#fd, { bigint: true }));
  }

  closeBlocking(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      fs.closeSync(this.#fd);
    } catch {
      // It is closed all the same.
    }
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return closeFd(this.#fd);
  }
}

function closeFd(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.close(fd, (error) => (error ? reject(error) : resolve()));
  });
}

/** Zeros, as many as there is space for: resolves with how many that were. */
function append(fd: number, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, ZEROS, 0, length, null, (error, n) => (error ? reject(error) : resolve(n)));
  });
}

/** As many bytes as there are. */
function readAllSync(fd: number, target: Uint8Array, position: number): number {
  let done = 0;
  for (let more = -1; more !== 0 && done < target.length; done += more)
    more = fs.readSync(fd, target, done, target.length - done, position + done);
  return done;
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

function isNothingThere(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function staleError(what: string, path: string): Error {
  const details = { errno: -ESTALE, code: 'ESTALE', syscall: 'open', path };
  return Object.assign(new Error(`ESTALE: ${what}, open '${path}'`), details);
}

const PROC_FDS = '/proc/self/fd';
let procFds: boolean | undefined;

/** Linux names what is in an open folder so; where /proc is not mounted it does not. */
function hasProcFds(): boolean {
  procFds ??= process.platform === 'linux' && fs.existsSync(PROC_FDS);
  return procFds;
}

/** Runs `change` on `path` within the very folder that is meant: the path that it is given leads into it, whatever becomes of its names meanwhile. */
export async function anchored<T>(
  path: string,
  anchor: VfsAnchor | undefined,
  change: (within: (path: string) => string) => Promise<T>,
): Promise<T> {
  if (anchor === undefined) return change((one) => one);
  const { dir, identity } = anchor;
  if (!hasProcFds()) {
    if (identityOf(fs.statSync(dir, { bigint: true })) !== identity)
      throw staleError('another folder is there now', path);
    return change((one) => one);
  }
  const fd = await openFd(dir, O_RDONLY | O_DIRECTORY);
  const within = `${PROC_FDS}/${fd}`;
  try {
    if (identityOf(fs.fstatSync(fd, { bigint: true })) !== identity)
      throw staleError('another folder is there now', path);
    return await change((one) => within + one.slice(dir.length));
  } catch (error) {
    throw renamedIn(error, within, dir);
  } finally {
    fs.closeSync(fd);
  }
}

/** The error, with the path that the caller knows. */
function renamedIn(error: unknown, within: string, dir: string): unknown {
  if (typeof error !== 'object' || error === null) return error;
  for (const key of ['message', 'path', 'dest'] as const) {
    const text: unknown = Reflect.get(error, key);
    if (typeof text === 'string') Reflect.set(error, key, text.replaceAll(within, dir));
  }
  return error;
}

export const nodeVfs: Vfs = {
  async list(dir): Promise<VfsEntry[]> {
    const entries = await fs.promises.readdir(dir, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  },

  async stat(path): Promise<VfsStat | undefined> {
    try {
      const stat = await fs.promises.lstat(path);
      return { kind: kindOf(stat), size: stat.size, diskBytes: stat.blocks * STAT_BLOCK_BYTES, links: stat.nlink };
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

  async makeDir(dir, anchor): Promise<boolean> {
    try {
      await anchored(dir, anchor, (within) => fs.promises.mkdir(within(dir), { mode: DIR_MODE }));
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  },

  async create(path, anchor): Promise<VfsFile> {
    const flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    return new NodeFile(path, await anchored(path, anchor, (within) => openFd(within(path), flags)));
  },

  async open(path, access, anchor): Promise<VfsFile> {
    const flags = (access === 'read' ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK;
    return new NodeFile(path, await anchored(path, anchor, (within) => openFd(within(path), flags)));
  },

  openBlocking: (path) => new NodeFile(path, fs.openSync(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK)),

  endsBlocking(path, head, tail): VfsEnds | undefined {
    let fd: number | undefined;
    try {
      fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const front = readAllSync(fd, head, 0);
      if (front < head.length) return { size: front, head: front, tail: 0 };
      const { size } = fs.fstatSync(fd);
      return { size, head: front, tail: readAllSync(fd, tail, Math.max(0, size - tail.length)) };
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return undefined;
    } finally {
      if (fd !== undefined) fs.closeSync(fd);
    }
  },

  rename: (from, to, anchor) => anchored(from, anchor, (within) => fs.promises.rename(within(from), within(to))),
  remove: (path, anchor) => anchored(path, anchor, (within) => fs.promises.unlink(within(path))),

  link: (from, to) => fs.promises.link(from, to),

  async syncDir(dir, anchor): Promise<void> {
    // Windows cannot open a folder for this, and NTFS journals names by itself.
    if (process.platform === 'win32') return;
    const fd = await anchored(dir, anchor, (within) => openFd(within(dir), O_RDONLY | O_DIRECTORY));
    try {
      await new Promise<void>((resolve, reject) => fs.fsync(fd, (error) => (error ? reject(error) : resolve())));
    } finally {
      fs.closeSync(fd);
    }
  },

  watch(dir, tell): VfsWatch | undefined {
    // Elsewhere a file that is kept open may be told of when it is closed, or late.
    if (process.platform !== 'linux') return undefined;
    try {
      return new NodeWatch(dir, tell);
    } catch {
      // All that the system has for that is in use (ENOSPC, EMFILE), or it has none, or there is no such folder.
      return undefined;
    }
  },

  async freeBytes(path): Promise<number> {
    const { bavail, bsize } = await fs.promises.statfs(path);
    return bavail * bsize;
  },

  lock: async (path, note, also = []) => lockFile(path, note, also, FILE_MODE),
};
