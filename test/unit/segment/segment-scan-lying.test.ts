/**
 * Scanning what is rarer: commits that name their IDs, commits whose checksums hold and whose fields contradict them, large records, and what is told of
 * damage in all of them.
 */
import { describe, expect, it } from 'vitest';
import { CommitBuilder } from '../../../src/frame/commit-builder.js';
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  decodeCommitHeader,
  encodeCommitHeader,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import { IntakeMarks } from '../../../src/frame/intake-marks.js';
import { NEXT_ID_MAX } from '../../../src/ids.js';
import { encodeFooter, readFooter } from '../../../src/segment/segment-footer.js';
import { newSegmentIndex } from '../../../src/segment/segment-index.js';
import { isReadThrough, type SegmentScan, scanSegment, timesToTell } from '../../../src/segment/segment-scan.js';
import { denseCommit, MemorySource, place, SEED } from '../frame/commit-fixture.js';

const SELDOM = Number.MAX_SAFE_INTEGER;

type Lie = (header: ReturnType<typeof newCommitHeader>) => void;

/** A segment file, commit by commit. Payloads are of `bytes` bytes each. */
class Commits {
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
    expect(decodeCommitHeader(this.bytes, at, SEED, at, header)).toBe(true);
    lie(header);
    encodeCommitHeader(this.bytes, at, SEED, at, header);
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

  scan(interval = SELDOM, size = this.bytes.length): Promise<SegmentScan> {
    return scanSegment(new MemorySource(this.bytes), size, SEED, 1, interval);
  }

  #add(commit: Buffer): this {
    this.starts.push(this.bytes.length);
    this.bytes = Buffer.concat([this.bytes, commit]);
    return this;
  }
}

describe('a commit that names its IDs', () => {
  it('is taken in with its gaps, and the time of each record', async () => {
    const commits = new Commits().sparse([1, 2, 5, 6, 9], 1000).sparse([10, 20], 2000);
    const scan = await commits.scan();
    expect(scan).toMatchObject({ count: 7, firstId: 1, lastId: 20, payloadBytes: 280, lastTimeMs: 2001, damaged: [] });
    expect(scan.runs).toEqual([
      { first: 1, last: 2 },
      { first: 5, last: 6 },
      { first: 9, last: 10 },
      { first: 20, last: 20 },
    ]);
    expect(scan.times).toMatchObject({ minMs: 1000, maxMs: 2001 });
  });

  it('P9: that is damaged costs what is between the records that are there, up to the next commit', async () => {
    const commits = new Commits().sparse([1, 4], 1000).sparse([5, 8, 9], 2000).sparse([12], 3000);
    // The payload of its second record.
    commits.damage(1, COMMIT_HEADER_BYTES + 56 + 20);
    const scan = await commits.scan();
    expect(scan).toMatchObject({ count: 5, lastId: 12 });
    expect(scan.damaged).toEqual([
      {
        offset: commits.start(1),
        end: commits.start(2),
        headerIntact: true,
        allZero: false,
        firstId: 6,
        lastId: 11,
        fromMs: 2000,
        toMs: 3000,
      },
    ]);
  });

  it('P9: that is damaged, and the last, says not how far that goes', async () => {
    const commits = new Commits().sparse([1, 4], 1000).sparse([5, 8, 9], 2000);
    commits.damage(1, COMMIT_HEADER_BYTES + 56 + 20);
    const [told] = (await commits.scan()).damaged;
    expect(told).toMatchObject({ firstId: 6, lastId: 5, fromMs: 2000, toMs: undefined });
  });

  it('of whose header nothing is known: the records behind say how far it goes', async () => {
    const commits = new Commits().sparse([1, 4], 1000).sparse([5, 8], 2000).sparse([12], 3000).damage(1, 5);
    expect((await commits.scan()).damaged).toMatchObject([
      { headerIntact: false, firstId: 5, lastId: 11, fromMs: 1001, toMs: 3000 },
    ]);
  });

  it('all of whose records are salvaged costs none', async () => {
    const commits = new Commits().sparse([1, 4], 1000).sparse([7], 2000);
    commits.damage(1, COMMIT_HEADER_BYTES + 20);
    const rotten = await commits.scan();
    expect(rotten.damaged).toMatchObject([{ firstId: 7, lastId: 6, toMs: undefined }]);
    // Of the second all is there, and only the sum of its body is wrong.
    const sum = new Commits()
      .sparse([1, 4], 1000)
      .sparse([7], 2000)
      .lie((header) => {
        header.bodyCrc = (header.bodyCrc ^ 1) >>> 0;
      });
    const scan = await sum.scan();
    expect(scan).toMatchObject({ count: 3, dataEnd: sum.bytes.length });
    expect(scan.damaged).toMatchObject([{ offset: sum.start(1), firstId: 8, lastId: 7, toMs: 2000 }]);
  });
});

