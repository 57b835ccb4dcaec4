/**
 * The file system as an open store uses it: before anything is changed by its path, and now and then while a file is written to, it is made sure
 * that the store's folders and files still are where they were (`Ground`).
 */
import type { Host } from '../vfs/host.js';
import type { Vfs, VfsAnchor, VfsChunk, VfsEntry, VfsFile, VfsIdentities, VfsLockResult, VfsStat } from '../vfs/vfs.js';
import type { Ground, HeldFile } from './store-ground.js';

/** Between two looks while a file is written to. One costs five calls in the thread pool, beside those that write and sync. */
const LOOK_MS = 100;
/** The same where the thread is blocked by it: some 30 microseconds. */
const BLOCKING_LOOK_MS = 10;

export class GroundedVfs implements Vfs {
  readonly #vfs: Vfs;
  readonly #host: Host;
  readonly #ground: Ground;

  constructor(vfs: Vfs, host: Host, ground: Ground) {
    this.#vfs = vfs;
    this.#host = host;
    this.#ground = ground;
  }

  get identities(): VfsIdentities | undefined {
    return this.#vfs.identities;
  }

  list(dir: string): Promise<VfsEntry[]> {
    return this.#vfs.list(dir);
  }

  stat(path: string): Promise<VfsStat | undefined> {
    return this.#vfs.stat(path);
  }

  makeDir(dir: string): Promise<boolean> {
    return this.#change(dir, (anchor) => this.#vfs.makeDir(dir, anchor));
  }

  create(path: string): Promise<VfsFile> {
    return this.#change(path, async (anchor) => this.#held(path, await this.#vfs.create(path, anchor)));
  }

  open(path: string, access: 'read' | 'write'): Promise<VfsFile> {
    if (access === 'read') return this.#vfs.open(path, access);
    return this.#change(path, async (anchor) => this.#held(path, await this.#vfs.open(path, access, anchor)));
  }

  get endsBlocking(): Vfs['endsBlocking'] {
    return this.#vfs.endsBlocking;
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change(from, async (anchor) => {
      const file = this.#ground.take(from);
      this.#ground.take(to);
      // Where it fails it is not known which name leads to the file: nothing is expected of either.
      this.#ground.replacing(from, to);
      await this.#vfs.rename(from, to, anchor);
      this.#ground.replaced(to);
      file?.renamed(to);
    });
  }

  remove(path: string): Promise<void> {
    return this.#change(path, (anchor) => {
      this.#ground.take(path);
      return this.#vfs.remove(path, anchor);
    });
  }

  syncDir(dir: string): Promise<void> {
    return this.#change(dir, (anchor) => this.#vfs.syncDir(dir, anchor));
  }

  freeBytes(path: string): Promise<number> {
    return this.#vfs.freeBytes(path);
  }

  lock(path: string, note: string, also?: readonly string[]): Promise<VfsLockResult> {
    return this.#vfs.lock(path, note, also);
  }

  /** Looked at before, so that the store stops where it is to; and anchored, since somebody may come in between. */
  async #change<T>(path: string, call: (anchor: VfsAnchor | undefined) => Promise<T>): Promise<T> {
    this.#ground.checkBlocking(path);
    try {
      return await call(this.#ground.anchorOf(path));
    } catch (error) {
      // It may have been changed meanwhile: then that is the reason.
      this.#ground.checkBlocking(path);
      throw error;
    }
  }

  #held(path: string, file: VfsFile): VfsFile {
    return new GroundedFile(file, path, this.#host, this.#ground);
  }
}

/** A file that is open for writing. */
class GroundedFile implements VfsFile, HeldFile {
  readonly path: string;
  readonly #file: VfsFile;
  readonly #host: Host;
  readonly #ground: Ground;
  /** What leads to it now. */
  #name: string;
  #closed = false;
  #lookedAt: number;
  #lookedBlockingAt = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(file: VfsFile, name: string, host: Host, ground: Ground) {
    this.path = file.path;
    this.#file = file;
    this.#name = name;
    this.#host = host;
    this.#ground = ground;
    this.#lookedAt = host.elapsed();
    ground.hold(name, this);
  }

  renamed(to: string): void {
    this.#name = to;
    if (!this.#closed) this.#ground.hold(to, this);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#file.readAt(target, offset, length, position);
  }

  writeAt(source: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    this.#look();
    return this.#file.writeAt(source, offset, length, position);
  }

  extend(length: number): Promise<void> {
    this.#look();
    return this.#file.extend(length);
  }

  /** Does not resolve while a look is under way: what it vouches for is to be found again. */
  async sync(): Promise<void> {
    this.#look();
    const looking = this.#looking;
    await this.#file.sync();
    await looking;
    if (this.#ground.changed !== undefined) throw this.#ground.changed;
  }

  truncate(size: number): Promise<void> {
    return this.#file.truncate(size);
  }

  truncateBlocking(size: number): void {
    this.#file.truncateBlocking(size);
  }

  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void {
    // A program may do nothing else for long, without a turn of the event loop.
    const now = this.#host.elapsed();
    if (now - this.#lookedBlockingAt >= BLOCKING_LOOK_MS) {
      this.#lookedBlockingAt = now;
      this.#ground.checkFileBlocking(this.#name);
    }
    // By the path under which it was opened: only segments that have got their name are written to so.
    this.#file.writeAndSyncBlocking(chunks);
  }

  writeBlocking(chunk: VfsChunk): void {
    this.#look();
    this.#file.writeBlocking(chunk);
  }

  get isAtHand(): boolean {
    return this.#file.isAtHand ?? true;
  }

  identity(): string | undefined {
    return this.#file.identityBlocking?.();
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#ground.letGo(this.#name, this);
    return this.#file.close();
  }

  /** Begins a look if one is due. What it finds stops the store: that shows at whatever is waited for next. */
  #look(): void {
    const now = this.#host.elapsed();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    this.#looking = this.#ground.look(this.#name).finally(() => {
      this.#looking = undefined;
    });
  }
}
