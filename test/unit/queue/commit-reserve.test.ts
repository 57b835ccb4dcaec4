/** Space for removals comes before records: a commit that it does not cover has it made first, or is rejected and writes nothing. */
import { describe, expect, it } from 'vitest';
import type { CommitPipelineOptions } from '../../../src/queue/commit-pipeline.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { countOf } from '../store/store-fixture.js';
import { newPipeline, outcomesOf, type PipelineSetting, thrownBy } from './pipeline-fixture.js';

interface Kept {
  coveredBelow: number;
  renewals: number;
  isRefused: boolean;
  failure: Error | undefined;
}

function reserveOf(kept: Kept): ReturnType<CommitPipelineOptions['reserve']> {
  return {
    covers: (nextId: number) => nextId <= kept.coveredBelow,
    get isRefused() {
      return kept.isRefused;
    },
    lookAhead: () => undefined,
    renew: (nextId: number, count: number) => {
      kept.renewals++;
      if (kept.failure !== undefined) return Promise.reject(kept.failure);
      kept.coveredBelow = nextId + count + 2;
      return Promise.resolve();
    },
  };
}

async function setting(kept: Kept): Promise<PipelineSetting & { writes: () => number }> {
  const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  const made = await newPipeline(disk, { reserve: () => reserveOf(kept) });
  return {
    pipeline: made.pipeline,
    failStop: made.failStop,
    log: made.log,
    writes: () => countOf(disk, 'write', /\.seg$/),
  };
}

describe('P2: the reserve for removals', () => {
  it('is made before a commit that it does not cover, and not before others', async () => {
    const kept: Kept = { coveredBelow: 0, renewals: 0, isRefused: false, failure: undefined };
    const { pipeline } = await setting(kept);
    expect(await pipeline.push(Buffer.from('a'), undefined)).toBe(1);
    expect(kept.renewals).toBe(1);
    expect(await pipeline.push(Buffer.from('b'), undefined)).toBe(2);
    expect(kept.renewals).toBe(1);
    for (let id = 3; id <= 9; id++) expect(await pipeline.push(Buffer.from('c'), undefined)).toBe(id);
    expect(kept.renewals).toBeGreaterThan(1);
    expect(kept.renewals).toBeLessThan(6);
  });

  it('that cannot be made keeps the commit from being written; the next is tried anew', async () => {
    const failure = Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'write', errno: -28 });
    const kept: Kept = { coveredBelow: 0, renewals: 0, isRefused: false, failure };
    const { pipeline, writes } = await setting(kept);
    const before = writes();
    expect(await outcomesOf([pipeline.push(Buffer.from('a'), undefined)])).toEqual(['EVAQ_NO_SPACE']);
    expect(pipeline.foundNoSpace).toBe(true);
    expect(writes()).toBe(before);
    kept.failure = undefined;
    expect(await pipeline.push(Buffer.from('b'), undefined)).toBe(1);
    expect(pipeline.foundNoSpace).toBe(false);
  });

  it('that was refused refuses blocking pushes, which try to have it made', async () => {
    const kept: Kept = { coveredBelow: 99, renewals: 0, isRefused: true, failure: undefined };
    const { pipeline } = await setting(kept);
    expect(thrownBy(() => pipeline.pushSync(Buffer.from('a')))).toMatchObject({ code: 'EVAQ_NO_SPACE' });
    expect(kept.renewals).toBe(1);
    kept.isRefused = false;
    expect(pipeline.pushSync(Buffer.from('a'))).toBe(1);
  });
});
