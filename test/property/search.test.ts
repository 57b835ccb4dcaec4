/**
 * Searching passes over what cannot match without making records of it; what it comes to is the same as reading all and looking at each, whatever
 * the store holds, and whatever has happened to its bytes.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { literalBytes, requiredBytes } from '../../src/cli/selection/required-bytes.js';
import { selectedRecords } from '../../src/cli/selection/selected-records.js';
import { selectionOf } from '../../src/cli/selection/selection.js';
import { Evaq, EvaqError, type PushEntry } from '../../src/evaq.js';
import {
  COMMIT_HEADER_BYTES,
  completeCommit,
  decodeCommitHeader,
  newCommitHeader,
} from '../../src/frame/commit-header.js';
import { DENSE_FRAME_BYTES } from '../../src/frame/record-frame.js';
import { openRawFile } from '../../src/raw/raw-file.js';
import { type PackedPayloads, type QueueRecord, ReadOnlyEvaq, type ReadOnlyQueue } from '../../src/raw.js';
import { nodeVfs } from '../../src/vfs/node-vfs.js';

/** Few letters, so that what is looked for is there now and then, and in two records by halves. */
const LETTERS = ['a', 'b', 'c', 'é', '🙂', '\u{fffd}', ' '];
const text = fc.string({ unit: fc.constantFrom(...LETTERS), maxLength: 40 });
const short = fc.oneof(
  { weight: 8, arbitrary: text.map((one) => Buffer.from(one)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((one) => Buffer.from(one)) },
);
const payload = fc.oneof(
  { weight: 9, arbitrary: short },
  // Larger than what is read at a time, and than a part of it.
  {
    weight: 1,
    arbitrary: fc
      .tuple(text, fc.integer({ min: 1000, max: 80_000 }))
      .map(([one, n]) => Buffer.from('a'.repeat(n) + one)),
  },
);
function entriesOf(payloads: fc.Arbitrary<Buffer>): fc.Arbitrary<PushEntry[]> {
  const entry = fc.tuple(payloads, fc.boolean()).map(([bytes, hasHeaders]): PushEntry => {
    return hasHeaders ? { payload: bytes, headers: { k: 'abc' } } : { payload: bytes };
  });
  return fc.array(entry, { minLength: 1, maxLength: 30 });
}
/** Expressions of which every part is one of the grammar that is to be understood, or not. */
const atom = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...LETTERS.slice(0, 6)) },
  fc.constantFrom(
    '.',
    '[ab]',
    '[^a\\]]',
    '\\w',
    '\\b',
    '\\.',
    '\\x61',
    '\\u{61}',
    '(?:ab|c)',
    '(a)',
    '(?=b)',
    '(?!a)',
    '(?<n>[)(]b)',
    '^',
    '$',
    '|',
  ),
);
const quantifier = fc.constantFrom('', '', '', '', '?', '*', '+', '+?', '{0,2}', '{1}', '{2,}', '{0}?');
const pattern = fc
  .array(fc.tuple(atom, quantifier), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.map(([one, many]) => one + (/^(?:[|^$]|\\b|\(\?[=!].*)$/.test(one) ? '' : many)).join(''))
  .filter((source) => isValid(source));

function isValid(source: string): boolean {
  try {
    return new RegExp(source, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}

/** What can be read to the end, and what it ended with. */
async function outcomeOf(records: AsyncIterable<QueueRecord>): Promise<{ records: QueueRecord[]; error: unknown }> {
  const found: QueueRecord[] = [];
  try {
    for await (const record of records) found.push(record);
  } catch (error) {
    if (!(error instanceof EvaqError)) throw error;
    return { records: found, error: { code: error.code, message: error.message, details: error.details } };
  }
  return { records: found, error: undefined };
}

/** All the bytes that can be packed, the ID of the last payload, how many they are, and what it ended with. */
async function packedOf(
  payloads: AsyncIterable<PackedPayloads>,
): Promise<{ bytes: string; count: number; lastId: number; error: unknown }> {
  let bytes = '';
  let count = 0;
  let lastId = -1;
  try {
    for await (const some of payloads) {
      expect(some.count).toBeGreaterThan(0);
      expect(some.lastId).toBeGreaterThan(lastId);
      bytes += some.bytes.toString('latin1');
      count += some.count;
      lastId = some.lastId;
    }
  } catch (error) {
    if (!(error instanceof EvaqError)) throw error;
    return { bytes, count, lastId, error: { code: error.code, message: error.message, details: error.details } };
  }
  return { bytes, count, lastId, error: undefined };
}

/** What packing these comes to. */
function packed(records: readonly QueueRecord[], behind: Buffer, error: unknown): Awaited<ReturnType<typeof packedOf>> {
  const bytes = records.map(({ payload }) => payload.toString('latin1') + behind.toString('latin1')).join('');
  return { bytes, count: records.length, lastId: records.at(-1)?.id ?? -1, error };
}

async function* inBatches(
  batches: AsyncIterable<readonly QueueRecord[]>,
): AsyncGenerator<QueueRecord, void, undefined> {
  for await (const batch of batches) {
    expect(batch.length).toBeGreaterThan(0);
    yield* batch;
  }
}

/** In words: to hold thousands of records with their buffers against each other takes minutes. */
function linesOf(records: readonly QueueRecord[]): string[] {
  return records.map(({ id, payload, ...rest }) => `${id} ${JSON.stringify(rest)} ${payload.toString('latin1')}`);
}

async function expectSame(queue: ReadOnlyQueue, needle: Buffer, from: number, to: number): Promise<number> {
  const all = await outcomeOf(queue.records({ from, to }));
  const whole = await outcomeOf(inBatches(queue.batches({ from, to })));
  expect([linesOf(whole.records), whole.error]).toEqual([linesOf(all.records), all.error]);
  const { records, error } = await outcomeOf(inBatches(queue.batches({ from, to, holding: needle })));
  expect(linesOf(records)).toEqual(linesOf(all.records.filter((record) => record.payload.includes(needle))));
  expect(error).toEqual(all.error);
  for (const behind of [Buffer.from('\n'), Buffer.alloc(0), Buffer.from('<behind it>')]) {
    expect(await packedOf(queue.payloads({ from, to, behind }))).toEqual(packed(all.records, behind, all.error));
    const holding = await packedOf(queue.payloads({ from, to, behind, holding: needle }));
    expect(holding).toEqual(packed(records, behind, all.error));
  }
  return records.length;
}

const step = fc.record({
  // One large record makes a commit that is summed in another way.
  entries: fc.oneof(entriesOf(short), entriesOf(payload)),
  remove: fc.oneof(fc.array(fc.nat(200), { maxLength: 6 }), fc.array(fc.nat(120), { maxLength: 90 })),
});
const damage = fc.array(
  fc.record({ file: fc.nat(20), at: fc.nat(1_000_000), flip: fc.integer({ min: 1, max: 255 }) }),
  {
    maxLength: 3,
  },
);

interface Sought {
  readonly steps: readonly { readonly entries: readonly PushEntry[]; readonly remove: readonly number[] }[];
  readonly isCompacted: boolean;
  readonly isClosed: boolean;
  readonly flips: readonly { readonly file: number; readonly at: number; readonly flip: number }[];
  readonly needle: string;
  readonly from: number;
  readonly span: number;
  readonly onCorruption: 'fail' | 'quarantine';
}

const sought: fc.Arbitrary<Sought> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 8 }),
  isCompacted: fc.boolean(),
  isClosed: fc.boolean(),
  flips: damage,
  needle: fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', ' '), minLength: 1, maxLength: 2 }),
  from: fc.nat(60),
  span: fc.oneof(fc.constant(Number.MAX_SAFE_INTEGER - 100), fc.nat(80)),
  onCorruption: fc.constantFrom('fail', 'quarantine'),
});

