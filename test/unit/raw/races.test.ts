import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { ReadOnlyEvaq } from '../../../src/raw.js';
import { temporaryFolder } from './support/disk.js';
import { Hooks } from './support/hooked-vfs.js';

/** 400 records of 1000 bytes in segments of 64 KiB, of which every third is removed. */
async function sparseStore(folder: string): Promise<{ evaq: Evaq; live: number[] }> {
  const evaq = await Evaq.open(folder, { segmentBytes: 64 * 1024, gc: false });
  const live: number[] = [];
  for (let i = 0; i < 20; i++) await evaq.wal.pushMany(Array.from({ length: 20 }, (_, j) => Buffer.alloc(1000, i + j)));
  const dead: number[] = [];
  for (let id = 1; id <= 400; id++) {
    if (id % 3 === 0 && id <= 350) dead.push(id);
    else live.push(id);
  }
  await evaq.wal.removeMany(dead);
  return { evaq, live };
}

const idsOf = async (reader: ReadOnlyEvaq): Promise<number[]> => {
  const ids: number[] = [];
  for await (const { id } of reader.wal.records()) ids.push(id);
  return ids;
};

const inWal = (path: string): boolean => path.includes('/wal/');

test('P3: segments that GC rewrites between the listing and their opening are read in their new place', async () => {
  const folder = temporaryFolder();
  const { evaq, live } = await sparseStore(folder);
  const hooks = new Hooks();
  await using reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  hooks.before(
    ({ name, path }) => name === 'open for read' && path.endsWith('.seg'),
    () => evaq.wal.compact(),
  );
  expect(await idsOf(reader)).toEqual(live);
  expect(hooks.allRan).toBe(true);
  await evaq.close();
});

test('P3: a rewrite while the log is read beneath the reader loses it nothing', async () => {
  const folder = temporaryFolder();
  const { evaq, live } = await sparseStore(folder);
  const hooks = new Hooks();
  await using reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  expect((await reader.wal.read({ maxRecords: 1 })).map(({ id }) => id)).toEqual([1]);
  // The look at the names is over: the next thing is to read records, from files that are recycled now.
  let looks = 0;
  hooks.before(
    ({ name, path }) => name === 'readAt' && path.endsWith('.seg') && looks++ > 0,
    async () => {
      await evaq.wal.compact();
      for (let i = 0; i < 20; i++) await evaq.wal.pushMany(Array.from({ length: 20 }, () => Buffer.alloc(1000)));
    },
  );
  const ids = await idsOf(reader);
  expect(ids.slice(0, live.length)).toEqual(live);
  expect(hooks.allRan).toBe(true);
  expect((await reader.wal.stats()).damage).toEqual([]);
  await evaq.close();
});

test('P2: removals are known though their log goes over to a new generation while it is being opened', async () => {
  const folder = temporaryFolder();
  const { evaq, live } = await sparseStore(folder);
  const hooks = new Hooks();
  await using reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  hooks.before(
    ({ name, path }) => name === 'open for read' && inWal(path) && path.endsWith('.tomb'),
    async () => {
      await evaq.close();
      await (await Evaq.open(folder)).close();
    },
  );
  expect(await idsOf(reader)).toEqual(live);
  expect(hooks.allRan).toBe(true);
});

test('P9: removals that were made after their log was read are not missed as lost rounds', async () => {
  const folder = temporaryFolder();
  const evaq = await Evaq.open(folder);
  await evaq.wal.pushMany(['a', 'b', 'c']);
  const hooks = new Hooks();
  await using reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  // Every time the segments are read, rounds are mentioned that the log did not have when it was read.
  const again = (): void => {
    hooks.before(
      ({ name, path }) => name === 'open for read' && path.endsWith('.seg'),
      async () => {
        const id = await evaq.pushWal('d');
        await evaq.wal.remove(id);
        await evaq.pushWal('e');
        again();
      },
    );
  };
  again();
  expect((await reader.wal.read({ maxRecords: 3 })).map(({ id }) => id)).toEqual([1, 2, 3]);
  expect((await reader.wal.stats()).damage).toEqual([]);
  await evaq.close();
});

test('P9: a page that looks torn once, because it was read while it was written, is not reported as damage', async () => {
  const folder = temporaryFolder();
  const evaq = await Evaq.open(folder);
  for (const text of ['a', 'b', 'c']) await evaq.pushWal(text);
  const hooks = new Hooks();
  await using reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  let spoilt = 0;
  hooks.spoil = ({ path, position }, bytes) => {
    if (!inWal(path) || !path.endsWith('.seg') || position !== 128 || bytes.length < 100 || spoilt++ > 0) return;
    bytes[60] = 99;
  };
  expect((await reader.wal.read()).map(({ payload }) => payload.toString())).toEqual(['a', 'b', 'c']);
  expect(spoilt).toBeGreaterThan(1);
  expect((await reader.wal.stats()).damage).toEqual([]);
  await evaq.close();
});

test('P2: a call does not make do with a look that began before it', async () => {
  const folder = temporaryFolder();
  const evaq = await Evaq.open(folder);
  const hooks = new Hooks();
  await using reader = await ReadOnlyEvaq.open(folder, { ports: hooks.ports });
  await evaq.pushWal('a');
  await reader.wal.read();
  let late: Promise<unknown> = Promise.resolve('not asked');
  // The look has read the removals by then, and goes on to the data.
  hooks.before(
    ({ name, path }) => name === 'size' && path.endsWith('.seg'),
    async () => {
      await evaq.wal.remove(1);
      late = reader.wal.get(1);
    },
  );
  // This one overlaps the removal, so either answer is right.
  await reader.wal.get(1);
  expect(await late).toBeUndefined();
  await evaq.close();
});
