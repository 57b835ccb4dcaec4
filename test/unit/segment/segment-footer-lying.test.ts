/** Footers whose checksums hold and that cannot be, and what a footer says of times. */
import { describe, expect, it } from 'vitest';
import { crc32, placeMask } from '../../../src/checksum.js';
import { COMMIT_HEADER_BYTES } from '../../../src/frame/commit-header.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import {
  encodeFooter,
  readFooter,
  readFooterIndex,
  type SegmentSummary,
  summaryTimes,
  timesOf,
} from '../../../src/segment/segment-footer.js';
import { newSegmentIndex, type SegmentIndex } from '../../../src/segment/segment-index.js';
import { SegmentTimes } from '../../../src/segment/segment-times.js';
import { TIME_MS_MAX } from '../../../src/times.js';
import { MemorySource } from '../frame/commit-fixture.js';

const SEED = 77;
const DATA_END = 1000;
const SUMMARY_BYTES = 96;
const FIRST = 50;

function summary(more: Partial<SegmentSummary> = {}): SegmentSummary {
  const numbers = { count: 10, firstId: FIRST, lastId: FIRST + 9, payloadBytes: 99, dataEnd: DATA_END, removalSeq: 1 };
  return { ...numbers, minTimeMs: 100, maxTimeMs: 200, runs: undefined, replaces: [], ...more };
}

function fileOf(given: SegmentSummary, index: SegmentIndex = newSegmentIndex()): Buffer {
  const footer = encodeFooter(given, index, SEED, given.dataEnd, 300);
  return Buffer.concat([Buffer.alloc(given.dataEnd), footer]);
}

/** The last 96 bytes are others, and their sum is right. */
function lied(bytes: Buffer, lie: (summary: Buffer) => void): Buffer {
  const said = Buffer.from(bytes);
  const at = said.length - SUMMARY_BYTES;
  lie(said.subarray(at));
  const checked = said.subarray(at, said.length - 4);
  said.writeUInt32LE((crc32(checked) ^ placeMask(SEED, at, checked.length, 0)) >>> 0, said.length - 4);
  return said;
}

async function read(bytes: Buffer): Promise<SegmentSummary | undefined> {
  return (await readFooter(new MemorySource(bytes), bytes.length, SEED))?.summary;
}

const RUNS = [
  { first: FIRST, last: FIRST + 4 },
  { first: FIRST + 20, last: FIRST + 24 },
];

describe('P9: a footer that cannot be is none', () => {
  it.each<[string, SegmentSummary]>([
    [
      'its data end within the header of the file',
      summary({ count: 0, lastId: FIRST - 1, dataEnd: FILE_HEADER_BYTES - 1 }),
    ],
    ['more records than there is room for', summary({ count: 126, lastId: FIRST + 125 })],
    ['its least time is above its greatest', summary({ minTimeMs: 201 })],
    ['fewer records than IDs, and no runs', summary({ count: 9 })],
    ['more records than IDs', summary({ count: 11 })],
    ['runs of another number', summary({ count: 9, lastId: FIRST + 24, runs: RUNS })],
    ['runs with another end', summary({ lastId: FIRST + 25, runs: RUNS })],
    ['no runs, and an ID', summary({ count: 0, runs: [] })],
    ['a run past the last ID that can be', summary({ runs: [{ first: FIRST, last: Number.MAX_SAFE_INTEGER + 1 }] })],
  ])('%s', async (_what, given) => {
    expect(await read(fileOf(given))).toBeUndefined();
  });

  it.each<[string, SegmentSummary]>([
    ['its data end with the header', summary({ count: 0, lastId: FIRST - 1, dataEnd: FILE_HEADER_BYTES })],
    ['as many records as there is room for', summary({ count: 125, lastId: FIRST + 124 })],
    ['one time', summary({ minTimeMs: 200 })],
    ['no records, whatever its times', summary({ count: 0, lastId: FIRST - 1, minTimeMs: 9, maxTimeMs: 0 })],
    ['runs', summary({ lastId: FIRST + 24, runs: RUNS })],
    ['segments that it replaces', summary({ replaces: [3, 4] })],
  ])('and one that can is: %s', async (_what, given) => {
    expect(await read(fileOf(given))).toEqual(given);
  });

  it('numbers past 2^53', async () => {
    const bytes = fileOf(summary({ lastId: FIRST + 24, runs: RUNS, replaces: [3] }));
    expect(await read(bytes)).toBeDefined();
    for (const at of [8, 16, 40, 76]) {
      const high = (said: Buffer): unknown => said.writeUInt32LE(0x20_0000, at + 4);
      expect(await read(lied(bytes, high))).toBeUndefined();
    }
  });

  it('another first word, and lengths that do not come to the end', async () => {
    const bytes = fileOf(summary({ lastId: FIRST + 24, runs: RUNS, replaces: [3] }));
    expect(await read(lied(bytes, () => undefined))).toBeDefined();
    expect(await read(lied(bytes, (said) => said.write('EvqG', 'latin1')))).toBeUndefined();
    // All of it, its data's end, its index, its runs, what it replaces, its times.
    for (const at of [4, 52, 56, 64, 68, 88])
      for (const more of [1, -1]) {
        const other = (said: Buffer): unknown => said.writeInt32LE(said.readInt32LE(at) + more, at);
        expect(await read(lied(bytes, other))).toBeUndefined();
      }
    // Two that make up for each other.
    const both = lied(bytes, (said) => {
      said.writeUInt32LE(said.readUInt32LE(4) + 1, 4);
      said.writeUInt32LE(said.readUInt32LE(52) - 1, 52);
    });
    expect(await read(both)).toBeUndefined();
  });

  it('an index of places behind the data is none', async () => {
    const indexOf = (offset: number): SegmentIndex => ({
      ...newSegmentIndex(),
      ids: [FIRST],
      offsets: [offset],
      mids: [0],
    });
    for (const [offset, isOne] of [
      [DATA_END - 1, true],
      [DATA_END, false],
    ] as const) {
      const source = new MemorySource(fileOf(summary(), indexOf(offset)));
      const footer = await readFooter(source, source.bytes.length, SEED);
      if (footer === undefined) throw new Error('there is a footer');
      const index = await readFooterIndex(source, footer, SEED);
      expect(index !== undefined).toBe(isOne);
    }
  });

  it('takes no more room than what it says', () => {
    const { length } = encodeFooter(summary(), newSegmentIndex(), SEED, DATA_END, 300);
    expect(length).toBe(COMMIT_HEADER_BYTES + 2 + SUMMARY_BYTES);
  });
});

