import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CommitBuilder } from '../../src/frame/commit-builder.js';
import { COMMIT_HEADER_BYTES } from '../../src/frame/commit-header.js';
import { encodeMeta, type RecordMeta } from '../../src/frame/metadata.js';
import { DENSE_FRAME_BYTES, frameIsIntact, SPARSE_FRAME_BYTES } from '../../src/frame/record-frame.js';
import { denseCommit, place, type ReadBack, SEED, scanAll, type TestRecord } from '../unit/frame/commit-fixture.js';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const meta: fc.Arbitrary<RecordMeta> = fc.record(
  {
    headers: fc.dictionary(
      text.filter((name) => name !== '__proto__'),
      text,
      { maxKeys: 4, noNullPrototype: true },
    ),
    origin: fc.record({ queue: text, id: fc.maxSafeNat(), timestamp: fc.nat() }),
    reason: text,
    error: fc.record({ message: text, name: text, code: text }, { requiredKeys: ['message'] }),
    attempts: fc.nat(),
    dueMs: fc.maxSafeNat(),
    redrives: fc.nat(),
  },
  { requiredKeys: [] },
);
const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 250, maxLength: 600 }));
const record: fc.Arbitrary<TestRecord> = fc.oneof(
  { arbitrary: fc.record({ payload }), weight: 3 },
  { arbitrary: fc.record({ payload, meta }), weight: 1 },
);
const commit = fc.array(record, { minLength: 1, maxLength: 12 });
const base = fc.oneof(
  fc.nat(5000),
  fc.integer({ min: 2 ** 31, max: 2 ** 40 }),
  fc.constant(Number.MAX_SAFE_INTEGER - 1000),
);

/** A file of commits from offset 0 on, and what is in it. */
function fileOf(
  commits: readonly (readonly TestRecord[])[],
  firstId: number,
): { bytes: Buffer; starts: number[]; records: ReadBack[] } {
  const parts: Buffer[] = [];
  const starts: number[] = [];
  const records: ReadBack[] = [];
  let offset = 0;
  let id = firstId;
  for (const [i, one] of commits.entries()) {
    const timestamp = 1_700_000_000_000 + i;
    const part = denseCommit(one, place(offset, id, { timestamp }));
    for (const { payload: bytes, meta: given } of one) {
      records.push({ id: id++, timestamp, payload: Buffer.from(bytes), meta: given });
    }
    parts.push(part);
    starts.push(offset);
    offset += part.length;
  }
  return { bytes: Buffer.concat(parts), starts, records };
}

async function intactRecords(bytes: Buffer, seed: number = SEED): Promise<ReadBack[]> {
  const seen = await scanAll(bytes, 0, bytes.length, seed);
  return seen.flatMap((one) => (one.kind === 'commit' ? one.records : []));
}

