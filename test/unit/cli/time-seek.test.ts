/** A stretch of time out of a large queue costs what is in it, whatever the clock did. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { selectedRecords } from '../../../src/cli/selection/selected-records.js';
import { selectionOf } from '../../../src/cli/selection/selection.js';
import { Evaq } from '../../../src/evaq.js';
import { ReadOnlyEvaq } from '../../../src/raw.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import type { Vfs } from '../../../src/vfs/vfs.js';

/** The real disk, and how many bytes were read of it. */
function counting(): { readonly vfs: Vfs; bytes: number } {
  const count = {
    bytes: 0,
    vfs: {
      ...methodsOf(nodeVfs),
      open: async (path: string, access: 'read' | 'write') => {
        const file = await nodeVfs.open(path, access);
        return new Proxy(file, {
          get(target, name) {
            if (name !== 'readAt') {
              const value: unknown = Reflect.get(target, name);
              return typeof value === 'function' ? value.bind(target) : value;
            }
            return async (...args: Parameters<typeof file.readAt>) => {
              const read = await target.readAt(...args);
              count.bytes += read;
              return read;
            };
          },
        });
      },
    } satisfies Vfs,
  };
  return count;
}

function methodsOf(vfs: Vfs): Vfs {
  return {
    list: (dir) => vfs.list(dir),
    stat: (path) => vfs.stat(path),
    open: (path, access) => vfs.open(path, access),
    makeDir: (dir) => vfs.makeDir(dir),
    create: (path) => vfs.create(path),
    rename: (from, to) => vfs.rename(from, to),
    remove: (path) => vfs.remove(path),
    syncDir: (dir) => vfs.syncDir(dir),
    lock: (path, note) => vfs.lock(path, note),
    freeBytes: (path) => vfs.freeBytes(path),
  };
}

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);

test('fifteen minutes out of a day are found by what segments say of their times, also where the clock was ahead', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-seek-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'store');
  let now = START;
  const times = new Map<number, number>();
  {
    const ports = { vfs: nodeVfs, host: { ...nodeHost, now: () => now } };
    await using evaq = await Evaq.open(path, { segmentBytes: 64 * 1024, durability: 'os', ports });
    for (let minute = 0; minute < 24 * 60; minute += 2) {
      // For ten minutes in the morning it was a year ahead.
      now = START + minute * MINUTE + (minute >= 600 && minute < 610 ? 365 * 24 * 60 * MINUTE : 0);
      const { firstId, lastId } = await evaq.wal.pushMany(Array.from({ length: 8 }, () => 'x'.repeat(1000)));
      for (let id = firstId; id <= lastId; id++) times.set(id, now);
    }
  }
  for (const [sinceMs, untilMs] of [
    [START + 800 * MINUTE, START + 815 * MINUTE],
    [START + 595 * MINUTE, START + 612 * MINUTE],
    [START + 366 * 24 * 60 * MINUTE - 24 * 60 * MINUTE, Infinity],
    [START - 10 * MINUTE, START - MINUTE],
  ] as const) {
    const count = counting();
    await using reader = await ReadOnlyEvaq.open(path, { ports: { vfs: count.vfs, host: nodeHost } });
    await reader.wal.stats();
    const loaded = count.bytes;
    const found: number[] = [];
    for await (const { id } of selectedRecords(reader.wal, selectionOf({ since: sinceMs, until: untilMs })))
      found.push(id);
    const expected = [...times].filter(([, ms]) => ms >= sinceMs && ms <= untilMs).map(([id]) => id);
    expect(found).toEqual(expected);
    // Of 6 MiB: the segments that hold it, and no others.
    expect(count.bytes - loaded).toBeLessThan(600 * 1024);
    // What it costs to look once more for what a writer may have done.
    if (expected.length === 0) expect(count.bytes - loaded).toBeLessThan(64 * 1024);
  }
});
