import { describe, expect, it } from 'vitest';
import { placeMask } from '../../../src/checksum.js';
import { CommitBuilder } from '../../../src/frame/commit-builder.js';
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  decodeCommitHeader,
  encodeCommitHeader,
  KIND_RECORDS,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { encodeMeta } from '../../../src/frame/metadata.js';
import {
  DENSE_FRAME_BYTES,
  frameIsIntact,
  newFrameView,
  SPARSE_FRAME_BYTES,
  viewFrame,
} from '../../../src/frame/record-frame.js';
import { denseCommit, place, recordsOf, SEED, scanAll, textsOf } from './commit-fixture.js';

const silent = (): void => undefined;

describe('a commit header', () => {
  const header = {
    kind: KIND_RECORDS,
    flags: 1,
    count: 0xffff_ffff,
    bodyBytes: 0x3fff_ffff,
    bodyCrc: 0xdead_beef,
    firstId: Number.MAX_SAFE_INTEGER,
    durableOffset: 2 ** 40,
    timestamp: 2 ** 47,
    removalSeq: 0x1_0000_0007,
  };

  it('comes back at its place, the number of removals by its low half', () => {
    const buffer = Buffer.alloc(100);
    encodeCommitHeader(buffer, 20, SEED, 4096, header);
    const read = newCommitHeader();
    expect(decodeCommitHeader(buffer, 20, SEED, 4096, read)).toBe(true);
    expect(read).toEqual({ ...header, removalSeq: 7 });
  });

  it('P3: is invalid in another file, at another offset, and with any bit flipped', () => {
    const buffer = Buffer.alloc(COMMIT_HEADER_BYTES);
    encodeCommitHeader(buffer, 0, SEED, 4096, header);
    const into = newCommitHeader();
    expect(decodeCommitHeader(buffer, 0, SEED + 1, 4096, into)).toBe(false);
    for (const offset of [0, 4095, 4097, 8192, 4096 + 2 ** 32])
      expect(decodeCommitHeader(buffer, 0, SEED, offset, into)).toBe(false);
    for (let bit = 0; bit < COMMIT_HEADER_BYTES * 8; bit++) {
      const flipped = Buffer.from(buffer);
      flipped[bit >>> 3] = (flipped[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeCommitHeader(flipped, 0, SEED, 4096, into)).toBe(false);
    }
  });

  it('a length past the cap is refused although its checksum holds', () => {
    const buffer = Buffer.alloc(COMMIT_HEADER_BYTES);
    encodeCommitHeader(buffer, 0, SEED, 0, { ...header, bodyBytes: 0x4000_0000 });
    expect(decodeCommitHeader(buffer, 0, SEED, 0, newCommitHeader())).toBe(false);
  });
});

describe('a commit builder', () => {
  it('P3: a payload that the caller changes after the push is stored as it was', async () => {
    for (const length of [5, 5000]) {
      const builder = new CommitBuilder('dense');
      const payload = Buffer.alloc(length, 'a');
      builder.add(payload, undefined);
      payload.fill('b');
      const meta = encodeMeta({ reason: 'x' });
      builder.add(payload, meta);
      meta.fill(0);
      payload.fill('c');
      builder.finish(place(0, 1), Number.MAX_SAFE_INTEGER, 0, silent);
      const bytes = builder.toBuffer();
      expect(await textsOf(bytes)).toEqual(['a'.repeat(length), 'b'.repeat(length)]);
    }
  });

  it('P3: memory that is shared with other threads is summed as it was copied', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(1000)).fill(7);
    const bytes = denseCommit(
      [{ payload: shared }, { payload: shared.subarray(0, 3), meta: { reason: 'r' } }],
      place(128, 1),
    );
    shared.fill(8);
    const file = Buffer.concat([Buffer.alloc(128), bytes]);
    const [commit] = await scanAll(file, 128);
    expect(commit).toMatchObject({
      kind: 'commit',
      records: [{ payload: Buffer.alloc(1000, 7) }, { payload: Buffer.alloc(3, 7) }],
    });
  });

  it('a view into a larger buffer is stored without its surroundings', async () => {
    const bytes = denseCommit([{ payload: Buffer.from('xxabcxx').subarray(2, 5) }], place(0, 1));
    expect(await textsOf(bytes)).toEqual(['abc']);
  });

  it('takes 8 bytes a record and 48 a commit', () => {
    const builder = new CommitBuilder('dense');
    builder.add(Buffer.alloc(0), undefined);
    builder.add(Buffer.alloc(100), undefined);
    expect(builder.length).toBe(COMMIT_HEADER_BYTES + 2 * DENSE_FRAME_BYTES + 100);
    expect(builder.count).toBe(2);
  });

  it('can be used again after a reset, and gives back what a burst took', async () => {
    const builder = new CommitBuilder('dense');
    builder.add(Buffer.alloc(17 * 1024 * 1024), undefined);
    const burst = builder.heldBytes;
    builder.finish(place(0, 1), Number.MAX_SAFE_INTEGER, 0, silent);
    builder.reset();
    expect(builder.heldBytes).toBeLessThan(burst / 10);
    builder.add(Buffer.from('again'), undefined);
    builder.finish(place(0, 9), Number.MAX_SAFE_INTEGER, 0, silent);
    expect(await textsOf(builder.toBuffer())).toEqual(['again']);
  });

  it('marks the frames that start an interval or more behind the last mark', () => {
    const builder = new CommitBuilder('dense');
    for (let i = 0; i < 10; i++) builder.add(Buffer.alloc(92), undefined);
    const marks: [number, number][] = [];
    builder.finish(place(1000, 50), 250, 1000, (id, offset) => marks.push([id, offset]));
    // Frames of 100 bytes from 1048 on; 1250 is the first border.
    expect(marks).toEqual([
      [53, 1348],
      [56, 1648],
      [59, 1948],
    ]);
    const every: number[] = [];
    const one = new CommitBuilder('dense');
    for (let i = 0; i < 3; i++) one.add(Buffer.alloc(1), undefined);
    one.finish(place(0, 1), 0, 0, (id) => every.push(id));
    // The commit's own mark, at its header, stands for its first frame.
    expect(every).toEqual([2, 3]);
  });

  it('a copied record keeps its ID, its time and its metadata, byte for byte', () => {
    const meta = { headers: { a: 'b' }, attempts: 4 };
    const source = denseCommit(
      [{ payload: Buffer.from('one') }, { payload: Buffer.from('two'), meta }],
      place(128, 70),
    );
    const header = newCommitHeader();
    expect(decodeCommitHeader(source, 0, SEED, 128, header)).toBe(true);
    const view = newFrameView();
    const builder = new CommitBuilder('sparse');
    let at = COMMIT_HEADER_BYTES;
    for (const [id, timestamp] of [
      [70, 1000],
      [2 ** 32, 1005],
    ] as const) {
      viewFrame(source, at, source.length, false, id, 70, header.timestamp, view);
      const bodyBytes = view.frameBytes - DENSE_FRAME_BYTES;
      builder.addCopy(id, timestamp, source, at + DENSE_FRAME_BYTES, bodyBytes, view.metaAt > 0);
      at += view.frameBytes;
    }
    expect(builder.accepts(70 + 2 ** 32 - 1, 1005)).toBe(true);
    expect(builder.accepts(70 + 2 ** 32, 1005)).toBe(false);
    expect(builder.accepts(2 ** 32 + 1, 999)).toBe(false);
    const to = place(4096, builder.sparseFirstId, { timestamp: builder.sparseTimestamp });
    const marks: number[] = [];
    builder.finish(to, 1, 0, (id) => marks.push(id));
    expect(marks).toEqual([70, 2 ** 32]);
    const copy = builder.toBuffer();
    expect(decodeCommitHeader(copy, 0, SEED, 4096, header)).toBe(true);
    expect(header.flags).toBe(COMMIT_FLAG_SPARSE);
    expect(commitBodyCrc(copy.subarray(COMMIT_HEADER_BYTES), SEED, 4096)).toBe(header.bodyCrc);
    expect(recordsOf(header, copy, COMMIT_HEADER_BYTES)).toEqual([
      { id: 70, timestamp: 1000, payload: Buffer.from('one'), meta: undefined },
      { id: 2 ** 32, timestamp: 1005, payload: Buffer.from('two'), meta },
    ]);
    const first = COMMIT_HEADER_BYTES;
    expect(frameIsIntact(copy, first, SPARSE_FRAME_BYTES + 3, SEED, 4096 + first, 70)).toBe(true);
    expect(frameIsIntact(copy, first, SPARSE_FRAME_BYTES + 3, SEED, 4096 + first, 71)).toBe(false);
  });

  it('refuses what only a bug can ask for', () => {
    const builder = new CommitBuilder('dense');
    expect(() => builder.finish(place(0, 1), 1, 0, silent)).toThrow(/not empty/);
    builder.add(Buffer.from('x'), undefined);
    expect(() => builder.addCopy(1, 1, Buffer.from('x'), 0, 1, false)).toThrow(/does not fit/);
    builder.finish(place(0, 1), 1, 0, silent);
    expect(() => builder.finish(place(0, 1), 1, 0, silent)).toThrow(/once/);
    expect(() => builder.add(Buffer.from('x'), undefined)).toThrow(/finished/);
    expect(() => new CommitBuilder('sparse').add(Buffer.from('x'), undefined)).toThrow(/another kind/);
  });
});

