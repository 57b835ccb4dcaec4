/**
 * Frames records into one commit, in place, in a buffer of its own (the *arena*).
 *
 * Invariants: the payload is copied before it is summed, so that a caller who reuses its buffer changes nothing; frames lie end to end from
 * COMMIT_HEADER_BYTES on; checksums are place-free until `finish` ties them to file, offset and ID, which may happen once.
 * Nothing is allocated per record. Not for concurrent use; one commit at a time.
 */
import { assert } from '../assert.js';
import { crc32, placeMask } from '../checksum.js';
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  encodeCommitHeader,
  KIND_RECORDS,
  newCommitHeader,
} from './commit-header.js';
import { DENSE_FRAME_BYTES, lengthWordOf, SPARSE_FRAME_BYTES } from './record-frame.js';

/** Where and as what a commit goes to disk. */
export interface CommitPlace {
  readonly seed: number;
  /** Of the commit's header within its file. */
  readonly fileOffset: number;
  readonly firstId: number;
  readonly timestamp: number;
  readonly durableOffset: number;
  readonly removalSeq: number;
}

const ARENA_BYTES_MIN = 64 * 1024;
/** An arena that one burst made larger than this is given back. */
const ARENA_BYTES_KEPT = 8 * 1024 * 1024;

export class CommitBuilder {
  readonly #sparse: boolean;
  readonly #header = newCommitHeader();
  #buffer: Buffer = Buffer.allocUnsafeSlow(ARENA_BYTES_MIN);
  #length = COMMIT_HEADER_BYTES;
  #count = 0;
  #finished = false;
  #sparseFirstId = 0;
  #sparseTimestamp = 0;

  constructor(kind: 'dense' | 'sparse') {
    this.#sparse = kind === 'sparse';
  }

  get count(): number {
    return this.#count;
  }

  /** Header and frames so far. */
  get length(): number {
    return this.#length;
  }

