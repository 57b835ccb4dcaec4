import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { type RawCommit, RawSegment, ReadOnlyEvaq, verifyStore } from '../../../src/raw.js';
import { segmentsOf, snapshotOf, temporaryFolder } from './support/disk.js';
import { Hooks } from './support/hooked-vfs.js';

/** 40 commits of 10 records of 500 bytes, in segments of 64 KiB. */
async function filledStore(folder: string): Promise<void> {
  await using evaq = await Evaq.open(folder, { segmentBytes: 64 * 1024 });
  for (let i = 0; i < 40; i++) await evaq.wal.pushMany(Array.from({ length: 10 }, () => Buffer.alloc(500, i)));
  await evaq.wal.removeMany([5, 6, 7]);
  await evaq.pushRetryItem('dead', { headers: { topic: 'x' } });
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
  writeFileSync(path, bytes);
}

async function commitsOf(path: string): Promise<RawCommit[]> {
  await using segment = await RawSegment.open(path);
  const commits: RawCommit[] = [];
  for await (const commit of segment.commits()) commits.push(commit);
  return commits;
}

test('P11: reading changes nothing on disk, and asks the file system for nothing but to list, open for reading, and read', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  const before = snapshotOf(folder);
  const hooks = new Hooks();
  const reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  let count = 0;
  for await (const _ of reader.wal.records()) count++;
  expect(count).toBe(397);
  expect((await reader.deadLetters.read())[0]).toMatchObject({ headers: { topic: 'x' } });
  const tail = reader.wal.tail({ from: 400 });
  await tail.next();
  await tail.return();
  await reader.wal.get(5);
  await reader.wal.stats();
  await reader.queueNames();
  await reader.freeBytes();
  await reader.close();
  await verifyStore(folder, { vfs: hooks.ports.vfs });
  for (const path of segmentsOf(folder)) await commitsOf(path);
  expect(snapshotOf(folder)).toEqual(before);
  const allowed = ['list', 'stat', 'open for read', 'size', 'readAt', 'close', 'freeBytes'];
  expect([...new Set(hooks.calls.map(({ name }) => name))].filter((name) => !allowed.includes(name))).toEqual([]);
  const opened = hooks.calls.filter(({ name }) => name === 'open for read').length;
  expect(hooks.calls.filter(({ name }) => name === 'close').length).toBe(opened);
});

test('P11: what is not a store is told so, and nothing is made', async () => {
  const folder = temporaryFolder();
  await expect(ReadOnlyEvaq.open(join(folder, 'none'))).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  await expect(ReadOnlyEvaq.open(folder)).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  await expect(Evaq.openReadOnly(folder)).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  await expect(RawSegment.open(join(folder, 'notes.txt'))).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  expect(readdirSync(folder)).toEqual(['notes.txt']);
});

test('P11: a queue that does not exist is refused by name and not made', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  await using reader = await Evaq.openReadOnly(folder);
  await expect(reader.queue('orders')).rejects.toMatchObject({
    code: 'EVAQ_QUEUE_NAME',
    hint: 'It has: dead-letters, wal.',
  });
  await expect(reader.queue('../wal')).rejects.toMatchObject({ code: 'EVAQ_QUEUE_NAME' });
  expect(await reader.queueNames()).toEqual(['dead-letters', 'wal']);
});

test('a store of a newer format is unsupported and not corrupt', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  const path = join(folder, 'STORE');
  const bytes = readFileSync(path);
  const { crc32 } = await import('../../../src/checksum.js');
  for (const at of [0, 64]) {
    bytes.writeUInt8(9, at + 4);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 60)), at + 60);
  }
  writeFileSync(path, bytes);
  await expect(ReadOnlyEvaq.open(folder)).rejects.toMatchObject({ code: 'EVAQ_UNSUPPORTED_VERSION' });
});

test('P9: a flipped byte in a sealed segment costs its own record, by default loudly', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  const [path = ''] = segmentsOf(folder);
  const commit = (await commitsOf(path)).filter(({ kind }) => kind === 'records')[4];
  // In the payload of the third record of the fifth commit.
  flip(path, (commit?.offset ?? 0) + 48 + 2 * 508 + 8 + 100);

  await using strict = await ReadOnlyEvaq.open(folder);
  const ids: number[] = [];
  const reading = (async () => {
    for await (const { id } of strict.wal.records()) ids.push(id);
  })();
  await expect(reading).rejects.toMatchObject({ code: 'EVAQ_CORRUPT', details: { path, id: 43, lastId: 43 } });
  expect(ids.at(-1)).toBe(42);
  expect((await strict.wal.read({ from: 44 }))[0]?.id).toBe(44);
  await expect(strict.wal.get(43)).rejects.toMatchObject({ code: 'EVAQ_CORRUPT' });

  await using lenient = await ReadOnlyEvaq.open(folder, { onCorruption: 'quarantine' });
  const rest: number[] = [];
  for await (const { id } of lenient.wal.records()) rest.push(id);
  expect(rest).toEqual(Array.from({ length: 400 }, (_, i) => i + 1).filter((id) => ![5, 6, 7, 43].includes(id)));
  expect(await lenient.wal.get(43)).toBeUndefined();
  expect((await lenient.wal.stats()).damage).toMatchObject([{ file: path, firstId: 43 }]);

  const report = await verifyStore(folder);
  expect(report.damage).toMatchObject([{ queue: 'wal', file: path, offset: commit?.offset, firstId: 43, lastId: 43 }]);
  expect(report.torn).toEqual([]);

  await using segment = await RawSegment.open(path);
  const entries: (number | string)[] = [];
  for await (const entry of segment.records()) {
    entries.push(entry.valid ? entry.record.id : `bad at ${entry.damage.offset}`);
  }
  expect(entries.slice(39, 52)).toEqual([40, 41, 42, 44, 45, 46, 47, 48, 49, 50, `bad at ${commit?.offset}`, 51, 52]);
});

