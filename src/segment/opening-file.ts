/**
 * One block kept for opening a full disk: a segment needs a file, and so a block, before anything can be pushed to it. The file is an unfinished
 * segment (`.seg.tmp`) that nobody finishes until then.
 */
import { isNotFound } from '../errors.js';
import { syncFile, syncFolder } from '../fail-stop.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { SegmentId } from '../ids.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { parseSegmentFileName, unfinishedFileName } from './segment-name.js';

/** Its name: no segment begins with this ID. */
const BASE_ID = 0;

export class OpeningFile {
  readonly #vfs: Vfs;
  readonly #dir: string;
  readonly #allocateId: () => SegmentId;
  #path: string | undefined;
  #making: Promise<void> | undefined;

  constructor(vfs: Vfs, dir: string, allocateId: () => SegmentId) {
    this.#vfs = vfs;
    this.#dir = dir;
    this.#allocateId = allocateId;
  }

  get isThere(): boolean {
    return this.#path !== undefined;
  }

  /** Takes over the one that an earlier run left. */
  adopt(path: string): void {
    this.#path = path;
  }

  /** Makes it durable, if there is none. Rejects with a system error where there is no space, or with a `SyncFailure`. */
  ensure(): Promise<void> {
    if (this.#path !== undefined) return Promise.resolve();
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  /** Hands it over, open; `undefined` where there is none. */
  async take(): Promise<VfsFile | undefined> {
    const path = this.#path;
    if (path === undefined) return undefined;
    this.#path = undefined;
    try {
      return await this.#vfs.open(path, 'write');
    } catch (error) {
      if (isNotFound(error)) return undefined;
      this.#path = path;
      throw error;
    }
  }

  async #make(): Promise<void> {
    const path = `${this.#dir}/${unfinishedFileName(BASE_ID, this.#allocateId())}`;
    const file = await this.#vfs.create(path);
    try {
      await file.writeAt(Buffer.alloc(FILE_HEADER_BYTES), 0, FILE_HEADER_BYTES, 0);
      await syncFile(file);
    } catch (error) {
      await file.close().catch(() => undefined);
      await this.#vfs.remove(path).catch(() => undefined);
      throw error;
    }
    await file.close().catch(() => undefined);
    // It is there, whatever becomes of its name: a second one would be no better.
    this.#path = path;
    await syncFolder(this.#vfs, this.#dir);
  }
}

/** Of unfinished files the one that is kept for opening, if any is: just long enough for a header, so that it is none that was given up. */
export async function findOpeningFile(vfs: Vfs, paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const name = parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1));
    if (name?.kind !== 'unfinished' || name.baseId !== BASE_ID) continue;
    if ((await vfs.stat(path))?.size === FILE_HEADER_BYTES) return path;
  }
  return undefined;
}
