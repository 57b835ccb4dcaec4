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
  /** Bytes of the disk that it takes, as `du` counts them. Undefined where the system does not tell. */
  readonly diskBytes?: number;
  /** Names that it has. More than one: what is written to it is seen under the others, too. Undefined where the system does not tell. */
  readonly links?: number;
}

export type VfsLockResult =
  | { readonly kind: 'locked'; readonly lock: VfsLock }
  /**
   * Somebody has it; `note` is what the holder wrote, which may be empty, torn or an earlier holder's. `ours`: whether that is this very process,
   * in any of its threads; undefined where the system does not tell.
   */
  | { readonly kind: 'held'; readonly note: string; readonly ours?: boolean };

/** An exclusive lock that the operating system releases when its holder dies. */
export interface VfsLock {
  /** Of the file that is locked, whatever its name leads to by now; see `Vfs.identities`. */
  readonly identity?: string;
  /**
   * Locks another file for as long, if it is there and not locked by this already; nothing is written to it. False: somebody else has it.
   * Returns when that is done; throws a system error.
   */
  addBlocking(path: string): boolean;
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
  /**
   * Adds `length` zeros at the end of the file, wherever that is at the moment at which they are written: they overwrite nothing, whoever else writes
   * meanwhile, blocking calls among them. Resolves when all are there, or rejects having added any number of them. Goes by the path through a descriptor
   * of its own for as long; rejects with ESTALE where another file is there.
   */
  extend(length: number): Promise<void>;
  /** Resolves when content and size, as they stood at the call, are durable (fdatasync). */
  sync(): Promise<void>;
  /** Cuts or extends (with zeros) to `size`. Durable with the next `sync`. */
  truncate(size: number): Promise<void>;
  /**
   * Writes every chunk and syncs before it returns; throws a system error. Blocks the thread. Where the file is not quiet it goes through a
   * descriptor of its own, so that an error of a sync under way elsewhere is reported to both callers and not to just one (Linux
   * reports a write-back error once per open file description); that is opened by the path, and rejects with ESTALE where another file is there. The
   * chunks are asked for one by one when there is a descriptor: before the first, nothing was done; when the last was taken, all are written and the
   * sync is next. Without any it is a sync alone.
   */
  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void;
  /** No change or sync of the file is under way through this descriptor. Missing: that is not known. */
  readonly isQuiet?: boolean;
  /** As `truncate`, before it returns. Throws a system error. */
  truncateBlocking(size: number): void;
  /**
   * Writes before it returns, without a sync; throws a system error. For a few KiB into the page cache, where nothing else may come in between.
   */
  writeBlocking(chunk: VfsChunk): void;
  /** Of the open file itself, whatever its name leads to by now; throws a system error. See `Vfs.identities`. */
  identityBlocking?(): string | undefined;
  /**
   * False: its descriptor was closed for a while to make room for others (`budgeted-file.ts`), so that `writeBlocking` cannot be called. Undefined
   * where that never happens.
   */
  readonly isAtHand?: boolean;
  /**
   * Idempotent. No other call may be under way or follow. A rejection has closed the file all the same, and says nothing of what was synced
   * before: the engine, which syncs whatever it promises, passes over it.
   */
  close(): Promise<void>;
  /** The same before it returns; never throws. Where it is missing, room is only made by those who can wait. */
  closeBlocking?(): void;
}

export interface VfsChunk {
  readonly source: Uint8Array;
  readonly length: number;
  readonly position: number;
}

/** How many bytes a file has, and how many of its first and last were read. */
export interface VfsEnds {
  readonly size: number;
  readonly head: number;
  readonly tail: number;
}

/** Tells files and folders apart: two paths with the same identity lead to the same thing. Follows symbolic links. */
export interface VfsIdentities {
  /** `undefined` where there is nothing. */
  of(path: string): Promise<string | undefined>;
  /** The same before it returns; throws a system error. For where nothing may come in between a look and what is done upon it. */
  ofBlocking(path: string): string | undefined;
}

/** What tells of changes in a folder. It holds no process. */
export interface VfsWatch {
  /** Whether it still tells, and of what its path leads to; before it returns. */
  holds(): boolean;
  close(): void;
}

/**
 * The folder that a change is meant for. What is called with it changes nothing in another one: where the path of the folder leads to something else by
 * then, it rejects with ESTALE (ENOENT where it leads nowhere). A look beforehand cannot say that: somebody may come in between. On systems without a way
 * to name a file in an open folder a moment is left.
 */
export interface VfsAnchor {
  /** The path that is changed lies below it, or is the same. */
  readonly dir: string;
  /** See `Vfs.identities`. */
  readonly identity: string;
}

export interface Vfs {
  /** Without it nobody notices that a store is removed or replaced while it is open. */
  readonly identities?: VfsIdentities | undefined;
  /** The entries of a folder, in no particular order. */
  list(dir: string): Promise<VfsEntry[]>;
  /** `undefined` where there is nothing of that name. Never follows a symbolic link. */
  stat(path: string): Promise<VfsStat | undefined>;
  /** Makes one folder, mode 0700 or as the store has it. Resolves with false where it is there already. */
  makeDir(dir: string, anchor?: VfsAnchor): Promise<boolean>;
  /** Makes a file that must not exist yet (EEXIST), mode 0600 or as the store has it, open for reading and writing. */
  create(path: string, anchor?: VfsAnchor): Promise<VfsFile>;
  /** Opens an existing regular file. A symbolic link is refused (ELOOP), never followed. */
  open(path: string, access: 'read' | 'write', anchor?: VfsAnchor): Promise<VfsFile>;
  /** The same for writing, before it returns; throws a system error. Where it is missing, no file that is open for writing is closed to make room. */
  readonly openBlocking?: ((path: string) => VfsFile) | undefined;
  /**
   * Reads the first bytes of a regular file into `head`, as many as there are, and where they fill it the last ones into `tail`, before it returns.
   * Undefined where that cannot be done, for whatever reason: who opens the file learns it. Holds no descriptor afterwards. Where it is missing nobody
   * is made to wait.
   */
  readonly endsBlocking?: ((path: string, head: Uint8Array, tail: Uint8Array) => VfsEnds | undefined) | undefined;
  /** Replaces `to`, in the same anchor, if it exists. Durable after `syncDir` of the folders of both. */
  rename(from: string, to: string, anchor?: VfsAnchor): Promise<void>;
  remove(path: string, anchor?: VfsAnchor): Promise<void>;
  /**
   * Gives a file one more name, which must not exist yet; both are the same file from then on. Rejects where the file system cannot do that, or not
   * between the two places. Missing where there is no such thing.
   */
  link?(from: string, to: string): Promise<void>;
  /** Resolves when every name in `dir`, as they stood at the call, is durable. */
  syncDir(dir: string, anchor?: VfsAnchor): Promise<void>;
  /**
   * Calls `tell` soon after the names in a folder have changed, or the bytes of a file in it, whoever did it; it may call it without any, and for several at
   * once. `undefined` where the system does not tell, of that folder or any more of them. That nothing is told says nothing for certain.
   */
  readonly watch?: ((dir: string, tell: () => void) => VfsWatch | undefined) | undefined;
  /** Bytes that this process may still write in the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  /**
   * Takes the exclusive lock on `path`, making the file if need be, and writes `note` into it for others to read. So that nobody gets in who deletes
   * the file, those of `also` that are there are locked with it, and the folder where the system can do that. Whoever has one of them has the lock.
   */
  lock(path: string, note: string, also?: readonly string[]): Promise<VfsLockResult>;
}
