/**
 * A file that somebody else writes, open for reading: it stays the same one whatever becomes of its name.
 */
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { codeOf } from '../../errors.js';
import { Refused } from '../exit-code.js';
import { MARK_BYTES, markOf } from './file-position.js';

export interface FileState {
  readonly inode: string;
  readonly size: number;
  readonly writtenMs: number;
  /** 0 where the file system does not know. */
  readonly bornMs: number;
}

/** A pipe would hold up who opens it until somebody writes to it. Windows knows none. */
const READ = constants.O_RDONLY | (process.platform === 'win32' ? 0 : constants.O_NONBLOCK);

export class LogFile {
  readonly inode: string;
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle, inode: string) {
    this.#handle = handle;
    this.inode = inode;
  }

  /** `undefined` where there is none of that name. @throws Refused for a folder, a pipe, a device */
  static async open(path: string): Promise<LogFile | undefined> {
    // Opening a device may do something to it.
    const before = await statOf(path);
    if (before === undefined) return undefined;
    if (!before.isFile()) throw notRegular(path);
    let handle: FileHandle;
    try {
      handle = await open(path, READ);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const stats = await handle.stat({ bigint: true });
      if (stats.isFile()) return new LogFile(handle, String(stats.ino));
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    throw notRegular(path);
  }

  async state(): Promise<FileState> {
    return stateOf(await this.#handle.stat({ bigint: true }));
  }

  /** Up to `bytes` of them; fewer at the end. */
  async read(offset: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    let length = 0;
    while (length < bytes) {
      const { bytesRead } = await this.#handle.read(buffer, length, bytes - length, offset + length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  }

  /** Whether these bytes stand before `offset`. */
  async holds(offset: number, mark: string): Promise<boolean> {
    const bytes = Math.min(offset, MARK_BYTES);
    const before = await this.read(offset - bytes, bytes);
    return before.length === bytes && markOf(before) === mark;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** Of the file of that name, without opening it; `undefined` where there is none, or none that is regular. */
export async function fileState(path: string): Promise<FileState | undefined> {
  const stats = await statOf(path);
  return stats?.isFile() === true ? stateOf(stats) : undefined;
}

async function statOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function stateOf({ ino, size, mtimeNs, birthtimeNs }: BigIntStats): FileState {
  return { inode: String(ino), size: Number(size), writtenMs: msOf(mtimeNs), bornMs: msOf(birthtimeNs) };
}

const NS_PER_S = 1_000_000_000n;

/** With its fraction. */
function msOf(ns: bigint): number {
  return Number(ns / NS_PER_S) * 1000 + Number(ns % NS_PER_S) / 1e6;
}

function notRegular(path: string): Refused {
  return new Refused(`${path} is no regular file`);
}
