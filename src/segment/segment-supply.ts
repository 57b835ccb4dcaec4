/**
 * Makes segment files, and takes dead ones back: a small pool of dead files is overwritten rather than new ones allocated, since
 * overwriting blocks that the file system has already given out syncs several times faster.
 *
 * A file is complete before it is named: header written and synced under its temporary (or pool) name, renamed, the folder synced. A dead
 * file joins the pool only after its leaving the log is durable.
 */
import { isNotFound } from '../errors.js';
import { syncFile, syncFolder } from '../fail-stop.js';
import { encodeFileHeader, type FileHeader, fileSeed, HEADER_FLAG_RECYCLED } from '../frame/file-header.js';
import type { SegmentId } from '../ids.js';
import type { Host } from '../vfs/host.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { freeFileName, segmentFileName, unfinishedFileName } from './segment-name.js';

export interface SegmentSupplyOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly dir: string;
  readonly storeUuid: Buffer;
  readonly allocateId: () => SegmentId;
  /** Dead files kept. */
  readonly poolMax: number;
}

/** A segment file in the making: its header is written, neither it nor its name is durable. */
export interface DraftSegment {
  readonly id: SegmentId;
  readonly baseId: number;
  readonly flags: number;
  readonly seed: number;
  readonly file: VfsFile;
  /** Where it is until it is published, and where it goes. */
  readonly draftPath: string;
  readonly path: string;
  /** Bytes that the file has from its former life. */
  readonly formerBytes: number;
}

const SPARE_STEP_BYTES = 1024 * 1024;

export class SegmentSupply {
  readonly #options: SegmentSupplyOptions;
  readonly #pool: string[] = [];
  #sparing: Promise<void> | undefined;

  constructor(options: SegmentSupplyOptions) {
    this.#options = options;
  }

  /** Dead files ready to be overwritten. */
  get poolFiles(): number {
    return this.#pool.length;
  }

  /** Takes over pool files that an earlier run left. */
  adopt(paths: readonly string[]): void {
    this.#pool.push(...paths);
  }

