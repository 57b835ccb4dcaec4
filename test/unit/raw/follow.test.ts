import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { Evaq, type QueueRecord } from '../../../src/evaq.js';
import { RawSegment, ReadOnlyEvaq, verifyStore } from '../../../src/raw.js';
import { bundle, projectRoot } from '../../cli/support/bundle.js';
import { overwrite, segmentsOf, temporaryFolder } from './support/disk.js';

let writerPath: string;
beforeAll(async () => {
  writerPath = await bundle(join(projectRoot, 'test/unit/raw/support/writer.ts'));
});

async function startWriter(store: string, records: number, ending: 'follow' | 'hang'): Promise<ChildProcess> {
  await (await Evaq.open(store)).close();
  const child = fork(writerPath, [store, String(records), ending]);
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

/** The segment that records were appended to last, and where its last commit ends. */
async function endOfData(store: string): Promise<{ active: string; end: number }> {
  let found = { active: '', end: 0 };
  for (const active of segmentsOf(store)) {
    await using segment = await RawSegment.open(active);
    for await (const commit of segment.commits()) {
      if (commit.kind === 'records') found = { active, end: commit.offset + commit.bytes };
    }
  }
  return found;
}

function isRight({ id, payload }: QueueRecord): boolean {
  return payload.toString() === `${id}:${'x'.repeat(id % 300)}`;
}

test('P3: a reader beside a writer sees every record in order, once and intact, while segments roll, die, are recycled and rewritten', async () => {
  const store = join(temporaryFolder(), 'store');
  const records = 30_000;
  const writer = await startWriter(store, records, 'follow');
  const done = once(writer, 'message');
  await using reader = await ReadOnlyEvaq.open(store);
  let expected = 1;
  for await (const record of reader.wal.tail({ to: records, pollMs: 5 })) {
    if (record.id !== expected || !isRight(record)) throw new Error(`record ${record.id} where ${expected} was due`);
    expected++;
    if (record.id % 100 === 0) writer.send({ seen: record.id });
    // Between the batches of the tail, reads of other kinds.
    if (record.id % 1000 === 0) {
      const near = await reader.wal.read({ from: record.id + 1, maxRecords: 20 });
      expect(near.every(isRight)).toBe(true);
      expect((await reader.wal.stats()).damage).toEqual([]);
    }
  }
  expect(expected).toBe(records + 1);

  const [{ done: removed }] = await done;
  if (writer.exitCode === null) await once(writer, 'exit');
  const left: number[] = [];
  for await (const record of reader.wal.records()) {
    expect(isRight(record)).toBe(true);
    left.push(record.id);
  }
  const survivors = Array.from({ length: records }, (_, i) => i + 1).filter((id) => id > removed || id % 97 === 0);
  expect(left).toEqual(survivors);
  const stats = await reader.wal.stats();
  expect(stats).toMatchObject({ clean: true, live: survivors.length, nextId: records + 1, oldestId: survivors[0] });
  expect((await verifyStore(store)).damage).toEqual([]);
}, 60_000);

test('P9: after the writer was killed a torn tail is the end, and the next writer is followed without opening anew', async () => {
  const store = join(temporaryFolder(), 'store');
  const writer = await startWriter(store, 3000, 'hang');
  const [{ done: removed }] = await once(writer, 'message');
  expect(removed).toBe(0);
  writer.kill('SIGKILL');
  await once(writer, 'exit');
  const { active, end } = await endOfData(store);
  // The front of a commit, and then nothing: what a write that was cut short leaves.
  const torn = Buffer.alloc(64, 9);
  overwrite(active, end, torn);

  await using reader = await ReadOnlyEvaq.open(store);
  const ids: number[] = [];
  for await (const record of reader.wal.records()) ids.push(record.id);
  expect(ids).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
  expect(await reader.wal.stats()).toMatchObject({ clean: false, damage: [] });
  expect(await verifyStore(store)).toMatchObject({ damage: [], torn: [{ queue: 'wal', file: active, offset: end }] });

  const tail = reader.wal.tail({ from: 3000, pollMs: 5 });
  expect((await tail.next()).value).toMatchObject({ id: 3000 });
  const next = tail.next();
  await using evaq = await Evaq.open(store);
  const id = await evaq.pushWal('after the crash');
  expect((await next).value).toMatchObject({ id, payload: Buffer.from('after the crash') });
  await tail.return();
});

test('P3: a segment that dies and is recycled under a reader is not damage, and reading goes on by ID', async () => {
  const store = join(temporaryFolder(), 'store');
  await using evaq = await Evaq.open(store, { segmentBytes: 64 * 1024, recycleSegments: 4 });
  await using reader = await ReadOnlyEvaq.open(store);
  const payload = Buffer.alloc(1000, 7);
  const push = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await evaq.pushWal(payload);
  };
  await push(300);
  const first = await reader.wal.read({ maxRecords: 10 });
  expect(first.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const held = first.map((record) => record.payload.toString('hex'));

  // What the reader reads next is taken away and written over between its look at the names and its read of the file.
  await evaq.wal.removeThrough(250);
  await evaq.wal.compact();
  await push(300);
  const ids: number[] = [];
  for await (const record of reader.wal.records({ from: 11 })) ids.push(record.id);
  expect(ids).toEqual(Array.from({ length: 350 }, (_, i) => 251 + i));
  expect((await reader.wal.stats()).damage).toEqual([]);
  expect(first.map((record) => record.payload.toString('hex'))).toEqual(held);
});

test('a removal is seen at the next call, in the segment that is being appended to as well', async () => {
  const store = join(temporaryFolder(), 'store');
  await using evaq = await Evaq.open(store);
  await using reader = await ReadOnlyEvaq.open(store);
  for (const text of ['a', 'b', 'c']) await evaq.pushWal(text);
  expect((await reader.wal.read()).map(({ id }) => id)).toEqual([1, 2, 3]);
  await evaq.wal.remove(2);
  expect((await reader.wal.read()).map(({ id }) => id)).toEqual([1, 3]);
  expect(await reader.wal.get(2)).toBeUndefined();
  await evaq.pushWal('d');
  expect((await reader.wal.get(4))?.payload.toString()).toBe('d');
  const moved = await evaq.deadLetter(1, { reason: 'no route' });
  expect(await reader.wal.get(1)).toBeUndefined();
  expect(await reader.deadLetters.get(moved)).toMatchObject({ reason: 'no route', origin: { queue: 'wal', id: 1 } });
  await evaq.queue('later');
  expect(await (await reader.queue('later')).read()).toEqual([]);
});

test('a tail ends when the store is closed, and throws the reason when it is aborted', async () => {
  const store = join(temporaryFolder(), 'store');
  await using evaq = await Evaq.open(store);
  const reader = await ReadOnlyEvaq.open(store);
  await evaq.pushWal('a');
  const closed = reader.wal.tail({ pollMs: 60_000 });
  expect((await closed.next()).value).toMatchObject({ id: 1 });
  const controller = new AbortController();
  const aborted = reader.wal.tail({ from: 2, signal: controller.signal, pollMs: 60_000 });
  const [waiting, stopping] = [closed.next(), aborted.next()];
  controller.abort(new Error('enough'));
  await expect(stopping).rejects.toThrow('enough');
  await reader.close();
  expect(await waiting).toEqual({ done: true, value: undefined });
  await expect(reader.wal.read()).rejects.toMatchObject({ code: 'EVAQ_CLOSED' });
});

test('a reader that was there before sees that the writer has closed the store', async () => {
  const store = join(temporaryFolder(), 'store');
  const evaq = await Evaq.open(store);
  await using reader = await ReadOnlyEvaq.open(store);
  await evaq.pushWal('a');
  await evaq.pushWal('b');
  await evaq.wal.remove(1);
  expect(await reader.wal.stats()).toMatchObject({ clean: false, live: 1 });
  await evaq.close();
  expect(await reader.wal.stats()).toMatchObject({ clean: true, live: 1, nextId: 3 });
  expect((await reader.wal.read()).map(({ id }) => id)).toEqual([2]);
});
