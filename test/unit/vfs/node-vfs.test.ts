import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'evaq-vfs-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the real disk', () => {
  it('writes and reads at any position, and says where the file ends', async () => {
    const file = await nodeVfs.create(join(dir, 'f'));
    const bytes = Buffer.from('xxhelloxx');
    await file.writeAt(bytes, 2, 5, 10);
    await file.writeAt(bytes, 0, 0, 99);
    expect(await file.size()).toBe(15);
    const target = Buffer.alloc(20, 1);
    expect(await file.readAt(target, 1, 19, 8)).toBe(7);
    expect(target.subarray(1, 8).toString()).toBe('\0\0hello');
    expect(target[8]).toBe(1);
    expect(await file.readAt(target, 0, 5, 15)).toBe(0);
    await file.truncate(12);
    file.writeAndSyncBlocking([
      { source: bytes, length: 2, position: 12 },
      { source: bytes.subarray(2), length: 1, position: 20 },
    ]);
    expect(await file.size()).toBe(21);
    file.truncateBlocking(11);
    expect(await file.size()).toBe(11);
    file.writeAndSyncBlocking([]);
    await file.sync();
    await nodeVfs.syncDir(dir);
    await file.close();
    await file.close();
  });

  it('adds zeros behind whatever is written meanwhile, and over nothing', async () => {
    const path = join(dir, 'f');
    const file = await nodeVfs.create(path);
    const piece = Buffer.alloc(64 * 1024, 1);
    // They run after each other: whoever is ahead is overtaken.
    let end = 0;
    for (let round = 0; round < 40; round++) {
      let isDone = false;
      const extending = file.extend(round * 10_000).finally(() => {
        isDone = true;
      });
      while (!isDone) {
        file.writeBlocking({ source: piece, length: piece.length, position: end });
        end += piece.length;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      await extending;
    }
    const bytes = readFileSync(path);
    expect(bytes.indexOf(0) === -1 ? bytes.length : bytes.indexOf(0)).toBe(end);
    expect(bytes.subarray(end).every((byte) => byte === 0)).toBe(true);
    const before = await file.size();
    await file.extend(0);
    await file.extend(10);
    expect(await file.size()).toBe(before + 10);
    await file.close();
  });

  it('never follows a symbolic link and never makes a file twice', async () => {
    writeFileSync(join(dir, 'target'), 'x');
    symlinkSync(join(dir, 'target'), join(dir, 'link'));
    await expect(nodeVfs.open(join(dir, 'link'), 'read')).rejects.toMatchObject({ code: 'ELOOP' });
    await expect(nodeVfs.create(join(dir, 'link'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(nodeVfs.create(join(dir, 'target'))).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await nodeVfs.stat(join(dir, 'link'))).toMatchObject({ kind: 'other' });
    expect(await nodeVfs.stat(join(dir, 'target', 'below'))).toBeUndefined();
    const kinds = Object.fromEntries((await nodeVfs.list(dir)).map(({ name, kind }) => [name, kind]));
    expect(kinds).toEqual({ target: 'file', link: 'other' });
    await expect(nodeVfs.lock(join(dir, 'link'), '')).rejects.toMatchObject({ code: 'ELOOP' });
  });

  it('writes nothing by a path that leads to another file than the one that is open', async () => {
    const file = await nodeVfs.create(join(dir, 'f'));
    await nodeVfs.rename(join(dir, 'f'), join(dir, 'moved'));
    writeFileSync(join(dir, 'f'), 'foreign');
    const chunks = [{ source: Buffer.from('x'), length: 1, position: 0 }];
    const syncing = file.sync();
    expect(() => file.writeAndSyncBlocking(chunks)).toThrow(expect.objectContaining({ code: 'ESTALE' }));
    await expect(file.extend(10)).rejects.toMatchObject({ code: 'ESTALE' });
    await syncing;
    // It needs no path where nothing is under way.
    file.writeAndSyncBlocking(chunks);
    expect(readFileSync(join(dir, 'moved'), 'utf8')).toBe('x');
    expect(readFileSync(join(dir, 'f'), 'utf8')).toBe('foreign');
    await file.close();
  });

  it('tells what a path leads to: the same through links and new names, another after a replacement', async () => {
    const at = (name: string): string => join(dir, name);
    const file = await nodeVfs.create(at('file'));
    const identity = await nodeVfs.identities?.of(at('file'));
    expect(identity).toMatch(/^\d+:\d+$/);
    expect(file.identityBlocking?.()).toBe(identity);
    expect(nodeVfs.identities?.ofBlocking(at('file'))).toBe(identity);
    symlinkSync(at('file'), at('link'));
    expect(await nodeVfs.identities?.of(at('link'))).toBe(identity);
    await nodeVfs.rename(at('file'), at('moved'));
    expect(await nodeVfs.identities?.of(at('moved'))).toBe(identity);
    writeFileSync(at('file'), 'another');
    expect(await nodeVfs.identities?.of(at('file'))).not.toBe(identity);
    expect(file.identityBlocking?.()).toBe(identity);
    for (const nothing of [at('nothing'), at('file/below')]) {
      expect(await nodeVfs.identities?.of(nothing)).toBeUndefined();
      expect(nodeVfs.identities?.ofBlocking(nothing)).toBeUndefined();
    }
    await file.close();
  });

  it('a folder that is there is not made again; a lock is held once, and free after its release', async () => {
    expect(await nodeVfs.makeDir(join(dir, 'd'))).toBe(true);
    expect(await nodeVfs.makeDir(join(dir, 'd'))).toBe(false);
    const first = await nodeVfs.lock(join(dir, 'LOCK'), 'me');
    expect(first.kind).toBe('locked');
    expect(await nodeVfs.lock(join(dir, 'LOCK'), 'you')).toEqual({ kind: 'held', note: 'me', ours: true });
    if (first.kind === 'locked') {
      await first.lock.release();
      await first.lock.release();
    }
    const again = await nodeVfs.lock(join(dir, 'LOCK'), 'you');
    expect(again.kind).toBe('locked');
    if (again.kind === 'locked') await again.lock.release();
    expect(await nodeVfs.freeBytes(dir)).toBeGreaterThan(0);
  });

  it('opening a pipe in the place of a file waits for nobody', { timeout: 60_000 }, async () => {
    const path = join(dir, 'pipe');
    if (spawnSync('mkfifo', [path]).status !== 0) return;
    const file = await nodeVfs.open(path, 'read');
    expect(await file.readAt(Buffer.alloc(8), 0, 8, 0).catch((error: unknown) => String(error))).toMatch(
      /^(?:0|.*ESPIPE.*)$/,
    );
    await file.close();
    const moved = await nodeVfs.create(join(dir, 'f'));
    await nodeVfs.rename(join(dir, 'f'), join(dir, 'moved'));
    await nodeVfs.rename(path, join(dir, 'f'));
    // ENXIO: nobody reads from it. ESTALE: somebody does.
    await expect(moved.extend(10)).rejects.toMatchObject({ code: expect.stringMatching(/^(?:ENXIO|ESTALE)$/) });
    await moved.close();
  });

  it('soon comes after the promises of this turn and before the next; a timer can be taken back', async () => {
    const order: string[] = [];
    const cancel = nodeHost.after(1, () => order.push('cancelled'));
    cancel();
    nodeHost.soon(() => order.push('soon'));
    await Promise.resolve().then(() => order.push('promise'));
    await nodeHost.yield();
    order.push('yielded');
    // Timers come in the order in which they are due: the one taken back would have come before.
    await new Promise<void>((resolve) => {
      nodeHost.after(3, resolve);
    });
    expect(order).toEqual(['promise', 'soon', 'yielded']);
  });
});
