/**
 * Frames records into one commit, in place, in buffers of its own (*chunks*).
 *
 * Invariants: the payload is copied before it is summed, so that a caller who reuses its buffer changes nothing; a frame lies in one
 * chunk, and the chunks, end to end, are the commit; checksums are place-free until they are *tied* to file, offset and ID.
 * Nothing is allocated per record. Not for concurrent use; one commit at a time.
 *
 *     add, add, ..., finish                            the place is found at the end
 *     begin, add, add, advance, add, ..., finish       the place is known: all that `advance` has seen can be written, but for the header
 */
import { assert } from '../assert.js';
import { crc32, crc32Continued, placeMask } from '../checksum.js';
import { HeadSum, isSummedByHeads } from './commit-check.js';
import {
  COMMIT_FLAG_HEADS,
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  encodeCommitHeader,
  KIND_RECORDS,
  newCommitHeader,
  placedBodyCrc,
} from './commit-header.js';
import { DENSE_FRAME_BYTES, HEAD_BYTES, lengthWordOf, SPARSE_FRAME_BYTES } from './record-frame.js';

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

/** A stretch of a commit. */
export interface CommitChunk {
  readonly buffer: Buffer;
  /** Where in the commit its first byte stands. */
  readonly at: number;
  /** Bytes of it that are used. */
  readonly length: number;
}

export interface BuilderMark {
  readonly used: number;
  readonly length: number;
  readonly count: number;
}

/** Told ID and file offset of a frame that gets an index entry. */
export type Mark = (id: number, offset: number) => void;

const FIRST_CHUNK_BYTES = 256 * 1024;
/** Of those behind the first; a larger record has one of its own. */
const CHUNK_BYTES = 1024 * 1024;
/** What a burst made longer than this is given back. */
const BYTES_KEPT = 16 * 1024 * 1024;
const LENGTH_MASK = 0x3fff_ffff;
/** Times in a sparse commit count from one that may be earlier than its first record's: half of what a delta holds is for later ones. */
const TIME_DELTA_FIRST_MAX = 0x7fff_ffff;

class Chunk implements CommitChunk {
  readonly buffer: Buffer;
  readonly view: DataView;
  at = 0;
  length = 0;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, bytes);
  }
}

export class CommitBuilder {
  readonly #headBytes: number;
  readonly #header = newCommitHeader();
  readonly #heads = new HeadSum();
  /** Those of this commit, in order, and behind them those to be used again. */
  readonly #chunks: Chunk[] = [new Chunk(FIRST_CHUNK_BYTES)];
  #used = 1;
  #chunk: Chunk;
  #count = 0;
  #sparseFirstId = 0;
  #sparseTimestamp = 0;
  #state: 'open' | 'placed' | 'finished' = 'open';
  // While frames are tied to their places: how far that is.
  #place: CommitPlace = { seed: 0, fileOffset: 0, firstId: 0, timestamp: 0, durableOffset: 0, removalSeq: 0 };
  #summedByHeads = false;
  #interval = 0;
  #mark: Mark = () => undefined;
  #markedOffset = 0;
  #nextMark = 0;
  #tiedChunk = 0;
  #tiedTo = 0;
  #nextId = 0;
  #crc = 0;

  constructor(kind: 'dense' | 'sparse') {
    this.#headBytes = kind === 'sparse' ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
    this.#chunk = this.#firstChunk();
  }

  get count(): number {
    return this.#count;
  }

  /** Header and frames so far. */
  get length(): number {
    return this.#chunk.at + this.#chunk.length;
  }

  /** The commit, end to end. */
  get chunks(): readonly CommitChunk[] {
    return this.#chunks.slice(0, this.#used);
  }

  /** Memory held, used or not. */
  get heldBytes(): number {
    return this.#chunks.reduce((sum, { buffer }) => sum + buffer.length, 0);
  }

