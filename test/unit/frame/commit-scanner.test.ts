import { describe, expect, it } from 'vitest';
import { COMMIT_HEADER_BYTES, decodeCommitHeader, newCommitHeader } from '../../../src/frame/commit-header.js';
import { salvageCommit } from '../../../src/frame/commit-salvage.js';
import { CommitScanner } from '../../../src/frame/commit-scanner.js';
import { denseCommit, MemorySource, place, recordsOf, SEED, scanAll, textCommit, textsOf } from './commit-fixture.js';

const MIB = 1024 * 1024;

/** Three commits of two records each; `starts` are their offsets. */
function threeCommits(): { bytes: Buffer; starts: [number, number, number] } {
  const a = textCommit(['a1', 'a2'], 0, 1);
  const b = textCommit(['b1', 'b2'], a.length, 3);
  const c = textCommit(['c1', 'c2'], a.length + b.length, 5);
  return { bytes: Buffer.concat([a, b, c]), starts: [0, a.length, a.length + b.length] };
}

describe('the scanner', () => {
  it('walks the commits in order and ends behind the last', async () => {
    const { bytes, starts } = threeCommits();
    const scanner = new CommitScanner(new MemorySource(bytes), SEED, 0, bytes.length, 'resync');
    const offsets: number[] = [];
    while ((await scanner.next()) === 'commit') offsets.push(scanner.offset);
    expect(offsets).toEqual(starts);
    expect(scanner.offset).toBe(bytes.length);
    expect(await scanner.next()).toBe('end');
  });

  it('P9: goes on at the next valid commit after a bad header', async () => {
    const { bytes, starts } = threeCommits();
    bytes[starts[1] + 20] = 0xff;
    expect(await scanAll(bytes)).toMatchObject([
      { kind: 'commit', offset: 0 },
      { kind: 'bad', offset: starts[1], end: starts[2], headerIntact: false, allZero: false },
      { kind: 'commit', offset: starts[2] },
    ]);
  });

  it('P9: steps over a bad body by the length in its header', async () => {
    const { bytes, starts } = threeCommits();
    bytes[starts[1] + COMMIT_HEADER_BYTES + 10] = 0xff;
    expect(await scanAll(bytes)).toMatchObject([
      { kind: 'commit', offset: 0 },
      { kind: 'bad', offset: starts[1], end: starts[2], headerIntact: true, allZero: false },
      { kind: 'commit', offset: starts[2] },
    ]);
  });

  it('reports zeros at the end as such, whatever their number', async () => {
    const { bytes } = threeCommits();
    for (const zeros of [1, 47, 48, 4096, 2 * MIB + 5]) {
      const file = Buffer.concat([bytes, Buffer.alloc(zeros)]);
      const seen = await scanAll(file);
      expect(seen.length).toBe(4);
      expect(seen[3]).toEqual({
        kind: 'bad',
        offset: bytes.length,
        end: file.length,
        headerIntact: false,
        allZero: true,
      });
    }
  });

  // Not `allZero`: what follows the hole is more than zeros, so a cut there throws something away.
  it('finds a commit behind a hole of zeros, across the borders of its chunks', async () => {
    const first = textCommit(['first'], 0, 1);
    for (const hole of [100, MIB - first.length - 20, MIB - 47, MIB, 3 * MIB + 13]) {
      const at = first.length + hole;
      const file = Buffer.concat([first, Buffer.alloc(hole), textCommit(['last'], at, 2)]);
      expect(await scanAll(file)).toMatchObject([
        { kind: 'commit' },
        { kind: 'bad', offset: first.length, end: at, allZero: false },
        { kind: 'commit', offset: at },
      ]);
    }
  });

  it('finds a commit behind noise that is full of its magic', async () => {
    const magic = Buffer.alloc(MIB + 100);
    for (let i = 0; i + 1 < magic.length; i += 2) magic.writeUInt16LE(0xe7c0, i);
    const file = Buffer.concat([magic, textCommit(['found'], magic.length, 1)]);
    expect(await scanAll(file)).toMatchObject([{ kind: 'bad', end: magic.length }, { kind: 'commit' }]);
  });

  it('P3: never takes a copy of a commit within a payload for one', async () => {
    const copy = textCommit(['counterfeit'], 0, 1);
    const outer = denseCommit([{ payload: copy }], place(0, 1));
    outer[3] = 0xff;
    expect(await textsOf(outer)).toEqual([]);
    expect(await textsOf(Buffer.concat([outer, textCommit(['true'], outer.length, 2)]))).toEqual(['true']);
  });

  it('reads commits that are larger than its chunk', async () => {
    const large = Buffer.alloc(5 * MIB + 3, 'x');
    const first = denseCommit([{ payload: large }, { payload: Buffer.from('small') }], place(0, 1));
    const second = textCommit(['behind'], first.length, 3);
    const seen = await scanAll(Buffer.concat([first, second]));
    expect(seen).toMatchObject([{ kind: 'commit' }, { kind: 'commit', offset: first.length }]);
    expect(seen[0]?.kind === 'commit' && seen[0].records[0]?.payload.equals(large)).toBe(true);
    const cut = first.subarray(0, 3 * MIB);
    expect(await scanAll(Buffer.from(cut))).toEqual([
      { kind: 'bad', offset: 0, end: 3 * MIB, headerIntact: true, allZero: false },
    ]);
  });

  it('P9: an end in the middle of a commit is one bad range, wherever it is', async () => {
    const { bytes, starts } = threeCommits();
    for (let end = starts[2] + 1; end < bytes.length; end++) {
      const seen = await scanAll(Buffer.from(bytes.subarray(0, end)));
      expect(seen).toMatchObject([
        { kind: 'commit' },
        { kind: 'commit' },
        { kind: 'bad', offset: starts[2], end, headerIntact: end >= starts[2] + COMMIT_HEADER_BYTES },
      ]);
    }
  });

  it('a file that is shorter than was said ends where it ends', async () => {
    const { bytes } = threeCommits();
    const seen = await scanAll(bytes, 0, bytes.length + 10_000);
    expect(seen.filter((one) => one.kind === 'commit').length).toBe(3);
    expect(seen.filter((one) => one.kind === 'bad').every((one) => one.end <= bytes.length)).toBe(true);
  });

  it('a follower waits in front of an unfinished commit, and goes on when it is there', async () => {
    const { bytes, starts } = threeCommits();
    const source = new MemorySource(bytes.subarray(0, starts[1] + 60));
    const scanner = new CommitScanner(source, SEED, 0, source.bytes.length, 'wait');
    expect(await scanner.next()).toBe('commit');
    expect(await scanner.next()).toBe('end');
    expect(scanner.offset).toBe(starts[1]);
    expect(await scanner.next()).toBe('end');
    // Zeros first, as a file system that allocates ahead may show it; then the bytes.
    source.bytes = Buffer.concat([bytes.subarray(0, starts[1] + 60), Buffer.alloc(bytes.length - starts[1] - 60)]);
    scanner.extend(source.bytes.length);
    expect(await scanner.next()).toBe('end');
    source.bytes = bytes;
    scanner.extend(bytes.length);
    expect(await scanner.next()).toBe('commit');
    expect(recordsOf(scanner.header, scanner.buffer, scanner.bodyAt).map((one) => one.id)).toEqual([3, 4]);
    expect(await scanner.next()).toBe('commit');
    expect(await scanner.next()).toBe('end');
    expect(scanner.offset).toBe(bytes.length);
  });

  it('an error of the disk goes through: it is not damage', async () => {
    const failing = { readAt: () => Promise.reject(Object.assign(new Error('EIO'), { errno: -5, code: 'EIO' })) };
    const scanner = new CommitScanner(failing, SEED, 0, 1000, 'resync');
    await expect(scanner.next()).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('salvaging a commit', () => {
  const texts = ['one', 'two', 'three', 'four'];

  function salvaged(commit: Buffer, held = commit.length): [number, string][] {
    const header = newCommitHeader();
    expect(decodeCommitHeader(commit, 0, SEED, 4096, header)).toBe(true);
    const found: [number, string][] = [];
    const bodyOffset = 4096 + COMMIT_HEADER_BYTES;
    salvageCommit(commit, COMMIT_HEADER_BYTES, held - COMMIT_HEADER_BYTES, header, SEED, bodyOffset, (view) => {
      found.push([view.id, commit.toString('utf8', view.payloadAt, view.payloadAt + view.payloadBytes)]);
    });
    return found;
  }

  it('P9: loses the one record whose bytes are damaged, and no other', () => {
    for (let broken = 0; broken < texts.length; broken++) {
      const commit = textCommit(texts, 4096, 7);
      let at = COMMIT_HEADER_BYTES;
      for (let i = 0; i < broken; i++) at += 8 + (texts[i]?.length ?? 0);
      commit[at + 8] = 0x00;
      const expected = texts.map((text, i): [number, string] => [7 + i, text]).filter((_, i) => i !== broken);
      expect(salvaged(commit)).toEqual(expected);
    }
  });

  it('P3: a damaged length never leads to a wrong record', () => {
    for (let bit = 0; bit < 32; bit++) {
      const commit = textCommit(texts, 4096, 7);
      const word = COMMIT_HEADER_BYTES + 8 + 3;
      commit[word + (bit >>> 3)] = (commit[word + (bit >>> 3)] ?? 0) ^ (1 << (bit & 7));
      for (const [id, text] of salvaged(commit)) expect(text).toBe(texts[id - 7]);
      expect(salvaged(commit)[0]).toEqual([7, 'one']);
    }
  });

  it('takes what is whole of a commit that the end of the file cuts', () => {
    const commit = textCommit(texts, 4096, 7);
    expect(salvaged(commit, commit.length - 1).map(([id]) => id)).toEqual([7, 8, 9]);
    expect(salvaged(commit, COMMIT_HEADER_BYTES + 12).map(([id]) => id)).toEqual([7]);
    expect(salvaged(commit, COMMIT_HEADER_BYTES)).toEqual([]);
  });
});
