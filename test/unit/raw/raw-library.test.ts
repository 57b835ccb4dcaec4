/** What evaq/raw tells of files beside their records: tombstone logs, the segments of a folder, the index of a footer, and what became of an ID. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { COMMIT_HEADER_BYTES, COMMIT_HEADER_FIELDS } from '../../../src/frame/commit-header.js';
import type { Field } from '../../../src/frame/field.js';
import { FILE_HEADER_BYTES, FILE_HEADER_FIELDS } from '../../../src/frame/file-header.js';
import { frameFields } from '../../../src/frame/record-frame.js';
import { listSegments, RawSegment, RawTombstones, ReadOnlyEvaq } from '../../../src/raw.js';

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-raw-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

function filesIn(store: string, end: string): string[] {
  const dir = join(store, 'queues/wal');
  return readdirSync(dir)
    .filter((name) => name.endsWith(end))
    .map((name) => join(dir, name))
    .sort();
}

describe('a tombstone log by itself', () => {
  test('tells each round twice, as it was written, and what is removed in all', async () => {
    const store = temporary();
    {
      await using evaq = await Evaq.open(store);
      await evaq.wal.pushMany(Array.from({ length: 20 }, () => 'x'));
      await evaq.wal.removeMany([3, 4, 9]);
      await evaq.wal.remove(5);
    }
    const [path = ''] = filesIn(store, '.tomb');
    await using log = await RawTombstones.open(path);
    const rounds = [];
    for await (const entry of log.rounds()) if ('removed' in entry) rounds.push(entry);
    const removals = rounds.filter(({ kind }) => kind === 'removals').map(({ round, removed }) => ({ round, removed }));
    const first = [
      { first: 3, last: 4 },
      { first: 9, last: 9 },
    ];
    const second = [{ first: 5, last: 5 }];
    expect(removals).toEqual([
      { round: 2, removed: first },
      { round: 2, removed: first },
      { round: 3, removed: second },
      { round: 3, removed: second },
    ]);
    expect(rounds.at(-1)).toMatchObject({ kind: 'close', live: 16, nextId: 21, accountedBelow: 21 });
    expect(await log.removed()).toEqual([
      { first: 3, last: 5 },
      { first: 9, last: 9 },
    ]);
    expect(log).toMatchObject({ headerDamaged: false, header: { kind: 'tombstones' } });
  });

  test('tells where it is damaged, and goes on behind it', async () => {
    const store = temporary();
    {
      await using evaq = await Evaq.open(store);
      await evaq.wal.pushMany(['a', 'b']);
      await evaq.wal.remove(2);
    }
    const [path = ''] = filesIn(store, '.tomb');
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(FILE_HEADER_BYTES + 60) ^ 1, FILE_HEADER_BYTES + 60);
    writeFileSync(path, bytes);
    await using log = await RawTombstones.open(path);
    const kinds = [];
    for await (const { kind, offset } of log.rounds()) kinds.push([kind, offset]);
    expect(kinds.slice(0, 2)).toEqual([
      ['bad', FILE_HEADER_BYTES],
      ['snapshot', FILE_HEADER_BYTES + 96],
    ]);
    expect(await log.removed()).toEqual([{ first: 2, last: 2 }]);
  });

  test('is not taken for something else', async () => {
    const store = temporary();
    await (await Evaq.open(store)).close();
    const [segment = ''] = filesIn(store, '.seg');
    const [log = ''] = filesIn(store, '.tomb');
    await expect(RawTombstones.open(segment)).rejects.toMatchObject({ code: 'EVAQ_CORRUPT' });
    await expect(RawSegment.open(log)).rejects.toMatchObject({ code: 'EVAQ_CORRUPT' });
    await expect(RawTombstones.open(`${log}x`)).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  });
});

describe('the segments of a folder', () => {
  test('are listed with what their footers say, and their indexes lead to records', async () => {
    const store = temporary();
    const payload = 'x'.repeat(1000);
    {
      await using evaq = await Evaq.open(store, { segmentBytes: 64 * 1024 });
      for (let i = 0; i < 20; i++) await evaq.wal.pushMany([payload, payload, payload, payload, payload, payload]);
    }
    const segments = await listSegments(join(store, 'queues/wal'));
    const sealed = segments.filter(({ footer }) => footer !== undefined);
    expect(sealed.length).toBeGreaterThan(1);
    expect(sealed.reduce((sum, { footer }) => sum + (footer?.count ?? 0), 0)).toBe(120);
    expect(sealed[0]).toMatchObject({ kind: 'segment', baseId: 1, footer: { firstId: 1 } });
    await using segment = await RawSegment.open(sealed[0]?.path ?? '');
    const index = await segment.index();
    expect(index?.length).toBeGreaterThan(5);
    const offsets = new Map<number, number>();
    for await (const entry of segment.records()) if (entry.valid) offsets.set(entry.record.id, entry.record.offset);
    for (const { id, offset, mid } of index ?? []) {
      expect(offsets.get(id)).toBe(mid ? offset : offset + COMMIT_HEADER_BYTES);
    }
    await expect(listSegments(join(store, 'nothing'))).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  });

  test('of which one is damaged is told, too', async () => {
    const store = temporary();
    await (await Evaq.open(store)).close();
    const [path = ''] = filesIn(store, '.seg');
    writeFileSync(path, Buffer.alloc(300, 1));
    const [segment] = (await listSegments(join(store, 'queues/wal'))).filter(({ kind }) => kind === 'segment');
    expect(segment).toMatchObject({ path, bytes: 300, error: { code: 'EVAQ_NOT_A_STORE' } });
  });
});

describe('what became of an ID', () => {
  test('is that it is live, removed, lost or not given yet', async () => {
    const store = temporary();
    {
      await using evaq = await Evaq.open(store);
      await evaq.wal.pushMany(['a', 'b', 'c']);
      await evaq.wal.remove(2);
    }
    {
      await using reader = await ReadOnlyEvaq.open(store);
      const states = await Promise.all([1, 2, 3, 4].map((id) => reader.wal.stateOf(id)));
      expect(states).toEqual(['live', 'removed', 'live', 'future']);
      await expect(reader.wal.stateOf(-1)).rejects.toThrow(RangeError);
    }
    for (const path of filesIn(store, '.seg')) rmSync(path);
    await using reader = await ReadOnlyEvaq.open(store);
    expect(await Promise.all([1, 2, 3].map((id) => reader.wal.stateOf(id)))).toEqual(['lost', 'removed', 'lost']);
  });

  test.each(['sync', 'os', { intervalMs: 60_000 }] as const)(
    'is told beside a writer in mode %o as well, and so is the next ID',
    async (durability) => {
      const store = temporary();
      await using evaq = await Evaq.open(store, { durability });
      await evaq.wal.pushMany(['a', 'b', 'c']);
      await using reader = await ReadOnlyEvaq.open(store);
      expect(await reader.wal.stateOf(3)).toBe('live');
      expect(await reader.wal.stateOf(4)).toBe('future');
      expect(await reader.wal.stats()).toMatchObject({ nextId: 4 });
      await evaq.wal.push('d');
      expect(await reader.wal.stateOf(4)).toBe('live');
      expect(await reader.wal.stats()).toMatchObject({ nextId: 5 });
    },
  );

  test('and where it is from the end, or in time, is told of a store in use', async () => {
    await using evaq = await Evaq.open(temporary());
    await evaq.wal.pushMany(['a', 'b', 'c', 'd']);
    await evaq.wal.remove(3);
    await using reader = await ReadOnlyEvaq.open(evaq.path);
    expect(await Promise.all([1, 2, 3, 9].map((count) => reader.wal.idFromEnd(count)))).toEqual([4, 2, 1, 1]);
    expect(await reader.deadLetters.idFromEnd(1)).toBeUndefined();
    await expect(reader.wal.idFromEnd(0)).rejects.toThrow(RangeError);
    const now = (await reader.wal.get(1))?.timestamp ?? 0;
    expect(await reader.wal.rangesWithin({ sinceMs: now, untilMs: Infinity })).toEqual([{ first: 1, last: 4 }]);
    expect(await reader.wal.rangesWithin({ sinceMs: 0, untilMs: now - 1 })).toEqual([]);
    await expect(reader.wal.rangesWithin({ sinceMs: Number.NaN, untilMs: 1 })).rejects.toThrow(TypeError);
  });
});

describe('the fields that are shown of a layout', () => {
  const view = { id: 1, timestamp: 0, frameBytes: 0, metaAt: 12, metaBytes: 5, payloadAt: 17, payloadBytes: 9 };

  test.each<[string, readonly Field[], number]>([
    ['a commit header', COMMIT_HEADER_FIELDS, COMMIT_HEADER_BYTES],
    ['a file header', FILE_HEADER_FIELDS, FILE_HEADER_BYTES],
    ['a frame with metadata', frameFields(0, false, view), 26],
    ['a sparse frame', frameFields(0, true, { ...view, metaAt: 0, metaBytes: 0 }), 25],
  ])('lie in a row and fill it: %s', (_what, fields, bytes) => {
    let at = 0;
    for (const field of fields) {
      expect(field.at).toBe(at);
      at += field.bytes;
    }
    expect(at).toBe(bytes);
  });
});
