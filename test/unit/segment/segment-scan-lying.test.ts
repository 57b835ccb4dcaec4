/**
 * Scanning what is rarer: commits that name their IDs, commits whose checksums hold and whose fields contradict them, large records, and what is told of
 * damage in all of them.
 */
import { describe, expect, it } from 'vitest';
import { COMMIT_HEADER_BYTES } from '../../../src/frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import { IntakeMarks } from '../../../src/frame/intake-marks.js';
import { NEXT_ID_MAX } from '../../../src/ids.js';
import { encodeFooter, readFooter } from '../../../src/segment/segment-footer.js';
import { newSegmentIndex } from '../../../src/segment/segment-index.js';
import { isReadThrough, scanSegment, timesToTell } from '../../../src/segment/segment-scan.js';
import { denseCommit, MemorySource, place, SEED } from '../frame/commit-fixture.js';
import { Commits, SELDOM } from './commit-file.js';

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

  it('begins at an ID that was there before: of its records the higher ones are taken', async () => {
    for (const firstId of [1, 3]) {
      const commits = new Commits().dense(1, 3, 1000).dense(firstId, 4, 2000);
      const scan = await commits.scan();
      expect(scan).toMatchObject({ count: firstId + 3, lastId: firstId + 3, dataEnd: commits.bytes.length });
      expect(scan.runs).toEqual([{ first: 1, last: firstId + 3 }]);
      // How far what it held goes is said by what follows.
      expect(scan.damaged).toMatchObject([
        { ...place(commits, 1), firstId: 4, lastId: 3, fromMs: 2000, toMs: undefined },
      ]);
    }
    const low = new Commits().dense(8, 3, 1000).dense(1, 3, 2000).dense(14, 1, 3000);
    expect((await low.scan()).damaged).toMatchObject([{ ...place(low, 1), firstId: 11, lastId: 13, toMs: 3000 }]);
  });

  it('begins behind the last record of the segment, or names one: that is none', async () => {
    const salvage = { rewritten: false, index: undefined, lastId: 6 };
    const scanOf = (commits: Commits): ReturnType<typeof scanSegment> =>
      scanSegment(
        new MemorySource(commits.bytes),
        commits.bytes.length,
        SEED,
        1,
        SELDOM,
        undefined,
        undefined,
        undefined,
        salvage,
      );
    const behind = new Commits().dense(1, 2, 1000).dense(70, 2, 2000).dense(5, 2, 3000);
    expect(await scanOf(behind)).toMatchObject({
      count: 4,
      lastId: 6,
      damaged: [{ ...place(behind, 1), firstId: 3, lastId: 4 }],
    });
    const named = new Commits().sparse([1, 2, 900], 1000).sparse([5, 6], 3000);
    expect(await scanOf(named)).toMatchObject({
      count: 4,
      lastId: 6,
      damaged: [{ ...place(named, 0), firstId: 3, lastId: 4 }],
    });
  });

  it('reaches past the last ID that there is', async () => {
    const commits = new Commits().dense(NEXT_ID_MAX - 3, 2, 1000).lie((header) => {
      header.count = 8;
    });
    expect((await commits.scan()).damaged).toMatchObject([{ firstId: NEXT_ID_MAX - 1, lastId: NEXT_ID_MAX - 1 }]);
  });

  it('names IDs that descend: what is intact behind them is there, and how far it goes says the next commit', async () => {
    // The second record's distance from the first; the frame's own checksum does not matter where that of the body holds.
    const commits = new Commits()
      .sparse([1, 5, 9], 1000)
      .rewrite((body) => body.writeUInt32LE(0, 56 + 8))
      .sparse([20], 3000);
    const scan = await commits.scan();
    expect(scan.runs).toEqual([
      { first: 1, last: 1 },
      { first: 9, last: 9 },
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

  it('has no room for its first record: nothing of it is taken', async () => {
    const commits = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 1, 2000)
      .rewrite((body) => body.writeUInt32LE(4000, 0));
    const scan = await commits.scan();
    expect(scan).toMatchObject({ count: 2, lastId: 2, runs: [{ first: 1, last: 2 }], times: { maxMs: 1000 } });
    expect(scan.damaged).toEqual([{ ...place(commits, 1), firstId: 3, lastId: 3, fromMs: 2000, toMs: 2000 }]);
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

  it('is nothing where there is no room for a record between two commits', async () => {
    const commits = new Commits().dense(1, 2, 1000).hole(20).dense(3, 1, 2000);
    expect((await commits.scan()).damaged).toMatchObject([{ firstId: 3, lastId: 2, fromMs: 1000, toMs: 2000 }]);
  });

  it('says nothing of where it ends by a commit that speaks of records in front of it', async () => {
    const commits = new Commits().dense(1, 3, 1000).dense(4, 2, 2000).dense(2, 1, 3000).dense(6, 1, 4000);
    commits.damage(1, 5).damage(2, COMMIT_HEADER_BYTES + 20);
    const scan = await commits.scan();
    expect(scan.damaged).toMatchObject([
      { firstId: 4, lastId: 3, fromMs: 1000, toMs: undefined },
      { firstId: 2, lastId: 2, toMs: 3000 },
    ]);
    expect(scan.runs).toEqual([
      { first: 1, last: 3 },
      { first: 6, last: 6 },
    ]);
  });

  it('of a commit whose records were there before: those that were are not taken twice', async () => {
    for (const [hit, runs, count] of [
      [0, [{ first: 1, last: 4 }], 4],
      [2, [{ first: 1, last: 3 }], 3],
    ] as const) {
      const commits = new Commits().dense(1, 3, 1000).dense(2, 3, 2000);
      commits.damage(1, COMMIT_HEADER_BYTES + hit * 48 + 20);
      expect(await commits.scan()).toMatchObject({ count, runs });
    }
  });

  it('of a footer is of no records', async () => {
    const commits = new Commits().dense(1, 2, 1000);
    const dataEnd = commits.bytes.length;
    const numbers = { count: 2, firstId: 1, lastId: 2, payloadBytes: 80, dataEnd, removalSeq: 0, replaces: [] };
    const summary = { ...numbers, minTimeMs: 1000, maxTimeMs: 1000, runs: undefined };
    commits.bytes = Buffer.concat([commits.bytes, encodeFooter(summary, newSegmentIndex(), SEED, dataEnd, 5)]);
    const at = commits.bytes.length - 20;
    commits.bytes[at] = (commits.bytes[at] ?? 0) ^ 1;
    const scan = await commits.scan();
    expect(scan).toMatchObject({ footerAt: dataEnd, dataEnd });
    expect(scan.damaged).toMatchObject([{ offset: dataEnd, firstId: 3, lastId: 2, isFooter: true }]);
  });

  it('names the commit in the index once, by its first record that is there', async () => {
    const commits = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 4, 2000)
      .damage(1, COMMIT_HEADER_BYTES + 48 + 20);
    const { index } = await commits.scan();
    expect(index.ids).toEqual([1, 3]);
    expect(index.offsets).toEqual([commits.start(0), commits.start(1)]);
    const front = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 4, 2000)
      .damage(1, COMMIT_HEADER_BYTES + 20);
    expect((await front.scan()).index.ids).toEqual([1, 4]);
  });

  it('is nothing where the index of its footer tells what a rotten header told', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 4, 2000).dense(7, 1, 3000);
    const { index } = await commits.scan(60);
    expect(index.wide.map(({ firstId }) => firstId)).toContain(3);
    commits.damage(1, 5);
    const source = new MemorySource(commits.bytes);
    const salvage = { rewritten: false, index };
    const { length } = commits.bytes;
    const scan = await scanSegment(source, length, SEED, 1, SELDOM, undefined, undefined, undefined, salvage);
    expect(scan).toMatchObject({ count: 7, runs: [{ first: 1, last: 7 }] });
    expect(scan.damaged).toMatchObject([{ headerIntact: false, firstId: 7, lastId: 6, toMs: 3000 }]);
    // It stands in no index: nobody comes by it without the one that told of it.
    expect(scan.index.ids).toEqual([1]);
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

  it('goes by the interval to the byte, from commit to commit and from frame to frame', async () => {
    const commits = new Commits().dense(1, 1, 1000).dense(2, 1, 2000).dense(3, 1, 3000);
    const apart = commits.start(1) - commits.start(0);
    expect((await commits.scan(apart)).index).toMatchObject({ ids: [1, 2, 3], mids: [0, 0, 0] });
    // The commit is too near, and its record is not.
    expect((await commits.scan(apart + 1)).index).toMatchObject({ ids: [1, 2], mids: [0, 1] });
    const frames = new Commits().dense(1, 3, 1000);
    expect((await frames.scan(COMMIT_HEADER_BYTES + 48)).index.ids).toEqual([1, 2]);
    expect((await frames.scan(COMMIT_HEADER_BYTES + 49)).index.ids).toEqual([1, 3]);
  });

  it('has one for the first record of a commit that has none, where it is large', async () => {
    const commits = new Commits().dense(1, 1, 1000).dense(2, 1, 2000, 300);
    const { index } = await commits.scan(200);
    expect(index.ids).toEqual([1, 2]);
    expect(index.offsets).toEqual([commits.start(0), commits.start(1) + COMMIT_HEADER_BYTES]);
    expect(index.mids).toEqual([0, 1]);
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
  it('says how far it is, about every 16 MiB; where that throws nobody reads on', async () => {
    const large = 17 * 1024 * 1024;
    const commits = new Commits().dense(1, 1, 1000, large).dense(2, 1, 2000, large).dense(3, 1, 3000);
    const told: number[] = [];
    let reading = 0;
    const { length } = commits.bytes;
    const memory = new MemorySource(commits.bytes);
    const slow: MemorySource['readAt'] = async (...read) => {
      reading++;
      await new Promise(setImmediate);
      const bytes = await memory.readAt(...read);
      reading--;
      return bytes;
    };
    await scanSegment(memory, length, SEED, 1, SELDOM, (bytes) => told.push(bytes));
    expect(told).toEqual([commits.start(1), commits.start(2) - commits.start(1)]);
    const stop = (): void => {
      throw new Error('that is enough');
    };
    await expect(scanSegment({ readAt: slow }, length, SEED, 1, SELDOM, stop)).rejects.toThrow('enough');
    expect(reading).toBe(0);
    expect(await scanSegment(memory, length, SEED, 1, SELDOM)).toMatchObject({ count: 3 });
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
    // All records are there, and the sum of their commit is not right.
    const wrong = new Commits().dense(1, 4, 1000).lie((header) => {
      header.bodyCrc = (header.bodyCrc ^ 1) >>> 0;
    });
    const summary = { count: 4, firstId: 1, lastId: 4, payloadBytes: 160, removalSeq: 0, replaces: [] };
    const end = wrong.bytes.length;
    const times = { minTimeMs: 1000, maxTimeMs: 1000, runs: undefined };
    const its = encodeFooter({ ...summary, ...times, dataEnd: end }, newSegmentIndex(), SEED, end, 5);
    expect(await isRead(Buffer.concat([wrong.bytes, its]))).toBe(false);
    for (const at of [commits.start(1) + 5, commits.start(1) + COMMIT_HEADER_BYTES + 3]) {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ 1;
      expect(await isRead(bad)).toBe(false);
    }
  });
});
