/** A program that is started often: files grow in number with bytes, and not with starts. Counted in files, calls and bytes. */
import { describe, expect, test } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';
import { costOf } from './support/tally.js';

const WAL = `${SIM_PATH}/queues/wal`;

type End = 'closed' | 'killed';

/** Starts that push `bytes` each, and do nothing else. */
async function start(disk: SimDisk, starts: number, bytes: number, end: End, options: EvaqOptions = {}): Promise<void> {
  for (let i = 0; i < starts; i++) {
    const evaq = await openSim(disk, options);
    await evaq.wal.push(Buffer.alloc(bytes, i));
    await finish(disk, evaq, end);
  }
}

async function finish(disk: SimDisk, evaq: Evaq, end: End): Promise<void> {
  if (end === 'closed') await evaq.close();
  else {
    disk.kill();
    disk.restart();
  }
}

async function segmentsIn(disk: SimDisk): Promise<number> {
  return (await disk.vfs.list(WAL)).filter(({ name }) => name.endsWith('.seg')).length;
}

/** What merges have written: copies are made under a temporary name, in which a segment to append to has its header alone. */
function copiedBytes(disk: SimDisk): number {
  return disk.calls
    .filter(
      ({ name, path, detail }) =>
        name === 'write' && path.startsWith(WAL) && path.endsWith('.seg.tmp') && !detail.startsWith('0+'),
    )
    .reduce((sum, { detail }) => sum + Number(/\+(\d+)$/.exec(detail)?.[1] ?? 0), 0);
}

/** Fewer than eight segments for each doubling in size of what they hold. */
const FILES_MAX = 40;

describe.each<End>(['closed', 'killed'])('starts that end %s', (end) => {
  test('P12: a thousand of them leave some tens of segments, and opening costs what that many cost', async () => {
    const disk = newDisk();
    await start(disk, 1, 100, end);
    const first = await costOf(disk, async () => finish(disk, await openSim(disk), end));
    let most = 0;
    for (let i = 0; i < 10; i++) {
      await start(disk, 100, 100, end);
      most = Math.max(most, await segmentsIn(disk));
    }
    expect(most).toBeLessThanOrEqual(FILES_MAX);
    const last = await costOf(disk, async () => finish(disk, await openSim(disk), end));
    // Open, size, header, footer, close of each, or one look.
    expect(last.calls - first.calls).toBeLessThanOrEqual(FILES_MAX * 5);
    const evaq = await openSim(disk);
    expect(evaq.wal.size).toBe(1001);
    expect(evaq.recovery.damage).toEqual([]);
    await evaq.close();
  });
});

test('P12: each byte is copied a few times, by the logarithm of the starts, and not by the starts', async () => {
  const copies: number[] = [];
  for (const starts of [64, 256]) {
    const disk = newDisk();
    await start(disk, starts, 1000, 'closed');
    copies.push(copiedBytes(disk) / (starts * 1000));
  }
  const [few = 0, many = 0] = copies;
  expect(few).toBeGreaterThan(1);
  expect(few).toBeLessThan(4);
  // Four times as many starts are two doublings.
  expect(many - few).toBeLessThan(2);
});

test('P12: with segments of a bounded size the bytes decide, whatever the sizes of what each start pushes', async () => {
  const segmentBytes = 64 * 1024;
  const disk = newDisk();
  let bytes = 0;
  for (let i = 0; i < 200; i++) {
    const size = [50, 20_000, 300, 5_000, 40_000, 900][i % 6] ?? 0;
    bytes += size;
    await start(disk, 1, size, 'closed', { segmentBytes });
  }
  expect(await segmentsIn(disk)).toBeLessThanOrEqual(FILES_MAX + (3 * bytes) / segmentBytes);
});

test('P12: a program that stays puts them together by itself, when they were left alone', async () => {
  const disk = newDisk();
  await start(disk, 60, 100, 'closed', { gc: false });
  expect(await segmentsIn(disk)).toBeGreaterThanOrEqual(60);
  const evaq = await openSim(disk);
  expect(await segmentsIn(disk)).toBeLessThan(12);
  expect(Object.keys(await contentOf(evaq.wal))).toHaveLength(60);
  await evaq.close();
});

test('P12: compact() leaves one file of what is small, and the one that is appended to', async () => {
  const disk = newDisk();
  await start(disk, 60, 100, 'closed', { gc: false });
  const evaq = await openSim(disk, { gc: false, recycleSegments: 0 });
  const report = await evaq.wal.compact();
  expect(report).toMatchObject({ rewrittenSegments: 60, copiedRecords: 60 });
  expect(await segmentsIn(disk)).toBe(2);
  expect((await evaq.wal.compact()).rewrittenSegments).toBe(0);
  expect(Object.keys(await contentOf(evaq.wal))).toHaveLength(60);
  await evaq.close();
});

test('P14: where there is no space for it the store opens, and says what went wrong', async () => {
  const disk = newDisk();
  await start(disk, 20, 100, 'closed', { gc: false });
  disk.fault({ on: 'write', path: /\.seg\.tmp$/, error: 'ENOSPC', nth: 2, times: 1 });
  const evaq = await openSim(disk);
  expect(evaq.wal.stats().gc.lastError).toMatchObject({ code: 'EVAQ_NO_SPACE' });
  expect(Object.keys(await contentOf(evaq.wal))).toHaveLength(20);
  await evaq.wal.push('x');
  await evaq.wal.compact();
  expect(await segmentsIn(disk)).toBe(2);
  await evaq.close();
});
