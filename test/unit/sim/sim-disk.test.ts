import { describe, expect, test } from 'vitest';
import { SimDisk, type SimDiskOptions } from '../../../src/sim/sim-disk.js';
import type { Vfs, VfsFile } from '../../../src/vfs/vfs.js';

const steady = (options: Partial<SimDiskOptions> = {}): SimDisk =>
  new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros', ...options });

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const put = (file: VfsFile, content: Uint8Array, position = 0): Promise<void> =>
  file.writeAt(content, 0, content.length, position);

/** What `path` holds, as text that is easy to compare: runs of equal bytes, `97*512 0*188`. */
function show(content: Uint8Array | undefined): string {
  if (content === undefined) return 'gone';
  const runs: string[] = [];
  for (let i = 0; i < content.length; ) {
    let end = i;
    while (end < content.length && content[end] === content[i]) end++;
    runs.push(`${content[i]}*${end - i}`);
    i = end;
  }
  return runs.length === 0 ? 'empty' : runs.join(' ');
}

function statesOf(disk: SimDisk, path: string): string[] {
  return [
    ...new Set([...disk.crashStates({ exhaustiveMax: 4096 })].map((state) => show(state.disk.read(path)))),
  ].sort();
}

/** A durable file `/d/f` with `content`, and a handle. */
async function durableFile(disk: SimDisk, content: Uint8Array): Promise<VfsFile> {
  disk.place('/d/f', content);
  return disk.vfs.open('/d/f', 'write');
}

async function writeFile(vfs: Vfs, path: string, content: Uint8Array, sync: boolean): Promise<void> {
  const file = await vfs.create(path);
  await put(file, content);
  if (sync) await file.sync();
  await file.close();
}

