/**
 * Space for removals on a full disk: beside each tombstone log lies a file, `.tomb.tmp`, into which the next generation is written, and the log that
 * it replaces becomes the next such file. So removing never needs a block that the file system has not given out already: when the log is full,
 * what is removed is written anew, as a snapshot, which is bounded by the records that there are.
 *
 * What a spare file holds means nothing. Before it is overwritten its name is made durable: it may have been a log until then, and must not be
 * found as one when something else stands in it.
 */
import { isNoSpace, isNotFound } from '../errors.js';
import { syncFile } from '../fail-stop.js';
import { VARINT_BYTES_MAX } from '../frame/varint.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { roundBytesMax } from './tombstone-frame.js';
import { unfinishedTombstoneFileName } from './tombstone-name.js';

/** A file that the next generation is written into. */
export interface TombstoneSpare {
  readonly path: string;
  /** Blocks up to here. */
  readonly bytes: number;
}

/** Ranges in one frame of a snapshot; bounds the memory and the time in one turn of the event loop. */
export const SNAPSHOT_RANGES_MAX = 8192;

/** For rounds behind a snapshot: some 20 removals by themselves, so that it is not written anew for each. */
const ROUNDS_BYTES = 4 * 1024;
/** What a queue has at least. Log and spare file each. */
export const RESERVE_BYTES_MIN: number = 8 * 1024;
/** And at most: enough for a million gaps between removed records. A queue with more of them can run out of it. */
export const RESERVE_BYTES_MAX: number = 4 * 1024 * 1024;

const FILL_BYTES = 1024 * 1024;
/** To find out where the space ends. */
const STEP_BYTES = 4096;
const VARINT_RADIX = 128;

/** What there is to remove from: all records in files, dead ones too, and the runs that their IDs form. */
export interface Removable {
  readonly records: number;
  readonly segments: number;
  /** From the lowest of their IDs to the highest. */
  readonly ids: number;
}

/**
 * The most bytes of a snapshot that one more record can cost, on average: of removed records that alternate with live ones each needs a range,
 * which is two varints, and all is written twice. Varints of gaps that add up to a given sum take the most bytes where the gaps are alike.
 */
export function snapshotBytesOfRecord({ records, ids }: Removable): number {
  const gap = Math.max(2, (2 * ids) / Math.max(1, records));
  // Of each varint a byte, and what it needs more the longer it is.
  const varint = (mean: number): number => 1 + Math.min(VARINT_BYTES_MAX - 1, Math.log(mean) / Math.log(VARINT_RADIX));
  return varint(2) + varint(gap);
}

/** The bytes that a log must have for a snapshot of whatever may be removed of these records, and for rounds behind it. */
export function reserveBytesFor(removable: Removable): number {
  const { records, segments } = removable;
  const parts = 1 + Math.ceil((records / 2 + segments) / SNAPSHOT_RANGES_MAX);
  // Runs end with their segments; the first gap of a part counts from 0.
  const fixed = parts * roundBytesMax(1) + segments * 4 * VARINT_BYTES_MAX;
  return Math.ceil(records * snapshotBytesOfRecord(removable)) + fixed + ROUNDS_BYTES;
}

/** Makes a spare file. Its name becomes durable with the next sync of the folder. */
export async function makeSpare(vfs: Vfs, dir: string, generation: number, bytes: number): Promise<TombstoneSpare> {
  const path = `${dir}/${unfinishedTombstoneFileName(generation)}`;
  await removeIfThere(vfs, path);
  const file = await vfs.create(path);
  try {
    await fillZeros(file, 0, bytes);
    await syncFile(file);
  } catch (error) {
    await file.close().catch(() => undefined);
    await vfs.remove(path).catch(() => undefined);
    throw error;
  }
  await file.close().catch(() => undefined);
  return { path, bytes };
}

/** Makes it at least so long. Rejects with a system error, and it is as it was; or with a `SyncFailure`. */
export async function lengthenSpare(vfs: Vfs, spare: TombstoneSpare, bytes: number): Promise<TombstoneSpare> {
  if (spare.bytes >= bytes) return spare;
  const file = await vfs.open(spare.path, 'write');
  try {
    await fillZeros(file, spare.bytes, bytes);
    await syncFile(file);
  } finally {
    await file.close().catch(() => undefined);
  }
  return { ...spare, bytes };
}

/**
 * Of a file that a crash has left: it may have holes, which are no space. Fills it as far as the disk lets it, and says how far that is. Its name must be
 * durable. Rejects with a `SyncFailure`, or with a system error other than want of space.
 */
export async function fillSpare(vfs: Vfs, { path, bytes }: TombstoneSpare): Promise<TombstoneSpare> {
  const file = await vfs.open(path, 'write');
  try {
    const filled = await fillAsFar(file, 0, bytes);
    if (filled < bytes) await file.truncate(filled);
    await syncFile(file);
    return { path, bytes: filled };
  } finally {
    await file.close().catch(() => undefined);
  }
}

/** Writes zeros to [from, to), and resolves with how far that went before there was no space. */
export async function fillAsFar(file: VfsFile, from: number, to: number): Promise<number> {
  try {
    await fillZeros(file, from, to);
    return to;
  } catch (error) {
    if (!isNoSpace(error)) throw error;
  }
  for (let at = from; at < to; at += STEP_BYTES) {
    try {
      await fillZeros(file, at, Math.min(to, at + STEP_BYTES));
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      return at;
    }
  }
  return to;
}

/** Of the files of that sort that were found the longest, which the others must not outlive. */
export async function findSpare(vfs: Vfs, paths: readonly string[]): Promise<TombstoneSpare | undefined> {
  let found: TombstoneSpare | undefined;
  for (const path of paths) {
    const stat = await vfs.stat(path);
    if (stat !== undefined && stat.size > (found?.bytes ?? 0)) found = { path, bytes: stat.size };
  }
  return found;
}

/** Writes zeros to [from, to). */
export async function fillZeros(file: VfsFile, from: number, to: number): Promise<void> {
  const zeros = Buffer.alloc(Math.min(Math.max(0, to - from), FILL_BYTES));
  for (let at = from; at < to; at += zeros.length) await file.writeAt(zeros, 0, Math.min(zeros.length, to - at), at);
}

async function removeIfThere(vfs: Vfs, path: string): Promise<void> {
  try {
    await vfs.remove(path);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
