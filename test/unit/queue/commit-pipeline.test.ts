/** The commit pipeline in company: steady loads, faults that pass, and mistakes of our own. */
import { describe, expect, it } from 'vitest';
import { COMMIT_BODY_BYTES_MAX } from '../../../src/frame/commit-header.js';
import { decodeFileHeader, FILE_HEADER_BYTES, HEADER_FLAG_RELAXED } from '../../../src/frame/file-header.js';
import { segmentId } from '../../../src/ids.js';
import { readStore } from '../../../src/layout/store-file.js';
import type { CommitPipelineOptions } from '../../../src/queue/commit-pipeline.js';
import { SegmentSupply } from '../../../src/segment/segment-supply.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, idsOf, newDisk, openSim, passTime, rejection } from '../store/store-fixture.js';
import { newPipeline, outcomesOf, PIPELINE_DIR, thrownBy } from './pipeline-fixture.js';

const KIB = 1024;
const SMALL = { segmentBytes: 64 * KIB };
/** Far more commits than anybody may have to wait for. */
const LOAD = 4000;

describe('P14: a steady load', () => {
  it.each(['sync', 'os', { intervalMs: 5 }] as const)('does not keep flush waiting: %j', async (durability) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, durability });
    let left = LOAD;
    const produce = async (): Promise<void> => {
      while (left-- > 0) await evaq.wal.push(Buffer.alloc(1000));
    };
    const producers = [produce(), produce(), produce(), produce()];
    await evaq.wal.push('waited for');
    const flushed: { readonly id: number; readonly after: SimDisk }[] = [];
    for (let i = 0; i < 5; i++) {
      const before = left;
      const id = await evaq.wal.push('flushed');
      await evaq.wal.flush();
      expect(before - left).toBeLessThan(400);
      flushed.push({ id, after: disk.crash(disk.nothingSurvives()) });
    }
    expect(left).toBeGreaterThan(0);
    await Promise.all(producers);
    await evaq.close();
    for (const { id, after } of flushed) expect(await (await openSim(after)).wal.get(id)).toBeDefined();
  });

  it('does not keep a roll waiting', async () => {
    const { pipeline, log } = await newPipeline(newDisk());
    let left = LOAD;
    const produce = async (): Promise<void> => {
      while (left-- > 0) await pipeline.push(Buffer.alloc(10), undefined);
    };
    const producers = [produce(), produce()];
    await pipeline.push(Buffer.alloc(10), undefined);
    await pipeline.roll();
    expect(left).toBeGreaterThan(LOAD - 100);
    expect(log.segments).toHaveLength(2);
    await Promise.all(producers);
    await pipeline.settled();
    await pipeline.close();
  });

  it('committed waits for what waits for room, and for nothing behind it', async () => {
    const { pipeline } = await newPipeline(newDisk(), { maxPendingBytes: 1000 });
    const order: string[] = [];
    const note = (what: string): (() => void) => {
      return () => void order.push(what);
    };
    const calls: Promise<void>[] = [
      pipeline.push(Buffer.alloc(900), undefined).then(note('first')),
      pipeline.push(Buffer.alloc(900), undefined).then(note('second')),
      pipeline.committed().then(note('both')),
      pipeline.push(Buffer.alloc(900), undefined).then(note('third')),
      pipeline.committed().then(note('all')),
    ];
    await Promise.all(calls);
    expect(order).toEqual(['first', 'second', 'both', 'third', 'all']);
    await pipeline.committed();
    await pipeline.close();
  });

  it('flush resolves where a commit that it waited for was rejected, and what was not is durable', async () => {
    const disk = newDisk();
    const { pipeline } = await newPipeline(disk, { durability: 'os' });
    await pipeline.push(Buffer.from('a'), undefined);
    disk.fault({ on: 'write', error: 'ENOSPC' });
    const refused = outcomesOf([pipeline.push(Buffer.from('b'), undefined)]);
    await pipeline.flush();
    expect(await refused).toEqual(['EVAQ_NO_SPACE']);
    const { offset } = pipeline.durablePosition();
    expect(offset).toBe(pipeline.active.writtenEnd);
  });
});

