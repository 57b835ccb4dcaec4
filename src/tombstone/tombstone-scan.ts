/**
 * Reads a tombstone log: what was removed, and what its rounds say of the data. Never writes, never judges by itself beyond telling
 * which rounds are lost.
 */
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { decodeFileHeader, FILE_HEADER_BYTES, type FileHeader, HEADER_FLAG_ACCOUNTS } from '../frame/file-header.js';
import { decodeRound, KIND_CLOSE, KIND_SNAPSHOT } from './tombstone-frame.js';
import { queueMark } from './tombstone-name.js';

/** No valid round stands there. */
export interface TombstoneRange {
  readonly offset: number;
  readonly end: number;
  readonly allZero: boolean;
  /** It is of this log, and no leftover of what its blocks held before: the header of a round is intact there. */
  readonly headerIntact: boolean;
}

/** What the rounds of a log add up to. Grows while a log is followed. */
export interface TombstoneState {
  /** The last round seen. */
  round: number;
  /** No older log had a later one: then none of them says anything that this one does not say. */
  supersedes: boolean;
  nextId: number;
  /** Every lower ID is in a segment or was removed; 0 where the log does not keep accounts. */
  accountedBelow: number;
  /** The segment that the last round speaks of: it, or one with a higher ID, is there. 0: none. */
  dataSegmentId: number;
  /** The last round says that the queue has an intake log. */
  hasIntake: boolean;
  /** By segment ID: how much of it had been synced. */
  readonly durableData: Map<number, number>;
  sealedBelow: number;
  segmentIdMax: number;
  /** Of the newest log that could be read. */
  generation: number;
  /** Records that were live at the clean close which is the log's last word, or undefined. */
  closedWithLive: number | undefined;
  /** The highest promise of the log about itself. */
  promisedOffset: number;
  /** Bad ranges, as they were met. */
  readonly damaged: TombstoneRange[];
  /** Rounds, and parts of a snapshot, of which neither copy was readable, though a later one was. */
  missingRounds: number;
  /** Parts of the snapshot seen, and whether the last of them was. */
  snapshotParts: number;
  snapshotComplete: boolean;
  /** Where the last good frame ends. */
  end: number;
  /** Of all logs: the last round that was acknowledged may be one that cannot be read, so nothing says how far records went. */
  isLastLost: boolean;
  /** Of the newest log: what a crash left of rounds that were never acknowledged. */
  torn?: { readonly file: string; readonly offset: number; readonly bytes: number };
}

export type TombstoneScan =
  | {
      readonly kind: 'ok';
      readonly header: FileHeader;
      readonly headerDamaged: boolean;
      readonly state: TombstoneState;
    }
  | { readonly kind: 'unsupported'; readonly major: number }
  /** Header blank, bad, or of another store or queue: nothing in it counts. */
  | { readonly kind: 'unreadable' };

/** Scans the whole log at `path` and hands each removed range to `removed`. */
export async function scanTombstones(
  source: ScanSource,
  path: string,
  size: number,
  storeUuid: Buffer,
  removed: (first: number, last: number) => void,
): Promise<TombstoneScan> {
  const head = Buffer.alloc(FILE_HEADER_BYTES);
  const read = await source.readAt(head, 0, FILE_HEADER_BYTES, 0);
  const decoding = decodeFileHeader(head.subarray(0, read), 'tombstones');
  if (decoding.kind === 'unsupported') return decoding;
  if (decoding.kind !== 'ok' || !decoding.header.storeUuid.equals(storeUuid)) return { kind: 'unreadable' };
  // That of another queue removes other records.
  if (decoding.header.idHighWater !== queueMark(path)) return { kind: 'unreadable' };
  const state = newTombstoneState();
  state.generation = decoding.header.fileId;
  const scanner = new CommitScanner(source, decoding.seed, FILE_HEADER_BYTES, size, 'resync');
  await scanRounds(scanner, state, removed);
  if ((decoding.header.flags & HEADER_FLAG_ACCOUNTS) === 0) state.accountedBelow = 0;
  return { kind: 'ok', header: decoding.header, headerDamaged: decoding.damaged, state };
}

