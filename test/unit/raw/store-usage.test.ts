import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { type StoreUsage, storeUsage } from '../../../src/raw.js';
import { SimDisk } from '../../../src/sim.js';
import { segmentsOf, snapshotOf, temporaryFolder } from './support/disk.js';

const SEGMENT_BYTES = 64 * 1024;

function duOf(folder: string): number {
  return Number.parseInt(execFileSync('du', ['-s', '--block-size=1', folder], { encoding: 'utf8' }), 10);
}

/** What the parts of the picture come to. */
function addedUp({ queues, store, backups, others }: StoreUsage): number {
  let sum = store.diskBytes + backups.diskBytes + others.diskBytes;
  for (const queue of queues) if (!queue.elsewhere) sum += queue.total.diskBytes;
  return sum;
}

/** A picture in the time of which nothing changed. */
async function atRest(path: string): Promise<{ readonly usage: StoreUsage; readonly du: number }> {
  for (let before = duOf(path); ; ) {
    const usage = await storeUsage(path);
    const du = duOf(path);
    if (du === before) return { usage, du };
    before = du;
  }
}

async function fill(path: string, records: number, removed: (id: number) => boolean, bytes = 1000): Promise<void> {
  await using evaq = await Evaq.open(path, { segmentBytes: SEGMENT_BYTES, gc: false });
  for (let from = 1; from <= records; from += 50) {
    const size = Math.min(50, records - from + 1);
    await evaq.wal.pushMany(Array.from({ length: size }, () => 'x'.repeat(bytes)));
  }
  const ids = Array.from({ length: records }, (_, i) => i + 1).filter(removed);
  await evaq.wal.removeMany(ids);
}