describe('P9: a commit whose checksums hold, and that contradicts itself', () => {
  const place = (commits: Commits, at: number) => ({
    offset: commits.start(at),
    end: commits.start(at + 1),
    headerIntact: true,
    allZero: false,
    contradicts: true,
  });

  it('tells of more records than there are: those are lost, as far as there would be room', async () => {
    const told = { fromMs: 2000, toMs: 2000 };
    const five = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 2, 2000)
      .lie((header) => {
        header.count = 5;
      });
    const scan = await five.scan();
    expect(scan).toMatchObject({ count: 4, lastId: 4, runs: [{ first: 1, last: 4 }], dataEnd: five.bytes.length });
    expect(scan.damaged).toEqual([{ ...place(five, 1), ...told, firstId: 5, lastId: 7 }]);
    const many = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 2, 2000)
      .lie((header) => {
        header.count = 0xffff_ffff;
      });
    // 96 bytes, and a frame takes 8.
    expect((await many.scan()).damaged).toEqual([{ ...place(many, 1), ...told, firstId: 5, lastId: 14 }]);
  });

  it('tells of fewer: nothing is lost, and it is no whole commit', async () => {
    const commits = new Commits()
      .dense(1, 3, 1000)
      .lie((header) => {
        header.count = 2;
      })
      .dense(4, 1, 2000);
    const scan = await commits.scan();
    expect(scan.runs).toEqual([
      { first: 1, last: 2 },
      { first: 4, last: 4 },
    ]);
    expect(scan.damaged).toEqual([{ ...place(commits, 0), firstId: 3, lastId: 2, fromMs: 1000, toMs: 1000 }]);
  });

  it('begins at an ID that was there before: none of its records is taken', async () => {
    for (const firstId of [1, 3]) {
      const commits = new Commits().dense(1, 3, 1000).dense(firstId, 4, 2000);
      const scan = await commits.scan();
      expect(scan).toMatchObject({ count: 3, lastId: 3, dataEnd: commits.start(1), payloadBytes: 120 });
      expect(scan.damaged).toEqual([
        { ...place(commits, 1), firstId: 4, lastId: firstId + 3, fromMs: 2000, toMs: 2000 },
      ]);
    }
  });

  it('reaches past the last ID that there is', async () => {
    const commits = new Commits().dense(NEXT_ID_MAX - 3, 2, 1000).lie((header) => {
      header.count = 8;
    });
    expect((await commits.scan()).damaged).toMatchObject([{ firstId: NEXT_ID_MAX - 1, lastId: NEXT_ID_MAX - 1 }]);
  });

  it('names IDs that descend: how far it goes says the next commit', async () => {
    const commits = new Commits().sparse([1, 5, 9], 1000).sparse([20], 3000);
    // The second record's distance from the first; the frame's own checksum does not matter where that of the body holds.
    const body = commits.start(0) + COMMIT_HEADER_BYTES;
    const bodyBytes = commits.start(1) - body;
    commits.bytes.writeUInt32LE(0, body + 56 + 8);
    const at = commits.start(0);
    const header = newCommitHeader();
    decodeCommitHeader(commits.bytes, at, SEED, at, header);
    header.bodyCrc = commitBodyCrc(commits.bytes.subarray(body, body + bodyBytes), SEED, at);
    encodeCommitHeader(commits.bytes, at, SEED, at, header);
    const scan = await commits.scan();
    expect(scan.runs).toEqual([
      { first: 1, last: 1 },
      { first: 20, last: 20 },
    ]);
    expect(scan.damaged).toEqual([{ ...place(commits, 0), firstId: 2, lastId: 19, fromMs: 1000, toMs: 3000 }]);
  });

  it('names fewer IDs than it has frames: the rest is none, and nothing is lost', async () => {
    const commits = new Commits()
      .sparse([1, 5], 1000)
      .lie((header) => {
        header.count = 1;
      })
      .sparse([20], 3000);
    const scan = await commits.scan();
    expect(scan.damaged).toEqual([{ ...place(commits, 0), firstId: 2, lastId: 1, fromMs: 1000, toMs: 1000 }]);
  });

  it('is of a kind that is not known: it is passed over, and is no damage', async () => {
    const commits = new Commits()
      .dense(1, 1, 1000)
      .dense(2, 1, 2000)
      .lie((header) => {
        header.kind = 77;
      })
      .dense(2, 1, 3000);
    expect(await commits.scan()).toMatchObject({ count: 2, lastId: 2, damaged: [], dataEnd: commits.bytes.length });
  });
});