describe('P14: a mistake of our own', () => {
  const MISTAKES: readonly (keyof CommitPipelineOptions)[] = ['removalRound', 'onSync', 'onVisible', 'onRolled'];
  it.each(MISTAKES)('thrown by %s stops the store, leaves nobody waiting, and does not hang close', async (where) => {
    const disk = newDisk();
    let armed = false;
    const planted = (): never | number => {
      if (armed) throw new TypeError('planted');
      return 0;
    };
    const { pipeline, failStop } = await newPipeline(disk, { [where]: planted, maxPendingBytes: 50 * KIB });
    await pipeline.push(Buffer.alloc(30 * KIB), undefined);
    armed = true;
    const calls = Array.from({ length: 8 }, () => pipeline.push(Buffer.alloc(20 * KIB), undefined));
    const others = [pipeline.committed(), pipeline.roll(), pipeline.settled()];
    const outcomes = await outcomesOf(calls);
    expect(outcomes).toContain('EVAQ_FAILED');
    await Promise.all(others);
    expect(failStop.error).toMatchObject({ code: 'EVAQ_FAILED', cause: { message: 'planted' } });
    expect(await outcomesOf<unknown>([pipeline.push(Buffer.alloc(1), undefined), pipeline.flush()])).toEqual([
      'EVAQ_FAILED',
      'EVAQ_FAILED',
    ]);
    await pipeline.settled();
    await pipeline.close();
    expect(disk.violations).toEqual([]);
  });

  it('thrown within a blocking push stops the store and leaves nobody waiting', async () => {
    let armed = false;
    const { pipeline, failStop } = await newPipeline(newDisk(), {
      onVisible: () => {
        if (armed) throw new TypeError('planted');
      },
    });
    const calls = [pipeline.push(Buffer.alloc(200 * KIB), undefined)];
    await Promise.resolve();
    calls.push(pipeline.push(Buffer.alloc(10), undefined));
    armed = true;
    expect(thrownBy(() => pipeline.pushSync(Buffer.alloc(1)))).toMatchObject({ code: 'EVAQ_FAILED' });
    await Promise.allSettled(calls);
    await pipeline.settled();
    await pipeline.close();
    expect(failStop.error?.cause).toMatchObject({ message: 'planted' });
  });
});