describe('storeUsage', () => {
  test('adds up to what du says, whatever the store has been through and whatever else is in its folder', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            push: fc.integer({ min: 1, max: 300 }),
            bytes: fc.nat(3000),
            remove: fc.double({ min: 0, max: 1, noNaN: true }),
            queue: fc.constantFrom('wal', 'jobs'),
            compact: fc.boolean(),
            foreign: fc.nat(9000),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        async (steps) => {
          const path = join(temporaryFolder(), 'store');
          for (const [i, step] of steps.entries()) {
            const evaq = await Evaq.open(path, { segmentBytes: SEGMENT_BYTES });
            try {
              const queue = await evaq.queue(step.queue);
              for (let n = 0; n < 2; n++) {
                const { firstId } = await queue.pushMany(
                  Array.from({ length: step.push }, () => 'x'.repeat(step.bytes)),
                );
                const ids = Array.from({ length: step.push }, (_, i) => firstId + i);
                await queue.removeMany(ids.filter((id) => (id * 7919) % 100 < step.remove * 100));
              }
              if (step.compact) await queue.compact();
              writeFileSync(join(path, `notes-${i}`), 'n'.repeat(step.foreign));
              mkdirSync(join(path, 'queues', step.queue, `folder-${i}`));
              if (i === 0) mkdirSync(join(path, '.evaq-backup-1'));
              writeFileSync(join(path, '.evaq-backup-1', `copy-${i}`), 'c'.repeat(step.foreign));
              // Beside the writer, which may be making room.
              const { usage, du } = await atRest(path);
              expect(usage.total.diskBytes).toBe(du);
              expect(addedUp(usage)).toBe(usage.total.diskBytes);
            } finally {
              await evaq.close();
            }
          }
          const usage = await storeUsage(path);
          expect(usage.total.diskBytes).toBe(duOf(path));
          expect(usage.backups.files).toBe(steps.length);
        },
      ),
      { numRuns: 4, endOnFailure: true },
    );
  }, 30_000);

  test('a file with several names counts once and says so, and a queue behind a link does not count', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'store');
    await fill(path, 200, () => false);
    {
      await using evaq = await Evaq.open(path);
      await evaq.queue('far');
    }
    const [first = ''] = segmentsOf(path);
    linkSync(first, join(path, 'another-name'));
    const elsewhere = join(folder, 'elsewhere');
    execFileSync('mv', [join(path, 'queues/far'), elsewhere]);
    symlinkSync(elsewhere, join(path, 'queues/far'));
    const usage = await storeUsage(path);
    expect(usage.total.diskBytes).toBe(duOf(path));
    expect(usage.queues.find(({ queue }) => queue === 'wal')?.segments.map(({ shared }) => shared)).toContain(true);
    expect(usage.queues.find(({ queue }) => queue === 'far')).toMatchObject({ elsewhere: true });
  });

  test('says of each segment what GC then does about it', async () => {
    const path = join(temporaryFolder(), 'store');
    // 50 records a segment: the first five are nearly drained, the rest are not.
    await fill(path, 500, (id) => id <= 250 && id % 60 !== 0);
    const before = await storeUsage(path, { segmentBytes: SEGMENT_BYTES });
    const segments = before.queues.find(({ queue }) => queue === 'wal')?.segments ?? [];
    const kinds = segments.map(({ fate }) => fate.kind);
    expect(new Set(kinds)).toEqual(new Set(['drop', 'rewrite', 'keep']));
    const doomed = segments.filter(({ fate }) => fate.kind !== 'keep');
    const kept = segments.filter(({ fate, records }) => fate.kind === 'keep' && records > 0);
    const rewritten = segments.filter(({ fate }) => fate.kind === 'rewrite');
    expect(rewritten.every(({ pinnedById }) => pinnedById !== undefined && pinnedById % 60 === 0)).toBe(true);
    {
      await using evaq = await Evaq.open(path, { segmentBytes: SEGMENT_BYTES });
      await expect.poll(() => evaq.wal.stats().gc.rewrittenSegments, { timeout: 10_000 }).toBe(rewritten.length);
    }
    const after = new Set(segmentsOf(path));
    expect(kept.every(({ file }) => after.has(file))).toBe(true);
    expect(doomed.some(({ file }) => after.has(file))).toBe(false);
  });

  test('says that a segment without a live record goes, and counts what is kept to be overwritten', async () => {
    const path = join(temporaryFolder(), 'store');
    await fill(path, 200, (id) => id <= 120);
    const usage = await storeUsage(path, { segmentBytes: SEGMENT_BYTES });
    expect(usage.queues.find(({ queue }) => queue === 'wal')?.segments[0]).toMatchObject({
      firstId: 1,
      liveRecords: 0,
      fate: { kind: 'drop' },
    });
    await (await Evaq.open(path)).close();
    const later = await storeUsage(path, { segmentBytes: SEGMENT_BYTES });
    const wal = later.queues.find(({ queue }) => queue === 'wal');
    expect(wal?.segments.some(({ fate }) => fate.kind === 'drop')).toBe(false);
    expect(wal?.pool.files).toBeGreaterThan(0);
  });

  test('changes nothing, and takes a damaged segment, a folder without STORE and a disk that tells no blocks', async () => {
    const path = join(temporaryFolder(), 'store');
    await fill(path, 200, (id) => id % 2 === 0);
    const [first = ''] = segmentsOf(path);
    writeFileSync(first, Buffer.alloc(5000, 7));
    const before = snapshotOf(path);
    const usage = await storeUsage(path);
    expect(snapshotOf(path)).toEqual(before);
    expect(usage.total.diskBytes).toBe(duOf(path));
    expect(usage.queues.find(({ queue }) => queue === 'wal')?.others.files).toBe(1);
    execFileSync('rm', [join(path, 'STORE')]);
    expect((await storeUsage(path)).total.diskBytes).toBe(duOf(path));

    const disk = new SimDisk({ seed: 1 });
    const ports = { vfs: disk.vfs, host: disk.host };
    const evaq = await Evaq.open('/store', { ports });
    await evaq.pushWal('x'.repeat(5000));
    await evaq.close();
    const simulated = await storeUsage('/store', { vfs: ports.vfs });
    expect(simulated.total.diskBytes).toBe(simulated.total.bytes);
  });
});
