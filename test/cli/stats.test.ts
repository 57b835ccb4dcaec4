/** Figures of queues: what is counted, and how it is shown. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LogHistogram } from '../../src/cli/stats/log-histogram.js';
import { bar } from '../../src/cli/stats/stats-view.js';
import { Evaq } from '../../src/evaq.js';
import { snapshotOf } from '../unit/raw/support/disk.js';
import { evaq } from './support/evaq-cli.js';
import '../seeded.js';

describe('stats', () => {
  test('counts records, live ones, sizes and batches of what is selected, and changes nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-stats-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const store = join(folder, 'store');
    {
      await using library = await Evaq.open(store, { segmentBytes: 64 * 1024, gc: false });
      for (let i = 0; i < 4; i++) await library.wal.pushMany(Array.from({ length: 30 }, () => 'x'.repeat(1000)));
      await library.pushWal('y');
      await library.wal.removeMany([31, 32, 33]);
    }
    const before = snapshotOf(store);
    const all = await evaq(['stats', store, '-q', 'wal', '--json', '--by', 'segment']);
    expect(all).toMatchObject({ code: 0, stderr: '' });
    const [wal]: unknown[] = JSON.parse(all.stdout.toString()).queues;
    expect(wal).toMatchObject({
      queue: 'wal',
      records: 121,
      live: 118,
      payloadBytes: 120_001,
      payloadBytesOfRecords: { min: 1, max: 1000, p50: 1000 },
      recordsOfCommits: { count: 5, min: 1, max: 30 },
      ageMsOfLive: { count: 118 },
    });
    expect(wal).toMatchObject({
      segments: [
        { firstId: 1, lastId: 60 },
        { firstId: 61, lastId: 121, live: 61 },
      ],
    });
    const some = await evaq(['stats', store, '-q', 'wal', '--json', '--from', '31', '-n', '5']);
    expect(JSON.parse(some.stdout.toString())).toMatchObject({
      queues: [{ records: 5, live: 2, firstId: 31, lastId: 35 }],
    });
    const text = (await evaq(['stats', store])).stdout.toString();
    expect(text).toContain('queue dead-letters: no record');
    expect(text).toMatch(/^ +to 1 B +1 {2}▊?▌?▏?/m);
    expect(text.split('\n').filter((line) => line.length > 100)).toEqual([]);
    expect(snapshotOf(store)).toEqual(before);
  });

  test('a histogram has each number in one bucket, and its quantiles are no less than that share of them', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 1 }), (values) => {
        const histogram = new LogHistogram();
        for (const value of values) histogram.add(value);
        const figures = histogram.figures();
        if (figures === undefined) throw new Error('something was added');
        expect(figures.buckets.reduce((sum, { count }) => sum + count, 0)).toBe(values.length);
        let below = 0;
        for (const { upTo, count } of figures.buckets) {
          below += count;
          expect(values.filter((value) => value <= upTo).length).toBe(below);
        }
        for (const [share, value] of [
          [0.5, figures.p50],
          [0.9, figures.p90],
          [0.99, figures.p99],
        ] as const) {
          expect(values.filter((one) => one <= value).length).toBeGreaterThanOrEqual(share * values.length);
          expect(value).toBeLessThanOrEqual(figures.max);
        }
      }),
    );
  });

  test('a bar shows what is not nothing, and fills its columns', () => {
    expect(bar(0, 10)).toBe('');
    expect(bar(1e-9, 10)).toBe('▏');
    expect(bar(0.55, 10)).toBe('█████▌');
    expect(bar(1, 10)).toBe('█'.repeat(10));
  });
});