describe('a power cut', () => {
  test('D1: each unsynced sector is there or not, independently of the others', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(1024, 1));
    await put(file, bytes(1024, 2));
    expect(statesOf(disk, '/d/f')).toEqual(['1*1024', '1*512 2*512', '2*1024', '2*512 1*512']);
  });

  test('D1: a sector may hold any version since the last sync, not just the newest', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(10, 1));
    await put(file, bytes(10, 2));
    await put(file, bytes(10, 3));
    expect(statesOf(disk, '/d/f')).toEqual(['1*10', '2*10', '3*10']);
    await file.sync();
    await put(file, bytes(10, 4));
    expect(statesOf(disk, '/d/f')).toEqual(['3*10', '4*10']);
  });

  test('D1: sectors of 4 KiB tear only at 4 KiB', async () => {
    const disk = steady({ sectorBytes: 4096 });
    const file = await durableFile(disk, bytes(4096, 1));
    await put(file, bytes(4096, 2));
    expect(statesOf(disk, '/d/f')).toEqual(['1*4096', '2*4096']);
  });

  test('D2: the size may run ahead of the data or behind it', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(512, 1));
    await put(file, bytes(512, 2), 512);
    expect(statesOf(disk, '/d/f')).toEqual(['1*512', '1*512 0*512', '1*512 2*512']);
  });

  test('D3: bytes that never reached the disk may be those of a deleted file', async () => {
    const disk = steady({ fill: 'stale' });
    disk.place('/d/old', bytes(700, 9));
    await disk.vfs.remove('/d/old');
    await disk.vfs.syncDir('/d');
    await writeFile(disk.vfs, '/d/new', bytes(700, 2), false);
    await disk.vfs.syncDir('/d');
    expect(statesOf(disk, '/d/new')).toContain('9*700');
  });

  test('D3: they may be noise, the same for the same seed', async () => {
    const disk = steady({ fill: 'noise' });
    await writeFile(disk.vfs, '/f', bytes(100, 2), false);
    await disk.vfs.syncDir('/');
    const states = [...disk.crashStates()].map(({ disk: after }) => after.read('/f'));
    expect(states.some((content) => content?.length === 100 && new Set(content).size > 50)).toBe(true);
    expect([...disk.crashStates()].map(({ hash }) => hash)).toEqual([...disk.crashStates()].map(({ hash }) => hash));
  });

  test('D4: a synced file without a synced folder may be gone', async () => {
    const disk = steady();
    await writeFile(disk.vfs, '/f', bytes(3, 1), true);
    expect(statesOf(disk, '/f')).toEqual(['1*3', 'gone']);
    await disk.vfs.syncDir('/');
    expect(statesOf(disk, '/f')).toEqual(['1*3']);
  });

  test('D4: a folder whose parent was not synced takes everything in it along', async () => {
    const disk = steady();
    await disk.vfs.makeDir('/a');
    await disk.vfs.makeDir('/a/b');
    await writeFile(disk.vfs, '/a/b/f', bytes(3, 1), true);
    await disk.vfs.syncDir('/a/b');
    await disk.vfs.syncDir('/a');
    expect(statesOf(disk, '/a/b/f')).toEqual(['1*3', 'gone']);
    await disk.vfs.syncDir('/');
    expect(statesOf(disk, '/a/b/f')).toEqual(['1*3']);
  });

  test('D4: a rename without a sync of the file leaves an empty or torn file under the new name', async () => {
    const disk = steady();
    disk.place('/d/f', bytes(600, 1));
    await writeFile(disk.vfs, '/d/f.tmp', bytes(600, 2), false);
    await disk.vfs.rename('/d/f.tmp', '/d/f');
    const states = statesOf(disk, '/d/f');
    expect(states).toContain('empty');
    expect(states).toContain('2*512 0*88');
    expect(states).not.toContain('gone');
  });

  test('D4: a rename is atomic, the file has the old name or the new one and never both', async () => {
    for (const names of ['ordered', 'adversarial'] as const) {
      const disk = steady({ names });
      disk.place('/d/a', bytes(3, 1));
      await disk.vfs.rename('/d/a', '/d/b');
      await disk.vfs.rename('/d/b', '/d/c');
      for (const { disk: after } of disk.crashStates()) {
        expect(['a', 'b', 'c'].filter((name) => after.read(`/d/${name}`) !== undefined)).toHaveLength(1);
      }
    }
  });

  test('D4: a rename across folders is durable when both are synced', async () => {
    const disk = steady();
    disk.place('/a/f', bytes(3, 1));
    disk.place('/b/g', bytes(3, 2));
    await disk.vfs.rename('/a/f', '/b/f');
    await disk.vfs.syncDir('/b');
    expect(statesOf(disk, '/b/f')).toEqual(['1*3', 'gone']);
    await disk.vfs.syncDir('/a');
    expect(statesOf(disk, '/b/f')).toEqual(['1*3']);
  });

  test('D4: names survive in the order of the journal, or as any subset', async () => {
    const survivors = async (names: 'ordered' | 'adversarial'): Promise<string[]> => {
      const disk = steady({ names });
      await writeFile(disk.vfs, '/a', bytes(1, 1), true);
      await writeFile(disk.vfs, '/b', bytes(1, 1), true);
      return [...disk.crashStates()].map(({ disk: after }) =>
        ['a', 'b'].filter((name) => after.read(`/${name}`) !== undefined).join(''),
      );
    };
    expect((await survivors('ordered')).sort()).toEqual(['', 'a', 'ab']);
    expect((await survivors('adversarial')).sort()).toEqual(['', 'a', 'ab', 'b']);
  });

  test('D4: a removal that was not synced may be undone, with the content of the file', async () => {
    const disk = steady();
    disk.place('/f', bytes(3, 1));
    await disk.vfs.remove('/f');
    expect(disk.read('/f')).toBeUndefined();
    expect(statesOf(disk, '/f')).toEqual(['1*3', 'gone']);
    await disk.vfs.syncDir('/');
    expect(statesOf(disk, '/f')).toEqual(['gone']);
  });

  test('D5: a truncate that was not synced may be undone', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(512, 1));
    await file.truncate(0);
    expect(statesOf(disk, '/d/f')).toContain('1*512');
    await file.sync();
    expect(statesOf(disk, '/d/f')).toEqual(['empty']);
  });

  test('D6: a later write to another file may survive alone', async () => {
    const disk = steady();
    disk.place('/a', bytes(1, 1));
    disk.place('/b', bytes(1, 1));
    const [a, b] = [await disk.vfs.open('/a', 'write'), await disk.vfs.open('/b', 'write')];
    await put(a, bytes(1, 2));
    await put(b, bytes(1, 2));
    const states = [...disk.crashStates()].map(({ disk: after }) => [after.read('/a')?.[0], after.read('/b')?.[0]]);
    expect(states).toContainEqual([1, 2]);
    expect(states).toHaveLength(4);
  });

  test('D7: with overwrite "noise" a sector being overwritten may hold neither the old nor the new', async () => {
    const disk = steady({ overwrite: 'noise' });
    const file = await durableFile(disk, bytes(600, 1));
    await put(file, bytes(4, 2), 510);
    const states = [...disk.crashStates()].map(({ disk: after }) => after.read('/d/f'));
    expect(states).toHaveLength(9);
    expect(states.some((content) => new Set(content?.subarray(0, 512)).size > 50)).toBe(true);
    // Padding to whole sectors is the way out: an append never touches a sector that was synced.
    await file.sync();
    await put(file, bytes(512, 3), 1024);
    for (const { disk: after } of disk.crashStates()) expect(after.read('/d/f')?.[511]).toBe(2);
  });

  test('after a sync of the file, its folder and the parents exactly one state can follow', async () => {
    const disk = steady({ fill: 'any', overwrite: 'noise' });
    await disk.vfs.makeDir('/a');
    await disk.vfs.makeDir('/a/b');
    await writeFile(disk.vfs, '/a/b/f', bytes(2000, 1), true);
    for (const dir of ['/a/b', '/a', '/']) await disk.vfs.syncDir(dir);
    const states = [...disk.crashStates()];
    expect(states.map(({ hash }) => hash)).toEqual([disk.hash()]);
    expect(disk.crashPoints()).toEqual([]);
  });

  test('leaves this disk as it is, and the next one without anything unsynced', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(600, 1));
    await put(file, bytes(600, 2));
    const before = disk.hash();
    const after = disk.crash(disk.nothingSurvives());
    expect(show(after.read('/d/f'))).toBe('1*600');
    expect(after.crashPoints()).toEqual([]);
    expect(disk.hash()).toBe(before);
    await put(file, bytes(1, 3));
    expect(show(after.read('/d/f'))).toBe('1*600');
  });

  test('a sync covers what stood at the call, not what was written while it was under way', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(4, 1));
    await put(file, bytes(4, 2));
    const sync = file.sync();
    await put(file, bytes(4, 3));
    await sync;
    expect(statesOf(disk, '/d/f')).toEqual(['2*4', '3*4']);
  });
});

