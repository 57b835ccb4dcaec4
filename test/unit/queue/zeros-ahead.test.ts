/** Zeros ahead of commits: how often a file grows, how far ahead it is, and what becomes of a disk that is full. */
import { describe, expect, it } from 'vitest';
import type { SimCallName } from '../../../src/sim/sim-call.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { newPipeline, PIPELINE_DIR } from './pipeline-fixture.js';

const KIB = 1024;
const MIB = 1024 * KIB;

async function fileBytes(disk: SimDisk): Promise<number> {
  const [segment] = await disk.vfs.list(PIPELINE_DIR);
  return (await disk.vfs.stat(`${PIPELINE_DIR}/${segment?.name}`))?.size ?? 0;
}

function callsOf(disk: SimDisk, name: SimCallName): number {
  return disk.calls.filter((call) => call.name === name).length;
}

describe('zeros ahead', () => {
  it.each([200, 10 * KIB, 60 * KIB])('of commits of %d bytes: few of them grow the file', async (bytes) => {
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    const { pipeline } = await newPipeline(disk, { segmentBytes: 64 * MIB, maxPendingBytes: 8 * MIB });
    // Up to the largest step.
    while (pipeline.active.writtenEnd < 2 * MIB)
      await pipeline.push(Buffer.alloc(Math.max(bytes, 10 * KIB), 1), undefined);
    let grew = 0;
    const commits = 100;
    for (let n = 0; n < commits; n++) {
      const before = await fileBytes(disk);
      await pipeline.push(Buffer.alloc(bytes, 1), undefined);
      if ((await fileBytes(disk)) > before) grew++;
    }
    const steps = Math.ceil((commits * bytes) / MIB) + 1;
    expect(grew).toBeLessThanOrEqual(2 * steps);
    const ahead = (await fileBytes(disk)) - pipeline.active.writtenEnd;
    expect(ahead).toBeGreaterThan(0);
    expect(ahead).toBeLessThanOrEqual(2 * MIB);
    await pipeline.close();
  });

  it('of a young store: never more than it holds, and small steps are not left to the pool', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    const { pipeline } = await newPipeline(disk, { segmentBytes: 64 * MIB });
    for (let n = 0; n < 120; n++) {
      await pipeline.push(Buffer.alloc(500, 1), undefined);
      const written = pipeline.active.writtenEnd;
      expect((await fileBytes(disk)) - written).toBeLessThanOrEqual(Math.max(written, 8 * KIB) + 4 * KIB);
    }
    expect(callsOf(disk, 'extend')).toBe(0);
    await pipeline.close();
  });

  it('are not for commits of more than 128 KiB, nor in the weaker modes, nor past the end of a segment', async () => {
    for (const [durability, bytes] of [
      ['sync', 200 * KIB],
      ['os', 10 * KIB],
    ] as const) {
      const disk = new SimDisk({ seed: 1, timing: 'steady' });
      const { pipeline } = await newPipeline(disk, { durability, segmentBytes: 64 * MIB, maxPendingBytes: 8 * MIB });
      for (let n = 0; n < 20; n++) await pipeline.push(Buffer.alloc(bytes, 1), undefined);
      expect(callsOf(disk, 'extend')).toBe(0);
      expect(await fileBytes(disk)).toBe(pipeline.active.writtenEnd);
      await pipeline.close();
    }
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    const { pipeline } = await newPipeline(disk, { segmentBytes: 300 * KIB });
    while (pipeline.active.writtenEnd < 280 * KIB) await pipeline.push(Buffer.alloc(9 * KIB, 1), undefined);
    expect(callsOf(disk, 'extend')).toBeGreaterThan(0);
    await pipeline.close();
    expect(await fileBytes(disk)).toBeLessThanOrEqual(300 * KIB);
  });

  it('P14: that cannot be added for now fail no push, and are added again later', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    const { pipeline, failStop } = await newPipeline(disk, { segmentBytes: 64 * MIB });
    const passed = disk.fault({ on: 'extend', error: 'ENOSPC', times: Infinity });
    while (pipeline.active.writtenEnd < 2 * MIB) await pipeline.push(Buffer.alloc(9 * KIB, 1), undefined);
    // Not with every commit.
    expect(callsOf(disk, 'extend')).toBeGreaterThan(1);
    expect(callsOf(disk, 'extend')).toBeLessThan(12);
    passed();
    while (pipeline.active.writtenEnd < 4 * MIB) await pipeline.push(Buffer.alloc(9 * KIB, 1), undefined);
    expect(failStop.error).toBeUndefined();
    expect(disk.calls.filter(({ name }) => name === 'extend').at(-1)?.outcome).toBe('ok');
    await pipeline.close();
  });

  it('on a full disk take nothing from the commits: what there is fills the segment', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady', capacityBytes: 600 * KIB });
    const { pipeline } = await newPipeline(disk, { segmentBytes: 64 * MIB });
    let pushed = 0;
    for (;;) {
      const refused = await pipeline.push(Buffer.alloc(9 * KIB, 1), undefined).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (refused !== undefined) {
        expect(refused).toMatchObject({ code: 'EVAQ_NO_SPACE' });
        break;
      }
      pushed++;
    }
    expect(pushed * 9 * KIB).toBeGreaterThan(580 * KIB);
    await pipeline.close();
  });

  it.each([20 * KIB, 400 * KIB])('P7: behind %d bytes: when the store has stopped none are added', async (bytes) => {
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    let stops = (): void => undefined;
    const removalRound = (): number => {
      stops();
      return 0;
    };
    const { pipeline, failStop } = await newPipeline(disk, { segmentBytes: 64 * MIB, removalRound });
    while (pipeline.active.writtenEnd < bytes) await pipeline.push(Buffer.alloc(9 * KIB, 1), undefined);
    await disk.host.yield();
    // Another queue's sync, when this commit is on its way.
    stops = () => void failStop.fail(new Error('EIO'), 'a sync', '/elsewhere');
    const { active } = pipeline;
    active.filledEnd = active.writtenEnd;
    const before = disk.calls.length;
    await expect(pipeline.push(Buffer.alloc(9 * KIB, 1), undefined)).rejects.toMatchObject({ code: 'EVAQ_FAILED' });
    expect(disk.calls.slice(before).map(({ name }) => name)).toEqual(['writeBlocking', 'sync']);
    await pipeline.close();
  });

  it.each([
    [0, 10 * KIB, 'writeBlocking'],
    [400 * KIB, 60 * KIB, 'extend'],
  ] as const)(
    'P14: behind %d bytes: those of a step for which there is no space are given back',
    async (bytes, free, by) => {
      const disk = new SimDisk({ seed: 1, timing: 'steady' });
      const { pipeline } = await newPipeline(disk, { segmentBytes: 64 * MIB });
      const { active } = pipeline;
      while (active.writtenEnd < bytes) await pipeline.push(Buffer.alloc(6 * KIB, 1), undefined);
      await active.filling;
      // A step is due.
      active.filledEnd = active.writtenEnd;
      disk.limits.capacityBytes = 1e9;
      disk.limits.capacityBytes = 1e9 - (await disk.vfs.freeBytes(PIPELINE_DIR)) + free;
      await pipeline.push(Buffer.alloc(6 * KIB, 1), undefined);
      await active.filling;
      expect(disk.calls.filter(({ name }) => name === by).at(-1)?.outcome).toBe('ENOSPC');
      expect(await fileBytes(disk)).toBe(active.writtenEnd);
      await pipeline.close();
    },
  );
});