  /** What was added so far, to be gone back to. */
  mark(): BuilderMark {
    return { used: this.#used, length: this.#chunk.length, count: this.#count };
  }

  /** Takes out again what was added since. Not after any of it was tied to its place. */
  cutTo({ used, length, count }: BuilderMark): void {
    if (this.#state !== 'open') return;
    const chunk = this.#chunks[used - 1];
    assert(chunk !== undefined && length <= chunk.length && count <= this.#count, 'a builder goes back, not ahead');
    chunk.length = length;
    this.#chunk = chunk;
    this.#used = used;
    this.#count = count;
  }

  /** A copy of the whole commit. */
  toBuffer(): Buffer {
    return Buffer.concat(this.chunks.map(({ buffer, length }) => buffer.subarray(0, length)));
  }

  reset(): void {
    let kept = 0;
    const fits = this.#chunks.filter((chunk, i) => {
      kept += chunk.buffer.length;
      return i === 0 || kept <= BYTES_KEPT;
    });
    this.#chunks.splice(0, this.#chunks.length, ...fits);
    this.#chunk = this.#firstChunk();
    this.#count = 0;
    this.#state = 'open';
  }

  /** Adds a record to a dense commit. */
  add(payload: Uint8Array, meta: Uint8Array | undefined): void {
    assert(
      this.#headBytes === DENSE_FRAME_BYTES && this.#state !== 'finished',
      'a record was added to a commit of another kind, or to a finished one',
    );
    const bodyBytes = payload.length + (meta === undefined ? 0 : 4 + meta.length);
    const chunk = this.#room(DENSE_FRAME_BYTES + bodyBytes);
    const { buffer, view } = chunk;
    const at = chunk.length;
    const end = at + DENSE_FRAME_BYTES + bodyBytes;
    let crc: number;
    if (meta === undefined) {
      buffer.set(payload, at + DENSE_FRAME_BYTES);
      // Payload and copy are equal in this one synchronous stretch, unless another thread shares the memory.
      const isShared = payload.buffer[Symbol.toStringTag] === 'SharedArrayBuffer';
      crc = isShared ? crc32(buffer.subarray(at + DENSE_FRAME_BYTES, end)) : crc32(payload);
    } else {
      view.setUint32(at + DENSE_FRAME_BYTES, meta.length, true);
      buffer.set(meta, at + DENSE_FRAME_BYTES + 4);
      buffer.set(payload, at + DENSE_FRAME_BYTES + 4 + meta.length);
      crc = crc32(buffer.subarray(at + DENSE_FRAME_BYTES, end));
    }
    view.setUint32(at, lengthWordOf(bodyBytes, meta !== undefined), true);
    view.setUint32(at + 4, crc, true);
    chunk.length = end;
    this.#count++;
  }

  /** True if a record of this ID and time can join the sparse commit: its deltas must fit 32 bits. */
  accepts(id: number, timestamp: number): boolean {
    if (this.#count === 0) return true;
    const time = timestamp - this.#sparseTimestamp;
    return id - this.#sparseFirstId <= 0xffff_ffff && time >= 0 && time <= 0xffff_ffff;
  }

  /**
   * Adds to a sparse commit the record whose body (metadata block included) is a range of `source`. IDs must ascend. `leastTime`: of those to come,
   * if it is known; where the clock went back they fit the same commit so.
   */
  addCopy(
    id: number,
    timestamp: number,
    source: Buffer,
    bodyAt: number,
    bodyBytes: number,
    hasMeta: boolean,
    leastTime: number = timestamp,
  ): void {
    assert(
      this.#headBytes === SPARSE_FRAME_BYTES && this.#state === 'open' && this.accepts(id, timestamp),
      'a copied record does not fit the commit',
    );
    if (this.#count === 0) {
      this.#sparseFirstId = id;
      const isNear = leastTime <= timestamp && timestamp - leastTime <= TIME_DELTA_FIRST_MAX;
      this.#sparseTimestamp = isNear ? leastTime : timestamp;
    }
    const chunk = this.#room(SPARSE_FRAME_BYTES + bodyBytes);
    const { buffer, view } = chunk;
    const at = chunk.length;
    const end = at + SPARSE_FRAME_BYTES + bodyBytes;
    view.setUint32(at, lengthWordOf(bodyBytes, hasMeta), true);
    view.setUint32(at + 8, id - this.#sparseFirstId, true);
    view.setUint32(at + 12, timestamp - this.#sparseTimestamp, true);
    source.copy(buffer, at + SPARSE_FRAME_BYTES, bodyAt, bodyAt + bodyBytes);
    view.setUint32(at + 4, crc32(buffer.subarray(at + 8, end)), true);
    chunk.length = end;
    this.#count++;
  }

  get sparseFirstId(): number {
    return this.#sparseFirstId;
  }

  get sparseTimestamp(): number {
    return this.#sparseTimestamp;
  }

  /**
   * Says where the commit will stand. `mark` is told of each frame that starts `interval` bytes or more behind the one marked last, or is as
   * large itself (the first of all counts from `markedOffset`). `summedByHeads` is for good: by default it is chosen by what is there.
   */
  begin(
    place: CommitPlace,
    interval: number,
    markedOffset: number,
    mark: Mark,
    summedByHeads: boolean = isSummedByHeads(this.#count, this.length - COMMIT_HEADER_BYTES),
  ): void {
    assert(this.#state === 'open', 'a commit has one place');
    this.#state = 'placed';
    this.#place = place;
    this.#summedByHeads = summedByHeads;
    this.#interval = interval;
    this.#mark = mark;
    this.#markedOffset = markedOffset;
    this.#nextMark = firstMark(place.fileOffset, markedOffset, interval);
    this.#tiedChunk = 0;
    this.#tiedTo = COMMIT_HEADER_BYTES;
    this.#nextId = place.firstId;
    this.#crc = 0;
    this.#heads.begin();
  }

  /** Ties what was added so far to its place: it does not change any more. */
  advance(): void {
    assert(this.#state === 'placed', 'the place of a commit is known before it is tied to it');
    for (;;) {
      const chunk = this.#chunks[this.#tiedChunk];
      assert(chunk !== undefined, 'what is tied was added');
      const from = this.#tiedTo;
      if (from < chunk.length) {
        this.#tie(chunk, from);
        if (!this.#summedByHeads) this.#crc = crc32Continued(chunk.buffer.subarray(from, chunk.length), this.#crc);
        this.#tiedTo = chunk.length;
      }
      if (this.#tiedChunk + 1 >= this.#used) return;
      this.#tiedChunk++;
      this.#tiedTo = 0;
    }
  }

  /** Ties what is left and writes the header: the commit is complete. `begin` and `finish` in one where it was not begun. */
  finish(place?: CommitPlace, interval: number = 0, markedOffset: number = 0, mark: Mark = () => undefined): void {
    assert(this.#state !== 'finished' && this.#count > 0, 'a commit is finished once, and not empty');
    if (place !== undefined) this.begin(place, interval, markedOffset, mark);
    this.advance();
    this.#state = 'finished';
    const { seed, fileOffset, firstId, durableOffset, timestamp, removalSeq } = this.#place;
    const sparse = this.#headBytes === SPARSE_FRAME_BYTES;
    assert(sparse || this.#nextId === firstId + this.#count, 'a commit holds as many frames as were added');
    const bodyBytes = this.length - COMMIT_HEADER_BYTES;
    const header = this.#header;
    header.kind = KIND_RECORDS;
    header.flags = (sparse ? COMMIT_FLAG_SPARSE : 0) | (this.#summedByHeads ? COMMIT_FLAG_HEADS : 0);
    header.count = this.#count;
    header.bodyBytes = bodyBytes;
    header.bodyCrc = this.#summedByHeads
      ? placedBodyCrc(this.#heads.crc, this.#count * HEAD_BYTES, seed, fileOffset)
      : placedBodyCrc(this.#crc, bodyBytes, seed, fileOffset);
    header.firstId = firstId;
    header.durableOffset = durableOffset;
    header.timestamp = timestamp;
    header.removalSeq = removalSeq;
    const front = this.#chunks[0];
    assert(front !== undefined, 'a commit has a first chunk');
    encodeCommitHeader(front.buffer, 0, seed, fileOffset, header);
  }

  #firstChunk(): Chunk {
    const chunk = this.#chunks[0] ?? new Chunk(FIRST_CHUNK_BYTES);
    chunk.at = 0;
    chunk.length = COMMIT_HEADER_BYTES;
    this.#used = 1;
    return chunk;
  }

  /** The chunk that takes a frame of `bytes`. */
  #room(bytes: number): Chunk {
    const chunk = this.#chunk;
    return chunk.length + bytes <= chunk.buffer.length ? chunk : this.#nextChunk(bytes);
  }

  #nextChunk(bytes: number): Chunk {
    const { length } = this;
    let next = this.#chunks[this.#used];
    if (next === undefined || next.buffer.length < bytes) {
      next = new Chunk(Math.max(bytes, CHUNK_BYTES));
      this.#chunks[this.#used] = next;
    }
    this.#used++;
    next.at = length;
    next.length = 0;
    this.#chunk = next;
    return next;
  }

  /** Ties the checksums of the frames of `chunk` from `from` on, and marks those that get an index entry. */
  #tie(chunk: Chunk, from: number): void {
    const { view, length } = chunk;
    const { seed, fileOffset, firstId } = this.#place;
    const interval = this.#interval;
    const headBytes = this.#headBytes;
    const sparse = headBytes === SPARSE_FRAME_BYTES;
    const heads = this.#summedByHeads ? this.#heads : undefined;
    const base = fileOffset + chunk.at;
    const firstFrame = fileOffset + COMMIT_HEADER_BYTES;
    let next = this.#nextMark;
    let id = this.#nextId;
    for (let at = from; at < length; ) {
      const word = view.getUint32(at, true);
      const bodyBytes = word & LENGTH_MASK;
      const offset = base + at;
      if (sparse) id = firstId + view.getUint32(at + 8, true);
      // A record as large as an interval has an entry of its own, so that its size can be told from the index; but where a commit is
      // marked, that mark is its first record's.
      if (offset >= next || (bodyBytes >= interval && !(offset === firstFrame && this.#markedOffset === fileOffset))) {
        this.#mark(id, offset);
        next = offset + interval;
      }
      const crc = (view.getUint32(at + 4, true) ^ placeMask(seed, offset, word, id)) >>> 0;
      view.setUint32(at + 4, crc, true);
      if (heads !== undefined) heads.add(word, crc);
      at += headBytes + bodyBytes;
      id++;
    }
    this.#nextMark = next;
    this.#nextId = id;
  }
}

/** Where the next mark may be. A commit that is marked itself stands for its first frame: one ID has one entry. */
function firstMark(fileOffset: number, marked: number, interval: number): number {
  return marked === fileOffset ? marked + Math.max(interval, COMMIT_HEADER_BYTES + 1) : marked + interval;
}