/** Resolves with how many were found. */
async function searchOnce(one: Sought): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-search-'));
  const store = join(folder, 'store');
  try {
    const evaq = await Evaq.open(store, { durability: 'os', segmentBytes: 65_536, gc: false });
    for (const { entries, remove } of one.steps) {
      await evaq.wal.pushMany(entries);
      await evaq.wal.removeMany(remove);
    }
    if (one.isCompacted) await evaq.wal.compact();
    if (one.isClosed) await evaq.close();
    const segments = readdirSync(join(store, 'queues/wal'))
      .filter((name) => name.endsWith('.seg'))
      .sort();
    for (const { file, at, flip } of one.flips) {
      const path = join(store, 'queues/wal', segments[file % segments.length] ?? '');
      const bytes = readFileSync(path);
      const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
      const place = at % Math.max(1, end);
      bytes[place] = (bytes[place] ?? 0) ^ flip;
      writeFileSync(path, bytes);
    }
    try {
      await using reader = await ReadOnlyEvaq.open(store, { onCorruption: one.onCorruption });
      return await expectSame(reader.wal, Buffer.from(one.needle), one.from, one.from + one.span);
    } finally {
      await evaq.close().catch(() => undefined);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('a search', () => {
  test('P15: hands out or packs what reading all and looking at each does, and says the same of what is damaged', async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(sought, async (one) => {
        found += await searchOnce(one);
      }),
      // To make a failure smaller takes a store for each step.
      { numRuns: 25, endOnFailure: true },
    );
    expect(found).toBeGreaterThan(15);
  });

  test('goes on from chunk to chunk, in commits of all sizes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-search-'));
    try {
      const evaq = await Evaq.open(join(folder, 'store'), { durability: 'os' });
      for (let id = 1; id <= 30_000; ) {
        const payloads: string[] = [];
        // From one record to some hundred KiB a commit.
        for (const end = id + (id % 7 === 0 ? 5000 : (id % 97) + 1); id < end; id++)
          payloads.push(id % 401 === 0 ? `needle ${id}` : `${id}`.padEnd(id % 300, 'need'));
        await evaq.wal.pushMany(payloads);
      }
      await evaq.close();
      await using reader = await ReadOnlyEvaq.open(join(folder, 'store'));
      expect(await expectSame(reader.wal, Buffer.from('needle'), 0, Number.MAX_SAFE_INTEGER)).toBeGreaterThan(70);
      await expectSame(reader.wal, Buffer.from('needle'), 10_000, 20_000);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('does not find what begins in a payload and ends in the head behind it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-search-'));
    try {
      const evaq = await Evaq.open(join(folder, 'store'), { durability: 'os' });
      // Of the frame behind it the first byte is the length of its payload: a space.
      await evaq.wal.pushMany(['xa', 'b'.repeat(32), 'a ', 'b']);
      await evaq.close();
      await using reader = await ReadOnlyEvaq.open(join(folder, 'store'));
      expect(await expectSame(reader.wal, Buffer.from('a '), 0, 100)).toBe(1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test.each<[string, (bytes: Buffer, commitAt: number, seed: number) => void]>([
    [
      'of which the header is damaged',
      (bytes, commitAt) => {
        bytes[commitAt + 20] = (bytes[commitAt + 20] ?? 0) ^ 1;
      },
    ],
    [
      'of which a length is wrong, and the checksum right',
      (bytes, commitAt, seed) => {
        const header = newCommitHeader();
        expect(decodeCommitHeader(bytes, commitAt, seed, commitAt, header)).toBe(true);
        const end = commitAt + COMMIT_HEADER_BYTES + header.bodyBytes;
        bytes.writeUInt32LE(199, end - 200 - DENSE_FRAME_BYTES);
        completeCommit(bytes.subarray(commitAt, end), header, seed, commitAt);
      },
    ],
  ])('takes of a commit %s what can be salvaged, once', async (_what, damageIt) => {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-search-'));
    try {
      const store = join(folder, 'store');
      const evaq = await Evaq.open(store, { durability: 'os' });
      await evaq.wal.pushMany(['front']);
      // So large that the index tells which records are in it.
      for (const some of ['a', 'some', 'z'])
        await evaq.wal.pushMany(Array.from({ length: 60 }, () => some.padEnd(200, 'o')));
      await evaq.wal.pushMany(['back']);
      await evaq.close();
      const name = readdirSync(join(store, 'queues/wal')).find((one) => /^0*1-.*\.seg$/.test(one)) ?? '';
      const path = join(store, 'queues/wal', name);
      const { file, seed } = await openRawFile(path, 'segment', nodeVfs);
      await file.close();
      const bytes = readFileSync(path);
      damageIt(bytes, bytes.indexOf('some') - DENSE_FRAME_BYTES - COMMIT_HEADER_BYTES, seed);
      writeFileSync(path, bytes);
      for (const onCorruption of ['fail', 'quarantine'] as const) {
        await using reader = await ReadOnlyEvaq.open(store, { onCorruption });
        expect(await expectSame(reader.wal, Buffer.from('o'), 0, 1000)).toBeGreaterThan(60);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('takes bytes to look for, and at least one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-search-'));
    try {
      await (await Evaq.open(join(folder, 'store'))).close();
      await using reader = await ReadOnlyEvaq.open(join(folder, 'store'));
      await expect(reader.wal.batches({ holding: Buffer.alloc(0) }).next()).rejects.toThrow(RangeError);
      // @ts-expect-error a text is no bytes
      await expect(reader.wal.batches({ holding: 'a' }).next()).rejects.toThrow(TypeError);
      // @ts-expect-error there is no such option
      await expect(reader.wal.batches({ held: Buffer.from('a') }).next()).rejects.toThrow(/held/);
      expect(await reader.wal.batches({ holding: Buffer.from('a') }).next()).toMatchObject({ done: true });
      // @ts-expect-error a text is no bytes
      await expect(reader.wal.payloads({ behind: 'a' }).next()).rejects.toThrow(TypeError);
      await expect(reader.wal.payloads({ holding: Buffer.alloc(0) }).next()).rejects.toThrow(RangeError);
      // @ts-expect-error there is no such option
      await expect(reader.wal.payloads({ before: Buffer.from('a') }).next()).rejects.toThrow(/before/);
      expect(await reader.wal.payloads().next()).toMatchObject({ done: true });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('knows what every match of an expression holds', () => {
    let known = 0;
    fc.assert(
      fc.property(pattern, fc.array(short, { minLength: 1, maxLength: 12 }), (source, payloads) => {
        const regex = new RegExp(source, 'u');
        const bytes = requiredBytes(regex);
        if (bytes === undefined) return;
        for (const one of payloads) {
          if (!regex.test(one.toString())) continue;
          known++;
          expect(one.includes(bytes)).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
    expect(known).toBeGreaterThan(500);
  });

  test('knows which expressions are nothing but characters', () => {
    const character = fc.constantFrom(...LETTERS, '\\.', '\\/', '\\\\', 'ä');
    let known = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          pattern,
          fc.array(character, { minLength: 1, maxLength: 3 }).map((all) => all.join('')),
        ),
        fc.array(
          fc.oneof(
            short,
            fc.uint8Array({ maxLength: 6 }).map((one) => Buffer.from(one)),
          ),
          { minLength: 1 },
        ),
        (source, payloads) => {
          const regex = new RegExp(source, 'u');
          const bytes = literalBytes(regex);
          if (bytes === undefined) return;
          // In the middle of bytes that are no UTF-8, too.
          const torn = payloads.flatMap((one) => [one, Buffer.concat([one, bytes, one]), bytes.subarray(1)]);
          for (const one of torn) expect(one.includes(bytes)).toBe(regex.test(one.toString()));
          known++;
        },
      ),
      { numRuns: 2000 },
    );
    expect(known).toBeGreaterThan(300);
    expect(literalBytes(/abc/iu)).toBeUndefined();
    expect(literalBytes(/abc?/u)).toBeUndefined();
    expect(literalBytes(/GET \/a\.b/u)?.toString()).toBe('GET /a.b');
  });

  test.each<[string, string | undefined]>([
    ['needle', 'needle'],
    ['total: [0-9]{4}', 'total: '],
    ['^GET /orders/\\d+ HTTP/1\\.1$', 'GET /orders/'],
    ['abc?', 'ab'],
    ['ab+cd', 'ab'],
    ['(?:long literal)x', 'x'],
    ['a{0,3}bc', 'bc'],
    ['a|b', undefined],
    ['\\x41bc', undefined],
    ['\u{fffd}', undefined],
    ['.*', undefined],
    ['[needle]', undefined],
  ])('%s: %s', (source, literal) => {
    expect(requiredBytes(new RegExp(source, 'u'))?.toString()).toBe(literal);
    expect(requiredBytes(new RegExp(source, 'ui'))).toBeUndefined();
  });

  test('of a selection is by the whole expression', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-search-'));
    try {
      const evaq = await Evaq.open(join(folder, 'store'));
      await evaq.wal.pushMany(['id=1', 'id=x', 'ID=2', 'an id=3', 'id=', 'id=4']);
      await evaq.close();
      await using reader = await ReadOnlyEvaq.open(join(folder, 'store'));
      const ids: number[] = [];
      const selection = selectionOf({ grep: /id=\d$/u, count: 2 });
      for await (const { id } of selectedRecords(reader.wal, selection)) ids.push(id);
      expect(ids).toEqual([1, 4]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
