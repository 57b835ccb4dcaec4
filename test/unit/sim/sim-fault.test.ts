import { describe, expect, test } from 'vitest';
import { isNoSpace, isSystemError } from '../../../src/errors.js';
import { SimDisk, type SimDiskOptions } from '../../../src/sim/sim-disk.js';
import type { VfsFile } from '../../../src/vfs/vfs.js';

const steady = (options: Partial<SimDiskOptions> = {}): SimDisk =>
  new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros', ...options });

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const put = (file: VfsFile, content: Uint8Array, position = 0): Promise<void> =>
  file.writeAt(content, 0, content.length, position);
const text = (disk: SimDisk, path: string): string => Buffer.from(disk.read(path) ?? []).toString('latin1');
const statesOf = (disk: SimDisk, path: string): string[] =>
  [...new Set([...disk.crashStates()].map((state) => text(state.disk, path)))].sort();

async function fileWith(disk: SimDisk, content: string): Promise<VfsFile> {
  disk.place('/f', Buffer.from(content));
  return disk.vfs.open('/f', 'write');
}

async function refusal(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it was not refused');
}

describe('a failed sync', () => {
  test('F: makes the next sync lie: an overwrite is the old data after a crash', async () => {
    const disk = steady();
    const file = await fileWith(disk, 'old');
    await put(file, Buffer.from('new'));
    disk.fault({ on: 'sync' });
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO', errno: -5, syscall: 'fdatasync' });
    expect(text(disk, '/f')).toBe('new');
    await file.sync();
    expect(statesOf(disk, '/f')).toEqual(['new', 'old']);
  });

  test('F: leaves zeros of the longer size where an append was lost', async () => {
    const disk = steady();
    const file = await fileWith(disk, '');
    await put(file, Buffer.from('abc'));
    disk.fault({ on: 'sync' });
    await refusal(file.sync());
    await file.sync();
    expect(statesOf(disk, '/f')).toEqual(['\0\0\0', 'abc']);
    disk.evict('/f');
    expect(text(disk, '/f')).toBe('\0\0\0');
    expect(statesOf(disk, '/f')).toEqual(['\0\0\0']);
    disk.check();
  });

  test('F: is made good only by writing the bytes again, and syncing', async () => {
    const disk = steady();
    const file = await fileWith(disk, 'old');
    await put(file, Buffer.from('new'));
    disk.fault({ on: 'sync' });
    await refusal(file.sync());
    disk.restart();
    const again = await disk.vfs.open('/f', 'write');
    await put(again, Buffer.from('new'));
    disk.evict();
    await again.sync();
    expect(statesOf(disk, '/f')).toEqual(['new']);
  });

  test('F: loses nothing of what an earlier sync had promised', async () => {
    const disk = steady();
    const file = await fileWith(disk, 'a'.repeat(512));
    await put(file, bytes(512, 98), 512);
    await file.sync();
    disk.fault({ on: 'sync' });
    await refusal(file.sync());
    expect(disk.crashPoints()).toEqual([]);
  });

  test('is reported to a blocking sync, too, while the other caller does not know yet', async () => {
    let both = 0;
    for (let seed = 0; seed < 60; seed++) {
      const disk = new SimDisk({ seed });
      const file = await fileWith(disk, 'old');
      await put(file, Buffer.from('new'));
      disk.fault({ on: 'sync' });
      const sync = refusal(file.sync());
      const blocking = (): void => file.writeAndSyncBlocking([{ source: Buffer.from('end'), length: 3, position: 3 }]);
      try {
        blocking();
        // The other sync failed before or fails later; what this one promised is there.
        await sync;
        expect(statesOf(disk, '/f').every((content) => content.endsWith('end'))).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: 'EIO' });
        await sync;
        both++;
      }
    }
    expect(both).toBeGreaterThan(5);
    expect(both).toBeLessThan(60);
  });
});

describe('a blocking write', () => {
  test.each(['open', 'write', 'sync'] as const)(
    'takes its chunks when it is open, and says by them how far it came: %s',
    async (on) => {
      const disk = steady();
      const file = await fileWith(disk, 'old');
      const taken: string[] = [];
      function* chunks(): Generator<{ source: Uint8Array; length: number; position: number }> {
        taken.push('opened');
        yield { source: Buffer.from('new'), length: 3, position: 0 };
        taken.push('written');
      }
      // Only where something is under way is it opened once more.
      const reading = on === 'open' ? file.size() : undefined;
      disk.fault({ on, error: 'EMFILE' });
      expect(() => file.writeAndSyncBlocking(chunks())).toThrow(/EMFILE/);
      await reading;
      const expected = { open: [], write: ['opened'], sync: ['opened', 'written'] };
      expect(taken).toEqual(expected[on]);
      disk.fault({ on: 'truncate', error: 'EINTR' });
      expect(() => file.truncateBlocking(2)).toThrow(/EINTR/);
      file.truncateBlocking(2);
      expect(await file.size()).toBe(2);
    },
  );
});