describe('P9: what damage of commits with running IDs costs', () => {
  it('at the front of a commit, in its middle, and at its end: the salvaged records are not among it', async () => {
    for (const [hit, firstId, lastId] of [
      [0, 3, 3],
      [1, 4, 4],
      [2, 5, 5],
    ] as const) {
      const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000).dense(6, 1, 3000);
      commits.damage(1, COMMIT_HEADER_BYTES + hit * 48 + 20);
      const scan = await commits.scan();
      expect(scan.damaged).toMatchObject([{ firstId, lastId, fromMs: 2000, toMs: 2000 }]);
      expect(scan.count).toBe(5);
    }
  });

  it('two commits in a row: where the second has its header the first ends in front of it', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000).dense(6, 2, 3000).dense(8, 1, 4000);
    commits.damage(1, 5).damage(2, COMMIT_HEADER_BYTES + 20);
    expect((await commits.scan()).damaged).toMatchObject([
      { firstId: 3, lastId: 5, fromMs: 1000, toMs: 3000 },
      { firstId: 6, lastId: 6, fromMs: 3000, toMs: 3000 },
    ]);
  });

  it('of the first commit has no neighbour in front', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000).damage(0, 5);
    const scan = await commits.scan();
    expect(scan).toMatchObject({ firstId: 3, count: 3 });
    expect(scan.damaged).toMatchObject([{ firstId: 1, lastId: 2, fromMs: undefined, toMs: 2000 }]);
  });

  it('where nothing is salvaged of it the data ends in front of it', async () => {
    const commits = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 1, 2000)
      .damage(1, COMMIT_HEADER_BYTES + 20);
    expect(await commits.scan()).toMatchObject({ dataEnd: commits.start(1), end: commits.bytes.length, count: 2 });
    const half = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 2, 2000)
      .damage(1, COMMIT_HEADER_BYTES + 20);
    expect(await half.scan()).toMatchObject({ dataEnd: half.bytes.length, count: 3 });
  });
});

describe('the index that a scan makes', () => {
  it('has an entry for a record as large as the interval, wherever it stands, and none for the next small one', async () => {
    const small = (id: number): Buffer => Buffer.alloc(10, id);
    const records = [small(1), Buffer.alloc(200), small(3), Buffer.alloc(300), small(5)].map((payload) => ({
      payload,
    }));
    const at = FILE_HEADER_BYTES;
    const commit = denseCommit(records, place(at, 1));
    const bytes = Buffer.concat([Buffer.alloc(at), commit]);
    const { index } = await scanSegment(new MemorySource(bytes), bytes.length, SEED, 1, 200);
    const frames = at + COMMIT_HEADER_BYTES;
    expect(index.ids).toEqual([1, 2, 3, 4, 5]);
    expect(index.offsets).toEqual([at, frames + 18, frames + 18 + 208, frames + 244, frames + 244 + 308]);
    expect(index.mids).toEqual([0, 1, 1, 1, 1]);
    const wider = await scanSegment(new MemorySource(bytes), bytes.length, SEED, 1, 201);
    expect(wider.index.ids).toEqual([1, 3, 4, 5]);
    expect(wider.index.wide).toEqual([{ offset: at, end: bytes.length, firstId: 1, timestamp: 1_700_000_000_000 }]);
    expect((await scanSegment(new MemorySource(bytes), bytes.length, SEED, 1, SELDOM)).index).toEqual({
      ids: [1],
      offsets: [at],
      mids: [0],
      wide: [],
    });
  });

  it('keeps the runs of which it was told only where no entry is told of', async () => {
    const commits = new Commits().sparse([1, 5, 9], 1000);
    const source = new MemorySource(commits.bytes);
    const told: number[] = [];
    const scan = await scanSegment(source, commits.bytes.length, SEED, 1, 0, undefined, (id) => told.push(id));
    expect(scan.runs).toEqual([{ first: 9, last: 9 }]);
    expect(told).toEqual([1, 5, 9]);
    expect(scan.index.wide).toEqual([]);
  });
});

