import { describe, expect, it } from 'vitest';
import { COMMIT_HEADER_BYTES, KIND_FOOTER } from '../../../src/frame/commit-header.js';
import { CommitScanner } from '../../../src/frame/commit-scanner.js';
import { encodeFooter, readFooter, readFooterIndex, type SegmentSummary } from '../../../src/segment/segment-footer.js';
import { newSegmentIndex, type SegmentIndex } from '../../../src/segment/segment-index.js';
import { MemorySource } from '../frame/commit-fixture.js';

const SEED = 77;
const DATA_END = 100_000;

function summary(more: Partial<SegmentSummary> = {}): SegmentSummary {
  return {
    count: 300,
    firstId: 2 ** 40,
    lastId: 2 ** 40 + 299,
    minTimeMs: 1_700_000_000_000,
    maxTimeMs: 1_700_000_100_000,
    payloadBytes: 2 ** 33,
    dataEnd: DATA_END,
    removalSeq: 12,
    runs: undefined,
    replaces: [],
    ...more,
  };
}

function indexOf(entries: number): SegmentIndex {
  const index = newSegmentIndex();
  for (let i = 0; i < entries; i++) {
    index.ids.push(2 ** 40 + i);
    index.offsets.push(128 + i * 16);
    index.mids.push(i % 2);
  }
  index.wide.push({ offset: 128, end: 4000, firstId: 2 ** 40, timestamp: 1_700_000_000_000 });
  return index;
}

function fileWith(given: SegmentSummary, index: SegmentIndex, seed = SEED): MemorySource {
  const footer = encodeFooter(given, index, seed, DATA_END, 1_700_000_200_000);
  return new MemorySource(Buffer.concat([Buffer.alloc(DATA_END, 0xab), footer]));
}

const rewritten = summary({
  count: 5,
  lastId: 2 ** 40 + 1_000_009,
  runs: [
    { first: 2 ** 40, last: 2 ** 40 + 2 },
    { first: 2 ** 40 + 10, last: 2 ** 40 + 10 },
    { first: 2 ** 40 + 1_000_009, last: 2 ** 40 + 1_000_009 },
  ],
  replaces: [1, 2 ** 40, Number.MAX_SAFE_INTEGER],
});

describe('a footer', () => {
  it.each<[string, SegmentSummary]>([
    ['of consecutive IDs', summary()],
    ['with gaps and the segments that it replaces', rewritten],
    ['of no records at all', summary({ count: 0, lastId: 2 ** 40 - 1, runs: [], replaces: [7] })],
    [
      'with many runs, more than one read of the end holds',
      summary({
        count: 3000,
        lastId: 2 ** 40 + 5998,
        runs: Array.from({ length: 3000 }, (_, i) => ({ first: 2 ** 40 + 2 * i, last: 2 ** 40 + 2 * i })),
      }),
    ],
  ])('comes back as it was written: %s', async (_what, given) => {
    for (const entries of [0, 3, 2000]) {
      const index = indexOf(entries);
      const source = fileWith(given, index);
      const footer = await readFooter(source, source.bytes.length, SEED);
      expect(footer?.summary).toEqual(given);
      expect(footer?.end).toBe(source.bytes.length);
      if (footer === undefined) throw new Error('unreachable');
      expect(await readFooterIndex(source, footer, SEED)).toEqual(index);
    }
  });

  it('is a commit as any other to the scanner', async () => {
    const source = fileWith(rewritten, indexOf(3));
    const scanner = new CommitScanner(source, SEED, DATA_END, source.bytes.length, 'resync');
    expect(await scanner.next()).toBe('commit');
    expect(scanner.header).toMatchObject({ kind: KIND_FOOTER, durableOffset: DATA_END, firstId: 2 ** 40, count: 0 });
    expect(await scanner.next()).toBe('end');
  });

  it('is read in one go where the index is small', async () => {
    const source = fileWith(summary(), indexOf(3));
    await readFooter(source, source.bytes.length, SEED);
    expect(source.reads).toBe(1);
  });

  it('P9: whatever bit of it flips, it never says anything else than was written', async () => {
    const index = indexOf(3);
    const { bytes } = fileWith(rewritten, index);
    const indexBytes = (await readFooter(new MemorySource(bytes), bytes.length, SEED))?.indexBytes ?? 0;
    let refusals = 0;
    for (let bit = 0; bit < (bytes.length - DATA_END) * 8; bit++) {
      const at = DATA_END + (bit >>> 3);
      const source = new MemorySource(Buffer.from(bytes));
      source.bytes[at] = (source.bytes[at] ?? 0) ^ (1 << (bit & 7));
      const footer = await readFooter(source, source.bytes.length, SEED);
      const inBody = at >= DATA_END + COMMIT_HEADER_BYTES;
      const inIndex = inBody && at < DATA_END + COMMIT_HEADER_BYTES + indexBytes;
      if (inBody && !inIndex) {
        expect(footer).toBeUndefined();
        refusals++;
        continue;
      }
      expect(footer?.summary).toEqual(rewritten);
      if (footer === undefined) throw new Error('unreachable');
      const read = await readFooterIndex(source, footer, SEED);
      expect(read).toEqual(inIndex ? undefined : index);
    }
    expect(refusals).toBeGreaterThan(96 * 8);
  });

  it('P3: is refused in another file, at another place, and where bytes follow it or are missing', async () => {
    const { bytes } = fileWith(summary(), indexOf(3));
    const size = bytes.length;
    expect(await readFooter(new MemorySource(bytes), size, SEED)).toBeDefined();
    expect(await readFooter(new MemorySource(bytes), size, SEED + 1)).toBeUndefined();
    const moved = Buffer.concat([Buffer.alloc(512), bytes]);
    expect(await readFooter(new MemorySource(moved), moved.length, SEED)).toBeUndefined();
    const followed = Buffer.concat([bytes, Buffer.alloc(1)]);
    expect(await readFooter(new MemorySource(followed), followed.length, SEED)).toBeUndefined();
    expect(await readFooter(new MemorySource(bytes), size - 1, SEED)).toBeUndefined();
    for (const length of [0, 1, 95, 143]) {
      expect(await readFooter(new MemorySource(Buffer.alloc(length)), length, SEED)).toBeUndefined();
    }
  });
});