  /** The arena; the commit is its first `length` bytes. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  reset(): void {
    this.#length = COMMIT_HEADER_BYTES;
    this.#count = 0;
    this.#finished = false;
    if (this.#buffer.length > ARENA_BYTES_KEPT) this.#buffer = Buffer.allocUnsafeSlow(ARENA_BYTES_MIN);
  }

  /** Makes room for `bytes` more, so that a batch of known size grows the arena once. */
  reserve(bytes: number): void {
    const wanted = this.#length + bytes;
    if (wanted <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }

  /** Adds a record to a dense commit. */
  add(payload: Uint8Array, meta: Uint8Array | undefined): void {
    assert(!this.#sparse && !this.#finished, 'a record was added to a commit of another kind, or to a finished one');
    const bodyBytes = payload.length + (meta === undefined ? 0 : 4 + meta.length);
    const at = this.#length;
    const end = at + DENSE_FRAME_BYTES + bodyBytes;
    if (end > this.#buffer.length) this.reserve(DENSE_FRAME_BYTES + bodyBytes);
    const buffer = this.#buffer;
    let crc: number;
    if (meta === undefined) {
      buffer.set(payload, at + DENSE_FRAME_BYTES);
      // Payload and copy are equal in this one synchronous stretch, unless another thread shares the memory.
      crc =
        payload.buffer instanceof ArrayBuffer ? crc32(payload) : crc32(buffer.subarray(at + DENSE_FRAME_BYTES, end));
    } else {
      buffer.writeUInt32LE(meta.length, at + DENSE_FRAME_BYTES);
      buffer.set(meta, at + DENSE_FRAME_BYTES + 4);
      buffer.set(payload, at + DENSE_FRAME_BYTES + 4 + meta.length);
      crc = crc32(buffer.subarray(at + DENSE_FRAME_BYTES, end));
    }
    buffer.writeUInt32LE(lengthWordOf(bodyBytes, meta !== undefined), at);
    buffer.writeUInt32LE(crc, at + 4);
    this.#length = end;
    this.#count++;
  }

  /** True if a record of this ID and time can join the sparse commit: its deltas must fit 32 bits. */
  accepts(id: number, timestamp: number): boolean {
    if (this.#count === 0) return true;
    const time = timestamp - this.#sparseTimestamp;
    return id - this.#sparseFirstId <= 0xffff_ffff && time >= 0 && time <= 0xffff_ffff;
  }

  /** Adds to a sparse commit the record whose body (metadata block included) is a range of `source`. IDs must ascend. */
  addCopy(id: number, timestamp: number, source: Buffer, bodyAt: number, bodyBytes: number, hasMeta: boolean): void {
    assert(this.#sparse && !this.#finished && this.accepts(id, timestamp), 'a copied record does not fit the commit');
    if (this.#count === 0) {
      this.#sparseFirstId = id;
      this.#sparseTimestamp = timestamp;
    }
    this.reserve(SPARSE_FRAME_BYTES + bodyBytes);
    const at = this.#length;
    const buffer = this.#buffer;
    buffer.writeUInt32LE(lengthWordOf(bodyBytes, hasMeta), at);
    buffer.writeUInt32LE(id - this.#sparseFirstId, at + 8);
    buffer.writeUInt32LE(timestamp - this.#sparseTimestamp, at + 12);
    source.copy(buffer, at + SPARSE_FRAME_BYTES, bodyAt, bodyAt + bodyBytes);
    buffer.writeUInt32LE(crc32(buffer.subarray(at + 8, at + SPARSE_FRAME_BYTES + bodyBytes)), at + 4);
    this.#length = at + SPARSE_FRAME_BYTES + bodyBytes;
    this.#count++;
  }

  get sparseFirstId(): number {
    return this.#sparseFirstId;
  }

  get sparseTimestamp(): number {
    return this.#sparseTimestamp;
  }

  /**
   * Ties every checksum to its place and writes the header; afterwards the commit is the first `length` bytes of `buffer`. `mark` is told
   * of each frame that starts `interval` bytes or more behind the one marked last, or is as large itself (the first of all counts from
   * `markedOffset`); it gets ID and file offset.
   */
  finish(place: CommitPlace, interval: number, markedOffset: number, mark: (id: number, offset: number) => void): void {
    assert(!this.#finished && this.#count > 0, 'a commit is finished once, and not empty');
    this.#finished = true;
    const last = this.#sparse
      ? maskSparse(this.#buffer, this.#length, place, interval, markedOffset, mark)
      : maskDense(this.#buffer, this.#length, place, interval, markedOffset, mark);
    assert(this.#sparse || last === place.firstId + this.#count, 'a commit holds as many frames as were added');
    const header = this.#header;
    header.kind = KIND_RECORDS;
    header.flags = this.#sparse ? COMMIT_FLAG_SPARSE : 0;
    header.count = this.#count;
    header.bodyBytes = this.#length - COMMIT_HEADER_BYTES;
    header.bodyCrc = commitBodyCrc(
      this.#buffer.subarray(COMMIT_HEADER_BYTES, this.#length),
      place.seed,
      place.fileOffset,
    );
    header.firstId = place.firstId;
    header.durableOffset = place.durableOffset;
    header.timestamp = place.timestamp;
    header.removalSeq = place.removalSeq;
    encodeCommitHeader(this.#buffer, 0, place.seed, place.fileOffset, header);
  }
}

type Mark = (id: number, offset: number) => void;

/** Where the next mark may be. A commit that is marked itself stands for its first frame: one ID has one entry. */
function firstMark(fileOffset: number, marked: number, interval: number): number {
  return marked === fileOffset ? marked + Math.max(interval, COMMIT_HEADER_BYTES + 1) : marked + interval;
}

/**
 * A record as large as an interval has one of its own, so that its size can be told from the index; but where a commit is marked, that mark is
 * its first record's.
 */
function standsAlone(word: number, at: number, fileOffset: number, marked: number, interval: number): boolean {
  return (word & 0x3fff_ffff) >= interval && !(at === COMMIT_HEADER_BYTES && marked === fileOffset);
}

function maskDense(
  buffer: Buffer,
  length: number,
  place: CommitPlace,
  interval: number,
  marked: number,
  mark: Mark,
): number {
  const { seed, fileOffset } = place;
  let id = place.firstId;
  let next = firstMark(fileOffset, marked, interval);
  for (let at = COMMIT_HEADER_BYTES; at < length; id++) {
    const word = buffer.readUInt32LE(at);
    const offset = fileOffset + at;
    if (offset >= next || standsAlone(word, at, fileOffset, marked, interval)) {
      mark(id, offset);
      next = offset + interval;
    }
    buffer.writeUInt32LE((buffer.readUInt32LE(at + 4) ^ placeMask(seed, offset, word, id)) >>> 0, at + 4);
    at += DENSE_FRAME_BYTES + (word & 0x3fff_ffff);
  }
  return id;
}

function maskSparse(
  buffer: Buffer,
  length: number,
  place: CommitPlace,
  interval: number,
  marked: number,
  mark: Mark,
): number {
  const { seed, fileOffset } = place;
  let id = place.firstId;
  let next = firstMark(fileOffset, marked, interval);
  for (let at = COMMIT_HEADER_BYTES; at < length; ) {
    const word = buffer.readUInt32LE(at);
    const offset = fileOffset + at;
    id = place.firstId + buffer.readUInt32LE(at + 8);
    if (offset >= next || standsAlone(word, at, fileOffset, marked, interval)) {
      mark(id, offset);
      next = offset + interval;
    }
    buffer.writeUInt32LE((buffer.readUInt32LE(at + 4) ^ placeMask(seed, offset, word, id)) >>> 0, at + 4);
    at += SPARSE_FRAME_BYTES + (word & 0x3fff_ffff);
  }
  return id;
}
