/** A `Vfs` that counts what goes through it: calls, bytes, and files that are open. It syncs nothing. */
import type { Vfs, VfsAnchor, VfsEntry, VfsFile, VfsIdentities, VfsLockResult, VfsStat } from '../../../src/vfs/vfs.js';

export class CountingVfs implements Vfs {
  readonly #vfs: Vfs;
  readonly #open = new Map<VfsFile, string>();
  calls = 0;
  bytes = 0;

  constructor(vfs: Vfs) {
    this.#vfs = vfs;
  }

  get openFiles(): number {
    return this.#open.size;
  }

  get openPaths(): string[] {
    return [...this.#open.values()];
  }

  get identities(): VfsIdentities | undefined {
    return this.#vfs.identities;
  }

  get openBlocking(): ((path: string) => VfsFile) | undefined {
    const open = this.#vfs.openBlocking?.bind(this.#vfs);
    return open === undefined ? undefined : (path) => this.#counted(open(path));
  }

  list(dir: string): Promise<VfsEntry[]> {
    this.calls++;
    return this.#vfs.list(dir);
  }

  stat(path: string): Promise<VfsStat | undefined> {
    this.calls++;
    return this.#vfs.stat(path);
  }

  makeDir(dir: string, anchor?: VfsAnchor): Promise<boolean> {
    this.calls++;
    return this.#vfs.makeDir(dir, anchor);
  }

  async create(path: string, anchor?: VfsAnchor): Promise<VfsFile> {
    this.calls++;
    return this.#counted(await this.#vfs.create(path, anchor));
  }

  async open(path: string, access: 'read' | 'write', anchor?: VfsAnchor): Promise<VfsFile> {
    this.calls++;
    return this.#counted(await this.#vfs.open(path, access, anchor));
  }

  rename(from: string, to: string, anchor?: VfsAnchor): Promise<void> {
    this.calls++;
    return this.#vfs.rename(from, to, anchor);
  }

  remove(path: string, anchor?: VfsAnchor): Promise<void> {
    this.calls++;
    return this.#vfs.remove(path, anchor);
  }

  syncDir(): Promise<void> {
    this.calls++;
    return Promise.resolve();
  }

  freeBytes(path: string): Promise<number> {
    return this.#vfs.freeBytes(path);
  }

  lock(path: string, note: string, also?: readonly string[]): Promise<VfsLockResult> {
    this.calls++;
    return this.#vfs.lock(path, note, also);
  }

  #counted(file: VfsFile): VfsFile {
    this.#open.set(file, file.path);
    const [close, readAt, writeAt] = [file.close.bind(file), file.readAt.bind(file), file.writeAt.bind(file)];
    file.close = () => {
      this.#open.delete(file);
      return close();
    };
    const closeBlocking = file.closeBlocking?.bind(file);
    if (closeBlocking !== undefined)
      file.closeBlocking = () => {
        this.#open.delete(file);
        closeBlocking();
      };
    // Nothing here dies: what is not synced is read all the same.
    file.sync = () => Promise.resolve();
    file.readAt = async (...args) => {
      this.calls++;
      const read = await readAt(...args);
      this.bytes += read;
      return read;
    };
    file.writeAt = (...args) => {
      this.calls++;
      this.bytes += args[2];
      return writeAt(...args);
    };
    return file;
  }
}
