/** A removal pipeline by itself: who waits for what, what is owed, and when its log is written anew. */
import { describe, expect, it } from 'vitest';
import { FailStop } from '../../../src/fail-stop.js';
import type { IdRange } from '../../../src/ids.js';
import { BlockingBudget } from '../../../src/queue/blocking-budget.js';
import { newGeneration } from '../../../src/queue/new-generation.js';
import { RemovalPipeline, type RemovalPipelineOptions } from '../../../src/queue/removal-pipeline.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { TombstoneLog } from '../../../src/tombstone/tombstone-log.js';
import { countOf, passTime } from '../store/store-fixture.js';
import { outcomesOf } from './pipeline-fixture.js';

const DIR = '/queue';
const NONE = new Map();
const CONTEXT = {
  nextId: 1_000_000,
  accountedBelow: 1_000_000,
  dataSegmentId: 1,
  dataOffset: 0,
  sealedBelow: 0,
  segmentIdMax: 1,
  liveRecords: 0,
  hasIntake: false,
};

interface Setting {
  readonly disk: SimDisk;
  readonly pipeline: RemovalPipeline;
  readonly failStop: FailStop;
  /** How many rounds were written and settled. */
  readonly rounds: () => number;
}

async function newPipeline(options: Partial<RemovalPipelineOptions> = {}): Promise<Setting> {
  const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  const { vfs, host } = disk;
  await vfs.makeDir(DIR);
  const storeUuid = Buffer.alloc(16, 7);
  const failStop = new FailStop();
  const source = newGeneration(vfs, host, DIR, storeUuid, 1);
  const log = await TombstoneLog.create(source, { ...CONTEXT, round: 1, timestamp: 1 }, [], () => Promise.resolve());
  let settled = 0;
  const pipeline = new RemovalPipeline(
    {
      storeId: 'a store',
      queue: 'wal',
      dir: DIR,
      vfs,
      host,
      storeUuid,
      failStop,
      synced: true,
      blocking: new BlockingBudget(host, true),
      context: () => CONTEXT,
      deadRanges: () => [],
      freeSpace: () => Promise.resolve(false),
      onSettled: () => settled++,
      ...options,
    },
    log,
    1,
  );
  return { disk, pipeline, failStop, rounds: () => settled };
}

function range(first: number, last: number = first): IdRange {
  return { first, last };
}

function failWrites(disk: SimDisk, times: number): () => void {
  return disk.fault({ on: 'write', path: /tomb/, error: 'EIO', times });
}

/** 'pending', or what it came to, after some simulated time. */
async function stateOf(disk: SimDisk, promise: Promise<unknown>, ms = 50): Promise<unknown> {
  return Promise.race([promise, passTime(disk, ms).then(() => 'pending')]);
}

describe('what could not be written', () => {
  it('P2: is owed, to the record, until a later round has taken it along', async () => {
    const { disk, pipeline } = await newPipeline();
    failWrites(disk, 1);
    const lost = [range(5, 7), range(20), range(31, 40), range(50)];
    expect(await outcomesOf([pipeline.submit(lost, NONE)])).toEqual(['EVAQ_IO']);
    expect(pipeline.owedRanges).toBe(4);
    const owed = [4, 5, 7, 8, 19, 20, 21, 30, 31, 40, 41, 50, 51].filter((id) => pipeline.owes(id));
    expect(owed).toEqual([5, 7, 20, 31, 40, 50]);
    expect([4, 5, 99].map((id) => pipeline.owesUpTo(id))).toEqual([false, true, true]);
    let told = 0;
    pipeline.whenNothingOwed(() => told++);
    expect(told).toBe(0);
    expect(await pipeline.submit([range(60)], NONE)).toBe(true);
    expect(told).toBe(1);
    expect([pipeline.owedRanges, pipeline.owes(20), pipeline.owesUpTo(99)]).toEqual([0, false, false]);
    pipeline.whenNothingOwed(() => told++);
    expect(told).toBe(2);
  });

  it('P14: is tried again by itself, each time twice as much later, for five seconds at most', async () => {
    const { disk, pipeline } = await newPipeline();
    const writes = (): number => countOf(disk, 'write', /tomb/);
    failWrites(disk, 1);
    await pipeline.submit([range(5)], NONE).catch(() => undefined);
    const gaps: number[] = [];
    let last = disk.host.elapsed();
    while (gaps.length < 7) {
      // What failed is wiped by further writes: the next try is what fails next.
      await passTime(disk, 40);
      failWrites(disk, 1);
      const seen = writes();
      for (let waited = 0; writes() === seen && waited < 10_000; waited += 10) await passTime(disk, 10);
      gaps.push(Math.round((disk.host.elapsed() - last) / 250) * 250);
      last = disk.host.elapsed();
    }
    expect(gaps).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
    expect(pipeline.owedRanges).toBe(1);
    await passTime(disk, 5100);
    expect(pipeline.owedRanges).toBe(0);
  });

  it('P14: is not tried again by itself once the queue is being closed', async () => {
    const { disk, pipeline } = await newPipeline();
    failWrites(disk, 1);
    const failed = outcomesOf([pipeline.submit([range(5)], NONE)]);
    await pipeline.settled();
    expect(await failed).toEqual(['EVAQ_IO']);
    await passTime(disk, 20_000);
    expect(pipeline.owedRanges).toBe(1);
  });
});

