/**
 * Open descriptors for reading segments: as many as are in use, and a bounded number beyond, so that a backlog of thousands of
 * segments does not meet the limit of open files.
 */
import type { Vfs, VfsFile } from '../vfs/vfs.js';

/** Kept open though idle. */
const IDLE_FILES_MAX = 64;

interface Entry {
  readonly file: Promise<VfsFile>;
  users: number;
}

export class FileCache {
  readonly #vfs: Vfs;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #users = 0;
  #idle: (() => void)[] = [];

  constructor(vfs: Vfs) {
    this.#vfs = vfs;
  }

  /** Runs `use` with the file open. */
  async using<T>(path: string, use: (file: VfsFile) => Promise<T>): Promise<T> {
    let entry = this.#entries.get(path);
    if (entry === undefined) entry = { file: this.#vfs.open(path, 'read'), users: 0 };
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    entry.users++;
    this.#users++;
    try {
      return await use(await entry.file);
    } catch (error) {
      // A file that could not be opened is tried anew by the next one.
      if ((await failed(entry.file)) && this.#entries.get(path) === entry) this.#entries.delete(path);
      throw error;
    } finally {
      entry.users--;
      this.#users--;
      if (this.#users === 0) for (const tell of this.#idle.splice(0)) tell();
      if (this.#entries.size > IDLE_FILES_MAX) await this.#closeOldest();
    }
  }

  /** Closes the file if it is open. The caller knows that nobody uses it. */
  async forget(path: string): Promise<void> {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    await closeQuietly(entry.file);
  }

  /** Waits for those who use a file, then closes all. Nobody begins to use one any more. */
  async close(): Promise<void> {
    if (this.#users > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) await closeQuietly(entry.file);
  }

  async #closeOldest(): Promise<void> {
    for (const [path, entry] of this.#entries) {
      if (this.#entries.size <= IDLE_FILES_MAX) return;
      if (entry.users > 0) continue;
      this.#entries.delete(path);
      await closeQuietly(entry.file);
    }
  }
}

async function failed(file: Promise<VfsFile>): Promise<boolean> {
  return file.then(
    () => false,
    () => true,
  );
}

/** A descriptor that was only read from has nothing to report at its close. */
async function closeQuietly(file: Promise<VfsFile>): Promise<void> {
  await file.then((open) => open.close()).catch(() => undefined);
}