describe('the codec', () => {
  it('P3: any records come back through builder and scanner', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(commit, { minLength: 1, maxLength: 5 }), base, async (commits, firstId) => {
        const { bytes, records } = fileOf(commits, firstId);
        expect(await intactRecords(bytes)).toEqual(records);
      }),
      { numRuns: 300 },
    );
  });

  it('P3: records of any IDs and ascending times come back through a sparse commit', async () => {
    const gap = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 100_000_000 }));
    const copied = fc.array(fc.tuple(gap, fc.nat(100_000), record), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(copied, fc.nat(5000), async (list, offset) => {
        const builder = new CommitBuilder('sparse');
        const expected: ReadBack[] = [];
        let id = 1;
        let timestamp = 1_700_000_000_000;
        for (const [idGap, timeGap, { payload: bytes, meta: given }] of list) {
          id += idGap;
          timestamp += timeGap;
          const block = given === undefined ? undefined : encodeMeta(given);
          const head = Buffer.alloc(4);
          head.writeUInt32LE(block?.length ?? 0);
          const body = Buffer.concat(block === undefined ? [bytes] : [head, block, bytes]);
          builder.addCopy(id, timestamp, body, 0, body.length, block !== undefined);
          expected.push({ id, timestamp, payload: Buffer.from(bytes), meta: given });
        }
        const at = place(offset, builder.sparseFirstId, { timestamp: builder.sparseTimestamp });
        builder.finish(at, Number.MAX_SAFE_INTEGER, 0, () => undefined);
        const file = Buffer.concat([Buffer.alloc(offset), builder.toBuffer()]);
        const [seen] = await scanAll(file, offset);
        expect(seen).toEqual({ kind: 'commit', offset, records: expected });
        const first = expected[0];
        if (first !== undefined && first.meta === undefined) {
          const bytes = SPARSE_FRAME_BYTES + first.payload.length;
          const frameAt = offset + COMMIT_HEADER_BYTES;
          expect(frameIsIntact(file, frameAt, bytes, SEED, frameAt, first.id)).toBe(true);
          expect(frameIsIntact(file, frameAt, bytes, SEED, frameAt, first.id + 1)).toBe(false);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('P3: a flipped bit costs its own commit, is noticed, and never yields a wrong payload', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(commit, { minLength: 1, maxLength: 4 }),
        base,
        fc.nat(),
        async (commits, firstId, bit) => {
          const { bytes, starts, records } = fileOf(commits, firstId);
          const at = (bit >>> 3) % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
          const hit = starts.filter((start) => start <= at).length - 1;
          const seen = await scanAll(bytes);
          expect(seen.filter((one) => one.kind === 'bad')).toMatchObject([{ offset: starts[hit] }]);
          const before = commits.slice(0, hit).reduce((sum, one) => sum + one.length, 0);
          const lost = commits[hit]?.length ?? 0;
          expect(await intactRecords(bytes)).toEqual([...records.slice(0, before), ...records.slice(before + lost)]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('P3: a frame fails at another offset, in another file and under another ID', () => {
    const other = fc.integer({ min: 1, max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(payload, base, fc.nat(2 ** 30), other, (bytes, id, offset, shift) => {
        const one = denseCommit([{ payload: bytes }], place(offset, id));
        const frameBytes = DENSE_FRAME_BYTES + bytes.length;
        const at = COMMIT_HEADER_BYTES;
        const intact = (seed: number, fileOffset: number, recordId: number): boolean =>
          frameIsIntact(one, at, frameBytes, seed, fileOffset, recordId);
        expect(intact(SEED, offset + at, id)).toBe(true);
        expect(intact(SEED, offset + at + shift, id)).toBe(false);
        expect(intact((SEED + shift) >>> 0, offset + at, id)).toBe(false);
        expect(intact(SEED, offset + at, id + shift)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  it('P3: a payload that holds a whole file of commits is never read as one, however its own frame is damaged', async () => {
    await fc.assert(
      fc.asyncProperty(
        commit,
        base,
        fc.nat(COMMIT_HEADER_BYTES - 1),
        fc.boolean(),
        async (inner, firstId, hole, aligned) => {
          const counterfeit = fileOf([inner], firstId).bytes;
          const front = aligned ? Buffer.alloc(512 - COMMIT_HEADER_BYTES - DENSE_FRAME_BYTES) : Buffer.alloc(0);
          const outer = denseCommit([{ payload: Buffer.concat([front, counterfeit]) }], place(0, firstId));
          // With its header gone the scanner looks into the payload for the next commit.
          outer[hole] = (outer[hole] ?? 0) ^ 0x55;
          const tail = denseCommit([{ payload: Buffer.from('tail') }], place(outer.length, firstId + 1));
          const records = await intactRecords(Buffer.concat([outer, tail]));
          expect(records.map((one) => one.payload.toString())).toEqual(['tail']);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('P3: the commits of another file, in the place where they stood there, are not read', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(commit, { minLength: 1, maxLength: 4 }),
        base,
        fc.integer(),
        async (commits, firstId, seed) => {
          fc.pre(seed >>> 0 !== SEED);
          expect(await intactRecords(fileOf(commits, firstId).bytes, seed >>> 0)).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  });
});
