/**
 * What can still be read of a range of a segment that is no valid commit. Everybody who comes to such a range asks here, with the same index, so
 * that readers, GC, `verify` and repair find the same records in it (P15):
 *  - the header of the commit is intact: the frames of its body (`frame/commit-salvage.ts`);
 *  - it is not: those of the wide commits that the index lists there, which tells as much of them as their headers did.
 */
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  KIND_RECORDS,
  newCommitHeader,
} from '../frame/commit-header.js';
import { type Landmark, salvageCommit } from '../frame/commit-salvage.js';
import { type BadRange, CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { DENSE_FRAME_BYTES, type FrameView, newFrameView, viewFrame } from '../frame/record-frame.js';
import type { SegmentIndex, WideCommit } from './segment-index.js';

/** What the index of a segment says that its salvage needs. */
export interface SalvageIndex extends Pick<SegmentIndex, 'ids' | 'offsets' | 'mids'> {
  readonly wide: readonly WideCommit[];
}

/** A segment, as far as its salvage needs to know it. */
export interface SalvageSource {
  readonly source: ScanSource;
  readonly seed: number;
  /** Its frames name their IDs. */
  readonly rewritten: boolean;
  /** That of its footer; `undefined` where it has none, or that is damaged. */
  readonly index: SalvageIndex | undefined;
}

/** For what has an intact header no more is needed. */
export type Indexed = Pick<SalvageSource, 'seed' | 'index'>;

/** An intact record: `at` is where its frame begins in `buffer`, `offset` where in the file. Views are reused. */
export type OnIntact = (frame: FrameView, buffer: Buffer, at: number, offset: number) => void;

/** Tells the intact records of the bad range on which the scanner stands, in ID order. The scanner may go on from there. */
export async function salvageBad(scanner: CommitScanner, from: SalvageSource, intact: OnIntact): Promise<void> {
  const { bad, header, bodyHeld } = scanner;
  if (!bad.headerIntact) return salvageWide(bad, from, intact);
  if (header.kind === KIND_RECORDS) salvageBody(scanner, bodyHeld, from, intact);
}

/** The same of the commit of records on which the scanner stands, whose checksums may hold. `bodyHeld`: bytes of its body that are there. */
function salvageBody(scanner: CommitScanner, bodyHeld: number, from: Indexed, intact: OnIntact): void {
  const { header, buffer, bodyAt, offset } = scanner;
  const bodyOffset = offset + COMMIT_HEADER_BYTES;
  const take = (frame: FrameView, at: number): void => intact(frame, buffer, at, bodyOffset + at - bodyAt);
  const landmarks = landmarksIn(from.index, bodyOffset, bodyOffset + bodyHeld);
  salvageCommit(buffer, bodyAt, bodyHeld, header, from.seed, bodyOffset, take, landmarks);
}

/**
 * Tells the records of a valid commit that contradicts itself, behind the one that does: `lastId` is of the last in front of it. Each has a checksum of
 * its own, so a reader who comes to it finds it intact.
 */
export function salvageBehind(scanner: CommitScanner, lastId: number, from: Indexed, intact: OnIntact): void {
  salvageBody(scanner, scanner.bodyHeld, from, (frame, ...place) => {
    if (frame.id > lastId) intact(frame, ...place);
  });
}

async function salvageWide(bad: BadRange, from: SalvageSource, intact: OnIntact): Promise<void> {
  const { source, seed, rewritten, index } = from;
  for (const { offset, end, firstId, timestamp } of index?.wide ?? []) {
    if (offset < bad.offset) continue;
    const bodyOffset = offset + COMMIT_HEADER_BYTES;
    const bodyBytes = Math.min(end, bad.end) - bodyOffset;
    if (bodyBytes <= 0) continue;
    const body = Buffer.allocUnsafe(bodyBytes);
    const held = await source.readAt(body, 0, bodyBytes, bodyOffset);
    const header: CommitHeader = {
      ...newCommitHeader(),
      kind: KIND_RECORDS,
      flags: rewritten ? COMMIT_FLAG_SPARSE : 0,
      count: firstIdBehind(index, end, firstId + Math.ceil(bodyBytes / DENSE_FRAME_BYTES)) - firstId,
      bodyBytes: end - bodyOffset,
      firstId,
      timestamp,
    };
    const take = (frame: FrameView, at: number): void => intact(frame, body, at, bodyOffset + at);
    salvageCommit(body, 0, held, header, seed, bodyOffset, take, landmarksIn(index, bodyOffset, bad.end));
  }
}

/** The ID of the first entry from that offset on: no record in front of it has a higher one. */
function firstIdBehind(index: SalvageIndex | undefined, offset: number, most: number): number {
  const at = index?.offsets.findIndex((one) => one >= offset) ?? -1;
  return Math.min(most, index?.ids[at] ?? most);
}

/** Entries that name frames inside the body. */
function landmarksIn(index: SalvageIndex | undefined, from: number, to: number): Landmark[] {
  const found: Landmark[] = [];
  if (index === undefined) return found;
  const { ids, offsets, mids } = index;
  for (let i = 0; i < offsets.length; i++) {
    const offset = offsets[i] ?? 0;
    if (mids[i] === 1 && offset >= from && offset < to) found.push({ id: ids[i] ?? 0, offset });
  }
  return found;
}

/** A place at which a commit begins, or should, and what comes behind it. */
export interface SalvagedPlace {
  /** Where it goes on: a commit stands there, or nothing more does. */
  readonly end: number;
  /** The last ID that can have stood in front of that; `undefined` where nothing more follows. */
  readonly lastId: number | undefined;
}

/** Between which IDs records are looked for: those outside are none of the segment, or were in front. */
export interface SalvagedIds {
  readonly first: number;
  readonly last: number;
}

/**
 * The same for one who knows the place: the commit that begins at `offset`, or the bad ranges there, up to a commit that is whole. If the first is,
 * it tells all its records. `limit`: where the segment ends. A commit whose records contradict it, or whose IDs are not among `ids`, is not whole.
 */
export async function salvageAt(
  from: SalvageSource,
  offset: number,
  limit: number,
  ids: SalvagedIds,
  intact: OnIntact,
): Promise<SalvagedPlace> {
  const scanner = new CommitScanner(from.source, from.seed, offset, limit, 'resync');
  let next = ids.first;
  const tell: OnIntact = (frame, ...place) => {
    if (frame.id < next || frame.id > ids.last) return;
    next = frame.id + 1;
    intact(frame, ...place);
  };
  for (;;) {
    const outcome = await scanner.next();
    if (outcome === 'end') return { end: limit, lastId: undefined };
    if (outcome === 'bad') {
      await salvageBad(scanner, from, tell);
      continue;
    }
    const { header } = scanner;
    if (header.kind !== KIND_RECORDS) continue;
    const isIn = header.firstId >= next && header.firstId <= ids.last;
    if (scanner.offset > offset && isIn) return { end: scanner.offset, lastId: header.firstId - 1 };
    const lastId = isIn ? tellFront(scanner, ids.last, tell) : undefined;
    if (lastId !== undefined) return { end: offset + COMMIT_HEADER_BYTES + header.bodyBytes, lastId };
    salvageBody(scanner, scanner.bodyHeld, from, tell);
  }
}

/**
 * Tells the records of the valid commit on which the scanner stands, up to the first that contradicts it or has an ID past `idMax`. The last ID; undefined
 * where there is such a one.
 */
function tellFront(scanner: CommitScanner, idMax: number, intact: OnIntact): number | undefined {
  const { header, buffer, bodyAt, offset } = scanner;
  const { firstId, timestamp, count, bodyBytes } = header;
  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  const end = bodyAt + bodyBytes;
  const frame = newFrameView();
  let lastId = firstId - 1;
  let at = bodyAt;
  for (let told = 0; told < count; told++, at += frame.frameBytes) {
    if (!viewFrame(buffer, at, end, sparse, firstId + told, firstId, timestamp, frame)) return undefined;
    if (frame.id <= lastId || frame.id > idMax) return undefined;
    intact(frame, buffer, at, offset + COMMIT_HEADER_BYTES + at - bodyAt);
    lastId = frame.id;
  }
  return at === end ? lastId : undefined;
}
