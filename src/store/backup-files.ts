/**
 * The files of a backup in the making: segments that have their footers get one more name where the file system can do that, and everything else, or
 * everything where it cannot, is copied. Nothing that is in the backup is ever written to by the store: such segments do not change, and a file that has
 * another name is not overwritten when it is dead (`segment-supply.ts`).
 */
import { codeOf, isNotFound } from '../errors.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';

const COPY_BYTES = 1024 * 1024;

/** Where there are no links: not between these places, not on this file system, not of another's file, or not so many of one. */
const NO_LINKS: ReadonlySet<string> = new Set([
  'EXDEV',
  'EPERM',
  'EACCES',
  'EMLINK',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
]);

export interface BackupFilesOptions {
  readonly vfs: Vfs;
  readonly links: boolean;
  readonly pause: () => Promise<void>;
  /** Told of bytes that are in the backup now. May throw. */
  readonly onBytes: (bytes: number) => void;
}

export class BackupFiles {
  readonly #options: BackupFilesOptions;
  /** By name in the backup, those that are there as a whole. */
  readonly #whole = new Set<string>();
  readonly linked = { files: 0, bytes: 0 };
  readonly copied = { files: 0, bytes: 0 };

  constructor(options: BackupFilesOptions) {
    this.#options = options;
  }

  /** A segment that does not change any more. False: it is gone. */
  async addWhole(from: string, to: string): Promise<boolean> {
    if (this.#whole.has(to)) return true;
    const { vfs, links } = this.#options;
    if (links && vfs.link !== undefined) {
      try {
        await this.remove(to);
        await vfs.link(from, to);
        const bytes = (await vfs.stat(to))?.size ?? 0;
        this.linked.files++;
        this.linked.bytes += bytes;
        this.#options.onBytes(bytes);
        this.#whole.add(to);
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        if (!NO_LINKS.has(codeOf(error) ?? '')) throw error;
      }
    }
    if (!(await this.addFront(from, to, Infinity))) return false;
    this.#whole.add(to);
    return true;
  }

  /** The first `bytes` of a file, durable; in the place of what is there of that name. False: it is gone. */
  async addFront(from: string, to: string, bytes: number): Promise<boolean> {
    const { vfs } = this.#options;
    let source: VfsFile;
    try {
      source = await vfs.open(from, 'read');
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
    try {
      await this.remove(to);
      await this.#copy(source, to, bytes);
    } finally {
      await source.close().catch(() => undefined);
    }
    // It loses its name before it is overwritten: as long as it has that, what was read was its own.
    if ((await vfs.stat(from)) !== undefined) return true;
    await this.remove(to);
    return false;
  }

  async #copy(source: VfsFile, to: string, bytes: number): Promise<void> {
    const { vfs, pause, onBytes } = this.#options;
    const target = await vfs.create(to);
    try {
      const chunk = Buffer.allocUnsafe(Math.min(COPY_BYTES, Math.max(1, bytes)));
      for (let at = 0; at < bytes; ) {
        const read = await source.readAt(chunk, 0, Math.min(chunk.length, bytes - at), at);
        if (read === 0) break;
        await target.writeAt(chunk, 0, read, at);
        at += read;
        this.copied.bytes += read;
        onBytes(read);
        await pause();
      }
      await target.sync();
    } finally {
      await target.close().catch(() => undefined);
    }
    this.copied.files++;
  }

  /** Writes a file of the backup's own, durable. */
  async write(to: string, bytes: Uint8Array): Promise<void> {
    await this.remove(to);
    const file = await this.#options.vfs.create(to);
    try {
      await file.writeAt(bytes, 0, bytes.length, 0);
      await file.sync();
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  async remove(path: string): Promise<void> {
    this.#whole.delete(path);
    await this.#options.vfs.remove(path).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}