describe('P14: making the next segment', () => {
  const record = (i: number): Buffer => Buffer.alloc(20 * KIB, i);

  it.each([
    ['create', 'EMFILE', 'EVAQ_IO'],
    ['create', 'EIO', 'EVAQ_IO'],
    ['rename', 'EIO', 'EVAQ_IO'],
    ['rename', 'ENOMEM', 'EVAQ_IO'],
    ['syncDir', 'ENFILE', 'EVAQ_IO'],
    ['open', 'EMFILE', 'EVAQ_IO'],
    ['create', 'ENOSPC', 'EVAQ_NO_SPACE'],
  ] as const)('%s fails with %s: the pushes that need it reject, the next one tries again', async (on, error, code) => {
    for (const unlinkFails of [false, true]) {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
      const kept: number[] = [];
      kept.push(await evaq.wal.push(record(0)));
      // One that is made ahead of time, and the one that is made when it is needed.
      const mend = disk.fault({ on, error, path: 'wal', times: Infinity });
      const undo = unlinkFails ? disk.fault({ on: 'remove', path: 'wal', times: 3 }) : undefined;
      const failure = await rejection(
        (async () => {
          for (let i = 1; i < 4; i++) kept.push(await evaq.wal.push(record(i)));
        })(),
        code,
      );
      expect(failure.cause).toMatchObject({ errno: expect.any(Number) });
      mend();
      undo?.();
      for (let i = 4; i < 9; i++) kept.push(await evaq.wal.push(record(i)));
      expect(kept).toEqual(Array.from(kept, (_, i) => i + 1));
      for (const after of [disk.crash(disk.nothingSurvives()), disk.fork()]) {
        const again = await openSim(after, SMALL);
        expect(again.recovery.damage).toEqual([]);
        expect(await idsOf(again.wal)).toEqual(kept);
        await again.close();
      }
      await evaq.close();
      expect(disk.violations).toEqual([]);
    }
  });

  it('a fault ahead of time that has passed by then is noticed by nobody', async () => {
    const disk = newDisk();
    const { pipeline, log } = await newPipeline(disk);
    await pipeline.push(record(0), undefined);
    disk.fault({ on: 'create', error: 'EMFILE' });
    for (let i = 1; i < 9; i++) expect(await pipeline.push(record(i), undefined)).toBe(i + 1);
    expect(log.segments.length).toBeGreaterThan(2);
    await pipeline.close();
  });

  it.each(['sync', 'syncDir'] as const)('P7: a failed %s of it stops the store', async (on) => {
    const disk = newDisk();
    const { pipeline, failStop } = await newPipeline(disk);
    await pipeline.push(Buffer.alloc(30 * KIB), undefined);
    disk.fault({ on, path: on === 'sync' ? '.tmp' : PIPELINE_DIR, times: 2 });
    // The one that was made ahead of time is not looked at before it is needed; the switch shows at once.
    const outcomes = await outcomesOf([
      pipeline.push(Buffer.alloc(10 * KIB), undefined),
      pipeline.push(Buffer.alloc(60 * KIB), undefined),
    ]);
    expect(outcomes.at(-1)).toBe('EVAQ_FAILED');
    expect(failStop.error?.cause).toMatchObject({ code: 'EIO' });
    await pipeline.settled();
    await pipeline.close();
  });

  it('a roll that failed is done again behind the next commit', async () => {
    const disk = newDisk();
    const { pipeline, log } = await newPipeline(disk);
    await pipeline.push(Buffer.from('a'), undefined);
    disk.fault({ on: 'create', error: 'EMFILE', times: 2 });
    await pipeline.roll();
    await pipeline.push(Buffer.from('b'), undefined);
    await pipeline.settled();
    expect(log.segments).toHaveLength(1);
    await pipeline.push(Buffer.from('c'), undefined);
    await pipeline.settled();
    expect(log.segments).toHaveLength(2);
    await pipeline.push(Buffer.from('d'), undefined);
    await pipeline.settled();
    expect(log.segments).toHaveLength(2);
    await pipeline.close();
  });
});

describe('a failed write that is cut away', () => {
  it.each(['EINTR', 'EAGAIN', 'ENOMEM'] as const)('P14: %s of the cut is waited out', async (error) => {
    const disk = newDisk();
    const { pipeline, failStop } = await newPipeline(disk);
    disk.fault({ on: 'write', error: 'EIO' });
    disk.fault({ on: 'truncate', error, times: 2 });
    expect(await outcomesOf([pipeline.push(Buffer.from('a'), undefined)])).toEqual(['EVAQ_IO']);
    expect(await outcomesOf([pipeline.push(Buffer.from('b'), undefined)])).toEqual([1]);
    expect(failStop.error).toBeUndefined();
    await pipeline.close();
  });

  it('P7: one that cannot be stops the store, after a bounded number of tries', async () => {
    const disk = newDisk();
    const { pipeline, failStop } = await newPipeline(disk);
    disk.fault({ on: 'write', error: 'EIO' });
    disk.fault({ on: 'truncate', error: 'EINTR', times: Infinity });
    expect(await outcomesOf([pipeline.push(Buffer.from('a'), undefined)])).toEqual(['EVAQ_FAILED']);
    expect(disk.calls.filter(({ name }) => name === 'truncate').length).toBeLessThan(10);
    expect(failStop.error).toBeDefined();
    await pipeline.close();
  });
});

