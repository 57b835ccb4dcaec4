import { describe, expect, it } from 'vitest';
import { FileCache } from '../../../src/log/file-cache.js';
import type { Vfs, VfsFile } from '../../../src/vfs/vfs.js';
import { newDisk } from '../store/store-fixture.js';

/** What is known to be kept open though idle. */
const IDLE_MAX = 64;

class Counting {
  open = 0;
  opened = 0;
  readonly vfs: Vfs;

  constructor(vfs: Vfs) {
    this.vfs = new Proxy(vfs, {
      get: (target, key) => {
        if (key !== 'open') return Reflect.get(target, key);
        return async (path: string): Promise<VfsFile> => {
          const file = await target.open(path, 'read');
          this.open++;
          this.opened++;
          return new Proxy(file, {
            get: (inner, name) => {
              if (name === 'close') {
                return async () => {
                  this.open--;
                  await inner.close();
                };
              }
              const value: unknown = Reflect.get(inner, name, inner);
              return typeof value === 'function' ? value.bind(inner) : value;
            },
          });
        };
      },
    });
  }
}

async function files(count: number): Promise<{ counting: Counting; paths: string[]; cache: FileCache }> {
  const disk = newDisk();
  const paths: string[] = [];
  for (let i = 0; i < count; i++) {
    const path = `/file-${i}`;
    disk.place(path, Uint8Array.of(i));
    paths.push(path);
  }
  const counting = new Counting(disk.vfs);
  return { counting, paths, cache: new FileCache(counting.vfs) };
}

async function firstByte(file: VfsFile): Promise<number> {
  const byte = Buffer.alloc(1);
  await file.readAt(byte, 0, 1, 0);
  return byte.readUInt8();
}

describe('the cache of descriptors', () => {
  it('keeps a bounded number open, and those used last', async () => {
    const { counting, paths, cache } = await files(200);
    for (const [i, path] of paths.entries()) {
      expect(await cache.using(path, firstByte)).toBe(i);
      expect(counting.open).toBeLessThanOrEqual(IDLE_MAX);
    }
    expect(counting.open).toBe(IDLE_MAX);
    for (const path of paths.slice(-IDLE_MAX)) await cache.using(path, firstByte);
    expect(counting.opened).toBe(200);
    await cache.using(paths[0] ?? '', firstByte);
    expect(counting.opened).toBe(201);
    await cache.close();
    expect(counting.open).toBe(0);
  });

  it('takes none away that is in use, and opens a file once for all who use it together', async () => {
    const { counting, paths, cache } = await files(100);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const uses = [...paths, ...paths].map((path) =>
      cache.using(path, async (file) => {
        await gate;
        return firstByte(file);
      }),
    );
    release();
    expect(await Promise.all(uses)).toEqual([...paths.keys(), ...paths.keys()]);
    expect(counting.opened).toBe(100);
    expect(counting.open).toBeLessThanOrEqual(IDLE_MAX);
    await cache.close();
    expect(counting.open).toBe(0);
  });

  it('is closed when the last user is done', async () => {
    const { counting, paths, cache } = await files(2);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const use = cache.using(paths[0] ?? '', async (file) => {
      await gate;
      return firstByte(file);
    });
    let closed = false;
    const closing = cache.close().then(() => {
      closed = true;
    });
    await cache.using(paths[1] ?? '', firstByte);
    expect({ closed, open: counting.open }).toEqual({ closed: false, open: 2 });
    release();
    expect(await use).toBe(0);
    await closing;
    expect(counting.open).toBe(0);
  });

  it('a file that could not be opened is tried anew, and one whose use failed stays open', async () => {
    const { counting, paths, cache } = await files(1);
    await expect(cache.using('/none', firstByte)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(cache.using('/none', firstByte)).rejects.toMatchObject({ code: 'ENOENT' });
    const path = paths[0] ?? '';
    await expect(cache.using(path, () => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
    expect(await cache.using(path, firstByte)).toBe(0);
    expect(counting).toMatchObject({ opened: 1, open: 1 });
    await cache.forget(path);
    await cache.forget(path);
    expect(counting.open).toBe(0);
  });
});