describe('a full disk', () => {
  test('F: refuses at any byte, having written what fits, and takes it when there is room', async () => {
    for (const capacityBytes of [10, 511, 512, 513, 999]) {
      const disk = steady({ capacityBytes });
      const file = await disk.vfs.create('/f');
      const error = await refusal(put(file, bytes(1000, 1)));
      expect(error.message).toBe('ENOSPC: no space left on device, write');
      expect(isNoSpace(error)).toBe(true);
      expect(disk.read('/f')?.length).toBe(capacityBytes);
      expect(disk.usedBytes).toBe(capacityBytes);
      await put(file, bytes(capacityBytes, 2));
      disk.limits.capacityBytes += 1000;
      await put(file, bytes(1000, 3));
      expect(disk.read('/f')).toEqual(bytes(1000, 3));
    }
  });

  test('F: has room again when a file is removed and closed, and counts holes only when they are written', async () => {
    const disk = steady({ capacityBytes: 1000 });
    const a = await disk.vfs.create('/a');
    await put(a, bytes(1000, 1));
    const b = await disk.vfs.create('/b');
    await b.truncate(5000);
    expect(await refusal(put(b, bytes(1, 1), 4000))).toMatchObject({ errno: -28 });
    await disk.vfs.remove('/a');
    expect(await refusal(put(b, bytes(1, 1), 4000))).toMatchObject({ errno: -28 });
    await a.close();
    await put(b, bytes(1, 1), 4000);
    expect(await disk.vfs.freeBytes('/')).toBe(1000 - 512);
  });

  test('F: answers EDQUOT as Node does, and EFBIG where the file is too large', async () => {
    const disk = steady({ capacityBytes: 5 });
    disk.limits.full = 'EDQUOT';
    const file = await disk.vfs.create('/f');
    const error = await refusal(put(file, bytes(10, 1)));
    expect(error).toMatchObject({ errno: -122, code: 'Unknown system error -122' });
    expect(isNoSpace(error)).toBe(true);
    disk.limits.capacityBytes = Infinity;
    disk.limits.fileBytesMax = 7;
    expect(await refusal(put(file, bytes(10, 1)))).toMatchObject({ errno: -27, code: 'EFBIG' });
    expect(disk.read('/f')?.length).toBe(7);
  });
});

describe('a fault rule', () => {
  test('F: hits the nth call on a path, as often as it says, and can be taken back', async () => {
    const disk = steady();
    const file = await fileWith(disk, 'abc');
    const other = await disk.vfs.create('/other');
    disk.fault({ on: ['write', 'truncate'], path: /f$/, nth: 2, times: 2, error: 'ENOSPC', afterBytes: 1 });
    await put(other, bytes(1, 1));
    await put(file, Buffer.from('A'));
    expect(await refusal(put(file, Buffer.from('xyz')))).toMatchObject({ code: 'ENOSPC' });
    expect(text(disk, '/f')).toBe('xbc');
    expect(await refusal(file.truncate(0))).toMatchObject({ syscall: 'ftruncate' });
    await put(file, Buffer.from('xyz'));
    const cancel = disk.fault({ on: 'write', times: Infinity });
    await refusal(put(file, Buffer.from('123')));
    await refusal(put(file, Buffer.from('123')));
    cancel();
    await put(file, Buffer.from('123'));
  });

  test('F: makes every other call fail, with an error in the shape of Node', async () => {
    const disk = steady();
    const file = await fileWith(disk, 'abc');
    const { vfs } = disk;
    const calls = {
      list: () => vfs.list('/'),
      stat: () => vfs.stat('/f'),
      makeDir: () => vfs.makeDir('/d'),
      create: () => vfs.create('/g'),
      open: () => vfs.open('/f', 'read'),
      rename: () => vfs.rename('/f', '/g'),
      remove: () => vfs.remove('/f'),
      syncDir: () => vfs.syncDir('/'),
      freeBytes: () => vfs.freeBytes('/'),
      lock: () => vfs.lock('/lock', ''),
      size: () => file.size(),
      read: () => file.readAt(bytes(3, 0), 0, 3, 0),
      truncate: () => file.truncate(0),
      close: () => file.close(),
    } as const;
    const before = disk.hash();
    for (const name of Object.keys(calls) as (keyof typeof calls)[]) {
      disk.fault({ on: name, error: 'EACCES' });
      const error = await refusal(calls[name]());
      expect(isSystemError(error)).toBe(true);
      expect(error.message).toMatch(/^EACCES: permission denied, [a-z]+/);
    }
    expect(disk.hash()).toBe(before);
    disk.fault({ on: 'rename', alsoDone: true });
    const error = await refusal(vfs.rename('/f', '/g'));
    expect(error.message).toBe("EIO: i/o error, rename '/f' -> '/g'");
    expect(text(disk, '/g')).toBe('abc');
  });

  test('F: flips a bit in what is read, for good', async () => {
    const disk = steady();
    const file = await fileWith(disk, 'abc');
    disk.fault({ on: 'read', flip: true });
    const target = Buffer.alloc(3);
    expect(await file.readAt(target, 0, 3, 0)).toBe(3);
    expect(target.toString()).not.toBe('abc');
    expect(text(disk, '/f')).toBe(target.toString('latin1'));
    expect(text(disk.crash(), '/f')).toBe(target.toString('latin1'));
  });
});