describe('limits', () => {
  it('a record that no commit can hold, metadata included, is EVAQ_RECORD_TOO_LARGE before anything is accepted', async () => {
    const { pipeline, failStop } = await newPipeline(newDisk());
    // Never touched, so it takes no memory.
    const huge = new Uint8Array(COMMIT_BODY_BYTES_MAX - 15);
    const nearly = huge.subarray(0, huge.length - 100);
    expect(
      await outcomesOf<unknown>([
        pipeline.push(huge, undefined),
        pipeline.push(nearly, Buffer.alloc(97)),
        pipeline.pushMany([huge]),
        pipeline.pushMany([nearly, Buffer.alloc(200)]),
      ]),
    ).toEqual(Array.from({ length: 4 }, () => 'EVAQ_RECORD_TOO_LARGE'));
    expect(thrownBy(() => pipeline.pushSync(huge))).toMatchObject({ code: 'EVAQ_RECORD_TOO_LARGE' });
    expect(pipeline.pendingBytes).toBe(0);
    expect(await pipeline.push(Buffer.from('a'), undefined)).toBe(1);
    expect(failStop.error).toBeUndefined();
    await pipeline.close();
  });

  it('P8: behind the last ID pushes are EVAQ_QUEUE_FULL, those that were accepted get theirs', async () => {
    const last = Number.MAX_SAFE_INTEGER - 1;
    const { pipeline, failStop, log } = await newPipeline(newDisk(), { nextId: last - 4, maxPendingBytes: 30 });
    const a = Buffer.from('a');
    expect(
      await outcomesOf<unknown>([
        pipeline.push(a, undefined),
        pipeline.pushMany(Array.from({ length: 5 }, () => a)),
        pipeline.pushMany([a, a]),
        pipeline.push(a, undefined),
        pipeline.push(a, undefined),
        pipeline.push(a, undefined),
      ]),
    ).toEqual([
      last - 4,
      'EVAQ_QUEUE_FULL',
      { firstId: last - 3, lastId: last - 2 },
      last - 1,
      last,
      'EVAQ_QUEUE_FULL',
    ]);
    expect(thrownBy(() => pipeline.pushSync(a))).toMatchObject({ code: 'EVAQ_QUEUE_FULL' });
    // A roll at the very end, too.
    await pipeline.roll();
    expect(log.segments).toHaveLength(2);
    expect(failStop.error).toBeUndefined();
    await pipeline.close();
  });

  it('P8: a store whose IDs are nearly used up opens, also after a kill that makes them skip ahead', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os' });
    await evaq.wal.push('a');
    const after = disk.fork();
    const dir = '/store/queues/wal';
    const { vfs, host } = after;
    const storeUuid = (await readStore(vfs, '/store'))?.uuid ?? Buffer.alloc(16);
    const supply = new SegmentSupply({ vfs, host, dir, storeUuid, allocateId: () => segmentId(1000), poolMax: 0 });
    const given = Number.MAX_SAFE_INTEGER - 10;
    const draft = await supply.publish(await supply.draft(given, HEADER_FLAG_RELAXED, 0, 0));
    await draft.file.close();
    let found = after;
    for (let kills = 0; kills < 3; kills++) {
      const again = await openSim(found, { durability: 'os' });
      expect(Object.values(await contentOf(again.wal))[0]).toBe('a');
      const outcome = await outcomesOf([again.wal.push('b')]);
      expect(outcome).toEqual([kills === 0 ? given : 'EVAQ_QUEUE_FULL']);
      for (const path of found.calls.filter(({ name }) => name === 'create').map((call) => call.path)) {
        const bytes = Buffer.from(found.read(path.replace(/\.tmp$/, '')) ?? []);
        if (!/wal\/.*\.seg/.test(path) || bytes.length < FILE_HEADER_BYTES) continue;
        const header = decodeFileHeader(bytes.subarray(0, FILE_HEADER_BYTES), 'segment');
        if (header.kind === 'ok') expect(header.header.idHighWater).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
      }
      found = found.fork();
    }
  });
});

it('{ intervalMs }: syncs go on after a push that failed', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { durability: { intervalMs: 10 } });
  disk.fault({ on: 'write', path: '.seg', error: 'ENOSPC' });
  await rejection(evaq.wal.push('a'), 'EVAQ_NO_SPACE');
  await evaq.wal.push('b');
  await passTime(disk, 30);
  expect(Object.values(await contentOf((await openSim(disk.crash(disk.nothingSurvives()))).wal))).toEqual(['b']);
  await evaq.close();
});