describe('what a footer says of times', () => {
  const spans = [
    { firstId: FIRST, minMs: 1000, maxMs: 5000 },
    { firstId: FIRST + 3, minMs: 100, maxMs: 100 },
    { firstId: FIRST + 7, minMs: 2000, maxMs: 90_000 },
  ];

  it('comes back with its spans, beside runs and segments that it replaces', async () => {
    for (const more of [{}, { lastId: FIRST + 24, runs: RUNS, replaces: [3, 4] }]) {
      const given = summary({ minTimeMs: 100, maxTimeMs: 90_000, spans, ...more });
      expect(await read(fileOf(given))).toEqual(given);
    }
  });

  it.each([
    ['two that begin with one ID', [spans[0], { firstId: FIRST, minMs: 1, maxMs: 1 }]],
    [
      'one behind the last ID that can be',
      [spans[0], { firstId: Number.MAX_SAFE_INTEGER + FIRST + 1, minMs: 1, maxMs: 1 }],
    ],
    ['a time behind the last that can be', [{ firstId: FIRST, minMs: 1, maxMs: TIME_MS_MAX + 1 }]],
  ])('is none with %s', async (_what, given) => {
    expect(await read(fileOf(summary({ spans: given.flatMap((one) => one ?? []) })))).toBeUndefined();
  });

  it('may begin with ID 0, and end with the last time that can be', async () => {
    const given = summary({ firstId: 0, lastId: 9, spans: [{ firstId: 0, minMs: 1, maxMs: TIME_MS_MAX }] });
    expect(await read(fileOf(given))).toEqual(given);
  });

  it('are spans only where the least and the greatest do not say it all', () => {
    const even = new SegmentTimes([{ firstId: 1, minMs: 5, maxMs: 9 }]);
    expect(summaryTimes(even)).toEqual({ minTimeMs: 5, maxTimeMs: 9, spans: undefined });
    const uneven = new SegmentTimes(spans);
    expect(summaryTimes(uneven)).toEqual({ minTimeMs: 100, maxTimeMs: 90_000, spans });
  });

  it('are those of the spans, or of all records, or of none', () => {
    expect(timesOf({ count: 10, firstId: FIRST, minTimeMs: 100, maxTimeMs: 200, spans }).spans).toEqual(spans);
    expect(timesOf({ count: 10, firstId: FIRST, minTimeMs: 100, maxTimeMs: 200 }).spans).toEqual([
      { firstId: FIRST, minMs: 100, maxMs: 200 },
    ]);
    expect(timesOf({ count: 0, firstId: FIRST, minTimeMs: 100, maxTimeMs: 200 }).spans).toEqual([]);
  });
});
