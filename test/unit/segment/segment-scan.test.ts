import { describe, expect, it } from 'vitest';
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  encodeCommitHeader,
  KIND_LINK,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import { encodeFooter } from '../../../src/segment/segment-footer.js';
import { newSegmentIndex } from '../../../src/segment/segment-index.js';
import { type SegmentScan, scanSegment } from '../../../src/segment/segment-scan.js';
import { denseCommit, MemorySource, place, SEED, type TestRecord } from '../frame/commit-fixture.js';

const EVERY = 0;
const SELDOM = Number.MAX_SAFE_INTEGER;

function linkTo(segmentId: number, durableOffset: number): Buffer {
  const bytes = Buffer.alloc(COMMIT_HEADER_BYTES);
  const header = newCommitHeader();
  header.kind = KIND_LINK;
  header.firstId = segmentId;
  header.durableOffset = durableOffset;
  header.bodyCrc = commitBodyCrc(bytes.subarray(0, 0), SEED, FILE_HEADER_BYTES);
  encodeCommitHeader(bytes, 0, SEED, FILE_HEADER_BYTES, header);
  return bytes;
}

/** A segment file of the given commits. `durable` of each: what it promises. */
class TestSegment {
  bytes: Buffer = Buffer.alloc(FILE_HEADER_BYTES);
  nextId = 1;
  readonly starts: number[] = [];

  link(segmentId: number, durableOffset: number): this {
    this.bytes = Buffer.concat([this.bytes, linkTo(segmentId, durableOffset)]);
    return this;
  }

  commit(records: readonly TestRecord[], durableOffset = 0, timestamp = 1000 * (this.starts.length + 1)): this {
    const at = this.bytes.length;
    this.starts.push(at);
    const part = denseCommit(
      records,
      place(at, this.nextId, { durableOffset, timestamp, removalSeq: this.starts.length }),
    );
    this.nextId += records.length;
    this.bytes = Buffer.concat([this.bytes, part]);
    return this;
  }

  texts(...texts: string[]): this {
    return this.commit(texts.map((text) => ({ payload: Buffer.from(text) })));
  }

  damage(at: number): this {
    this.bytes[at] = (this.bytes[at] ?? 0) ^ 0x10;
    return this;
  }

  start(i: number): number {
    return this.starts[i] ?? Number.NaN;
  }

  scan(interval = EVERY, size = this.bytes.length): Promise<SegmentScan> {
    return scanSegment(new MemorySource(this.bytes), size, SEED, 1, interval);
  }
}

