/** What is salvaged of a bad range, for a scanner that stands on it and for who knows its place: with what the index tells, and without. */
import { describe, expect, it } from 'vitest';
import { COMMIT_HEADER_BYTES } from '../../../src/frame/commit-header.js';
import { CommitScanner } from '../../../src/frame/commit-scanner.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import {
  type OnIntact,
  type SalvagedPlace,
  type SalvageIndex,
  salvageAt,
  salvageBad,
} from '../../../src/segment/segment-salvage.js';
import { denseCommit, MemorySource, place, SEED } from '../frame/commit-fixture.js';
import { Commits } from './commit-file.js';

/** ID, offset in the file, and the first byte of the payload. */
type Seen = readonly [number, number, string];

function note(seen: Seen[]): OnIntact {
  return ({ id, payloadAt }, buffer, _at, offset) =>
    seen.push([id, offset, buffer.toString('latin1', payloadAt, payloadAt + 1)]);
}

function sourceOf(bytes: Buffer, index?: SalvageIndex, rewritten = false) {
  return { source: new MemorySource(bytes), seed: SEED, rewritten, index };
}

/** What is told of all bad ranges of a file. */
async function salvaged(bytes: Buffer, index?: SalvageIndex, limit = bytes.length, rewritten = false): Promise<Seen[]> {
  const from = sourceOf(bytes, index, rewritten);
  const scanner = new CommitScanner(from.source, SEED, FILE_HEADER_BYTES, limit, 'resync');
  const seen: Seen[] = [];
  for (let outcome = await scanner.next(); outcome !== 'end'; outcome = await scanner.next())
    if (outcome === 'bad') await salvageBad(scanner, from, note(seen));
  return seen;
}

/** Of 40 bytes of payload each. */
function frameAt(commits: Commits, commit: number, nth: number): number {
  return commits.start(commit) + COMMIT_HEADER_BYTES + nth * 48;
}

describe('P15: a bad range whose header is intact', () => {
  it('tells the records that are whole, with the places of their frames', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000).dense(6, 1, 3000);
    commits.damage(1, COMMIT_HEADER_BYTES + 48 + 20);
    expect(await salvaged(commits.bytes)).toEqual([
      [3, frameAt(commits, 1, 0), 'A'],
      [5, frameAt(commits, 1, 2), 'C'],
    ]);
  });

  it('tells nothing of a commit that is none of records', async () => {
    const commits = new Commits().dense(1, 3, 1000).lie((header) => {
      header.kind = 77;
    });
    commits.damage(0, COMMIT_HEADER_BYTES + 20);
    expect(await salvaged(commits.bytes)).toEqual([]);
  });

  it('tells a record behind much damage that nothing confirms, where the index names its place', async () => {
    // Zeros are the heads of empty records, as far as one can see.
    const payloads = [Buffer.alloc(4000), ...['B', 'C', 'D'].map((text) => Buffer.alloc(40, text))];
    const at = FILE_HEADER_BYTES;
    const commit = denseCommit(
      payloads.map((payload) => ({ payload })),
      place(at, 1),
    );
    const bytes = Buffer.concat([Buffer.alloc(at), commit]);
    const second = at + COMMIT_HEADER_BYTES + 4008;
    // The length of the first record, and the payload of the third.
    for (const bad of [at + COMMIT_HEADER_BYTES, second + 48 + 20]) bytes[bad] = (bytes[bad] ?? 0) ^ 1;
    const last: Seen = [4, second + 96, 'D'];
    expect(await salvaged(bytes)).toEqual([last]);
    const index = { ids: [1, 2], offsets: [at, second], mids: [0, 1], wide: [] };
    expect(await salvaged(bytes, index)).toEqual([[2, second, 'B'], last]);
    // The same, of a commit whose header is gone, too.
    const wide = [{ offset: at, end: bytes.length, firstId: 1, timestamp: 5 }];
    bytes[at + 5] = (bytes[at + 5] ?? 0) ^ 1;
    expect(await salvaged(bytes, { ...index, wide })).toEqual([[2, second, 'B'], last]);
  });
});

describe('P15: a bad range whose header is gone', () => {
  async function indexed(commits: Commits): Promise<SalvageIndex> {
    const { index } = await commits.scan(60);
    expect(index.wide.length).toBe(commits.starts.length);
    return index;
  }

  it('tells nothing without an index', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000).damage(1, 5);
    expect(await salvaged(commits.bytes)).toEqual([]);
  });

  it('tells those of the wide commits that lie in it, and of no others', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000).dense(6, 2, 3000).dense(8, 2, 4000);
    const index = await indexed(commits);
    commits.damage(1, 5).damage(2, 5);
    expect(await salvaged(commits.bytes, index)).toEqual([
      [3, frameAt(commits, 1, 0), 'A'],
      [4, frameAt(commits, 1, 1), 'B'],
      [5, frameAt(commits, 1, 2), 'C'],
      [6, frameAt(commits, 2, 0), 'A'],
      [7, frameAt(commits, 2, 1), 'B'],
    ]);
  });

  it('tells those in front of where the file is cut off, wherever that is', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 3, 2000);
    const index = await indexed(commits);
    commits.damage(1, 5);
    for (const [limit, ids] of [
      [frameAt(commits, 1, 2), [3, 4]],
      [frameAt(commits, 1, 1) + 7, [3]],
      [frameAt(commits, 1, 0), []],
      [commits.start(1) + 20, []],
    ] as const) {
      const seen = await salvaged(commits.bytes, index, limit);
      expect(seen.map(([id]) => id)).toEqual(ids);
    }
  });

  it('tells a last record that nothing but the end of its commit confirms, since the index says which is behind it', async () => {
    const at = FILE_HEADER_BYTES;
    const payloads = [Buffer.alloc(40, 'A'), Buffer.alloc(4000), Buffer.alloc(40, 'C')];
    const commit = denseCommit(
      payloads.map((payload) => ({ payload })),
      place(at, 1),
    );
    const next = at + commit.length;
    const behind = denseCommit([{ payload: Buffer.alloc(40, 'D') }], place(next, 4));
    const bytes = Buffer.concat([Buffer.alloc(at), commit, behind]);
    const first = at + COMMIT_HEADER_BYTES;
    // The header, and the length of the second record.
    for (const bad of [at + 5, first + 48]) bytes[bad] = (bytes[bad] ?? 0) ^ 1;
    const wide = [{ offset: at, end: next, firstId: 1, timestamp: 5 }];
    const A: Seen = [1, first, 'A'];
    expect(await salvaged(bytes, { ids: [1, 4], offsets: [at, next], mids: [0, 0], wide })).toEqual([
      A,
      [3, first + 48 + 4008, 'C'],
    ]);
    // Where nothing tells how many there are it stays in doubt.
    expect(await salvaged(bytes, { ids: [1], offsets: [at], mids: [0], wide })).toEqual([A]);
  });

  it('of a copy tells the IDs that its frames name', async () => {
    const commits = new Commits().sparse([1, 5, 9], 1000).sparse([20, 30], 2000);
    const index = await indexed(commits);
    commits.damage(0, 5);
    const seen = await salvaged(commits.bytes, index, commits.bytes.length, true);
    expect(seen.map(([id]) => id)).toEqual([1, 5, 9]);
  });
});

