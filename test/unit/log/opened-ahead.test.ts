import { describe, expect, it } from 'vitest';
import { BlockingLooks } from '../../../src/log/blocking-looks.js';
import { FileVanished, openedAhead } from '../../../src/log/opened-ahead.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import type { Vfs, VfsFile } from '../../../src/vfs/vfs.js';
import { newDisk } from '../store/store-fixture.js';

const SIZES = [0, 1, 4095, 4096, 4097, 8191, 8192, 20_000, 50, 60, 70, 80];

function folder(): {
  readonly paths: string[];
  readonly open: (path: string) => Promise<VfsFile>;
  readonly held: Set<string>;
  readonly look: BlockingLooks;
  readonly disk: SimDisk;
} {
  const disk = newDisk();
  const held = new Set<string>();
  const look = new BlockingLooks(disk.vfs, { elapsed: () => 0, yield: () => Promise.resolve() });
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
  return { paths, open, held, look, disk };
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

  it('the first is read alone', async () => {
    const { paths, open } = folder();
    const opened: string[] = [];
    const noted = (path: string): Promise<VfsFile> => {
      opened.push(path);
      return open(path);
    };
    for await (const file of openedAhead(paths, noted)) {
      expect(await file?.size()).toBe(0);
      expect(opened).toEqual(paths.slice(0, 1));
      break;
    }
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

  it('the ends are read in the calling thread, and a file is opened only where there is more to read', async () => {
    const { paths, open, held, look } = folder();
    const opened: string[] = [];
    const noted = (path: string): Promise<VfsFile> => {
      opened.push(path);
      return open(path);
    };
    let at = 0;
    for await (const file of openedAhead(paths, noted, look)) {
      const size = SIZES[at++] ?? 0;
      const content = contentOf(size);
      expect(await file?.size()).toBe(size);
      for (const [position, length] of [
        [0, Math.min(size, 8192)],
        [Math.max(0, size - 4096), Math.min(size, 4096)],
      ] as const) {
        const target = Buffer.alloc(length);
        expect(await file?.readAt(target, 0, length, position)).toBe(length);
        expect(target.equals(content.subarray(position, position + length))).toBe(true);
        expect(file?.held?.(position, length)?.equals(target)).toBe(true);
      }
      expect(opened).toEqual([]);
      if (size < 9000) continue;
      const target = Buffer.alloc(9000);
      expect(await file?.readAt(target, 0, 9000, 5)).toBe(9000);
      expect(target.equals(content.subarray(5, 9005))).toBe(true);
      expect(opened.splice(0)).toEqual(['/file-7']);
      expect([...held]).toEqual(['/file-7']);
    }
    expect(at).toBe(SIZES.length);
    expect([...held]).toEqual([]);
  });

  it('a file that is gone once its ends were read says so when there is more to read, and not that it is short', async () => {
    const { paths, open, look, disk } = folder();
    let told: unknown;
    for await (const file of openedAhead(
      paths,
      async (path) => ((await disk.vfs.stat(path)) === undefined ? undefined : open(path)),
      look,
    )) {
      if ((await file?.size()) !== 20_000) continue;
      await disk.vfs.remove('/file-7');
      told = await file?.readAt(Buffer.alloc(9000), 0, 9000, 5).catch((error: unknown) => error);
      expect(await file?.readAt(Buffer.alloc(9), 0, 9, 5)).toBe(9);
    }
    expect(told).toBeInstanceOf(FileVanished);
  });

  it('while looks are slow files are opened ahead, and then looked at again', async () => {
    const { paths, open, held, disk } = folder();
    let now = 0;
    let looks = 0;
    const slowVfs: Vfs = Object.create(disk.vfs, {
      endsBlocking: {
        value: (path: string, head: Uint8Array, tail: Uint8Array) => {
          looks++;
          now += path === '/file-3' ? 0.2 : 0.01;
          return disk.vfs.endsBlocking?.(path, head, tail);
        },
      },
    });
    const look = new BlockingLooks(slowVfs, { elapsed: () => now, yield: () => Promise.resolve() });
    const ways: string[] = [];
    let at = 0;
    for await (const file of openedAhead(paths, open, look)) {
      expect(await file?.size()).toBe(SIZES[at++]);
      ways.push(held.size > 0 ? 'opened' : 'looked');
      if (at === 6) now += 5;
    }
    expect(ways.slice(0, 4)).toEqual(Array(4).fill('looked'));
    expect(ways[4]).toBe('opened');
    expect(looks).toBeLessThan(SIZES.length);
    expect(ways.filter((way) => way === 'opened').length).toBe(SIZES.length - looks);
    expect([...held]).toEqual([]);
  });

  it('the event loop turns once a millisecond', async () => {
    const { paths, open, disk } = folder();
    let now = 0;
    let turns = 0;
    const turn = (): Promise<void> => Promise.resolve(void turns++);
    const look = new BlockingLooks(disk.vfs, { elapsed: () => now, yield: turn });
    for await (const file of openedAhead(paths, open, look)) {
      if (file !== undefined) now += 0.25;
    }
    expect(turns).toBe(SIZES.length / 4);
  });

  it('what cannot be read in the calling thread is opened, which says why', async () => {
    const { paths, open, look } = folder();
    const reading = async (): Promise<void> => {
      for await (const file of openedAhead([...paths, '/none'], open, look)) await file?.size();
    };
    await expect(reading()).rejects.toThrow('ENOENT');
  });
});
