/** `backupStore` and `restoreStore` as a program calls them, on a store that it has open itself. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { backupStore, Evaq, restoreStore } from '../../../src/evaq.js';
import { contentOf, newPath, openReal } from './store-fixture.js';

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

/** How many files of a folder have a second name. */
function shared(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const stat = statSync(join(folder, name));
    return stat.isFile() && stat.nlink > 1;
  }).length;
}

test('a store in use is copied as it is, shared or not, and restored beside it; new IDs are above all old ones', async () => {
  const evaq = await openReal({ segmentBytes: 64 * 1024 });
  for (let k = 0; k < 5; k++)
    await evaq.wal.pushMany(Array.from({ length: 40 }, (_, i) => `${k} ${i} ${'x'.repeat(1000)}`));
  await evaq.wal.remove(3);
  await evaq.deadLetter(4, { reason: 'no' });
  const before = await contentOf(evaq.wal);
  const bytes: number[] = [];
  const onProgress = (progress: { readonly bytes: number }): unknown => bytes.push(progress.bytes);
  const linked = await backupStore(evaq.path, pathToFileURL(`${evaq.path}-linked`), { onProgress });
  expect(linked).toMatchObject({ from: evaq.path, path: `${evaq.path}-linked` });
  expect(linked.queues).toContainEqual(expect.objectContaining({ queue: 'wal', live: 198 }));
  expect(bytes.at(-1)).toBe(linked.linkedBytes + linked.copiedBytes);
  expect(shared(`${evaq.path}-linked`)).toBe(linked.linkedFiles);
  expect(linked.linkedFiles).toBeGreaterThan(0);
  const whole = await backupStore(evaq.path, `${evaq.path}-whole`, { copy: true });
  expect([whole.linkedFiles, shared(`${evaq.path}-whole`)]).toEqual([0, 0]);
  await evaq.wal.removeThrough(50);
  await evaq.wal.push('later');

  const report = await restoreStore(`${evaq.path}-linked`, `${evaq.path}-restored`);
  expect(report.linkedFiles).toBe(0);
  const restored = await openReal({ create: false }, `${evaq.path}-restored`);
  expect(restored.storeId).toBe(evaq.storeId);
  expect(await contentOf(restored.wal)).toEqual(before);
  expect(await restored.wal.push('new')).toBeGreaterThan(2 ** 29);
});

test('what is called wrongly, ended, or of a caller who throws, leaves no store and no file, and comes out as it is', async () => {
  const evaq = await openReal();
  await evaq.wal.push('a');
  const to = `${newPath()}/copy`;
  const mine = new Error('mine');
  const folders: string[] = [];
  const onProgress = (): void => {
    throw mine;
  };
  await expect(backupStore(evaq.path, to, { onProgress, onFolder: (path) => folders.push(path) })).rejects.toBe(mine);
  expect(filesIn(to)).toEqual([]);
  expect(folders).toContain(to);
  const untouched = newPath();
  const reason = new Error('enough');
  await expect(backupStore(evaq.path, untouched, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  // What a caller without types may give.
  const call: (...args: unknown[]) => Promise<unknown> = (...args) => Reflect.apply(backupStore, undefined, args);
  for (const args of [
    [evaq.path, untouched, { copies: true }],
    [evaq.path, untouched, { copy: 1 }],
    [evaq.path, untouched, { onProgress: 1 }],
    [evaq.path, 7],
    [evaq.path, untouched, {}, 1],
  ])
    await expect(call(...args)).rejects.toThrow(TypeError);
  await expect(restoreStore(untouched, `${untouched}-2`)).rejects.toMatchObject({ code: 'EVAQ_NOT_A_STORE' });
  await expect(backupStore(evaq.path, evaq.path)).rejects.toMatchObject({ code: 'EVAQ_IO' });
  expect(existsSync(untouched)).toBe(false);
  expect(await Evaq.openReadOnly(evaq.path).then((reader) => reader.wal.size)).toBe(1);
});