describe('who waits', () => {
  it('P14: for what was asked for is told where there is nothing, and where a round has just been rejected', async () => {
    const { disk, pipeline, rounds } = await newPipeline();
    expect(await stateOf(disk, pipeline.written())).toBeUndefined();
    expect(await stateOf(disk, pipeline.join())).toBeUndefined();
    expect(rounds()).toBe(0);
    failWrites(disk, 1);
    // In the very turn in which the rejection is told.
    const behind = pipeline.submit([range(5)], NONE).catch(() => stateOf(disk, pipeline.written()));
    expect(await behind).toBeUndefined();
  });

  it('P2: for what was written waits for the round under way, and for those that came before the call', async () => {
    const { disk, pipeline } = await newPipeline();
    const order: string[] = [];
    const note = (what: string) => (): void => {
      order.push(what);
    };
    const first = pipeline.submit([range(1)], NONE).then(note('first'));
    await new Promise((resolve) => disk.host.soon(() => resolve(undefined)));
    const underWay = pipeline.written().then(note('written'));
    const second = pipeline.submit([range(2)], NONE).then(note('second'));
    const both = pipeline.written().then(note('written, too'));
    await Promise.all([first, underWay, second, both]);
    expect(order.indexOf('written')).toBeLessThan(order.indexOf('second'));
    expect(order.at(-1)).toBe('written, too');
  });

  it('P2: for all of it waits for what was only asked for, and for what is owed, which is tried once more', async () => {
    const { disk, pipeline, rounds } = await newPipeline();
    let isDone = false;
    void pipeline.submit([range(1)], NONE).then(() => {
      isDone = true;
    });
    await pipeline.join();
    expect(isDone).toBe(true);
    failWrites(disk, 1);
    await outcomesOf([pipeline.submit([range(2)], NONE)]);
    const before = rounds();
    await pipeline.join();
    expect([pipeline.owedRanges, rounds()]).toEqual([0, before + 1]);
  });

  it('P2: for a blocking sync waits for none where all is durable', async () => {
    const { disk, pipeline } = await newPipeline({ synced: false });
    await pipeline.submit([range(1)], NONE);
    const before = countOf(disk, 'sync', /tomb/);
    pipeline.syncBlocking();
    const once = countOf(disk, 'sync', /tomb/) + countOf(disk, 'writeAndSyncBlocking', /tomb/);
    expect(once).toBeGreaterThan(before);
    pipeline.syncBlocking();
    await pipeline.syncNow();
    expect(countOf(disk, 'sync', /tomb/) + countOf(disk, 'writeAndSyncBlocking', /tomb/)).toBe(once);
  });
});

describe('its log', () => {
  it('P6: is written anew when it is mostly garbage, and says no more than what is dead', async () => {
    const { pipeline } = await newPipeline({ deadRanges: () => [range(1, 100_000)] });
    let most = 0;
    for (let i = 0; i < 40; i++) {
      const round = Array.from({ length: 400 }, (_, k) => range(1_000 * i + 2 * k + 1));
      await pipeline.submit(round, NONE);
      most = Math.max(most, pipeline.logBytes);
    }
    expect(most).toBeGreaterThan(64 * 1024);
    expect(most).toBeLessThan(80 * 1024);
  });

  it('P6: is left alone at rest where it is small, and written anew where that halves it', async () => {
    const { disk, pipeline } = await newPipeline();
    await pipeline.submit([range(1)], NONE);
    const small = pipeline.logBytes;
    await pipeline.shrink();
    expect(pipeline.logBytes).toBe(small);
    for (let i = 0; i < 8; i++)
      await pipeline.submit(
        Array.from({ length: 400 }, (_, k) => range(1_000 * i + 2 * k + 1)),
        NONE,
      );
    expect(pipeline.logBytes).toBeGreaterThan(8 * 1024);
    await passTime(disk, 10);
    await pipeline.shrink();
    expect(pipeline.logBytes).toBeLessThan(small + 1);
    expect(await stateOf(disk, pipeline.submit([range(1)], NONE))).toBe(true);
  });

  it('P6: is left alone at rest where its snapshot would be no shorter than half of it', async () => {
    const many = Array.from({ length: 4_000 }, (_, k) => range(2 * k + 1));
    const { disk, pipeline } = await newPipeline({ deadRanges: () => many });
    for (let i = 0; i < 8; i++) await pipeline.submit(many.slice(400 * i, 400 * (i + 1)), NONE);
    await passTime(disk, 10);
    const before = pipeline.logBytes;
    await pipeline.shrink();
    expect(pipeline.logBytes).toBe(before);
  });
});
