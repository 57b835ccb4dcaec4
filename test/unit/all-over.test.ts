/** Waiting for what is added to without end: who waits, and that nothing is kept of what is over. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { bothOver } from '../../src/all-over.js';
import { SimDisk } from '../../src/sim/sim-disk.js';
import { newPipeline } from './queue/pipeline-fixture.js';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

describe('both over', () => {
  it('is when the later one is, however it ends', async () => {
    const told: string[] = [];
    const ends: ((error?: Error) => void)[] = [];
    const newOne = (): Promise<void> =>
      new Promise((resolve, reject) => ends.push((error) => (error === undefined ? resolve() : reject(error))));
    let over = Promise.resolve();
    for (let n = 0; n < 3; n++) over = bothOver(over, newOne());
    void over.then(() => told.push('over'));
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    ends[2]?.(new Error('failed'));
    ends[0]?.();
    await turn();
    expect(told).toEqual([]);
    ends[1]?.();
    await turn();
    expect(told).toEqual(['over']);
  });

  it('keeps nothing, however often it is added to', async () => {
    const STEPS = 50_000;
    let over = Promise.resolve();
    const before = heapBytes();
    for (let n = 0; n < STEPS; n++) {
      over = bothOver(over, Promise.resolve(n));
      await over;
    }
    expect((heapBytes() - before) / STEPS).toBeLessThan(20);
  });

  it('nor do the syncs of a segment', async () => {
    const { pipeline } = await newPipeline(new SimDisk({ seed: 1, timing: 'steady' }));
    for (let n = 0; n < 3; n++) await pipeline.push(Buffer.alloc(100, 1), undefined);
    expect(await pipeline.active.syncing).toBeUndefined();
    await pipeline.close();
  });
});
