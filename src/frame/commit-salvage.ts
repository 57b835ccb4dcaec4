/**
 * Reading a commit whose body fails its checksum, record by record: each frame carries a checksum of its own, so what is
 * intact can be told from what is not, and is never given up with it. The one salvage: readers, GC, `verify` and repair find
 * the same records by it. FORMAT.md, chapter 10, has its rules.
 *
 * From a *known place*, of which offset and ID are certain (the front of the body, the end of an intact frame, an entry of the
 * index), frames follow each other. At one that is not intact the next is looked for
 *  - where the length words lead from there: each leads to one place and one ID, which chance does not fit;
 *  - at every later offset, whatever the length words say: what fits there has to be confirmed by what follows it, or to be one of few tries.
 */
import { crc32, maskedId } from '../checksum.js';
import { COMMIT_FLAG_SPARSE, type CommitHeader } from './commit-header.js';
import {
  DENSE_FRAME_BYTES,
  type FrameView,
  frameBytesAt,
  frameIsIntact,
  newFrameView,
  SPARSE_FRAME_BYTES,
  viewFrame,
} from './record-frame.js';

/** An entry of the index within a commit: the frame of this record stands at this offset of the file. */
export interface Landmark {
  readonly id: number;
  readonly offset: number;
}

/** So many times a checksum may be tried against possible IDs before a fit that nothing confirms is no proof: one in 2^24 is by chance. */
const UNCONFIRMED_TRIES_MAX = 256;
/** What the search may sum: so many times the body, and so much more. A payload made of lengths must not make it quadratic. */
const SEARCH_FACTOR = 4;
const SEARCH_BYTES_MIN = 4 * 1024 * 1024;

const frame = newFrameView();
const probe = newFrameView();

/**
 * Calls `intact` for each record of the commit that is provably whole, in ID order. `bodyAt` and `bodyHeld` bound what is there of the body in
 * `buffer`; the body stands at `fileOffsetOfBody`. `landmarks` ascend. The view is reused.
 */
export function salvageCommit(
  buffer: Buffer,
  bodyAt: number,
  bodyHeld: number,
  header: CommitHeader,
  seed: number,
  fileOffsetOfBody: number,
  intact: (frame: FrameView, at: number) => void,
  landmarks: readonly Landmark[] = [],
): void {
  const body = new DamagedBody(buffer, bodyAt, bodyHeld, header, seed, fileOffsetOfBody);
  let mark = 0;
  let at = bodyAt;
  let nextId = header.firstId;
  while (at < body.end) {
    while (mark < landmarks.length && body.placeOf(landmarks[mark]) < at) mark++;
    const landmark = landmarks[mark];
    const stop = Math.min(body.placeOf(landmark), body.end);
    if (stop === at && landmark !== undefined) {
      nextId = landmark.id;
      mark++;
      continue;
    }
    if (body.isIntact(at, stop, nextId, frame)) {
      intact(frame, at);
      at += frame.frameBytes;
      nextId = frame.id + 1;
      continue;
    }
    // A length that is wrong may lead past intact frames: so what lies between is searched.
    const led = body.ledTo(at, stop, nextId);
    const bound = led === undefined ? landmark : body.landmarkAt(led);
    const next = body.searched(at, led?.at ?? stop, nextId, bound) ?? led;
    if (next === undefined) {
      // What lies in front of the next known place is given up.
      if (landmark === undefined || body.placeOf(landmark) > body.end) return;
      at = stop;
      continue;
    }
    ({ at, id: nextId } = next);
  }
}

interface Place {
  readonly at: number;
  readonly id: number;
}

/** One body, and how much has been summed in search of its frames. */
class DamagedBody {
  readonly end: number;
  readonly #buffer: Buffer;
  readonly #header: CommitHeader;
  readonly #sparse: boolean;
  readonly #seed: number;
  /** From a place in the buffer to the offset in the file. */
  readonly #toFile: number;
  /** Where the body would end if all of it were there. */
  readonly #fullEnd: number;
  readonly #lastId: number;
  #left: number;