describe('a killed process', () => {
  test('P: leaves what it wrote to the next one, which a power cut may still take away', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(4, 1));
    await put(file, bytes(4, 2));
    const { vfs } = disk.restart();
    const target = new Uint8Array(4);
    await (await vfs.open('/d/f', 'read')).readAt(target, 0, 4, 0);
    expect(show(target)).toBe('2*4');
    expect(statesOf(disk, '/d/f')).toEqual(['1*4', '2*4']);
  });

  test('P: leaves a large write short, at any sector', async () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      const disk = new SimDisk({ seed });
      const file = await durableFile(disk, new Uint8Array(0));
      const cut = disk.cutAfter(disk.steps + 1);
      void put(file, bytes(3000, 7));
      await cut;
      const content = disk.read('/d/f') ?? new Uint8Array(0);
      expect(show(content)).toMatch(/^(empty|7\*\d+)$/);
      lengths.add(content.length);
    }
    expect([...lengths].sort((a, b) => a - b)).toEqual([512, 1024, 1536, 2048, 2560, 3000]);
  });

  test('P: hears nothing any more, neither of calls under way nor of later ones nor of timers', async () => {
    const disk = steady();
    const { vfs, host } = disk;
    const file = await durableFile(disk, bytes(4, 1));
    const heard: string[] = [];
    const listen = (what: string, promise: Promise<unknown>): void => {
      promise.then(
        () => heard.push(what),
        () => heard.push(what),
      );
    };
    listen('sync', file.sync());
    listen('yield', host.yield());
    host.after(1, () => heard.push('timer'));
    host.soon(() => heard.push('soon'));
    disk.kill();
    listen('list', vfs.list('/'));
    listen('write', put(file, bytes(4, 2)));
    host.soon(() => heard.push('late soon'));
    expect(() => file.writeAndSyncBlocking([])).toThrow(/dead/);
    await disk.vfs.syncDir('/');
    await new Promise<void>((resolve) => disk.host.after(1000, resolve));
    expect(heard).toEqual([]);
    expect(show(disk.read('/d/f'))).toBe('1*4');
  });

  test('gives its locks back, and a living one keeps them', async () => {
    const disk = steady();
    const first = await disk.vfs.lock('/lock', 'first');
    const other = disk.spawn();
    expect(first.kind).toBe('locked');
    expect(await other.vfs.lock('/lock', 'other')).toEqual({ kind: 'held', note: 'first', ours: false });
    disk.kill();
    const third = await disk.vfs.lock('/lock', 'third');
    if (third.kind !== 'locked') throw new Error('the dead still hold it');
    expect(await disk.vfs.lock('/lock', 'again')).toEqual({ kind: 'held', note: 'third', ours: true });
    await third.lock.release();
    expect((await disk.vfs.lock('/lock', 'again')).kind).toBe('locked');
  });
});

describe('a fork', () => {
  test('goes its own way', async () => {
    const disk = steady();
    const file = await durableFile(disk, bytes(4, 1));
    await put(file, bytes(4, 2));
    const fork = disk.fork();
    expect(fork.hash()).toBe(disk.hash());
    await put(await fork.vfs.open('/d/f', 'write'), bytes(4, 3));
    await fork.vfs.rename('/d/f', '/d/g');
    expect(show(disk.read('/d/f'))).toBe('2*4');
    expect(show(fork.read('/d/g'))).toBe('3*4');
    expect(statesOf(disk, '/d/f')).toEqual(['1*4', '2*4']);
    expect(statesOf(fork, '/d/g')).toContain('3*4');
    disk.check();
    fork.check();
  });
});

describe('simulated time', () => {
  test('passes with the calls, and jumps to the next timer when nothing else is to be done', async () => {
    const disk = steady({ epochMs: 5000 });
    const { host } = disk;
    expect(host.now()).toBe(5000);
    await disk.vfs.syncDir('/');
    expect(host.elapsed()).toBeGreaterThan(0.1);
    const order: string[] = [];
    const cancel = host.after(50, () => order.push('cancelled'));
    cancel();
    await new Promise<void>((resolve) => {
      host.after(3_600_000, resolve);
      host.after(20, () => order.push('20'));
      host.after(10, () => order.push('10'));
      host.soon(() => order.push('soon'));
      void Promise.resolve().then(() => order.push('microtask'));
    });
    expect(order).toEqual(['microtask', 'soon', '10', '20']);
    expect(host.now()).toBeGreaterThanOrEqual(5000 + 3_600_000);
  });
});
