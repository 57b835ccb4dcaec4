/**
 * Reads a segment from end to end, for those that have no valid footer, and for `verify`. Scanning never writes and never judges: it reports what
 * is there, and every range that is not a valid commit.
 */
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  KIND_FOOTER,
  KIND_LINK,
  KIND_RECORDS,
} from '../frame/commit-header.js';
import { CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { IntakeMarks } from '../frame/intake-marks.js';
import { decodeMeta, type RecordOrigin } from '../frame/metadata.js';
import { DENSE_FRAME_BYTES, newFrameView, SPARSE_FRAME_BYTES, viewFrame } from '../frame/record-frame.js';
import { type IdRange, NEXT_ID_MAX } from '../ids.js';
import type { Footer } from './segment-footer.js';
import { newSegmentIndex, type SegmentIndex } from './segment-index.js';
import { type Indexed, type SalvageIndex, type SalvageSource, salvageBad, salvageBehind } from './segment-salvage.js';
import { SegmentTimes } from './segment-times.js';

/** A range of a segment that holds no valid commit. */
export interface DamagedRange {
  readonly offset: number;
  readonly end: number;
  readonly headerIntact: boolean;
  readonly allZero: boolean;
  /** Its checksums hold, and its records contradict it or those in front of them: no crash leaves that behind. */
  readonly contradicts?: true;
  /** It begins at the header of a footer, which is intact, or behind it, where no record is: none can have stood there. */
  isFooter?: true;
  /**
   * IDs that may have stood there and are gone: those between the intact neighbours. Empty if `lastId < firstId`; without `toMs` the end is
   * open, for no intact commit follows.
   */
  firstId: number;
  lastId: number;
  /** Times of the intact neighbours, where there are any. The second is the lesser one where the clock went back. */
  fromMs: number | undefined;
  toMs: number | undefined;
}

export interface MovedRecord {
  readonly id: number;
  readonly origin: RecordOrigin;
}

/** The statement of a segment about the one before it. */
export interface SegmentLink {
  readonly segmentId: number;
  readonly durableOffset: number;
}

export interface SegmentScan {
  count: number;
  /** Of the records that are there; `lastId` is `firstId` - 1 where there is none. */
  firstId: number;
  lastId: number;
  readonly times: SegmentTimes;
  /** Of the last record. */
  lastTimeMs: number | undefined;
  payloadBytes: number;
  /** Where the last valid commit of records ends. */
  dataEnd: number;
  /** Where the scan ended: no byte from here on belongs to a frame. */
  end: number;
  readonly index: SegmentIndex;
  /** The IDs that are there, as maximal runs; the last one only, where entries are told and not kept. */
  readonly runs: IdRange[];
  readonly moved: MovedRecord[];
  link: SegmentLink | undefined;
  /** The highest durable offset that a valid commit of this file promises, with the place of that commit. */
  promisedOffset: number;
  /** The highest number of a durable round of removals that a commit mentions, low 32 bits. */
  removalSeq: number;
  readonly damaged: DamagedRange[];
  /** Offset of a footer whose header at least is intact, or -1; of a rewritten segment, which needs all of it, only of one that is intact. */
  footerAt: number;
}

/** An entry of the index as it would be: see FORMAT.md 8. */
export type OnEntry = (id: number, offset: number, mid: 0 | 1) => void;

export type ScanProgress = (bytes: number) => void;

/** What helps to salvage what is damaged: for a segment with a valid footer, its index. */
export interface ScanSalvage {
  readonly rewritten: boolean;
  readonly index: SalvageIndex | undefined;
  /** Of its last record, by its footer: what begins behind that is no commit of it. */
  readonly lastId?: number;
}

/** Scans [FILE_HEADER_BYTES, size). Rejects with the system error if a read does: an unreadable disk is not corruption. */
export async function scanSegment(
  source: ScanSource,
  size: number,
  seed: number,
  baseId: number,
  intervalBytes: number,
  progress?: ScanProgress,
  onEntry?: OnEntry,
  marks?: IntakeMarks,
  salvage: ScanSalvage = { rewritten: false, index: undefined },
): Promise<SegmentScan> {
  const scan = newScan(baseId);
  const scanner = new CommitScanner(source, seed, FILE_HEADER_BYTES, size, 'resync', true);
  const state: IndexState = {
    intervalBytes,
    lastId: salvage.lastId ?? NEXT_ID_MAX,
    marked: -Infinity,
    ...(onEntry === undefined ? {} : { onEntry }),
    ...(marks === undefined ? {} : { marks }),
  };
  const from: SalvageSource = { source, seed, ...salvage };
  let reported = 0;
  try {
    for (;;) {
      const outcome = await scanner.next();
      if (outcome === 'end') break;
      if (outcome === 'bad') {
        await noteDamage(scan, scanner, from, state);
        continue;
      }
      noteCommit(scan, scanner, from, state);
      if (progress !== undefined && scanner.offset - reported > 16 * 1024 * 1024) {
        progress(scanner.offset - reported);
        reported = scanner.offset;
      }
    }
  } finally {
    await scanner.settled();
  }
  scan.end = scanner.offset;
  if (!salvage.rewritten) markFooter(scan);
  return scan;
}

/** What is damaged from the footer on has cost no record: all stand in front of it. Not so if anything behind it tells of records. */
function markFooter({ damaged, dataEnd, footerAt }: SegmentScan): void {
  if (footerAt < 0 || dataEnd > footerAt) return;
  const behind = damaged.filter(({ offset }) => offset >= footerAt);
  if (behind.some(({ offset, headerIntact }) => headerIntact && offset !== footerAt)) return;
  for (const range of behind) {
    range.isFooter = true;
    range.lastId = range.firstId - 1;
    range.toMs = range.fromMs ?? 0;
  }
}

/** Whether all that the footer tells of can be read, body and all: what a segment replaces may go only then. */
export async function isReadThrough(
  source: ScanSource,
  { summary }: Footer,
  seed: number,
  baseId: number,
): Promise<boolean> {
  const scan = await scanSegment(source, summary.dataEnd, seed, baseId, Number.MAX_SAFE_INTEGER);
  return scan.damaged.length === 0 && scan.count === summary.count;
}

export function newScan(baseId: number): SegmentScan {
  return {
    count: 0,
    firstId: baseId,
    lastId: baseId - 1,
    times: new SegmentTimes(),
    lastTimeMs: undefined,
    payloadBytes: 0,
    dataEnd: FILE_HEADER_BYTES,
    end: FILE_HEADER_BYTES,
    index: newSegmentIndex(),
    runs: [],
    moved: [],
    link: undefined,
    promisedOffset: 0,
    removalSeq: 0,
    damaged: [],
    footerAt: -1,
  };
}

/** Where the index stands: the offset of its last entry. */
export interface IndexState {
  readonly intervalBytes: number;
  /** No record of the segment has a higher one. */
  readonly lastId: number;
  marked: number;
  /** Told of every entry in the place of an index; the scan then keeps neither that nor the runs, which for tiny records are larger than the file. */
  readonly onEntry?: OnEntry;
  /** Takes what tells of the records that they came in once. */
  readonly marks?: IntakeMarks;
}

const frame = newFrameView();

/** Takes in the valid commit on which the scanner stands. */
export function noteCommit(scan: SegmentScan, scanner: CommitScanner, from: Indexed, state: IndexState): void {
  const { header, offset, buffer, bodyAt } = scanner;
  if (header.kind !== KIND_LINK && header.durableOffset > scan.promisedOffset)
    scan.promisedOffset = header.durableOffset;
  scan.removalSeq = Math.max(scan.removalSeq, header.removalSeq);
  if (header.kind === KIND_LINK) {
    scan.link = { segmentId: header.firstId, durableOffset: header.durableOffset };
    scan.dataEnd = offset + COMMIT_HEADER_BYTES;
    return;
  }
  if (header.kind === KIND_FOOTER) {
    scan.footerAt = offset;
    return;
  }
  if (header.kind !== KIND_RECORDS) return;

  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  const bodyEnd = bodyAt + header.bodyBytes;
  const end = offset + COMMIT_HEADER_BYTES + header.bodyBytes;
  if (header.firstId <= scan.lastId || header.firstId > state.lastId) {
    noteContradiction(scan, scanner, from, state, 0);
    return;
  }
  const headBytes = sparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
  let wide = false;
  if (offset - state.marked >= state.intervalBytes) {
    addEntry(scan, state, header.firstId, offset, 0);
    state.marked = offset;
  }
  let at = bodyAt;
  let noted = 0;
  for (let i = 0; i < header.count; i++) {
    if (!viewFrame(buffer, at, bodyEnd, sparse, header.firstId + i, header.firstId, header.timestamp, frame)) break;
    if ((sparse && frame.id <= scan.lastId) || frame.id > state.lastId) break;
    const frameOffset = offset + COMMIT_HEADER_BYTES + at - bodyAt;
    // As the builder marks them: a commit that is marked itself stands for its first frame, a large record has an entry of its own.
    const isMarked = i === 0 && state.marked === offset;
    const isLarge = frame.frameBytes - headBytes >= state.intervalBytes;
    if (!isMarked && (isLarge || frameOffset - state.marked >= state.intervalBytes)) {
      addEntry(scan, state, frame.id, frameOffset, 1);
      state.marked = frameOffset;
      wide = true;
    }
    if (sparse) noteIds(scan, state, frame.id, frame.id, frame.timestamp);
    noteFrame(scan, state, buffer);
    noted++;
    at += frame.frameBytes;
  }
  if (!sparse && noted > 0) noteIds(scan, state, header.firstId, header.firstId + noted - 1, header.timestamp);
  if (noted < header.count || at !== bodyEnd) noteContradiction(scan, scanner, from, state, noted);
  if (wide && state.onEntry === undefined)
    scan.index.wide.push({ offset, end, firstId: header.firstId, timestamp: header.timestamp });
  scan.dataEnd = end;
}

/** Takes in that the commit contradicts itself behind the first `noted` records, and which are intact behind the one that does. */
function noteContradiction(
  scan: SegmentScan,
  scanner: CommitScanner,
  from: Indexed,
  state: IndexState,
  noted: number,
): void {
  const damage = contradiction(scan, scanner.header, scanner.offset, noted, state.lastId);
  const before = scan.lastId;
  salvageBehind(scanner, before, from, (view, buffer) => {
    if (view.id > state.lastId) return;
    Object.assign(frame, view);
    noteIds(scan, state, view.id, view.id, view.timestamp);
    noteFrame(scan, state, buffer);
  });
  if (scan.lastId > before) {
    scan.dataEnd = damage.end;
    if (damage.lastId === scan.lastId) damage.lastId = (scan.runs.at(-1)?.first ?? damage.firstId) - 1;
  }
  scan.damaged.push(damage);
}

/** A commit whose checksums hold, and of which the first `noted` records are, and one behind them is not. */
function contradiction(
  scan: SegmentScan,
  header: CommitHeader,
  offset: number,
  noted: number,
  lastIdMax: number,
): DamagedRange {
  const { bodyBytes, timestamp } = header;
  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  // Whatever it says, there is no room for more.
  const count = Math.min(header.count, Math.floor(bodyBytes / DENSE_FRAME_BYTES));
  const firstId = scan.lastId + 1;
  // What it says of its IDs is wrong: how far it went shows where the next record is.
  const isElsewhere = header.firstId > lastIdMax || (noted === 0 && header.firstId < firstId);
  const isOpen = isElsewhere || (sparse && noted < count);
  const isUnknown = sparse || isElsewhere;
  const lastId = isUnknown ? firstId - 1 : Math.max(firstId - 1, Math.min(header.firstId + count - 1, NEXT_ID_MAX - 1));
  const end = offset + COMMIT_HEADER_BYTES + bodyBytes;
  const toMs = isOpen ? undefined : timestamp;
  return {
    offset,
    end,
    headerIntact: true,
    allZero: false,
    contradicts: true,
    firstId,
    lastId,
    fromMs: timestamp,
    toMs,
  };
}

/** Takes in that there are records of these IDs, above all before. */
function noteIds(scan: SegmentScan, state: IndexState, first: number, last: number, timestamp: number): void {
  closeDamage(scan, first, timestamp);
  if (scan.count === 0) scan.firstId = first;
  const run = scan.runs.at(-1);
  if (run !== undefined && run.last + 1 === first) scan.runs[scan.runs.length - 1] = { first: run.first, last };
  else if (state.onEntry === undefined || scan.runs.length === 0) scan.runs.push({ first, last });
  else scan.runs[0] = { first, last };
  scan.count += last - first + 1;
  scan.lastId = last;
  scan.times.note(first, timestamp);
  scan.lastTimeMs = timestamp;
}

/** The damage seen last ends where the next intact commit begins. */
function closeDamage(scan: SegmentScan, nextId: number, timestamp: number): void {
  const damage = scan.damaged.at(-1);
  if (damage === undefined || damage.toMs !== undefined || damage.lastId >= damage.firstId || nextId < damage.firstId)
    return;
  damage.lastId = nextId - 1;
  damage.toMs = timestamp;
}

/** What is told of those times: the least first, whatever the clock did; nothing where no neighbour is. */
export function timesToTell(...times: readonly (number | undefined)[]): { fromMs?: number; toMs?: number } {
  const known = times.filter((one) => one !== undefined);
  return known.length === 0 ? {} : { fromMs: Math.min(...known), toMs: Math.max(...known) };
}

/** Takes in what the record that `frame` shows holds. */
function noteFrame(scan: SegmentScan, { marks }: IndexState, buffer: Buffer): void {
  scan.payloadBytes += frame.payloadBytes;
  if (frame.metaBytes > 0) {
    const meta = decodeMeta(buffer.subarray(frame.metaAt, frame.metaAt + frame.metaBytes));
    if (meta.origin !== undefined) scan.moved.push({ id: frame.id, origin: meta.origin });
    marks?.note(meta, frame.id, frame.timestamp);
  }
}

function addEntry(scan: SegmentScan, state: IndexState, id: number, offset: number, mid: 0 | 1): void {
  if (state.onEntry !== undefined) {
    state.onEntry(id, offset, mid);
    return;
  }
  scan.index.ids.push(id);
  scan.index.offsets.push(offset);
  scan.index.mids.push(mid);
}

async function noteDamage(
  scan: SegmentScan,
  scanner: CommitScanner,
  from: SalvageSource,
  state: IndexState,
): Promise<void> {
  const { bad } = scanner;
  if (bad.headerIntact && scanner.header.kind === KIND_FOOTER && !from.rewritten) scan.footerAt = bad.offset;
  const header = bad.headerIntact && scanner.header.kind === KIND_RECORDS ? { ...scanner.header } : undefined;
  if (header !== undefined) closeDamage(scan, header.firstId, header.timestamp);
  const expected = header?.firstId ?? scan.lastId + 1;
  const fromMs = header?.timestamp ?? scan.lastTimeMs;
  const runs: IdRange[] = [];
  let saved = 0;
  await salvageBad(scanner, from, (view, buffer) => {
    if (view.id <= scan.lastId || view.id > state.lastId) return;
    const run = runs.at(-1);
    if (run !== undefined && run.last + 1 === view.id) runs[runs.length - 1] = { first: run.first, last: view.id };
    else runs.push({ first: view.id, last: view.id });
    if (saved++ === 0 && header !== undefined) {
      // The index names the commit, whatever its size, so that a reader comes by and salvages the same records.
      addEntry(scan, state, view.id, bad.offset, 0);
      state.marked = bad.offset;
    }
    Object.assign(frame, view);
    noteIds(scan, state, view.id, view.id, view.timestamp);
    noteFrame(scan, state, buffer);
  });
  if (saved > 0) scan.dataEnd = bad.end;
  scan.damaged.push({ ...bad, ...lossOf(header, saved, runs, expected), fromMs });
}

/** Which IDs a bad range may have cost, from the first to the last, where `runs` were salvaged of it. */
function lossOf(
  header: CommitHeader | undefined,
  saved: number,
  runs: readonly IdRange[],
  expected: number,
): Pick<DamagedRange, 'firstId' | 'lastId' | 'toMs'> {
  const [front] = runs;
  const firstId = front?.first === expected ? front.last + 1 : expected;
  // How far it goes shows where the next commit begins: frames that name their IDs, or of a commit of which nothing is known.
  if (header === undefined) return { firstId, lastId: firstId - 1, toMs: undefined };
  const toMs = header.timestamp;
  if (saved >= header.count) return { firstId, lastId: firstId - 1, toMs };
  if ((header.flags & COMMIT_FLAG_SPARSE) !== 0) return { firstId, lastId: firstId - 1, toMs: undefined };
  const end = Math.min(header.firstId + header.count - 1, Number.MAX_SAFE_INTEGER);
  const back = runs.at(-1);
  return { firstId, lastId: back !== undefined && back.last === end ? back.first - 1 : end, toMs };
}
