import { describe, expect, it } from 'vitest';
import { segmentId } from '../../../src/ids.js';
import { LiveBytes } from '../../../src/log/live-bytes.js';
import { LogSegment } from '../../../src/log/log-segment.js';
import { SegmentLog } from '../../../src/log/segment-log.js';

const INTERVAL = 4096;
const HEADER = 128;

/** A segment with records of these sizes, indexed every `INTERVAL` bytes and at large records, as a scan would do it. */
function segmentOf(sizes: readonly number[]): { log: SegmentLog; segment: LogSegment } {
  const log = new SegmentLog(INTERVAL);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const end = HEADER + bytes;
  const segment = new LogSegment({
    id: segmentId(1),
    baseId: 1,
    path: '/1',
    seed: 0,
    flags: 0,
    phase: 'sealed',
    end,
    fileBytes: end,
  });
  segment.adopt({
    count: sizes.length,
    firstId: 1,
    lastId: sizes.length,
    minTimeMs: 0,
    maxTimeMs: 0,
    payloadBytes: bytes,
    runs: undefined,
  });
  log.append(segment);
  const ids: number[] = [];
  const offsets: number[] = [];
  let at = HEADER;
  let marked = -Infinity;
  for (const [i, size] of sizes.entries()) {
    if (at - marked >= INTERVAL || size >= INTERVAL) {
      ids.push(i + 1);
      offsets.push(at);
      marked = at;
    }
    at += size;
  }
  log.index.load(
    segment.slot,
    ids,
    offsets,
    Array.from(ids, () => 0 as const),
  );
  return { log, segment };
}

const unreadable = { using: (): Promise<never> => Promise.reject(new Error('there is no file')) };
const host = { yield: (): Promise<void> => Promise.resolve() };

async function measured(log: SegmentLog, segment: LogSegment): Promise<number> {
  const liveBytes = new LiveBytes({ log, files: unreadable, host });
  await liveBytes.measure(segment);
  return liveBytes.of(segment);
}

/** By the index alone: there is no file to read samples from. */
async function liveShare(
  sizes: readonly number[],
  isDead: (id: number) => boolean,
): Promise<{ estimated: number; exact: number }> {
  const { log, segment } = segmentOf(sizes);
  let exact = 0;
  for (const [i, size] of sizes.entries()) {
    if (isDead(i + 1)) log.kill(i + 1);
    else exact += size;
  }
  return { estimated: await measured(log, segment), exact };
}

describe('the estimate of live bytes', () => {
  it('is the whole file while all is live, and nothing when nothing is', async () => {
    const sizes = [100, 50_000, 100];
    expect((await liveShare(sizes, () => false)).estimated).toBe(HEADER + 50_200);
    expect((await liveShare(sizes, () => true)).estimated).toBe(0);
    const { log } = segmentOf([1]);
    const empty = new LogSegment({
      id: segmentId(2),
      baseId: 9,
      path: '/2',
      seed: 0,
      flags: 0,
      phase: 'sealed',
      end: HEADER,
      fileBytes: 500,
    });
    expect(await measured(log, empty)).toBe(0);
  });

  it.each([
    ['large ones dead among many small ones', (id: number) => id % 42 === 0],
    ['small ones dead among few large ones', (id: number) => id % 42 !== 0],
    ['the front dead', (id: number) => id <= 250],
    ['the end dead', (id: number) => id > 250],
  ])('P6: %s: large records an interval apart from the others count one by one', async (_what, isDead) => {
    const sizes = Array.from({ length: 420 }, (_, i) => ((i + 1) % 42 === 0 ? 60_000 : 100));
    const { estimated, exact } = await liveShare(sizes, isDead);
    expect(Math.abs(estimated - exact)).toBeLessThan(INTERVAL);
  });

  it('of records larger than an interval it is exact but for header and footer', async () => {
    const sizes = Array.from({ length: 40 }, (_, i) => 5000 + i * 700);
    const { estimated, exact } = await liveShare(sizes, (id) => id % 3 === 0);
    expect(Math.abs(estimated - exact)).toBeLessThanOrEqual(HEADER);
  });

  it('of records small next to an interval it is the average', async () => {
    const { estimated, exact } = await liveShare(
      Array.from({ length: 1000 }, () => 100),
      (id) => id % 4 === 0,
    );
    expect(Math.abs(estimated - exact)).toBeLessThanOrEqual(HEADER);
  });

  it('weighs large records that stand behind a few small ones', async () => {
    const sizes = Array.from({ length: 500 }, (_, i) => (i % 50 === 49 ? 60_000 : 100));
    const { estimated, exact } = await liveShare(sizes, (id) => id % 50 === 0);
    expect(estimated / exact).toBeGreaterThan(0.9);
    expect(estimated / exact).toBeLessThan(1.2);
  });
});
