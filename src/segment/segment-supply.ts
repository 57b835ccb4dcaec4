/**
 * Makes segment files, and takes dead ones back: a small pool of dead files is overwritten rather than new ones allocated, since
 * overwriting blocks that the file system has already given out syncs several times faster.
 *
 * A file is complete before it is named: header written and synced under its temporary (or pool) name, renamed, the folder synced. A dead
 * file joins the pool only after its leaving the log is durable.
 *
 * Every step may fail for a moment, and may have been done though it was reported as failed. So each can be done again: what is to go and is
 * still there, or may be, is remembered (`retire` says what is gone, `sweep` goes on with what was given up). Only a sync that failed
 * (`SyncFailure`) is for good.
 */
import { isNoSpace, isNotFound } from '../errors.js';
import { SyncFailure, syncFile, syncFolder } from '../fail-stop.js';
import { encodeFileHeader, type FileHeader, fileSeed, HEADER_FLAG_RECYCLED, tiedSalt } from '../frame/file-header.js';
import type { SegmentId } from '../ids.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { OpeningFile } from './opening-file.js';
import { freeFileName, segmentFileName, segmentQueueMark, unfinishedFileName } from './segment-name.js';

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

/** A dead segment's file. */
export interface DeadFile {
  readonly path: string;
  readonly id: SegmentId;
}

/** What became of dead files. Those that are in neither set are still there, as far as is known: they are to be retired again. */
export interface Retired {
  /** Off the disk, durably. */
  readonly removed: ReadonlySet<SegmentId>;
  /** In the pool, durably. */
  readonly recycled: ReadonlySet<SegmentId>;
  /** The first thing that went wrong. */
  readonly failure: unknown;
}

/** Names that are to go: of a draft that was given up, or a file that could not be made. */
interface GivenUp {
  readonly id: SegmentId;
  readonly paths: readonly string[];
  /** It may be there under the name of a segment: its going has to be durable. */
  readonly isNamed: boolean;
}

const SPARE_STEP_BYTES = 1024 * 1024;

export class SegmentSupply {
  readonly #options: SegmentSupplyOptions;
  readonly #pool: string[] = [];
  /** Dead files that have the name of a pool file, or may have it, and may not be used yet: that is not durable. */
  readonly #joining = new Map<SegmentId, string>();
  readonly #givenUp: GivenUp[] = [];
  #sweeping: Promise<void> = Promise.resolve();
  /** Drafts that are getting their name: by now they may have it. */
  readonly #naming = new Set<SegmentId>();
  #sparing: Promise<void> | undefined;
  readonly openingFile: OpeningFile;

  constructor(options: SegmentSupplyOptions) {
    this.#options = options;
    this.openingFile = new OpeningFile(options.vfs, options.dir, options.allocateId);
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
   * does not sweep. `spendsReserve`: on a full disk it takes the file that is kept for opening.
   */
  async draft(
    baseId: number,
    flags: number,
    idHighWater: number,
    keep: number,
    spendsReserve = false,
  ): Promise<DraftSegment> {
    const { dir, allocateId } = this.#options;
    const id = allocateId();
    const path = `${dir}/${segmentFileName(baseId, id)}`;
    const pooled = this.#pool.length > keep ? this.#pool.pop() : undefined;
    const reused = pooled === undefined ? undefined : await this.#reopen(pooled);
    if (reused !== undefined) {
      const { file, formerBytes } = reused;
      return this.#begin(file, file.path, path, id, baseId, flags | HEADER_FLAG_RECYCLED, idHighWater, formerBytes);
    }
    const draftPath = `${dir}/${unfinishedFileName(baseId, id)}`;
    try {
      const file = await this.#create(draftPath, id);
      return await this.#begin(file, draftPath, path, id, baseId, flags, idHighWater, 0);
    } catch (error) {
      const kept = spendsReserve && isNoSpace(error) ? await this.openingFile.take() : undefined;
      if (kept === undefined) throw error;
      return this.#begin(kept, kept.path, path, id, baseId, flags, idHighWater, 0);
    }
  }

  /**
   * A file of the pool; `undefined` if somebody deleted it, or it has another name: then it is somebody's backup, and is not to be written to. If it
   * cannot be opened for now it stays in the pool.
   */
  async #reopen(pooled: string): Promise<{ readonly file: VfsFile; readonly formerBytes: number } | undefined> {
    let file: VfsFile | undefined;
    try {
      if (await this.#isShared(pooled)) {
        await this.#removeIfThere(pooled);
        return undefined;
      }
      file = await this.#options.vfs.open(pooled, 'write');
      return { file, formerBytes: await file.size() };
    } catch (error) {
      await file?.close().catch(() => undefined);
      if (isNotFound(error)) return undefined;
      this.#pool.push(pooled);
      throw error;
    }
  }

