/** What is lost is told by a reader too, whatever else is damaged, and wherever the damage lies; and no reading takes longer for it. */
import { copyFileSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Evaq, type EvaqError } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import { idsOf, newPath, openReal } from '../store/store-fixture.js';
import { overwrite, segmentsOf } from './support/disk.js';

const OPTIONS = { segmentBytes: 64 * 1024, gc: false } as const;

/** A store as a kill leaves it: `wal` has 10 records in each of three segments, of which 2 and 3 were removed first of all; `x` has three in one. */
async function make(): Promise<string> {
  const evaq = await openReal(OPTIONS);
  const x = await evaq.queue('x');
  for (let i = 0; i < 3; i++) {
    await evaq.wal.pushMany(Array.from({ length: 10 }, () => Buffer.alloc(7000, 1)));
    if (i === 0) await evaq.wal.removeMany([2, 3]);
  }
  await x.pushMany(['a', 'b', 'c']);
  const path = newPath();
  cpSync(evaq.path, path, { recursive: true });
  await evaq.close();
  return path;
}

function logOf(store: string, queue: string): string {
  const dir = join(store, 'queues', queue);
  return join(dir, readdirSync(dir).find((name) => name.endsWith('.tomb')) ?? '');
}

/** What `records()` gives, and at each rejection where it goes on. */
async function readOn(store: string, queue = 'wal'): Promise<{ ids: number[]; told: (readonly [number, number])[] }> {
  await using reader = await Evaq.openReadOnly(store);
  const source = await reader.queue(queue);
  const ids: number[] = [];
  const told: (readonly [number, number])[] = [];
  for (let from = 1; told.length < 10; ) {
    try {
      for await (const { id } of source.records({ from })) ids.push(id);
      break;
    } catch (error) {
      const { code, details } = error as EvaqError;
      if (code !== 'EVAQ_CORRUPT') throw error;
      const { id = -1, lastId = Infinity } = details;
      told.push([id, lastId]);
      from = lastId + 1;
    }
  }
  return { ids, told };
}

