/** When a tail looks at its queue: when the system tells of a change, now and then where it tells of none, and often where it cannot tell. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { FolderWatch } from '../../../src/raw/folder-watch.js';
import { ReadOnlyEvaq } from '../../../src/raw.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import type { Vfs, VfsWatch } from '../../../src/vfs/vfs.js';
import { temporaryFolder } from './support/disk.js';

const DIR = '/q';

/** A clock that goes on when it is told to, and a system that tells of changes when it is told to. */
class Stage {
  nowMs = 0;
  readonly #timers = new Map<() => void, number>();
  readonly tells = new Map<string, () => void>();
  holds = true;
  canWatch = true;
  watched = 0;
  readonly watch: FolderWatch;

  constructor(pollMs: number) {
    this.watch = new FolderWatch({
      vfs: { watch: (dir, tell) => this.#watch(dir, tell) },
      timer: (ms, action) => {
        this.#timers.set(action, this.nowMs + ms);
        return () => this.#timers.delete(action);
      },
      elapsed: () => this.nowMs,
      pollMs,
    });
  }

  #watch(dir: string, tell: () => void): VfsWatch | undefined {
    if (!this.canWatch) return undefined;
    this.watched++;
    this.tells.set(dir, tell);
    return { holds: () => this.holds, close: () => this.tells.delete(dir) };
  }

