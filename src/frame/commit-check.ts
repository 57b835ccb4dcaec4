/**
 * Whether a commit is whole: the one place that knows the two ways in which a body is summed.
 *
 *     plain:  one checksum over all bytes of the body: a single native call, the faster one for small records
 *     heads:  one over the heads of the frames, strung together, and each frame's own over the rest: no byte of a large record is summed twice
 */
import { crc32Continued } from '../checksum.js';
import {
  COMMIT_FLAG_HEADS,
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  commitBodyCrc,
  KIND_RECORDS,
  placedBodyCrc,
} from './commit-header.js';
import { frameIsIntact, HEAD_BYTES, newFrameView, viewFrame } from './record-frame.js';

/** From this mean size of a frame on a commit is summed by its heads. Measured: below it the calls for each frame cost more than they save. */
const HEADS_FRAME_BYTES_MIN = 512;

/** Whether the writer sums a commit of so many records and bytes of body by its heads. A reader goes by the flag. */
export function isSummedByHeads(count: number, bodyBytes: number): boolean {
  return bodyBytes >= count * HEADS_FRAME_BYTES_MIN;
}

/** The checksum of heads strung together, as they come. Reused: `begin` starts anew. */
export class HeadSum {
  readonly #held: Uint8Array = new Uint8Array(8 * 1024);
  readonly #view: DataView = new DataView(this.#held.buffer);
  #length = 0;
  #crc = 0;

  begin(): void {
    this.#length = 0;
    this.#crc = 0;
  }

  /** Takes in the head of a frame: its length word, and its checksum as stored. */
  add(word: number, crc: number): void {
    if (this.#length === this.#held.length) this.#flush();
    this.#view.setUint32(this.#length, word, true);
    this.#view.setUint32(this.#length + 4, crc, true);
    this.#length += HEAD_BYTES;
  }

  get crc(): number {
    this.#flush();
    return this.#crc;
  }

  #flush(): void {
    if (this.#length > 0) this.#crc = crc32Continued(this.#held.subarray(0, this.#length), this.#crc);
    this.#length = 0;
  }
}

const heads = new HeadSum();
const frame = newFrameView();

/** True if the body of the commit whose `header` stands at `fileOffset` is whole. It lies in `buffer` at `bodyAt`, all of it. */
export function commitIsIntact(
  buffer: Buffer,
  bodyAt: number,
  header: CommitHeader,
  seed: number,
  fileOffset: number,
): boolean {
  const { kind, flags, count, bodyBytes, bodyCrc, firstId, timestamp } = header;
  const end = bodyAt + bodyBytes;
  if (kind !== KIND_RECORDS || (flags & COMMIT_FLAG_HEADS) === 0) {
    return commitBodyCrc(buffer.subarray(bodyAt, end), seed, fileOffset) === bodyCrc;
  }
  const sparse = (flags & COMMIT_FLAG_SPARSE) !== 0;
  const toFile = fileOffset + COMMIT_HEADER_BYTES - bodyAt;
  heads.begin();
  let at = bodyAt;
  for (let i = 0; i < count; i++) {
    if (!viewFrame(buffer, at, end, sparse, firstId + i, firstId, timestamp, frame)) return false;
    if (!frameIsIntact(buffer, at, frame.frameBytes, seed, toFile + at, frame.id)) return false;
    heads.add(buffer.readUInt32LE(at), buffer.readUInt32LE(at + 4));
    at += frame.frameBytes;
  }
  return at === end && placedBodyCrc(heads.crc, count * HEAD_BYTES, seed, fileOffset) === bodyCrc;
}
