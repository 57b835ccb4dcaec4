/** How large the payloads of a dense commit are, told from the heads of its frames. */
import { COMMIT_HEADER_BYTES } from './commit-header.js';
import { DENSE_FRAME_BYTES, frameBytesAt, hasMetaAt } from './record-frame.js';

/** In front of metadata stands its length. */
const META_LENGTH_BYTES = 4;

/** A stretch of the commit; a frame lies in one. */
interface Chunk {
  readonly buffer: Buffer;
  readonly at: number;
  readonly length: number;
}

/** Bytes of each payload, in order, without metadata. The chunks are those of a builder that is not in use again. */
export function* payloadSizes(chunks: readonly Chunk[]): Generator<number, void, undefined> {
  for (const { buffer, at: place, length } of chunks) {
    for (let at = place === 0 ? COMMIT_HEADER_BYTES : 0; at < length; ) {
      const frameBytes = frameBytesAt(buffer, at, false);
      const metaBytes = hasMetaAt(buffer, at) ? META_LENGTH_BYTES + buffer.readUInt32LE(at + DENSE_FRAME_BYTES) : 0;
      yield frameBytes - DENSE_FRAME_BYTES - metaBytes;
      at += frameBytes;
    }
  }
}