async function* inOnes<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T, void, undefined> {
  for await (const batch of batches) yield* batch;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

describe('removals are lost', () => {
  it.each([
    ['the log is gone', (log: string) => rmSync(log)],
    ['its header is rotten', (log: string) => overwrite(log, 0, Buffer.alloc(128))],
  ])('P9: %s: a reader gives all that is there, and then says that it may have been removed', async (_, harm) => {
    const store = await make();
    expect(await readOn(store)).toEqual({ ids: [1, ...range(4, 30)], told: [] });
    harm(logOf(store, 'wal'));
    expect(await readOn(store)).toEqual({ ids: range(1, 30), told: [[1, 30]] });
    await using reader = await Evaq.openReadOnly(store);
    const batch = await reader.wal.read();
    await expect(reader.wal.read({ from: (batch.at(-1)?.id ?? 0) + 1 })).rejects.toMatchObject({
      code: 'EVAQ_CORRUPT',
      message: expect.stringContaining('may have been removed'),
    });
    expect(await reader.wal.read({ from: 31 })).toEqual([]);
    // Also where the last that was wanted has come.
    const ends: (readonly [number, string])[] = [];
    for (const make of [
      () => reader.wal.records({ to: 30 }),
      () => reader.wal.tail({ to: 30 }),
      () => inOnes(reader.wal.batches({ to: 30 })),
    ]) {
      let count = 0;
      try {
        for await (const _ of make()) count++;
        ends.push([count, 'the end']);
      } catch (error) {
        ends.push([count, (error as EvaqError).code]);
      }
    }
    expect(ends).toEqual(Array.from({ length: 3 }, () => [30, 'EVAQ_CORRUPT']));
    await using lenient = await Evaq.openReadOnly(store, { onCorruption: 'quarantine' });
    expect((await lenient.wal.read()).length).toBe(30);
  });

  it('P9: a file is missing besides: that some of its records are lost is told in their place', async () => {
    const store = await make();
    rmSync(segmentsOf(store)[0] ?? '');
    overwrite(logOf(store, 'wal'), 0, Buffer.alloc(128));
    expect(await readOn(store)).toEqual({
      ids: range(11, 30),
      told: [
        [1, 10],
        [1, 30],
      ],
    });
  });
});

it.each([
  ['gone', (log: string) => rmSync(log)],
  [
    'of another queue',
    (log: string) => copyFileSync(logOf(log.slice(0, log.indexOf('/queues/')), 'dead-letters'), log),
  ],
])(
  'P8, P9: the log that says how much was synced is %s: what stands at the end of the data is damage, and not torn',
  async (_, harm) => {
    const evaq = await openReal(OPTIONS);
    for (let i = 0; i < 3; i++) await evaq.wal.pushMany(Array.from({ length: 5 }, () => Buffer.alloc(100, 1)));
    await evaq.wal.remove(2);
    const store = newPath();
    cpSync(evaq.path, store, { recursive: true });
    await evaq.close();
    const [segment = ''] = segmentsOf(store);
    const last = readFileSync(segment).lastIndexOf(Buffer.from([0xc0, 0xe7, 1]));
    overwrite(segment, last + 48 + 20, Buffer.from([0]));
    harm(logOf(store, 'wal'));
    const { damage, torn } = await verifyStore(store);
    expect(torn).toEqual([]);
    expect(damage.map(({ firstId, lastId }) => [firstId, lastId])).toContainEqual([11, 11]);
    await using opened = await Evaq.open(store, { onCorruption: 'quarantine' });
    expect(await idsOf(opened.wal)).toEqual([...range(1, 10), ...range(12, 15)]);
    expect(await opened.wal.push('next')).toBeGreaterThan(15);
  },
);

it('P9: what is lost in one place and may be in another is told in the order of the IDs', async () => {
  const store = await make();
  const [first = '', , third = ''] = segmentsOf(store);
  const [other = ''] = segmentsOf(store, 'x');
  rmSync(first);
  overwrite(third, 0, Buffer.alloc(128));
  copyFileSync(other, segmentsOf(store).at(-1) ?? '');
  overwrite(logOf(store, 'wal'), 0, Buffer.alloc(128));
  const { ids, told } = await readOn(store);
  expect(ids).toEqual(range(11, 20));
  expect(told[0]).toEqual([1, 10]);
  expect(told[1]?.[0]).toBe(21);
  expect(told.length).toBeGreaterThan(2);
});

it('P9: all segments of a queue are gone: that is told, also where its log cannot be read', async () => {
  const store = await make();
  for (const path of segmentsOf(store, 'x')) rmSync(path);
  overwrite(logOf(store, 'x'), 0, Buffer.alloc(128));
  const { damage } = await verifyStore(store);
  expect(damage.map(({ queue, what, vague }) => [queue, what, vague])).toContainEqual([
    'x',
    'all segments of the queue are gone',
    true,
  ]);
  expect((await readOn(store, 'x')).told.length).toBe(1);
});

describe('a file in the place of a segment', () => {
  it.each(['of another queue', 'of another store'] as const)(
    'P8, P9: %s: what was there is named, and none of its IDs comes again',
    async (which) => {
      const store = await make();
      const [target = ''] = segmentsOf(store, 'x');
      const source = which === 'of another queue' ? store : await make();
      const [other = ''] = segmentsOf(source, which === 'of another queue' ? 'dead-letters' : 'x');
      copyFileSync(other, target);
      truncateSync(target, 128);
      const { damage } = await verifyStore(store);
      expect(damage).toEqual([
        expect.objectContaining({ file: target, what: 'the header belongs to another segment or store' }),
        expect.objectContaining({ queue: 'x', vague: true }),
      ]);
      await using evaq = await Evaq.open(store, { onCorruption: 'quarantine' });
      expect(await (await evaq.queue('x')).push('d')).toBeGreaterThan(2 ** 29);
    },
  );

  it('P9: two swapped ones, of two queues: both are named', async () => {
    const store = await make();
    const [mine = ''] = segmentsOf(store, 'x');
    const [, other = ''] = segmentsOf(store);
    renameSync(mine, `${mine}.tmp`);
    renameSync(other, mine);
    renameSync(`${mine}.tmp`, other);
    const { ids, told } = await readOn(store);
    expect(ids).toEqual([1, ...range(4, 10), ...range(21, 30)]);
    expect(told).toEqual([[11, 20]]);
    const { told: ofX } = await readOn(store, 'x');
    expect(ofX.some(([first, last]) => first === 1 && last >= 3)).toBe(true);
  });

  it('P9: one of another queue that was put beside them costs nothing', async () => {
    const store = await make();
    const [, other = ''] = segmentsOf(store);
    copyFileSync(other, other.replace('/wal/', '/x/'));
    expect((await verifyStore(store)).damage).toEqual([expect.not.objectContaining({ firstId: expect.anything() })]);
    expect(await readOn(store, 'x')).toEqual({ ids: [1, 2, 3], told: [] });
  });
});

it.each([
  ['the newest segment', (store: string) => segmentsOf(store, 'dead-letters').at(-1) ?? ''],
  ['the log of removals', (store: string) => logOf(store, 'dead-letters')],
])('P9: %s ends within its header: nothing is loaded time and again', async (_, pick) => {
  const store = await make();
  truncateSync(pick(store), 100);
  let opened = 0;
  const vfs = new Proxy(nodeVfs, {
    get: (target, key) => {
      if (key === 'open' || key === 'endsBlocking') opened++;
      return Reflect.get(target, key, target) as unknown;
    },
  });
  await using reader = await Evaq.openReadOnly(store, {
    onCorruption: 'quarantine',
    ports: { vfs, host: nodeHost },
  });
  expect((await reader.deadLetters.read()).length).toBe(0);
  expect(opened).toBeLessThan(20);
  opened = 0;
  expect(await reader.deadLetters.get(1)).toBe(undefined);
  expect(await reader.deadLetters.read()).toEqual([]);
  expect(opened).toBe(0);
});
