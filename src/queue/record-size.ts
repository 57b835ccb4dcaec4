/**
 * What a record takes in a commit, and the most that one may have.
 */
import { EvaqError } from '../errors.js';
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import { DENSE_FRAME_BYTES, SPARSE_FRAME_BYTES } from '../frame/record-frame.js';

/**
 * The largest body of a record, metadata included: a rewrite gives it the longer frame, in a commit of its own. What the options allow is below;
 * a move adds its own metadata.
 */
export const BODY_BYTES_MAX: number = COMMIT_BODY_BYTES_MAX - SPARSE_FRAME_BYTES;

/** In front of metadata stands its length. */
const META_LENGTH_BYTES = 4;

/** What a record takes in a commit. */
export function frameBytesOf(payload: Uint8Array, meta: Uint8Array | undefined): number {
  return payload.length + DENSE_FRAME_BYTES + (meta === undefined ? 0 : meta.length + META_LENGTH_BYTES);
}

export function tooLarge(bytes: number, limit: number, what: string): EvaqError {
  return new EvaqError('EVAQ_RECORD_TOO_LARGE', `${what} has ${bytes} bytes; at most ${limit} are allowed`, {
    details: { bytes, limit },
  });
}