test('P9: a segment whose header is gone is a loss of the records between its neighbours', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  const [first = '', second = '', third = ''] = segmentsOf(folder);
  for (const offset of [10, 74]) flip(second, offset);
  const last = (await commitsOf(first)).findLast((commit) => commit.kind === 'records');
  const next = (await commitsOf(third)).find((commit) => commit.kind === 'records');
  const lostFirst = last?.kind === 'records' ? last.firstId + last.count : 0;
  const lostLast = next?.kind === 'records' ? next.firstId - 1 : 0;
  await using reader = await ReadOnlyEvaq.open(folder);
  const ids: number[] = [];
  const reading = (async () => {
    for await (const { id } of reader.wal.records()) ids.push(id);
  })();
  await expect(reading).rejects.toMatchObject({
    code: 'EVAQ_CORRUPT',
    details: { path: second, id: lostFirst, lastId: lostLast },
  });
  expect(ids.at(-1)).toBe(lostFirst - 1);
  expect((await reader.wal.read({ from: lostLast + 1 }))[0]?.id).toBe(lostLast + 1);
  expect((await verifyStore(folder)).damage.length).toBeGreaterThan(0);
});

test('P9: damage to records that were removed is reported and stops nobody', async () => {
  const folder = temporaryFolder();
  const evaq = await Evaq.open(folder, { gc: false });
  for (let i = 0; i < 10; i++) await evaq.pushWal(`record ${i}`);
  await evaq.wal.removeThrough(3);
  // Not closed: the segment is scanned and judged when it is read.
  const [path = ''] = segmentsOf(folder);
  const commit = (await commitsOf(path)).filter(({ kind }) => kind === 'records')[1];
  flip(path, (commit?.offset ?? 0) + 56);
  await using reader = await ReadOnlyEvaq.open(folder);
  expect((await reader.wal.read()).map(({ id }) => id)).toEqual([4, 5, 6, 7, 8, 9, 10]);
  const { damage } = await reader.wal.stats();
  expect(damage).toMatchObject([{ file: path, lossless: false }]);
  // Nothing is lost with it.
  expect(damage[0]).not.toHaveProperty('firstId');
  await evaq.close();
});

test('verify finds a flipped byte wherever it is in the files of a queue', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  expect(await verifyStore(folder)).toMatchObject({ damage: [], torn: [] });
  const tombs = readdirSync(join(folder, 'queues/wal'), { encoding: 'utf8' }).filter((name) => name.endsWith('.tomb'));
  const [sealed = ''] = segmentsOf(folder);
  const size = statSync(sealed).size;
  const missed: string[] = [];
  for (const at of [4, 70, 130, 3000, 20_000, size - 1, size - 50, size - 96, size - 120, size - 300]) {
    flip(sealed, at);
    if ((await verifyStore(folder)).damage.length === 0) missed.push(`segment ${at} of ${size}`);
    flip(sealed, at);
  }
  const tomb = join(folder, 'queues/wal', tombs[0] ?? '');
  for (const at of [4, 70, 130, 180]) {
    flip(tomb, at);
    if ((await verifyStore(folder)).damage.length === 0) missed.push(`tombstones ${at}`);
    flip(tomb, at);
  }
  flip(join(folder, 'STORE'), 70);
  if ((await verifyStore(folder)).damage.length === 0) missed.push('STORE');
  expect(missed).toEqual([]);
});

test('verify finds a segment file that is missing', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  rmSync(segmentsOf(folder)[1] ?? '');
  expect((await verifyStore(folder)).damage.length).toBeGreaterThan(0);
});

test('a segment file tells its commits and records with their places, without its store', async () => {
  const folder = temporaryFolder();
  await filledStore(folder);
  const [first = ''] = segmentsOf(folder);
  await using segment = await RawSegment.open(first);
  expect(segment.header).toMatchObject({ kind: 'segment', baseId: 1 });
  expect(segment.footer).toMatchObject({ firstId: 1 });
  const commits = await commitsOf(first);
  expect(commits.at(-1)).toMatchObject({ kind: 'footer' });
  expect(
    commits.every(
      (commit, i) => commit.offset === (i === 0 ? 128 : (commits[i - 1]?.offset ?? 0) + (commits[i - 1]?.bytes ?? 0)),
    ),
  ).toBe(true);
  const bytes = readFileSync(first);
  let expected = 1;
  for await (const entry of segment.records()) {
    if (!entry.valid) throw new Error('nothing is damaged here');
    const { id, payload, offset, bytes: frameBytes } = entry.record;
    expect(id).toBe(expected++);
    expect(bytes.subarray(offset + frameBytes - payload.length, offset + frameBytes)).toEqual(payload);
  }
  expect(segment.footer?.lastId).toBe(expected - 1);
});