describe('scanning a segment', () => {
  it('an empty one has no records and ends behind its header', async () => {
    expect(await new TestSegment().scan()).toMatchObject({
      count: 0,
      firstId: 1,
      lastId: 0,
      end: FILE_HEADER_BYTES,
      damaged: [],
    });
  });

  it('tells the entries of the index instead of keeping them, and keeps nothing that grows with the records', async () => {
    const segment = new TestSegment().texts('a', 'bc').texts('d', 'e', 'f');
    const kept = await segment.scan(0);
    const told: number[][] = [];
    const source = new MemorySource(segment.bytes);
    const scan = await scanSegment(source, segment.bytes.length, SEED, 1, 0, undefined, (...entry) => told.push(entry));
    const { ids, offsets, mids } = kept.index;
    expect(told).toEqual([...ids].map((id, i) => [id, offsets[i], mids[i]]));
    expect(told).toHaveLength(5);
    expect(scan.index).toEqual(newSegmentIndex());
    expect({ ...scan, index: kept.index }).toEqual(kept);
  });

  it('says what is there', async () => {
    const origin = { queue: 'wal', id: 9, timestamp: 5 };
    const segment = new TestSegment()
      .link(42, 9999)
      .texts('a', 'bc')
      .commit([{ payload: Buffer.from('def'), meta: { origin } }, { payload: Buffer.alloc(0) }], 176);
    const scan = await segment.scan();
    expect(scan).toMatchObject({
      count: 4,
      firstId: 1,
      lastId: 4,
      times: { minMs: 1000, maxMs: 2000 },
      lastTimeMs: 2000,
      payloadBytes: 6,
      dataEnd: segment.bytes.length,
      end: segment.bytes.length,
      runs: [{ first: 1, last: 4 }],
      moved: [{ id: 3, origin }],
      link: { segmentId: 42, durableOffset: 9999 },
      promisedOffset: 176,
      removalSeq: 2,
      damaged: [],
      footerAt: -1,
    });
    expect(scan.index.ids).toEqual([1, 2, 3, 4]);
    expect(scan.index.mids).toEqual([0, 1, 0, 1]);
    expect(scan.index.wide.map(({ offset, firstId }) => [offset, firstId])).toEqual([
      [segment.start(0), 1],
      [segment.start(1), 3],
    ]);
  });

  it('what a link promises is of another file, and never of this one', async () => {
    const scan = await new TestSegment().link(42, 1_000_000).texts('a').scan();
    expect(scan.promisedOffset).toBe(0);
    const alone = new TestSegment().link(42, 1_000_000);
    expect(await alone.scan()).toMatchObject({ promisedOffset: 0, dataEnd: alone.bytes.length, count: 0 });
  });

  it('the highest promise counts, whichever commit makes it', async () => {
    const records = [{ payload: Buffer.from('a') }];
    const segment = new TestSegment().commit(records).commit(records, 176).commit(records, 128);
    expect((await segment.scan()).promisedOffset).toBe(176);
  });

  it('indexes by the interval, at the start of commits where it can', async () => {
    const segment = new TestSegment();
    for (let i = 0; i < 10; i++) segment.commit([{ payload: Buffer.alloc(100) }]);
    const scan = await segment.scan(300);
    // 156 bytes a commit: every second one.
    expect(scan.index.ids).toEqual([1, 3, 5, 7, 9]);
    expect(scan.index.mids).toEqual([0, 0, 0, 0, 0]);
    expect((await segment.scan(SELDOM)).index.ids).toEqual([1]);
  });

  it('P9: a rotten body costs its damaged record only, and names that', async () => {
    const segment = new TestSegment().texts('a1').texts('b1', 'b2', 'b3').texts('c1');
    segment.damage(segment.start(1) + COMMIT_HEADER_BYTES + 10 + 9);
    const scan = await segment.scan(SELDOM);
    expect(scan.runs).toEqual([
      { first: 1, last: 2 },
      { first: 4, last: 5 },
    ]);
    expect(scan.count).toBe(4);
    expect(scan.damaged).toMatchObject([
      { offset: segment.start(1), end: segment.start(2), headerIntact: true, firstId: 3, lastId: 3 },
    ]);
    expect(scan.dataEnd).toBe(segment.bytes.length);
    // A reader must come by to salvage the same records.
    expect(scan.index.offsets).toContain(segment.start(1));
  });

  it('P9: a rotten header costs its commit, whose IDs follow from the neighbours', async () => {
    const segment = new TestSegment().texts('a1', 'a2').texts('b1', 'b2', 'b3').texts('c1');
    segment.damage(segment.start(1) + 5);
    const scan = await segment.scan();
    expect(scan.runs).toEqual([
      { first: 1, last: 2 },
      { first: 6, last: 6 },
    ]);
    expect(scan.damaged).toMatchObject([
      {
        offset: segment.start(1),
        end: segment.start(2),
        headerIntact: false,
        firstId: 3,
        lastId: 5,
        fromMs: 1000,
        toMs: 3000,
      },
    ]);
  });

  it('a torn end names no IDs that it cannot know', async () => {
    const segment = new TestSegment().texts('a1').texts('b1', 'b2');
    const scan = await segment.scan(EVERY, segment.start(1) + 20);
    expect(scan.damaged).toMatchObject([{ offset: segment.start(1), headerIntact: false, firstId: 2, lastId: 1 }]);
    expect(scan).toMatchObject({ dataEnd: segment.start(1), lastId: 1 });
    const cutBody = await segment.scan(EVERY, segment.bytes.length - 1);
    expect(cutBody.damaged).toMatchObject([{ offset: segment.start(1), headerIntact: true, firstId: 3, lastId: 3 }]);
  });

  it('sees a footer, which is no data', async () => {
    const segment = new TestSegment().texts('a1');
    const dataEnd = segment.bytes.length;
    const base = {
      count: 1,
      firstId: 1,
      lastId: 1,
      minTimeMs: 0,
      maxTimeMs: 0,
      payloadBytes: 2,
      removalSeq: 9,
      runs: undefined,
      replaces: [],
    };
    const footer = encodeFooter({ ...base, dataEnd }, newSegmentIndex(), SEED, dataEnd, 5);
    segment.bytes = Buffer.concat([segment.bytes, footer]);
    expect(await segment.scan()).toMatchObject({
      footerAt: dataEnd,
      dataEnd,
      end: segment.bytes.length,
      promisedOffset: dataEnd,
      removalSeq: 9,
    });
  });

  it('an unreadable disk is an error and not damage', async () => {
    const broken = { readAt: () => Promise.reject(Object.assign(new Error('EIO'), { errno: -5, code: 'EIO' })) };
    await expect(scanSegment(broken, 10_000, SEED, 1, 0)).rejects.toMatchObject({ code: 'EIO' });
  });
});