describe('a record frame', () => {
  it('P3: is valid only in its place, in its file, and under its ID', () => {
    const offset = 8192 + COMMIT_HEADER_BYTES;
    const commit = denseCommit([{ payload: Buffer.from('payload') }], place(8192, 5));
    const bytes = DENSE_FRAME_BYTES + 7;
    expect(frameIsIntact(commit, COMMIT_HEADER_BYTES, bytes, SEED, offset, 5)).toBe(true);
    expect(frameIsIntact(commit, COMMIT_HEADER_BYTES, bytes, SEED ^ 1, offset, 5)).toBe(false);
    expect(frameIsIntact(commit, COMMIT_HEADER_BYTES, bytes, SEED, offset + 512, 5)).toBe(false);
    expect(frameIsIntact(commit, COMMIT_HEADER_BYTES, bytes, SEED, offset, 6)).toBe(false);
    expect(frameIsIntact(commit, COMMIT_HEADER_BYTES, bytes, SEED, offset, 5 + 2 ** 32)).toBe(false);
  });

  it('P3: every flipped bit of it is noticed', () => {
    const commit = denseCommit([{ payload: Buffer.from('payload'), meta: { reason: 'r' } }], place(0, 5));
    const bytes = commit.length - COMMIT_HEADER_BYTES;
    for (let bit = 0; bit < bytes * 8; bit++) {
      const flipped = Buffer.from(commit);
      const at = COMMIT_HEADER_BYTES + (bit >>> 3);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
      expect(frameIsIntact(flipped, COMMIT_HEADER_BYTES, bytes, SEED, COMMIT_HEADER_BYTES, 5)).toBe(false);
    }
  });

  it('that does not fit into its commit is not shown', () => {
    const commit = denseCommit([{ payload: Buffer.from('payload'), meta: { reason: 'r' } }], place(0, 5));
    const view = newFrameView();
    const shown = (buffer: Buffer, end: number): boolean =>
      viewFrame(buffer, COMMIT_HEADER_BYTES, end, false, 5, 5, 0, view);
    expect(shown(commit, commit.length)).toBe(true);
    for (let end = COMMIT_HEADER_BYTES; end < commit.length; end++) expect(shown(commit, end)).toBe(false);
    const reserved = Buffer.from(commit);
    reserved[COMMIT_HEADER_BYTES + 3] = (reserved[COMMIT_HEADER_BYTES + 3] ?? 0) | 0x40;
    expect(shown(reserved, reserved.length)).toBe(false);
    const longMeta = Buffer.from(commit);
    longMeta.writeUInt32LE(0xffff_ffff, COMMIT_HEADER_BYTES + DENSE_FRAME_BYTES);
    expect(shown(longMeta, longMeta.length)).toBe(false);
  });

  it('the mask depends on every bit of seed, offset, length and ID', () => {
    const base = placeMask(1, 2, 3, 4);
    const others: number[] = [];
    for (let bit = 0; bit < 32; bit++) {
      others.push(placeMask((1 ^ (1 << bit)) >>> 0, 2, 3, 4), placeMask(1, (2 ^ (1 << bit)) >>> 0, 3, 4));
      others.push(placeMask(1, 2, (3 ^ (1 << bit)) >>> 0, 4), placeMask(1, 2, 3, (4 ^ (1 << bit)) >>> 0));
    }
    for (let bit = 32; bit < 53; bit++) others.push(placeMask(1, 2 + 2 ** bit, 3, 4), placeMask(1, 2, 3, 4 + 2 ** bit));
    expect(others).not.toContain(base);
  });
});