  /** Nobody can give it another name any more once it has left that of a segment: backups are made of segments. */
  async #isShared(path: string): Promise<boolean> {
    return ((await this.#options.vfs.stat(path))?.links ?? 1) > 1;
  }

  async #create(path: string, id: SegmentId): Promise<VfsFile> {
    try {
      return await this.#options.vfs.create(path);
    } catch (error) {
      // It may be there all the same.
      this.#givenUp.push({ id, paths: [path], isNamed: false });
      await this.sweep();
      throw error;
    }
  }

  /**
   * Makes a draft durable under its name, and opens it by that name. Rejects with a `SyncFailure`, or with a system error: then it has its name
   * or not, and is to be discarded.
   */
  async publish(draft: DraftSegment): Promise<DraftSegment> {
    await this.#name(draft);
    const file = await this.#options.vfs.open(draft.path, 'write');
    this.#naming.delete(draft.id);
    return { ...draft, file };
  }

  /** The same for one that is complete: it is closed. */
  async publishComplete(draft: DraftSegment): Promise<void> {
    await this.#name(draft);
    this.#naming.delete(draft.id);
  }

  async #name(draft: DraftSegment): Promise<void> {
    const { vfs, dir } = this.#options;
    await syncFile(draft.file);
    this.#naming.add(draft.id);
    await vfs.rename(draft.draftPath, draft.path);
    await syncFolder(vfs, dir);
    await draft.file.close().catch(() => undefined);
  }

  /**
   * Gives up a draft that is not used. If that fails it is done again by and by (`sweep`); until then `isGivenUp`. Rejects with a `SyncFailure`
   * alone.
   */
  async discard(draft: DraftSegment): Promise<void> {
    const { id, draftPath, path } = draft;
    await draft.file.close().catch(() => undefined);
    const isNamed = this.#naming.delete(id);
    this.#givenUp.push({ id, paths: isNamed ? [draftPath, path] : [draftPath], isNamed });
    await this.sweep();
  }

  /** The file of a segment that was given up is still there, or may be. */
  isGivenUp(id: SegmentId): boolean {
    return this.#givenUp.some((one) => one.id === id);
  }

  /** The lowest ID of a segment that was given up and may still be found under its name. */
  get lowestGivenUpId(): number {
    return this.#givenUp.reduce((lowest, { id, isNamed }) => (isNamed ? Math.min(lowest, id) : lowest), Infinity);
  }

  /** Something is to be swept. */
  get hasGivenUp(): boolean {
    return this.#givenUp.length > 0;
  }

  /** Tries once more to remove what was given up. Rejects with a `SyncFailure` alone; `hasGivenUp` says whether anything is left. */
  sweep(): Promise<void> {
    const sweeping = this.#sweeping.then(() => this.#sweep());
    this.#sweeping = sweeping.catch(() => undefined);
    return sweeping;
  }

  /** What kept the folder from being synced for now, if anything did. Rejects with a `SyncFailure`. */
  async #syncNames(): Promise<unknown> {
    try {
      await syncFolder(this.#options.vfs, this.#options.dir);
      return undefined;
    } catch (error) {
      if (error instanceof SyncFailure) throw error;
      return error;
    }
  }

  async #sweep(): Promise<void> {
    const removed: GivenUp[] = [];
    for (const one of this.#givenUp) {
      try {
        for (const path of one.paths) await this.#removeIfThere(path);
        removed.push(one);
      } catch {
        // Another time.
      }
    }
    if (removed.some(({ isNamed }) => isNamed) && (await this.#syncNames()) !== undefined) return;
    for (const one of removed) this.#givenUp.splice(this.#givenUp.indexOf(one), 1);
  }

  async #removeIfThere(path: string): Promise<void> {
    try {
      await this.#options.vfs.remove(path);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /**
   * Takes files out of the log for good, into the pool or off the disk, and makes that durable. The tombstones of those that are gone may be
   * forgotten when this has resolved; the others are to be retired again. Rejects with a `SyncFailure` alone.
   */
  async retire(files: readonly DeadFile[]): Promise<Retired> {
    const { poolMax } = this.#options;
    const removed = new Set<SegmentId>();
    const joining = new Set<SegmentId>();
    let failure: unknown;
    for (const { path, id } of files) {
      // The one that is being made, or grows, comes (back) to the pool.
      const sparing = this.#sparing === undefined ? 0 : 1;
      const fits = this.#pool.length + sparing + this.#joining.size < poolMax;
      try {
        if ((fits || this.#joining.has(id)) && (await this.#join(path, id))) {
          joining.add(id);
        } else {
          await this.#removeIfThere(path);
          removed.add(id);
        }
      } catch (error) {
        failure ??= error;
      }
    }
    const unsynced = await this.#syncNames();
    if (unsynced !== undefined) return { removed: new Set(), recycled: new Set(), failure: failure ?? unsynced };
    for (const id of joining) {
      const free = this.#joining.get(id);
      this.#joining.delete(id);
      if (free !== undefined) this.#pool.push(free);
    }
    return { removed, recycled: joining, failure };
  }

  /** Gives a dead file the name of a pool file. False if there is none left: somebody deleted it; or if it is somebody's backup, too, and is to be removed. */
  async #join(path: string, id: SegmentId): Promise<boolean> {
    const { vfs, dir } = this.#options;
    const free = `${dir}/${freeFileName(id)}`;
    this.#joining.set(id, free);
    if (await this.#isShared(path)) {
      this.#joining.delete(id);
      return false;
    }
    try {
      await vfs.rename(path, free);
      return true;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    // Done before, and reported as failed?
    if ((await vfs.stat(free)) !== undefined) return true;
    this.#joining.delete(id);
    return false;
  }

  /**
   * Sees to it that the pool holds a file, at least `bytes` long: space that a rewrite can use when the disk is full. Does nothing if there is one,
   * or one is being made, or no pool is wanted; a shorter one is lengthened. A reserve that finds no space is no reserve, and what it holds means
   * nothing: rejects only with a `SyncFailure` of the folder.
   */
  ensureSpare(bytes: number): Promise<void> {
    if (this.#options.poolMax === 0) return Promise.resolve();
    this.#sparing ??= (this.#pool.length === 0 ? this.#makeSpare(bytes) : this.#lengthenSpare(bytes))
      .catch((error: unknown) => {
        if (error instanceof SyncFailure) throw error;
      })
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
    const file = await this.#create(temporary, id);
    try {
      await this.#fill(file, 0, bytes);
      await file.sync();
      await file.close().catch(() => undefined);
      await vfs.rename(temporary, path);
      await syncFolder(vfs, dir);
      this.#pool.push(path);
    } catch (error) {
      await file.close().catch(() => undefined);
      this.#givenUp.push({ id, paths: [temporary, path], isNamed: false });
      await this.sweep();
      throw error;
    }
  }

  /** The file that is taken last. While it grows it is not in the pool: nobody may write to it meanwhile. */
  async #lengthenSpare(bytes: number): Promise<void> {
    const { vfs } = this.#options;
    const path = this.#pool.shift();
    if (path === undefined) return;
    let isThere = true;
    try {
      const stat = await vfs.stat(path);
      const size = stat?.size;
      // Deleted by somebody else.
      isThere = size !== undefined;
      if ((stat?.links ?? 1) > 1) {
        await this.#removeIfThere(path);
        isThere = false;
        return;
      }
      if (size === undefined || size >= bytes) return;
      const file = await vfs.open(path, 'write');
      try {
        await this.#fill(file, size, bytes);
        await file.sync();
      } finally {
        await file.close().catch(() => undefined);
      }
    } finally {
      // As long as it has become: what a dead file holds means nothing.
      if (isThere) this.#pool.unshift(path);
    }
  }

  async #fill(file: VfsFile, from: number, to: number): Promise<void> {
    const zeros = Buffer.alloc(Math.min(Math.max(0, to - from), SPARE_STEP_BYTES));
    for (let at = from; at < to; at += zeros.length) {
      await file.writeAt(zeros, 0, Math.min(zeros.length, to - at), at);
      await this.#options.host.yield();
    }
  }

  /**
   * Gives the space of the pool back, for a disk that is full; the last `keep` files stay, and those that cannot be removed for now. True if there
   * was any.
   */
  async drain(keep = 0): Promise<boolean> {
    const paths = this.#pool.splice(keep);
    let removed = 0;
    for (const path of paths) {
      try {
        await this.#removeIfThere(path);
        removed++;
      } catch {
        this.#pool.push(path);
      }
    }
    return removed > 0;
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
    const identity = {
      kind: 'segment',
      storeUuid,
      fileId: id,
      queueMark: segmentQueueMark(path),
      idHighWater,
    } as const;
    const header: FileHeader = {
      ...identity,
      flags,
      baseId,
      createdMs: timeOf(host),
      salt: tiedSalt(identity, salt.readUInt32LE(0)),
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
