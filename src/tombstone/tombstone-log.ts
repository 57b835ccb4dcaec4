/**
 * The tombstone log of one queue, open for appending: one generation, which begins with a snapshot and goes on with rounds.
 *
 * A generation is made whole before it is named: written as `.tmp`, synced, renamed, the folder synced. The file has blocks ahead of its end
 * (zeros, or what it held before), so that a round overwrites what is already there: that is faster to sync, and it works on a full disk. Beside it
 * lies the file for the next generation (`tombstone-spare.ts`).
 * One append at a time; the caller sees to it.
 */
import { isNoSpace, isNotFound } from '../errors.js';
import { syncFile, syncFileBlocking, syncFolder } from '../fail-stop.js';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  fileSeed,
  HEADER_FLAG_ACCOUNTS,
  tiedSalt,
} from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { encodeRound, encodeRoundInStretches, KIND_SNAPSHOT, type RoundStatement } from './tombstone-frame.js';
import { queueMark, tombstoneFileName, unfinishedTombstoneFileName } from './tombstone-name.js';
import {
  fillAsFar,
  fillZeros,
  lengthenSpare,
  makeSpare,
  SNAPSHOT_RANGES_MAX,
  type TombstoneSpare,
} from './tombstone-spare.js';

/** Zeros kept ahead: about 80 rounds of single removals. */
const AHEAD_BYTES = 16 * 1024;
/** When fewer are left, more are added. */
const AHEAD_BYTES_MIN = 8 * 1024;
export interface GenerationSource {
  readonly vfs: Vfs;
  readonly dir: string;
  readonly storeUuid: Buffer;
  readonly generation: number;
  /** Random. */
  readonly salt: number;
  readonly nowMs: number;
  /** False where space is short. Default true. */
  readonly fillAhead?: boolean;
  /** Written into, where there is one. */
  readonly spare?: TombstoneSpare | undefined;
  /** A crash has left it: it may have holes. */
  readonly mayHaveHoles?: boolean;
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
  /** Changes that were made, and how many of them are synced. */
  #changes = 0;
  #synced = 0;
  /** Up to here the file has blocks. */
  #filled: number;
  /** Up to here those blocks are durable: in the weaker modes a power cut may leave holes behind it. */
  #sound: number;
  /** Up to here the last round was to go. */
  #attempted = 0;
  /** For the next generation; nobody else's. */
  spare: TombstoneSpare | undefined;

  private constructor(generation: number, path: string, file: VfsFile, seed: number, end: number, filled: number) {
    this.generation = generation;
    this.path = path;
    this.#file = file;
    this.#seed = seed;
    this.#end = end;
    this.#durable = end;
    this.#filled = filled;
    this.#sound = filled;
    this.snapshotBytes = end;
  }

  /** Bytes of rounds, without the zeros ahead. */
  get bytes(): number {
    return this.#end;
  }

  /** Whether something was written, or wiped, that is not synced. */
  get isUnsynced(): boolean {
    return this.#synced < this.#changes;
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
    const path = `${dir}/${tombstoneFileName(generation)}`;
    const { file, formerBytes } = await openDraft(source);
    const temporary = file.path;
    let made = temporary;
    let spareIsSound = formerBytes > 0;
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
      let filled = Math.max(end, formerBytes);
      if (source.mayHaveHoles === true && end < formerBytes) filled = await fillAsFar(file, end, formerBytes);
      if (source.fillAhead !== false) filled = await fillAhead(file, filled, Math.max(filled, end + AHEAD_BYTES));
      // Nothing is known of its blocks if that fails: then it is no spare file any more.
      spareIsSound = false;
      await file.sync();
      spareIsSound = formerBytes > 0;
      await vfs.rename(temporary, path);
      made = path;
      await vfs.syncDir(dir);
      await file.close().catch(() => undefined);
      // By its name: a blocking sync finds it by that.
      const named = await vfs.open(path, 'write');
      return new TombstoneLog(generation, path, named, seed, end, filled);
    } catch (error) {
      await file.close().catch(() => undefined);
      // Whatever it says stands in the one that it was to replace. A spare file goes on being one.
      if (!spareIsSound) await vfs.remove(made).catch(() => undefined);
      else if (made === path) await vfs.rename(path, temporary).catch(() => vfs.remove(path).catch(() => undefined));
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
    this.#attempted = position + length;
    const write = (): Promise<void> => file.writeAt(source, 0, length, position);
    if (file.isAtHand === false) await write();
    else await via(length, () => file.writeBlocking({ source, length, position }), write);
    this.#end += length;
    this.#changes++;
    this.#filled = Math.max(this.#filled, this.#end);
    if (this.#filled - this.#end < AHEAD_BYTES_MIN) {
      // On a full disk what is left ahead serves on; the failure shows only when that is used up.
      this.#filled = await fillAhead(this.#file, this.#filled, this.#end + AHEAD_BYTES);
    }
  }