  /**
   * Starts a file. The last `keep` files of the pool are left alone. Rejects with a system error, leaving nothing behind that the next open
   * does not sweep.
   */
  async draft(baseId: number, flags: number, idHighWater: number, keep: number): Promise<DraftSegment> {
    const { vfs, dir, allocateId } = this.#options;
    const id = allocateId();
    const path = `${dir}/${segmentFileName(baseId, id)}`;
    const pooled = this.#pool.length > keep ? this.#pool.pop() : undefined;
    if (pooled !== undefined) {
      try {
        const file = await vfs.open(pooled, 'write');
        const formerBytes = await file.size();
        return await this.#begin(
          file,
          pooled,
          path,
          id,
          baseId,
          flags | HEADER_FLAG_RECYCLED,
          idHighWater,
          formerBytes,
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const draftPath = `${dir}/${unfinishedFileName(baseId, id)}`;
    const file = await vfs.create(draftPath);
    return this.#begin(file, draftPath, path, id, baseId, flags, idHighWater, 0);
  }

  /**
   * Makes a draft durable under its name, and opens it by that name. Rejects with a `SyncFailure` where a sync failed; with any other error the
   * draft may be discarded, and another one tried.
   */
  async publish(draft: DraftSegment): Promise<DraftSegment> {
    const { vfs, dir } = this.#options;
    await syncFile(draft.file);
    await vfs.rename(draft.draftPath, draft.path);
    await syncFolder(vfs, dir);
    await draft.file.close().catch(() => undefined);
    return { ...draft, file: await vfs.open(draft.path, 'write') };
  }

  /** Gives up a draft that was not published, whichever of its names it has by now. */
  async discard(draft: DraftSegment): Promise<void> {
    await draft.file.close().catch(() => undefined);
    for (const path of [draft.draftPath, draft.path]) await this.#options.vfs.remove(path).catch(() => undefined);
  }

  /**
   * Takes files out of the log for good, into the pool or off the disk, and makes that durable. Their tombstones may be forgotten when this has
   * resolved. Rejects with a system error; those that are gone then stay gone.
   */
  async retire(files: readonly { readonly path: string; readonly id: SegmentId }[]): Promise<void> {
    const { vfs, dir, poolMax } = this.#options;
    const joining: string[] = [];
    for (const { path, id } of files) {
      // The one that is being made, or grows, comes (back) to the pool.
      const sparing = this.#sparing === undefined ? 0 : 1;
      if (this.#pool.length + sparing + joining.length < poolMax) {
        const free = `${dir}/${freeFileName(id)}`;
        await vfs.rename(path, free);
        joining.push(free);
      } else {
        await vfs.remove(path);
      }
    }
    await vfs.syncDir(dir);
    this.#pool.push(...joining);
  }

  /**
   * Sees to it that the pool holds a file, at least `bytes` long: space that a rewrite can use when the disk is full. Does nothing if there is one,
   * or one is being made, or no pool is wanted; a shorter one is lengthened. Never rejects: a reserve that finds no space is no reserve.
   */
  ensureSpare(bytes: number): Promise<void> {
    if (this.#options.poolMax === 0) return Promise.resolve();
    this.#sparing ??= (this.#pool.length === 0 ? this.#makeSpare(bytes) : this.#lengthenSpare(bytes))
      .catch(() => undefined)
      .finally(() => {
        this.#sparing = undefined;
      });
    return this.#sparing;
  }

  async #makeSpare(bytes: number): Promise<void> {
    const { vfs, dir, allocateId } = this.#options;
    const id = allocateId();
    const temporary = `${dir}/${unfinishedFileName(0, id)}`;
    const path = `${dir}/${freeFileName(id)}`;
    const file = await vfs.create(temporary);
    try {
      await this.#fill(file, 0, bytes);
      await file.sync();
      await file.close().catch(() => undefined);
      await vfs.rename(temporary, path);
      await vfs.syncDir(dir);
      this.#pool.push(path);
    } catch (error) {
      await file.close().catch(() => undefined);
      await vfs.remove(temporary).catch(() => undefined);
      throw error;
    }
  }

  /** The file that is taken last. While it grows it is not in the pool: nobody may write to it meanwhile. */
  async #lengthenSpare(bytes: number): Promise<void> {
    const { vfs } = this.#options;
    const path = this.#pool.shift();
    if (path === undefined) return;
    const size = (await vfs.stat(path))?.size;
    // Deleted by somebody else.
    if (size === undefined) return;
    try {
      if (size >= bytes) return;
      const file = await vfs.open(path, 'write');
      try {
        await this.#fill(file, size, bytes);
        await file.sync();
      } finally {
        await file.close();
      }
    } finally {
      // As long as it has become: what a dead file holds means nothing.
      this.#pool.unshift(path);
    }
  }

  async #fill(file: VfsFile, from: number, to: number): Promise<void> {
    const zeros = Buffer.alloc(Math.min(Math.max(0, to - from), SPARE_STEP_BYTES));
    for (let at = from; at < to; at += zeros.length) {
      await file.writeAt(zeros, 0, Math.min(zeros.length, to - at), at);
      await this.#options.host.yield();
    }
  }

  /** Gives the space of the pool back, for a disk that is full; the last `keep` files stay. True if there was any. */
  async drain(keep = 0): Promise<boolean> {
    const paths = this.#pool.splice(keep);
    for (const path of paths) await this.#options.vfs.remove(path);
    return paths.length > 0;
  }

  async #begin(
    file: VfsFile,
    draftPath: string,
    path: string,
    id: SegmentId,
    baseId: number,
    flags: number,
    idHighWater: number,
    formerBytes: number,
  ): Promise<DraftSegment> {
    const { host, storeUuid } = this.#options;
    const salt = Buffer.alloc(4);
    host.random(salt);
    const header: FileHeader = {
      kind: 'segment',
      flags,
      storeUuid,
      fileId: id,
      baseId,
      idHighWater,
      createdMs: host.now(),
      salt: salt.readUInt32LE(0),
    };
    const draft: DraftSegment = { id, baseId, flags, seed: fileSeed(header), file, draftPath, path, formerBytes };
    try {
      const bytes = encodeFileHeader(header);
      await file.writeAt(bytes, 0, bytes.length, 0);
    } catch (error) {
      await this.discard(draft);
      throw error;
    }
    return draft;
  }
}