describe('damage at rest', () => {
  const content = Buffer.concat([bytes(512, 97), bytes(512, 98), bytes(100, 99)]);
  const runs = (disk: SimDisk, path = '/f'): string =>
    text(disk, path).replace(/(.)\1*/gs, (run, c) => `${c}${run.length} `);

  test('R: changes bytes in place, and survives power cuts', async () => {
    const disk = steady();
    disk.place('/f', content);
    disk.damage({ kind: 'flip', path: '/f', offset: 1, bit: 1 });
    disk.damage({ kind: 'zero', path: '/f', offset: 500, length: 20 });
    disk.damage({ kind: 'noise', path: '/f', offset: 1024, length: 100 });
    const after = disk.crash();
    expect(runs(after)).toMatch(/^a1 c1 a498 \0{1}20 b504 /);
    expect(new Set(after.read('/f')?.subarray(1024)).size).toBeGreaterThan(50);
  });

  test('R: makes sectors unreadable until they are written again', async () => {
    const disk = steady();
    disk.place('/f', content);
    disk.damage({ kind: 'unreadable', path: '/f', offset: 600, length: 1 });
    const after = disk.crash();
    const file = await after.vfs.open('/f', 'write');
    const target = bytes(1124, 0);
    expect(await refusal(file.readAt(target, 0, 1124, 0))).toMatchObject({ code: 'EIO' });
    expect(await file.readAt(target, 0, 512, 0)).toBe(512);
    expect(await file.readAt(target, 0, 512, 1024)).toBe(100);
    await put(file, bytes(512, 100), 512);
    expect(await file.readAt(target, 0, 1124, 0)).toBe(1124);
  });

  test('R: shows an older version where a write was lost, and its bytes elsewhere where it was misdirected', async () => {
    const disk = steady();
    disk.place('/f', content);
    disk.place('/g', bytes(600, 103));
    const file = await disk.vfs.open('/f', 'write');
    await put(file, bytes(1024, 100));
    await file.sync();
    const lost = disk.fork();
    lost.damage({ kind: 'stale', path: '/f', offset: 512, length: 512 });
    expect(runs(lost)).toBe('d512 b512 c100 ');
    disk.damage({ kind: 'misdirect', path: '/f', offset: 0, length: 512, toPath: '/g', toOffset: 50 });
    expect(runs(disk)).toBe('a512 d512 c100 ');
    expect(runs(disk, '/g')).toBe('g50 d512 g38 ');
  });

  test('R: cuts, extends, empties, removes and swaps files', async () => {
    const disk = steady();
    disk.place('/f', content);
    disk.place('/g', bytes(3, 103));
    disk.damage({ kind: 'truncate', path: '/f', size: 600 });
    expect(runs(disk)).toBe('a512 b88 ');
    disk.damage({ kind: 'extend', path: '/f', size: 700 });
    expect(runs(disk)).toBe('a512 b88 \x00100 ');
    disk.damage({ kind: 'swap', path: '/f', with: '/g' });
    expect(runs(disk)).toBe('g3 ');
    disk.damage({ kind: 'empty', path: '/f' });
    expect(disk.read('/f')?.length).toBe(0);
    disk.damage({ kind: 'remove', path: '/g' });
    expect(disk.read('/g')).toBeUndefined();
    expect(disk.crash().hash()).toBe(disk.hash());
    expect(() => disk.damage({ kind: 'remove', path: '/g' })).toThrow(/ENOENT/);
    disk.check();
  });
});
