/**
 * Adds up what files and folders take of the disk, as `du` does: blocks and not lengths, a file with several names once, links for themselves. Beside a
 * writer files come and go; what is gone when it is looked at takes nothing.
 */
import { isNotFound } from '../errors.js';
import type { Vfs, VfsEntry } from '../vfs/vfs.js';

export interface UsedSpace {
  /** Files and links; folders are not counted. */
  readonly files: number;
  /** As long as they are; of folders nothing. */
  readonly bytes: number;
  /** What they take of the disk, folders included; where the system does not tell, the length. */
  readonly diskBytes: number;
  /** Of one file: it has other names. */
  readonly shared?: boolean;
}

export class DiskUsage {
  readonly #vfs: Vfs;
  /** Files with several names that were counted. */
  readonly #seen: Set<string>;
  #space: UsedSpace = { files: 0, bytes: 0, diskBytes: 0 };

  constructor(vfs: Vfs, seen: Set<string>) {
    this.#vfs = vfs;
    this.#seen = seen;
  }

  /** Of all that was added. */
  get space(): UsedSpace {
    return this.#space;
  }

  /** What is in a folder; nothing where it is gone. */
  async list(dir: string): Promise<VfsEntry[]> {
    try {
      return await this.#vfs.list(dir);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  /** Adds a file, or a folder with all that is in it. `undefined`: it is gone. */
  async add(path: string, { kind }: Pick<VfsEntry, 'kind'>): Promise<UsedSpace | undefined> {
    return kind === 'directory' ? this.addFolder(path, true) : this.#addFile(path);
  }

  /** `deep`: with what is in it. */
  async addFolder(path: string, deep: boolean): Promise<UsedSpace> {
    const before = this.#space;
    const stat = await this.#vfs.stat(path);
    // A link to a folder takes next to nothing, and what it leads to is elsewhere.
    if (stat !== undefined) this.#count(0, 0, stat.diskBytes ?? 0);
    if (deep && stat?.kind === 'directory') {
      for (const entry of await this.list(path)) await this.add(`${path}/${entry.name}`, entry);
    }
    const { files, bytes, diskBytes } = this.#space;
    return { files: files - before.files, bytes: bytes - before.bytes, diskBytes: diskBytes - before.diskBytes };
  }

  async #addFile(path: string): Promise<UsedSpace | undefined> {
    const stat = await this.#vfs.stat(path);
    if (stat === undefined) return undefined;
    const shared = stat.kind === 'file' && (stat.links ?? 1) > 1;
    const isNew = !shared || (await this.#isNew(path));
    const diskBytes = isNew ? (stat.diskBytes ?? stat.size) : 0;
    this.#count(1, stat.size, diskBytes);
    return { files: 1, bytes: stat.size, diskBytes, shared };
  }

  async #isNew(path: string): Promise<boolean> {
    const identity = await this.#vfs.identities?.of(path);
    if (identity === undefined) return true;
    if (this.#seen.has(identity)) return false;
    this.#seen.add(identity);
    return true;
  }

  #count(files: number, bytes: number, diskBytes: number): void {
    const { files: f, bytes: b, diskBytes: d } = this.#space;
    this.#space = { files: f + files, bytes: b + bytes, diskBytes: d + diskBytes };
  }
}