export function newTombstoneState(): TombstoneState {
  return {
    round: 0,
    supersedes: true,
    isLastLost: false,
    nextId: 0,
    accountedBelow: 0,
    dataSegmentId: 0,
    hasIntake: false,
    durableData: new Map(),
    sealedBelow: 0,
    segmentIdMax: 0,
    generation: 0,
    closedWithLive: undefined,
    promisedOffset: 0,
    damaged: [],
    missingRounds: 0,
    snapshotParts: 0,
    snapshotComplete: false,
    end: FILE_HEADER_BYTES,
  };
}

/** Takes in every round up to the scanner's end. */
export async function scanRounds(
  scanner: CommitScanner,
  state: TombstoneState,
  removed: (first: number, last: number) => void,
): Promise<void> {
  let twin = { sum: -1, kind: 0, flags: 0, round: 0, count: 0, bytes: 0, durable: 0 };
  for (;;) {
    const outcome = await scanner.next();
    if (outcome === 'end') return;
    if (outcome === 'bad') {
      state.damaged.push({ ...scanner.bad });
      continue;
    }
    const { header } = scanner;
    // Of twins, which differ in nothing but their places, one says it all. Those that lie are both heard.
    const sum = scanner.bodySum;
    if (
      twin.sum === sum &&
      twin.kind === header.kind &&
      twin.round === header.firstId &&
      twin.flags === header.flags &&
      twin.count === header.count &&
      twin.bytes === header.bodyBytes &&
      twin.durable === header.durableOffset
    ) {
      state.end = scanner.offset + COMMIT_HEADER_BYTES + header.bodyBytes;
      continue;
    }
    const round = decodeRound(header, scanner.buffer, scanner.bodyAt, removed);
    const end = scanner.offset + COMMIT_HEADER_BYTES + header.bodyBytes;
    if (round === undefined) {
      state.damaged.push({ offset: scanner.offset, end, allZero: false, headerIntact: true });
      continue;
    }
    const { kind, flags, firstId, count, bodyBytes, durableOffset } = header;
    twin = { sum, kind, flags, round: firstId, count, bytes: bodyBytes, durable: durableOffset };
    state.end = end;
    state.promisedOffset = Math.max(state.promisedOffset, header.durableOffset);
    if (round.kind === KIND_SNAPSHOT) {
      // All parts, and their twins, have one number.
      if (state.snapshotParts > 0 && round.round !== state.round) state.missingRounds++;
      const part = Math.floor(round.liveRecords / 2);
      if (part > state.snapshotParts) state.missingRounds += part - state.snapshotParts;
      state.snapshotParts = Math.max(state.snapshotParts, part + 1);
      if (round.liveRecords % 2 === 1) state.snapshotComplete = true;
    } else if (!state.snapshotComplete) {
      state.missingRounds++;
      state.snapshotComplete = true;
    }
    if (round.kind !== KIND_SNAPSHOT && round.round > state.round + 1)
      state.missingRounds += round.round - state.round - 1;
    state.round = Math.max(state.round, round.round);
    state.nextId = Math.max(state.nextId, round.nextId);
    state.accountedBelow = Math.max(state.accountedBelow, round.accountedBelow);
    state.dataSegmentId = round.dataSegmentId;
    state.hasIntake = round.hasIntake;
    state.sealedBelow = Math.max(state.sealedBelow, round.sealedBelow);
    state.segmentIdMax = Math.max(state.segmentIdMax, round.segmentIdMax);
    state.closedWithLive = round.kind === KIND_CLOSE ? round.liveRecords : undefined;
    if (round.dataOffset > 0) {
      const known = state.durableData.get(round.dataSegmentId) ?? 0;
      state.durableData.set(round.dataSegmentId, Math.max(known, round.dataOffset));
    }
  }
}