  /** How long a wait takes; `change` happens so long after it began. */
  async wait(
    hasFound: boolean,
    changeMs = Infinity,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<number> {
    let isOver = false;
    const from = this.nowMs;
    const waiting = this.watch.wait([DIR], hasFound, signal).then(() => {
      isOver = true;
    });
    for (let turn = 0; !isOver; turn++) {
      if (turn > 10_000) throw new Error('it waits for ever');
      if (this.nowMs - from === changeMs) this.tells.get(DIR)?.();
      for (let i = 0; i < 10 && !isOver; i++) await Promise.resolve();
      if (isOver) break;
      this.nowMs++;
      for (const [action, atMs] of this.#timers) {
        if (atMs > this.nowMs) continue;
        this.#timers.delete(action);
        action();
      }
    }
    await waiting;
    return this.nowMs - from;
  }

  /** As one does who follows: the look that begins to watch, and the one after it. */
  async settle(): Promise<void> {
    this.watch.looking([DIR]);
    await this.wait(false);
    this.watch.looking([DIR]);
  }
}

describe('between two looks', () => {
  test('passes a second where nothing is told, and no more than the interval where something is', async () => {
    const stage = new Stage(100);
    await stage.settle();
    expect(await stage.wait(false)).toBe(1000);
    stage.watch.looking([DIR]);
    expect(await stage.wait(false, 300)).toBe(300);
    expect([...stage.watch.looking([DIR])]).toEqual([DIR]);
    expect(await stage.wait(true, 10)).toBe(100);
    expect(stage.watched).toBe(1);
  });

  test('passes at least the interval, however long it is', async () => {
    const stage = new Stage(5000);
    await stage.settle();
    expect(await stage.wait(false, 300)).toBe(5000);
    stage.watch.looking([DIR]);
    expect(await stage.wait(false)).toBe(5000);
  });

  test('passes the interval where the system does not tell', async () => {
    const stage = new Stage(100);
    stage.canWatch = false;
    await stage.settle();
    expect(await stage.wait(false)).toBe(100);
    stage.watch.looking([DIR]);
    stage.canWatch = true;
    stage.watch.looking([DIR]);
    await stage.wait(false);
    stage.watch.looking([DIR]);
    expect(await stage.wait(false)).toBe(1000);
  });

  test('passes the interval once something was found that nobody had told of', async () => {
    const stage = new Stage(100);
    await stage.settle();
    expect(await stage.wait(false)).toBe(1000);
    stage.watch.looking([DIR]);
    await stage.wait(true);
    stage.watch.looking([DIR]);
    expect(await stage.wait(false)).toBe(100);
  });

  test('what is told a little late does not make it deaf', async () => {
    const stage = new Stage(100);
    await stage.settle();
    expect(await stage.wait(false)).toBe(1000);
    stage.watch.looking([DIR]);
    expect(await stage.wait(true, 50)).toBe(100);
    stage.watch.looking([DIR]);
    expect(await stage.wait(false)).toBe(1000);
  });

  test('a folder that was replaced is watched anew, and looked at once more', async () => {
    const stage = new Stage(100);
    await stage.settle();
    stage.holds = false;
    expect([...stage.watch.looking([DIR])]).toEqual([]);
    stage.holds = true;
    expect(stage.watched).toBe(2);
    expect(await stage.wait(false)).toBe(100);
    expect([...stage.watch.looking([DIR])]).toEqual([DIR]);
  });

  test('P12: a look at twenty thousand folders costs a few steps for each', () => {
    const stage = new Stage(100);
    const folders = (): string[] => Array.from({ length: 20_000 }, (_, i) => `/a/store/queues/customer-${100_000 + i}`);
    stage.watch.looking(folders());
    expect(stage.watched).toBe(20_000);
    // Made anew for each look: they are the same, and not the same objects.
    const again = folders();
    const started = performance.now();
    stage.watch.looking(again);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(stage.tells.size).toBe(20_000);
    stage.watch.looking(again.slice(1));
    expect(stage.tells.size).toBe(19_999);
  });

  test('nothing is watched behind the end, and an aborted wait is over at once', async () => {
    const stage = new Stage(100);
    await stage.settle();
    const aborted = AbortSignal.abort();
    expect(await stage.wait(false, Infinity, aborted)).toBe(0);
    stage.watch.close();
    expect(stage.tells.size).toBe(0);
    stage.watch.looking([DIR]);
    expect(stage.tells.size).toBe(0);
  });
});

/** The real disk, which counts how often a folder is listed and what is watched. */
function counting(): { vfs: Vfs; lists: () => number; watches: () => number } {
  let lists = 0;
  let watches = 0;
  const vfs: Vfs = Object.assign(Object.create(nodeVfs) as Vfs, {
    list: (dir: string) => {
      lists++;
      return nodeVfs.list(dir);
    },
    watch: (dir: string, tell: () => void) => {
      const watch = nodeVfs.watch?.(dir, tell);
      if (watch === undefined) return undefined;
      watches++;
      return {
        holds: () => watch.holds(),
        close: () => {
          watches--;
          watch.close();
        },
      };
    },
  });
  return { vfs, lists: () => lists, watches: () => watches };
}

describe.runIf(process.platform === 'linux')('a tail of a reader', () => {
  test('sleeps while nothing happens, is woken by what comes, and leaves nothing watched', async () => {
    const store = join(temporaryFolder(), 'store');
    await using evaq = await Evaq.open(store);
    await evaq.wal.push('first');
    const { vfs, lists, watches } = counting();
    const reader = await ReadOnlyEvaq.open(store, { ports: { vfs, host: nodeHost } });
    const tail = reader.wal.tail();
    expect((await tail.next()).value?.payload.toString()).toBe('first');
    let next = tail.next();
    await sleep(500);
    const before = lists();
    await sleep(1500);
    // Of each look there are up to three lists. A look every 100 ms would be fifteen looks, one a second is one or two.
    expect(lists() - before).toBeLessThan(8);
    const tookMs: number[] = [];
    for (let i = 0; i < 5; i++) {
      await sleep(150);
      const from = performance.now();
      await evaq.wal.push(`one ${i}`);
      expect((await next).value?.payload.toString()).toBe(`one ${i}`);
      tookMs.push(performance.now() - from);
      next = tail.next();
    }
    // Told of, and not found by the look once a second; beside other tests the machine may be busy.
    expect(tookMs.toSorted((a, b) => a - b)[3]).toBeLessThan(500);
    expect(watches()).toBe(1);
    await tail.return();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(watches()).toBe(0);
    const forgotten = reader.wal.tail();
    await forgotten.next();
    expect(watches()).toBe(1);
    await reader.close();
    expect(watches()).toBe(0);
  });
});

describe.runIf(process.platform === 'linux')('the system tells', () => {
  test('of bytes that are written to a file that is open, and of names; and whether the folder is another one', async () => {
    const folder = join(temporaryFolder(), 'folder');
    mkdirSync(folder);
    writeFileSync(join(folder, 'a'), 'a');
    let told = 0;
    const watch = nodeVfs.watch?.(folder, () => told++);
    const file = await nodeVfs.open(join(folder, 'a'), 'write');
    await file.writeAt(Buffer.from('b'), 0, 1, 1);
    await expect.poll(() => told).toBeGreaterThan(0);
    told = 0;
    renameSync(join(folder, 'a'), join(folder, 'b'));
    await expect.poll(() => told).toBeGreaterThan(0);
    await file.close();
    expect(watch?.holds()).toBe(true);
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    expect(watch?.holds()).toBe(false);
    watch?.close();
    expect(nodeVfs.watch?.(join(folder, 'none'), () => undefined)).toBeUndefined();
  });
});