describe('P15: who knows the place of a commit', () => {
  async function at(
    commits: Commits,
    offset: number,
  ): Promise<{ readonly place: SalvagedPlace; readonly seen: Seen[] }> {
    const seen: Seen[] = [];
    const ids = { first: 0, last: Number.MAX_SAFE_INTEGER };
    const place = await salvageAt(sourceOf(commits.bytes), offset, commits.bytes.length, ids, note(seen));
    return { place, seen };
  }

  it('is told all of one that is whole, its end, and its last ID', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 2, 2000).sparse([10, 15], 3000);
    expect(await at(commits, commits.start(1))).toEqual({
      place: { end: commits.start(2), lastId: 4 },
      seen: [
        [3, frameAt(commits, 1, 0), 'A'],
        [4, frameAt(commits, 1, 1), 'B'],
      ],
    });
    expect(await at(commits, commits.start(2))).toEqual({
      place: { end: commits.bytes.length, lastId: 15 },
      seen: [
        [10, commits.start(2) + COMMIT_HEADER_BYTES, 'a'],
        [15, commits.start(2) + COMMIT_HEADER_BYTES + 56, 'a'],
      ],
    });
  });

  it('P3: is told no record out of order of one that is whole and contradicts itself, as who scans is not', async () => {
    for (const ids of [
      [10, 15, 12, 20],
      [10, 15, 15, 20],
      [10, 15, 10, 20],
    ]) {
      const commits = new Commits().sparse([1, 2], 1000).sparse(ids, 2000).sparse([30], 3000);
      const { seen } = await at(commits, commits.start(1));
      expect(seen.map(([id]) => id)).toEqual([10, 15, 20]);
      expect((await commits.scan()).count).toBe(2 + seen.length + 1);
    }
  });

  it('is told the whole records of one that is not, and where the next begins', async () => {
    const commits = new Commits().dense(1, 2, 1000).dense(3, 2, 2000).dense(9, 2, 3000);
    commits.damage(1, COMMIT_HEADER_BYTES + 20);
    expect(await at(commits, commits.start(1))).toEqual({
      place: { end: commits.start(2), lastId: 8 },
      seen: [[4, frameAt(commits, 1, 1), 'B']],
    });
  });

  it('goes on over what is no commit of records', async () => {
    const commits = new Commits()
      .dense(1, 1, 1000)
      .lie((header) => {
        header.kind = 77;
      })
      .dense(2, 2, 2000);
    expect(await at(commits, commits.start(0))).toEqual({ place: { end: commits.start(1), lastId: 1 }, seen: [] });
  });

  it('is told where nothing more follows', async () => {
    const commits = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 2, 2000)
      .damage(1, COMMIT_HEADER_BYTES + 20);
    const { length } = commits.bytes;
    expect(await at(commits, commits.start(1))).toEqual({
      place: { end: length, lastId: undefined },
      seen: [[4, frameAt(commits, 1, 1), 'B']],
    });
    expect(await at(commits, length)).toEqual({ place: { end: length, lastId: undefined }, seen: [] });
  });

  it('is told none of one whose first record has no room', async () => {
    const commits = new Commits()
      .dense(1, 2, 1000)
      .dense(3, 1, 2000)
      .rewrite((body) => body.writeUInt32LE(4000, 0));
    const place = { end: commits.bytes.length, lastId: undefined };
    expect(await at(commits, commits.start(1))).toEqual({ place, seen: [] });
    commits.dense(9, 1, 3000);
    expect(await at(commits, commits.start(1))).toEqual({ place: { end: commits.start(2), lastId: 8 }, seen: [] });
  });

  it('is told as many records as there are of one that says there are more or fewer', async () => {
    for (const [count, ids] of [
      [1, [3]],
      [9, [3, 4]],
    ] as const) {
      const commits = new Commits()
        .dense(1, 2, 1000)
        .dense(3, 2, 2000)
        .lie((header) => {
          header.count = count;
        });
      const { place, seen } = await at(commits, commits.start(1));
      expect(place).toEqual({ end: commits.bytes.length, lastId: undefined });
      expect(seen.map(([id]) => id)).toEqual(ids);
    }
  });
});