  /** After a failed append: wipes what may have been written of it, so that it cannot come back. Synced by the next `sync`. */
  async wipeAppended(): Promise<void> {
    const bytes = Math.min(this.#filled, this.#attempted) - this.#end;
    try {
      if (bytes > 0) await this.#file.writeAt(Buffer.alloc(bytes), 0, bytes, this.#end);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      // There were holes after all.
      this.#filled = this.#end;
      this.#sound = Math.min(this.#sound, this.#end);
    }
    await this.#file.truncate(this.#filled);
    this.#changes++;
  }

  async sync(): Promise<void> {
    const end = this.#end;
    const filled = this.#filled;
    const changes = this.#changes;
    await this.#file.sync();
    // Of two syncs under way at once the later one may return first.
    this.#durable = Math.max(this.#durable, end);
    this.#sound = Math.max(this.#sound, Math.min(filled, this.#filled));
    this.#synced = Math.max(this.#synced, changes);
  }

  /** The same, blocking. Throws a `SyncFailure`, or what kept it from being tried. */
  syncBlocking(): void {
    const end = this.#end;
    const changes = this.#changes;
    syncFileBlocking(this.#file);
    this.#durable = Math.max(this.#durable, end);
    this.#synced = Math.max(this.#synced, changes);
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }

  /** What a snapshot can count on, whatever others do with the disk: of the log and of the spare file, the shorter. */
  get reserveBytes(): number {
    return Math.min(this.#sound, this.spare?.bytes ?? 0);
  }

  /**
   * Sees to it that `reserveBytes` is at least so much. No append may be under way. Rejects with a system error where there is no space: then it is
   * what it was, or more; or with a `SyncFailure`.
   */
  async reserve(vfs: Vfs, bytes: number): Promise<void> {
    if (this.#sound < bytes) {
      if (this.#filled < bytes) await fillZeros(this.#file, this.#filled, bytes);
      await syncFile(this.#file);
      this.#filled = Math.max(this.#filled, bytes);
      this.#sound = this.#filled;
    }
    if (this.spare !== undefined) {
      this.spare = await lengthenSpare(vfs, this.spare, bytes);
      return;
    }
    const dir = this.path.slice(0, this.path.lastIndexOf('/'));
    const spare = await makeSpare(vfs, dir, this.generation + 1, bytes);
    await syncFolder(vfs, dir);
    this.spare = spare;
  }

  /**
   * The other way round: `reserveBytes` is so much at most, or what the rounds that are there need. No append may be under way. Rejects with a system error:
   * then the files are as long as they were, or not.
   */
  async giveBack(vfs: Vfs, bytes: number): Promise<void> {
    if (this.spare !== undefined && this.spare.bytes > bytes) {
      this.spare = { ...this.spare, bytes };
      await cut(vfs, this.spare);
    }
    const kept = Math.max(bytes, this.#end);
    if (this.#filled <= kept) return;
    this.#filled = kept;
    this.#sound = Math.min(this.#sound, kept);
    await this.#file.truncate(kept);
    this.#changes++;
  }

  /** A generation could not be made: is the spare file still there? Never rejects. */
  async missSpare(vfs: Vfs): Promise<void> {
    if (this.spare === undefined) return;
    const { path } = this.spare;
    if ((await vfs.stat(path).catch(() => undefined)) === undefined) this.spare = undefined;
  }

  /**
   * A newer generation is there, durably: this log, closed, becomes the spare file of that, with `bytesMax` at most. Removes it where that fails. Never
   * rejects.
   */
  async succeededBy(vfs: Vfs, newer: TombstoneLog, bytesMax: number): Promise<void> {
    const bytes = Math.min(this.#sound, bytesMax);
    newer.spare = await retireLog(vfs, this.path, newer.generation + 1, this.#filled, bytes);
  }
}

/** Makes a spare file of a log that is not needed any more; `undefined` where it cannot: then it is removed. Never rejects. */
export async function retireLog(
  vfs: Vfs,
  path: string,
  generation: number,
  filledBytes: number,
  bytesMax: number,
): Promise<TombstoneSpare | undefined> {
  const dir = path.slice(0, path.lastIndexOf('/'));
  const spare = { path: `${dir}/${unfinishedTombstoneFileName(generation)}`, bytes: Math.min(filledBytes, bytesMax) };
  try {
    await vfs.rename(path, spare.path);
  } catch {
    await vfs.remove(path).catch(() => undefined);
    return undefined;
  }
  if (filledBytes > bytesMax) await cut(vfs, spare).catch(() => undefined);
  return spare;
}

async function cut(vfs: Vfs, { path, bytes }: TombstoneSpare): Promise<void> {
  const file = await vfs.open(path, 'write');
  try {
    await file.truncate(bytes);
    await file.sync();
  } finally {
    await file.close().catch(() => undefined);
  }
}

interface LogDraft {
  readonly file: VfsFile;
  /** 0: it is new. */
  readonly formerBytes: number;
}

/** The spare file, or a new one where there is none. */
async function openDraft({ vfs, dir, generation, spare }: GenerationSource): Promise<LogDraft> {
  if (spare !== undefined) {
    // It may have been a log: under that name it must not be found with anything else in it.
    await vfs.syncDir(dir);
    try {
      return { file: await vfs.open(spare.path, 'write'), formerBytes: spare.bytes };
    } catch (error) {
      // Somebody deleted it.
      if (!isNotFound(error)) throw error;
    }
  }
  const temporary = `${dir}/${unfinishedTombstoneFileName(generation)}`;
  if ((await vfs.stat(temporary)) !== undefined) await vfs.remove(temporary);
  return { file: await vfs.create(temporary), formerBytes: 0 };
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
  const { storeUuid, generation: fileId, nowMs: createdMs, salt } = source;
  const identity = { kind: 'tombstones', storeUuid, fileId, idHighWater: queueMark(path) } as const;
  return { ...identity, flags: HEADER_FLAG_ACCOUNTS, baseId: snapshotEnd, createdMs, salt: tiedSalt(identity, salt) };
}
