/** Commits and files of commits in memory, for the tests of everything that reads them. */
import { CommitBuilder, type CommitPlace } from '../../../src/frame/commit-builder.js';
import { COMMIT_FLAG_SPARSE, type CommitHeader } from '../../../src/frame/commit-header.js';
import { CommitScanner, type ScanOutcome, type ScanSource } from '../../../src/frame/commit-scanner.js';
import { decodeMeta, encodeMeta, type RecordMeta } from '../../../src/frame/metadata.js';
import { newFrameView, viewFrame } from '../../../src/frame/record-frame.js';

export interface TestRecord {
  readonly payload: Uint8Array;
  readonly meta?: RecordMeta;
}

export interface ReadBack {
  readonly id: number;
  readonly timestamp: number;
  readonly payload: Buffer;
  readonly meta: RecordMeta | undefined;
}

export const SEED = 0x1234_5678;

export function place(fileOffset: number, firstId: number, more: Partial<CommitPlace> = {}): CommitPlace {
  return { seed: SEED, fileOffset, firstId, timestamp: 1_700_000_000_000, durableOffset: 0, removalSeq: 0, ...more };
}

/** One dense commit. */
export function denseCommit(records: readonly TestRecord[], at: CommitPlace): Buffer {
  const builder = new CommitBuilder('dense');
  for (const { payload, meta } of records) builder.add(payload, meta === undefined ? undefined : encodeMeta(meta));
  builder.finish(at, Number.MAX_SAFE_INTEGER, 0, () => undefined);
  return builder.toBuffer();
}

/** A dense commit of short texts. */
export function textCommit(
  texts: readonly string[],
  fileOffset: number,
  firstId: number,
  more?: Partial<CommitPlace>,
): Buffer {
  return denseCommit(
    texts.map((text) => ({ payload: Buffer.from(text) })),
    place(fileOffset, firstId, more),
  );
}

/** A file in memory; counts what is read of it. */
export class MemorySource implements ScanSource {
  bytes: Buffer;
  reads = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    this.reads++;
    const end = Math.min(position + length, this.bytes.length);
    if (end <= position) return Promise.resolve(0);
    target.set(this.bytes.subarray(position, end), offset);
    return Promise.resolve(end - position);
  }
}

/** The records of the commit that `scanner` stands on, copied. */
export function recordsOf(header: CommitHeader, buffer: Buffer, bodyAt: number): ReadBack[] {
  const records: ReadBack[] = [];
  const view = newFrameView();
  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  const end = bodyAt + header.bodyBytes;
  let at = bodyAt;
  for (let i = 0; i < header.count; i++) {
    if (!viewFrame(buffer, at, end, sparse, header.firstId + i, header.firstId, header.timestamp, view)) {
      throw new Error(`frame ${i} of a commit whose checksum held does not fit`);
    }
    const meta = buffer.subarray(view.metaAt, view.metaAt + view.metaBytes);
    records.push({
      id: view.id,
      timestamp: view.timestamp,
      payload: Buffer.from(buffer.subarray(view.payloadAt, view.payloadAt + view.payloadBytes)),
      meta: view.metaBytes === 0 ? undefined : decodeMeta(meta),
    });
    at += view.frameBytes;
  }
  if (at !== end) throw new Error('bytes are left over behind the last frame of a commit');
  return records;
}

export type Seen =
  | { readonly kind: 'commit'; readonly offset: number; readonly records: readonly ReadBack[] }
  | {
      readonly kind: 'bad';
      readonly offset: number;
      readonly end: number;
      readonly headerIntact: boolean;
      readonly allZero: boolean;
    };

/** Everything that a scan of `bytes` meets. */
export async function scanAll(
  bytes: Buffer,
  from = 0,
  limit: number = bytes.length,
  seed: number = SEED,
): Promise<Seen[]> {
  const scanner = new CommitScanner(new MemorySource(bytes), seed, from, limit, 'resync');
  const seen: Seen[] = [];
  for (;;) {
    const outcome: ScanOutcome = await scanner.next();
    if (outcome === 'end') return seen;
    if (outcome === 'commit') {
      const records = recordsOf(scanner.header, scanner.buffer, scanner.bodyAt);
      seen.push({ kind: 'commit', offset: scanner.offset, records });
    } else {
      seen.push({ kind: 'bad', ...scanner.bad });
    }
  }
}

/** Texts of the intact records, in the order of the file. */
export async function textsOf(bytes: Buffer, seed: number = SEED): Promise<string[]> {
  const seen = await scanAll(bytes, 0, bytes.length, seed);
  return seen.flatMap((one) => (one.kind === 'commit' ? one.records.map((record) => record.payload.toString()) : []));
}
