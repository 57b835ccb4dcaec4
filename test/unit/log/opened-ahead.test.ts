import { describe, expect, it } from 'vitest';
import { openedAhead } from '../../../src/log/opened-ahead.js';
import type { VfsFile } from '../../../src/vfs/vfs.js';
import { newDisk } from '../store/store-fixture.js';

const SIZES = [0, 1, 4095, 4096, 4097, 8191, 8192, 20_000, 50, 60, 70, 80];

function folder(): {
  readonly paths: string[];
  readonly open: (path: string) => Promise<VfsFile>;
  readonly held: Set<string>;
} {
  const disk = newDisk();
  const held = new Set<string>();
  const paths = SIZES.map((size, i) => {
    disk.place(`/file-${i}`, contentOf(size));
    return `/file-${i}`;
  });
  const open = async (path: string): Promise<VfsFile> => {
    const file = await disk.vfs.open(path, 'read');
    held.add(path);
    return new Proxy(file, {
      get: (inner, name) => {
        if (name === 'close') {
          return async () => {
            held.delete(path);
            await inner.close();
          };
        }
        const value: unknown = Reflect.get(inner, name, inner);
        return typeof value === 'function' ? value.bind(inner) : value;
      },
    });
  };
  return { paths, open, held };
}

function contentOf(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + size) % 251));
}

describe('files opened ahead', () => {
  it('come in their order, read as they are, and are closed', async () => {
    const { paths, open, held } = folder();
    let at = 0;
    let most = 0;
    for await (const file of openedAhead(paths, open)) {
      const size = SIZES[at++] ?? 0;
      most = Math.max(most, held.size);
      const content = contentOf(size);
      expect(await file?.size()).toBe(size);
      for (const [position, length] of [
        [0, size],
        [0, 128],
        [size - 40, 40],
        [4000, 200],
        [size - 4096, 4096],
        [5, 9000],
      ]) {
        if (position === undefined || length === undefined || position < 0) continue;
        const target = Buffer.alloc(length + 3, 0xff);
        const read = await file?.readAt(target, 3, length, position);
        const there = content.subarray(position, position + length);
        expect(read).toBe(there.length);
        expect(target.subarray(3, 3 + there.length).equals(there)).toBe(true);
      }
    }
    expect(at).toBe(SIZES.length);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(SIZES.length);
    expect([...held]).toEqual([]);
  });

  it('what is not there any more is told in its turn', async () => {
    const { paths, open } = folder();
    const there: boolean[] = [];
    for await (const file of openedAhead(paths, async (path) => (path === '/file-2' ? undefined : open(path))))
      there.push(file !== undefined);
    expect(there).toEqual(SIZES.map((_, i) => i !== 2));
  });

  it('a failure shows in its turn, and leaves nothing open', async () => {
    const { paths, open, held } = folder();
    const seen: number[] = [];
    const reading = async (): Promise<void> => {
      for await (const file of openedAhead(paths, (path) =>
        path === '/file-3' ? Promise.reject(new Error('mine')) : open(path),
      ))
        seen.push((await file?.size()) ?? -1);
    };
    await expect(reading()).rejects.toThrow('mine');
    expect(seen).toEqual(SIZES.slice(0, 3));
    expect([...held]).toEqual([]);
  });

  it('who leaves early leaves nothing open', async () => {
    const { paths, open, held } = folder();
    for await (const file of openedAhead(paths, open)) if ((await file?.size()) === 1) break;
    expect([...held]).toEqual([]);
  });
});
