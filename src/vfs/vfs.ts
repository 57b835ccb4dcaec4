/**
 * The port to a file system, in words of durability. The engine knows files only through it; the real disk
 * (`node-vfs.ts`) and the simulated one implement it. It hides short writes, flags and platform trivia, and nothing else:
 * what is durable when is the engine's business, so the port never syncs of its own accord.
 *
 * Contract, for both implementations:
 * - Paths are absolute. Every method may be called concurrently.
 * - A rejection is a system error (`errno` negative, `code` such as 'ENOSPC'), never a translated one.
 * - `writeAt` changes the volatile content; only a `sync` that resolved makes it durable, with the file's size. A file's
 *   *name* is durable only after `syncDir` of its folder. A `rename` is atomic.
 * - After a `sync` that rejected nothing may be assumed about any unsynced byte of that file.
 */

export interface VfsEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

export interface VfsStat {
  /** Of the entry itself: a symbolic link is 'other'. */
  readonly kind: 'file' | 'directory' | 'other';
  readonly size: number;
}

export type VfsLockResult =
  | { readonly kind: 'locked'; readonly lock: VfsLock }
  /** Somebody else holds it; `note` is what the holder wrote, which may be empty or torn. */
  | { readonly kind: 'held'; readonly note: string };

/** An exclusive lock that the operating system releases when its holder dies. */
export interface VfsLock {
  /** Of the file that is locked, whatever its name leads to by now; see `Vfs.identities`. */
  readonly identity?: string;
  release(): Promise<void>;
}

export interface VfsFile {
  readonly path: string;
  size(): Promise<number>;
  /**
   * Reads up to `length` bytes at `position` into `target` from `offset` on. Resolves with the number of bytes read, which is short
   * only at the end of the file.
   */
  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Writes all `length` bytes of `source` from `offset` on, at `position`, or rejects having written any prefix of them. */
  writeAt(source: Uint8Array, offset: number, length: number, position: number): Promise<void>;
  /** Resolves when content and size, as they stood at the call, are durable (fdatasync). */
  sync(): Promise<void>;
  /** Cuts or extends (with zeros) to `size`. Durable with the next `sync`. */
  truncate(size: number): Promise<void>;
  /**
   * Writes every chunk and syncs before it returns; throws a system error. Blocks the thread: for exit handlers. It goes through a
   * descriptor of its own, so that an error of a sync under way elsewhere is reported to both callers and not to just one (Linux
   * reports a write-back error once per open file description). The chunks are asked for one by one when that is open: before the first,
   * nothing was done; when the last was taken, all are written and the sync is next. Without any it is a sync alone.
   */
  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void;
  /** As `truncate`, before it returns. Throws a system error. */
  truncateBlocking(size: number): void;
  /**
   * Writes before it returns, without a sync; throws a system error. For a few KiB into the page cache, where nothing else may come in between.
   */
  writeBlocking(chunk: VfsChunk): void;
  /** Of the open file itself, whatever its name leads to by now; throws a system error. See `Vfs.identities`. */
  identityBlocking?(): string;
  /**
   * Idempotent. No other call may be under way or follow. A rejection has closed the file all the same, and says nothing of what was synced
   * before: the engine, which syncs whatever it promises, passes over it.
   */
  close(): Promise<void>;
}

export interface VfsChunk {
  readonly source: Uint8Array;
  readonly length: number;
  readonly position: number;
}

/** Tells files and folders apart: two paths with the same identity lead to the same thing. Follows symbolic links. */
export interface VfsIdentities {
  /** `undefined` where there is nothing. */
  of(path: string): Promise<string | undefined>;
  /** The same before it returns; throws a system error. For where nothing may come in between a look and what is done upon it. */
  ofBlocking(path: string): string | undefined;
}

export interface Vfs {
  /** Without it nobody notices that a store is removed or replaced while it is open. */
  readonly identities?: VfsIdentities | undefined;
  /** The entries of a folder, in no particular order. */
  list(dir: string): Promise<VfsEntry[]>;
  /** `undefined` where there is nothing of that name. Never follows a symbolic link. */
  stat(path: string): Promise<VfsStat | undefined>;
  /** Makes one folder, mode 0700. Resolves with false where it is there already. */
  makeDir(dir: string): Promise<boolean>;
  /** Makes a file that must not exist yet (EEXIST), mode 0600, open for reading and writing. */
  create(path: string): Promise<VfsFile>;
  /** Opens an existing regular file. A symbolic link is refused (ELOOP), never followed. */
  open(path: string, access: 'read' | 'write'): Promise<VfsFile>;
  /** Replaces `to` if it exists. Durable after `syncDir` of the folders of both. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Resolves when every name in `dir`, as they stood at the call, is durable. */
  syncDir(dir: string): Promise<void>;
  /** Bytes that this process may still write in the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  /**
   * Takes the exclusive lock on `path`, making the file if need be, and writes `note` into it for others to read. The folder is locked with it where
   * the system can do that, so that nobody gets in who deletes the file.
   */
  lock(path: string, note: string): Promise<VfsLockResult>;
}
