/**
 * Reads the delivery logs of a queue: what is remembered of records that failed, and which were in a handler when the last writer ended. Never
 * rejects for what it finds: a log that is damaged or gone costs counts of attempts, never a record. That a call of the system failed may pass; whether
 * it is worth another try the caller says.
 */
import { isSystemError } from '../errors.js';
import { commitIsIntact } from '../frame/commit-check.js';
import { COMMIT_HEADER_BYTES, decodeCommitHeader, newCommitHeader } from '../frame/commit-header.js';
import { CommitScanner } from '../frame/commit-scanner.js';
import { decodeFileHeader, FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import {
  decodeInFlight,
  decodeOutcomes,
  KIND_DELIVERY_SNAPSHOT,
  KIND_IN_FLIGHT,
  KIND_OUTCOMES,
} from './delivery-frame.js';
import { parseDeliveryFileName } from './delivery-log-name.js';
import type { RetryEntry } from './retry-table.js';

/** Where what is in flight stands: two slots, written in turn, so that one is whole whenever the writer dies. */
export const SLOT_BYTES = 8192;
export const SLOTS = 2;
export const SLOTS_AT: number = FILE_HEADER_BYTES;
/** Where the frames begin. */
export const FRAMES_AT: number = SLOTS_AT + SLOTS * SLOT_BYTES;

export interface DeliveryState {
  readonly entries: Map<number, RetryEntry>;
  /** How often in a row the destination was found down. */
  readonly streak: number;
  /** In a handler when the last writer ended, unless their records are gone. */
  readonly inFlight: readonly IdRange[];
  /** The highest number of a frame. */
  readonly number: number;
  /** Of the newest file; 0 where there is none. */
  readonly generation: number;
  /** Something that had been written could not be read. */
  readonly lost: boolean;
  /** Files that a new generation replaces. */
  readonly paths: readonly string[];
}

/** `whenUnreadable`: what to do where a file could not be read; where the folder cannot be listed it rejects. @throws errors of the system */
export async function loadDeliveryState(
  vfs: Vfs,
  dir: string,
  storeUuid: Buffer,
  nowMs: number,
  whenUnreadable: 'reject' | 'go without',
): Promise<DeliveryState> {
  const logs: { readonly path: string; readonly generation: number }[] = [];
  const paths: string[] = [];
  for (const { name, kind } of await vfs.list(dir)) {
    const parsed = parseDeliveryFileName(name);
    if (parsed === undefined || kind !== 'file') continue;
    paths.push(`${dir}/${name}`);
    if (parsed.kind === 'log') logs.push({ path: `${dir}/${name}`, generation: parsed.generation });
  }
  // A generation has its name when it is whole, so the newest says all; where it cannot be read an older one may be there yet.
  logs.sort((a, b) => b.generation - a.generation);
  const generation = logs[0]?.generation ?? 0;
  let lost = false;
  for (const { path } of logs) {
    const state = await loadOne(vfs, path, storeUuid, nowMs).catch((error: unknown) => {
      if (whenUnreadable === 'reject' && isSystemError(error)) throw error;
      return undefined;
    });
    if (state !== undefined) return { ...state, generation, lost: lost || state.lost, paths };
    lost = true;
  }
  return { entries: new Map(), streak: 0, inFlight: [], number: 0, generation, lost, paths };
}

type OneLog = Omit<DeliveryState, 'generation' | 'paths'>;

async function loadOne(vfs: Vfs, path: string, storeUuid: Buffer, nowMs: number): Promise<OneLog | undefined> {
  const file = await vfs.open(path, 'read');
  try {
    const size = await file.size();
    const head = Buffer.alloc(Math.min(size, FRAMES_AT));
    await file.readAt(head, 0, head.length, 0);
    const header = decodeFileHeader(head.subarray(0, FILE_HEADER_BYTES), 'delivery');
    if (header.kind !== 'ok' || !header.header.storeUuid.equals(storeUuid)) return undefined;
    const frames = await loadFrames(file, header.seed, size, header.header.baseId, nowMs);
    const slot = newestSlot(head, header.seed);
    return {
      entries: frames.entries,
      streak: frames.streak,
      inFlight: slot === undefined ? [] : withoutSettled(slot.ranges, slot.number, frames.settledAt),
      number: Math.max(frames.number, slot?.number ?? 0),
      lost: frames.lost,
    };
  } finally {
    await file.close().catch(() => undefined);
  }
}

interface Frames {
  readonly entries: Map<number, RetryEntry>;
  /** By ID: the number of the last frame that names it. */
  readonly settledAt: Map<number, number>;
  streak: number;
  number: number;
  lost: boolean;
}

/** `snapshotEnd`: up to there everything was synced before the file had its name. */
async function loadFrames(
  file: VfsFile,
  seed: number,
  size: number,
  snapshotEnd: number,
  nowMs: number,
): Promise<Frames> {
  const frames: Frames = { entries: new Map(), settledAt: new Map(), streak: 0, number: 0, lost: size < snapshotEnd };
  const scanner = new CommitScanner(file, seed, FRAMES_AT, size, 'resync');
  for (let outcome = await scanner.next(); outcome !== 'end'; outcome = await scanner.next()) {
    if (outcome === 'bad') {
      // A torn end is nothing: its outcomes were told to nobody.
      if (scanner.bad.end < size || scanner.bad.offset < snapshotEnd) frames.lost = true;
      continue;
    }
    const { header, buffer, bodyAt } = scanner;
    if (header.kind !== KIND_OUTCOMES && header.kind !== KIND_DELIVERY_SNAPSHOT) continue;
    const decoded = decodeOutcomes(header, buffer, bodyAt);
    if (decoded === undefined) {
      frames.lost = true;
      continue;
    }
    frames.number = Math.max(frames.number, header.firstId);
    frames.streak = decoded.streak;
    for (const [id, entry] of decoded.entries) {
      if (entry.attempts === 0 && entry.crashes === 0 && entry.firstFailureMs === 0) frames.entries.delete(id);
      else frames.entries.set(id, { ...entry, dueMs: dueBy(entry.dueMs, header.timestamp, nowMs) });
      if (header.kind === KIND_OUTCOMES) frames.settledAt.set(id, header.firstId);
    }
  }
  return frames;
}

/** Where the clock has gone back since it was written, a delay is no longer than it was then. */
function dueBy(dueMs: number, writtenMs: number, nowMs: number): number {
  return Math.min(dueMs, nowMs + Math.max(0, dueMs - writtenMs));
}

function newestSlot(head: Buffer, seed: number): { readonly ranges: IdRange[]; readonly number: number } | undefined {
  const header = newCommitHeader();
  let newest: { readonly ranges: IdRange[]; readonly number: number } | undefined;
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = SLOTS_AT + slot * SLOT_BYTES;
    if (at + COMMIT_HEADER_BYTES > head.length || !decodeCommitHeader(head, at, seed, at, header)) continue;
    const bodyAt = at + COMMIT_HEADER_BYTES;
    if (header.kind !== KIND_IN_FLIGHT || bodyAt + header.bodyBytes > Math.min(head.length, at + SLOT_BYTES)) continue;
    if (!commitIsIntact(head, bodyAt, header, seed, at)) continue;
    const ranges = decodeInFlight(header, head, bodyAt);
    if (ranges === undefined || (newest !== undefined && newest.number > header.firstId)) continue;
    newest = { ranges, number: header.firstId };
  }
  return newest;
}

/** A record whose outcome was written after it was noted as in flight had left its handler. */
function withoutSettled(
  ranges: readonly IdRange[],
  number: number,
  settledAt: ReadonlyMap<number, number>,
): readonly IdRange[] {
  const left: IdRange[] = [];
  const settled = [...settledAt].filter(([, at]) => at > number).map(([id]) => id);
  settled.sort((a, b) => a - b);
  let next = 0;
  for (const range of ranges) {
    let first = range.first;
    while (next < settled.length && (settled[next] ?? 0) < first) next++;
    for (; next < settled.length && (settled[next] ?? 0) <= range.last; next++) {
      const id = settled[next] ?? 0;
      if (id > first) left.push({ first, last: id - 1 });
      first = id + 1;
    }
    if (first <= range.last) left.push({ first, last: range.last });
  }
  return left;
}
