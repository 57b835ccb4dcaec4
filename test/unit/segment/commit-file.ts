/** Segment files in memory, commit by commit; what they say can be made wrong, and their checksums right. */
import { CommitBuilder } from '../../../src/frame/commit-builder.js';
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  decodeCommitHeader,
  encodeCommitHeader,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import { type SegmentScan, scanSegment } from '../../../src/segment/segment-scan.js';
import { denseCommit, MemorySource, place, SEED } from '../frame/commit-fixture.js';

/** No index entry but the first. */
export const SELDOM: number = Number.MAX_SAFE_INTEGER;

type Lie = (header: ReturnType<typeof newCommitHeader>) => void;

/** A segment file, commit by commit. Payloads are of `bytes` bytes each. */
export class Commits {
  bytes: Buffer = Buffer.alloc(FILE_HEADER_BYTES);
  readonly starts: number[] = [];

  dense(firstId: number, count: number, timestamp: number, payloadBytes = 40): this {
    const records = Array.from({ length: count }, (_, i) => ({ payload: Buffer.alloc(payloadBytes, 65 + i) }));
    return this.#add(denseCommit(records, place(this.bytes.length, firstId, { timestamp })));
  }

  /** Frames of these IDs; the times count on from `timestamp`. */
  sparse(ids: readonly number[], timestamp: number, payloadBytes = 40): this {
    const builder = new CommitBuilder('sparse');
    const payload = Buffer.alloc(payloadBytes, 97);
    for (const [i, id] of ids.entries()) builder.addCopy(id, timestamp + i, payload, 0, payloadBytes, false, timestamp);
    builder.finish(place(this.bytes.length, ids[0] ?? 0, { timestamp }), SELDOM, 0, () => undefined);
    return this.#add(builder.toBuffer());
  }

  /** The last commit says something else, and its checksums hold. */
  lie(lie: Lie): this {
    const at = this.starts.at(-1) ?? 0;
    const header = newCommitHeader();
    if (!decodeCommitHeader(this.bytes, at, SEED, at, header)) throw new Error('there is a commit');
    lie(header);
    encodeCommitHeader(this.bytes, at, SEED, at, header);
    return this;
  }

  /** Bytes of the body of the last commit are others, and the sum of the body is right. */
  rewrite(change: (body: Buffer) => void): this {
    const at = this.starts.at(-1) ?? 0;
    const body = this.bytes.subarray(at + COMMIT_HEADER_BYTES);
    change(body);
    return this.lie((header) => {
      header.bodyCrc = commitBodyCrc(body, SEED, at);
    });
  }

  /** Bytes that are no commit. */
  hole(bytes: number): this {
    this.bytes = Buffer.concat([this.bytes, Buffer.alloc(bytes)]);
    return this;
  }

  damage(commit: number, at: number): this {
    const offset = this.start(commit) + at;
    this.bytes[offset] = (this.bytes[offset] ?? 0) ^ 0x10;
    return this;
  }

  start(commit: number): number {
    return this.starts[commit] ?? this.bytes.length;
  }

  scan(interval: number = SELDOM, size: number = this.bytes.length): Promise<SegmentScan> {
    return scanSegment(new MemorySource(this.bytes), size, SEED, 1, interval);
  }

  #add(commit: Buffer): this {
    this.starts.push(this.bytes.length);
    this.bytes = Buffer.concat([this.bytes, commit]);
    return this;
  }
}