describe('what else a scan tells', () => {
  it('says how far it is, about every 16 MiB', async () => {
    const commits = new Commits()
      .dense(1, 1, 1000, 17 * 1024 * 1024)
      .dense(2, 1, 2000)
      .dense(3, 1, 3000);
    const told: number[] = [];
    const source = new MemorySource(commits.bytes);
    await scanSegment(source, commits.bytes.length, SEED, 1, SELDOM, (bytes) => told.push(bytes));
    expect(told).toEqual([commits.start(1)]);
  });

  it('remembers what came in, of records with metadata', async () => {
    const records = [
      { payload: Buffer.from('a') },
      { payload: Buffer.from('b'), meta: { messageId: 'm' } },
      { payload: Buffer.from('c'), meta: { headers: { a: 'b' } } },
    ];
    const commit = denseCommit(records, place(FILE_HEADER_BYTES, 1, { timestamp: 77 }));
    const bytes = Buffer.concat([Buffer.alloc(FILE_HEADER_BYTES), commit]);
    const marks = new IntakeMarks();
    const source = new MemorySource(bytes);
    const scan = await scanSegment(source, bytes.length, SEED, 1, SELDOM, undefined, undefined, marks);
    expect(scan.moved).toEqual([]);
    expect(scan.payloadBytes).toBe(3);
    const again = new IntakeMarks();
    again.note({ messageId: 'm' }, 2, 77);
    expect(marks).toEqual(again);
  });

  it('tells times least first, and none where none is known', () => {
    expect(timesToTell()).toEqual({});
    expect(timesToTell(undefined, undefined)).toEqual({});
    expect(timesToTell(5, undefined)).toEqual({ fromMs: 5, toMs: 5 });
    expect(timesToTell(undefined, 0)).toEqual({ fromMs: 0, toMs: 0 });
    expect(timesToTell(9, 4)).toEqual({ fromMs: 4, toMs: 9 });
  });

  it('P15: a segment is read through where all that its footer counts is there, and nothing is damaged', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 2, 2000);
    const dataEnd = commits.bytes.length;
    const footer = (count: number): Buffer => {
      const numbers = { count, firstId: 1, lastId: count, payloadBytes: 160, dataEnd, removalSeq: 0, replaces: [] };
      const summary = { ...numbers, minTimeMs: 1000, maxTimeMs: 2000, runs: undefined };
      return encodeFooter(summary, newSegmentIndex(), SEED, dataEnd, 5);
    };
    const isRead = async (bytes: Buffer): Promise<boolean> => {
      const source = new MemorySource(bytes);
      const read = await readFooter(source, bytes.length, SEED);
      if (read === undefined) throw new Error('there is a footer');
      return isReadThrough(source, read, SEED, 1);
    };
    const whole = Buffer.concat([commits.bytes, footer(4)]);
    expect(await isRead(whole)).toBe(true);
    expect(await isRead(Buffer.concat([commits.bytes, footer(3)]))).toBe(false);
    for (const at of [commits.start(1) + 5, commits.start(1) + COMMIT_HEADER_BYTES + 3]) {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ 1;
      expect(await isRead(bad)).toBe(false);
    }
  });
});