  constructor(buffer: Buffer, bodyAt: number, bodyHeld: number, header: CommitHeader, seed: number, offset: number) {
    this.#buffer = buffer;
    this.#header = header;
    this.#sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
    this.#seed = seed;
    this.#toFile = offset - bodyAt;
    this.end = bodyAt + bodyHeld;
    this.#fullEnd = bodyAt + header.bodyBytes;
    const ids = this.#sparse ? 0x1_0000_0000 : header.count;
    this.#lastId = Math.min(header.firstId + ids - 1, Number.MAX_SAFE_INTEGER - 1);
    this.#left = SEARCH_FACTOR * bodyHeld + SEARCH_BYTES_MIN;
  }

  placeOf(landmark: Landmark | undefined): number {
    return landmark === undefined ? Infinity : landmark.offset - this.#toFile;
  }

  landmarkAt({ at, id }: Place): Landmark {
    return { id, offset: at + this.#toFile };
  }

  /** Whether the frame at `at` is intact: that of `id`, or where frames name their IDs, of one from `id` on. */
  isIntact(at: number, stop: number, id: number, into: FrameView): boolean {
    return (
      id <= this.#lastId &&
      this.#view(at, stop, id, into) &&
      into.id >= id &&
      into.id <= this.#lastId &&
      frameIsIntact(this.#buffer, at, into.frameBytes, this.#seed, this.#toFile + at, into.id)
    );
  }

  /** The next intact frame behind the bad one at `at`, of record `badId`, by the length words. */
  ledTo(at: number, stop: number, badId: number): Place | undefined {
    const headBytes = this.#sparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
    for (let id = badId; at + headBytes <= stop; ) {
      at += frameBytesAt(this.#buffer, at, this.#sparse);
      id++;
      this.#left -= headBytes;
      if (at + headBytes > stop || this.#left < 0) return undefined;
      // Frames that name their IDs may be of any from here on.
      const least = this.#sparse ? badId + 1 : id;
      if (!this.#view(at, stop, least, probe)) continue;
      this.#left -= probe.frameBytes;
      if (this.isIntact(at, stop, least, probe)) return { at, id: probe.id };
    }
    return undefined;
  }

  /** The next intact frame behind the bad one at `from`, wherever it stands. */
  searched(from: number, stop: number, badId: number, landmark: Landmark | undefined): Place | undefined {
    const headBytes = this.#sparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES;
    const highest = landmark !== undefined && this.placeOf(landmark) === stop ? landmark.id - 1 : this.#lastId;
    let tried = 0;
    for (let at = from + 1; at + headBytes <= stop; at++) {
      if (!this.#view(at, stop, badId + 1, probe)) continue;
      // Each record that was passed takes the head of a frame at least.
      const most = this.#sparse ? probe.id : Math.min(highest, badId + Math.floor((at - from) / DENSE_FRAME_BYTES));
      const least = this.#sparse ? probe.id : badId + 1;
      if (least <= badId || most < least || most > highest) continue;
      const { frameBytes } = probe;
      this.#left -= frameBytes;
      if (this.#left < 0) return undefined;
      tried++;
      const id = this.#idOf(at, frameBytes, least, most);
      if (id === undefined) continue;
      const isFew = tried * (most - least + 1) <= UNCONFIRMED_TRIES_MAX;
      if (isFew || this.#isConfirmed(at + frameBytes, stop, id, landmark)) return { at, id };
    }
    return undefined;
  }

  /** Whether what stands at the end of a frame says that it is that of `id`. */
  #isConfirmed(end: number, stop: number, id: number, landmark: Landmark | undefined): boolean {
    if (landmark !== undefined && end === this.placeOf(landmark)) {
      return this.#sparse ? landmark.id > id : landmark.id === id + 1;
    }
    if (end === this.#fullEnd) return this.#sparse || id === this.#lastId;
    return this.isIntact(end, stop, id + 1, probe);
  }

  /** The ID, among the possible ones, under which the checksum of the frame at `at` holds. */
  #idOf(at: number, frameBytes: number, least: number, most: number): number | undefined {
    const word = this.#buffer.readUInt32LE(at);
    const mask = crc32(this.#buffer.subarray(at + 8, at + frameBytes)) ^ this.#buffer.readUInt32LE(at + 4);
    return maskedId(mask >>> 0, this.#seed, this.#toFile + at, word, least, most);
  }

  #view(at: number, stop: number, id: number, into: FrameView): boolean {
    const { firstId, timestamp } = this.#header;
    return viewFrame(this.#buffer, at, stop, this.#sparse, id, firstId, timestamp, into);
  }
}
