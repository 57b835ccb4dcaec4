/**
 * The tombstone log of one queue, open for appending: one generation, which begins with a snapshot and goes on with rounds.
 *
 * A generation is made whole before it is named: written as `.tmp`, synced, renamed, the folder synced. The file is filled with zeros ahead of
 * its end, so that a round overwrites blocks that are already there: that is faster to sync, and it works on a full disk.
 * One append at a time; the caller sees to it.
 */
import { syncFileBlocking } from '../fail-stop.js';
import { encodeFileHeader, FILE_HEADER_BYTES, type FileHeader, fileSeed } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { encodeRound, encodeRoundInStretches, KIND_SNAPSHOT, type RoundStatement } from './tombstone-frame.js';
import { queueMark, tombstoneFileName, unfinishedTombstoneFileName } from './tombstone-name.js';

/** Zeros kept ahead: about 80 rounds of single removals. */
const AHEAD_BYTES = 16 * 1024;
/** When fewer are left, more are added. */
const AHEAD_BYTES_MIN = 8 * 1024;
/** Ranges in one frame of a snapshot; bounds the memory and the time in one turn of the event loop. */
const SNAPSHOT_RANGES_MAX = 8192;

export interface GenerationSource {
  readonly vfs: Vfs;
  readonly dir: string;
  readonly storeUuid: Buffer;
  readonly generation: number;
  readonly salt: number;
  readonly nowMs: number;
  /** False where space is short. Default true. */
  readonly fillAhead?: boolean;
}

/** Makes a write of `bytes` by one of two ways. */
export type WriteVia = (bytes: number, blocking: () => void, pooled: () => Promise<void>) => Promise<void>;

const pooled: WriteVia = (_bytes, _blocking, write) => write();

export class TombstoneLog {
  readonly generation: number;
  readonly path: string;
  readonly #file: VfsFile;
  readonly #seed: number;
  readonly snapshotBytes: number;
  /** Where the next round goes. */
  #end: number;
  #durable: number;
  /** Up to here the file is filled with zeros, or content. */
  #filled: number;

  private constructor(generation: number, path: string, file: VfsFile, seed: number, end: number, filled: number) {
    this.generation = generation;
    this.path = path;
    this.#file = file;
    this.#seed = seed;
    this.#end = end;
    this.#durable = end;
    this.#filled = filled;
    this.snapshotBytes = end;
  }

  /** Bytes of rounds, without the zeros ahead. */
  get bytes(): number {
    return this.#end;
  }

  /**
   * Makes a generation durable under its name: resolves when it may replace all older ones. `ranges` is pulled as it is written; `pause` is
   * awaited now and then in between.
   */
  static async create(
    source: GenerationSource,
    statement: Omit<RoundStatement, 'kind'>,
    ranges: Iterable<IdRange>,
    pause: () => Promise<void>,
  ): Promise<TombstoneLog> {
    const { vfs, dir, generation } = source;
    const temporary = `${dir}/${unfinishedTombstoneFileName(generation)}`;
    const path = `${dir}/${tombstoneFileName(generation)}`;
    if ((await vfs.stat(temporary)) !== undefined) await vfs.remove(temporary);
    const file = await vfs.create(temporary);
    try {
      const provisional = headerOf(source, 0);
      const seed = fileSeed(provisional);
      let end = FILE_HEADER_BYTES;
      let batch: IdRange[] = [];
      let part = 0;
      const flush = async (last: boolean): Promise<void> => {
        const liveRecords = part * 2 + (last ? 1 : 0);
        const bytes = encodeRound({ ...statement, kind: KIND_SNAPSHOT, liveRecords }, batch, seed, end, 0);
        part++;
        batch = [];
        await file.writeAt(bytes, 0, bytes.length, end);
        end += bytes.length;
        await pause();
      };
      for (const range of ranges) {
        batch.push(range);
        if (batch.length >= SNAPSHOT_RANGES_MAX) await flush(false);
      }
      await flush(true);
      const header = encodeFileHeader(headerOf(source, end));
      await file.writeAt(header, 0, header.length, 0);
      const filled = source.fillAhead === false ? end : await fillAhead(file, end, end + AHEAD_BYTES);
      await file.sync();
      await vfs.rename(temporary, path);
      await vfs.syncDir(dir);
      return new TombstoneLog(generation, path, file, seed, end, filled);
    } catch (error) {
      await file.close().catch(() => undefined);
      await vfs.remove(temporary).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Writes a round, unsynced. On rejection nothing of it counts: the next one goes to the same place. `via` chooses between the two ways to
   * write it; by default it goes through the thread pool. `pause` is awaited between the stretches in which many ranges are encoded; where it is
   * missing they are encoded in one.
   */
  async append(
    statement: RoundStatement,
    ranges: readonly IdRange[],
    via: WriteVia = pooled,
    pause?: () => Promise<void>,
  ): Promise<void> {
    const file = this.#file;
    const position = this.#end;
    const encoding = encodeRoundInStretches(statement, ranges, this.#seed, position, this.#durable);
    let step = encoding.next();
    // What is durable can only become more meanwhile, and no other append comes in between.
    for (; step.done !== true; step = encoding.next()) if (pause !== undefined) await pause();
    const source = step.value;
    const { length } = source;
    await via(
      length,
      () => file.writeBlocking({ source, length, position }),
      () => file.writeAt(source, 0, length, position),
    );
    this.#end += length;
    this.#filled = Math.max(this.#filled, this.#end);
    if (this.#filled - this.#end < AHEAD_BYTES_MIN) {
      // On a full disk what is left ahead serves on; the failure shows only when that is used up.
      this.#filled = await fillAhead(this.#file, this.#filled, this.#end + AHEAD_BYTES);
    }
  }

  /** After a failed append: wipes what may have been written of it, so that it cannot come back. Synced by the next `sync`. */
  async wipeAppended(): Promise<void> {
    const bytes = this.#filled - this.#end;
    if (bytes > 0) await this.#file.writeAt(Buffer.alloc(bytes), 0, bytes, this.#end);
    await this.#file.truncate(this.#filled);
  }

  async sync(): Promise<void> {
    const end = this.#end;
    await this.#file.sync();
    // Of two syncs under way at once the later one may return first.
    this.#durable = Math.max(this.#durable, end);
  }

  /** The same, blocking. Throws a `SyncFailure`, or what kept it from being tried. */
  syncBlocking(): void {
    const end = this.#end;
    syncFileBlocking(this.#file);
    this.#durable = Math.max(this.#durable, end);
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}

/** Fills [from, to) with zeros as far as the disk lets it, and returns how far that was. */
async function fillAhead(file: VfsFile, from: number, to: number): Promise<number> {
  try {
    await file.writeAt(Buffer.alloc(to - from), 0, to - from, from);
    return to;
  } catch {
    return from;
  }
}

function headerOf(source: GenerationSource, snapshotEnd: number): FileHeader {
  const path = `${source.dir}/${tombstoneFileName(source.generation)}`;
  return {
    kind: 'tombstones',
    flags: 0,
    storeUuid: source.storeUuid,
    fileId: source.generation,
    baseId: snapshotEnd,
    idHighWater: queueMark(path),
    createdMs: source.nowMs,
    salt: source.salt,
  };
}
