/**
 * A file system as it would be with a few files begun differently: what repairing would write is first looked at through this,
 * so that a plan is made of what the store would be, and not of guesses. Reading only.
 */
import { isNotFound } from '../errors.js';
import type { Vfs, VfsEntry, VfsFile } from '../vfs/vfs.js';
import { ReadOnlyVfs } from './read-only-vfs.js';

/** By path: the bytes that a file begins with. A file that is not there is made of them. */
export type Patches = ReadonlyMap<string, Buffer>;

export class PatchedVfs extends ReadOnlyVfs {
  readonly #patches: Patches;

  constructor(vfs: Vfs, patches: Patches) {
    super(vfs);
    this.#patches = patches;
  }

  override async list(dir: string): Promise<VfsEntry[]> {
    const entries = await super.list(dir);
    for (const path of this.#patches.keys()) {
      const name = path.slice(dir.length + 1);
      if (path !== `${dir}/${name}` || name.includes('/') || entries.some((entry) => entry.name === name)) continue;
      entries.push({ name, kind: 'file' });
    }
    return entries;
  }

  /** Past the patches. */
  override get endsBlocking(): undefined {
    return undefined;
  }

  override async open(path: string, access: 'read' | 'write'): Promise<VfsFile> {
    const patch = this.#patches.get(path);
    if (patch === undefined) return super.open(path, access);
    try {
      return new PatchedFile(path, patch, await super.open(path, access));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return new PatchedFile(path, patch, undefined);
    }
  }
}

class PatchedFile implements VfsFile {
  readonly path: string;
  readonly #patch: Buffer;
  readonly #file: VfsFile | undefined;

  constructor(path: string, patch: Buffer, file: VfsFile | undefined) {
    this.path = path;
    this.#patch = patch;
    this.#file = file;
  }

  async size(): Promise<number> {
    return Math.max(this.#patch.length, (await this.#file?.size()) ?? 0);
  }

  async readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const read = (await this.#file?.readAt(target, offset, length, position)) ?? 0;
    const patched = this.#patch.subarray(position, position + length);
    target.set(patched, offset);
    return Math.max(read, patched.length);
  }

  writeAt(): Promise<void> {
    return refuse(this.path);
  }

  extend(): Promise<void> {
    return refuse(this.path);
  }

  sync(): Promise<void> {
    return refuse(this.path);
  }

  truncate(): Promise<void> {
    return refuse(this.path);
  }

  writeAndSyncBlocking(): void {
    throw new TypeError(`${this.path} is open for reading only`);
  }

  truncateBlocking(): void {
    throw new TypeError(`${this.path} is open for reading only`);
  }

  writeBlocking(): void {
    throw new TypeError(`${this.path} is open for reading only`);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

function refuse(path: string): Promise<never> {
  return Promise.reject(new TypeError(`${path} is open for reading only`));
}
