/** The folder of an open store is taken away and a copy put in its place, at every point: nothing is ever changed in the copy. */
import { cpSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Evaq, type EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { newDisk, newPath, SIM_PATH } from './store-fixture.js';

const OPTIONS: EvaqOptions = { segmentBytes: 64 * 1024, recycleSegments: 1 };

/** Everything that changes something by its path: new segments and logs, footers, rewrites, removals, a blocking push, another queue. */
async function work(evaq: Evaq): Promise<void> {
  const ids: number[] = [];
  for (let i = 0; i < 9; i++) ids.push(await evaq.wal.push(Buffer.alloc(20_000, i)));
  await evaq.wal.removeMany(ids.slice(0, 5));
  evaq.wal.pushSync(Buffer.alloc(100));
  await evaq.wal.compact();
  await (await evaq.queue('jobs')).push('x');
  await evaq.deadLetter(ids[6] ?? 0, { reason: 'x' });
  for (let i = 0; i < 4; i++) await evaq.wal.push(Buffer.alloc(20_000, i));
  await evaq.wal.removeThrough(ids[7] ?? 0);
  await evaq.wal.compact();
  await evaq.wal.flush();
}

/** Does the work to its end or to where it is stopped. */
async function workAndClose(evaq: Evaq): Promise<string> {
  const worked = await work(evaq).then(
    () => 'done',
    (error: unknown) => codeOf(error),
  );
  const closed = await evaq.close().then(
    () => 'done',
    (error: unknown) => codeOf(error),
  );
  return `${worked}, ${closed}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

describe('on the simulated machine', () => {
  function pathsOf(disk: SimDisk): string[] {
    return [...disk.tree().matchAll(/^(\/store\/\S+) {2}\d+ B/gm)].map(([, path = '']) => path);
  }

  function contentOf(disk: SimDisk): Map<string, string> {
    return new Map(pathsOf(disk).map((path) => [path, Buffer.from(disk.read(path) ?? []).toString('base64')]));
  }

  interface Swapped {
    readonly steps: number;
    readonly outcome: string;
    readonly isIntact: boolean;
  }

  /** As `rm -r` and `cp -r` of a backup that is as new as can be. */
  async function swapAfter(step: number, change: (vfs: Vfs) => Vfs = (vfs) => vfs): Promise<Swapped> {
    const disk = newDisk();
    const evaq = await Evaq.open(SIM_PATH, { ...OPTIONS, ports: { vfs: change(disk.vfs), host: disk.host } });
    const from = disk.steps;
    let copy: Map<string, string> | undefined;
    const stop = disk.observe((at) => {
      if (at.step - from !== step || copy !== undefined) return;
      const content = contentOf(disk);
      copy = content;
      disk.remove(SIM_PATH);
      for (const [path, bytes] of content) disk.place(path, Buffer.from(bytes, 'base64'));
    });
    const outcome = await workAndClose(evaq);
    stop();
    const isIntact = copy === undefined || JSON.stringify([...contentOf(disk)]) === JSON.stringify([...copy]);
    return { steps: disk.steps - from, outcome, isIntact };
  }

  /** The file system as it was: it looks, and then does what it is asked by the path. */
  const unanchored = (vfs: Vfs): Vfs => ({
    identities: vfs.identities,
    list: (dir) => vfs.list(dir),
    stat: (path) => vfs.stat(path),
    makeDir: (dir) => vfs.makeDir(dir),
    create: (path) => vfs.create(path),
    open: (path, access) => vfs.open(path, access),
    rename: (from, to) => vfs.rename(from, to),
    remove: (path) => vfs.remove(path),
    syncDir: (dir) => vfs.syncDir(dir),
    freeBytes: (path) => vfs.freeBytes(path),
    lock: (path, note) => vfs.lock(path, note),
  });

  test('P17: after any step, the copy stays as it is, and the store stops', async () => {
    const { steps } = await swapAfter(Infinity);
    expect(steps).toBeGreaterThan(200);
    const changed: number[] = [];
    const unnoticed: number[] = [];
    for (let step = 1; step < steps; step++) {
      const { outcome, isIntact } = await swapAfter(step);
      if (!isIntact) changed.push(step);
      if (!outcome.includes('EVAQ_FAILED')) unnoticed.push(step);
    }
    expect(changed).toEqual([]);
    // When the last look has been taken the lock is released: a call, its effect, its answer.
    expect(unnoticed.filter((step) => step < steps - 2)).toEqual([]);
  }, 120_000);

  test('the same finds a planted bug: between a look and what is done upon it somebody comes in', async () => {
    const { steps } = await swapAfter(Infinity, unanchored);
    let changed = 0;
    for (let step = 1; step < steps && changed === 0; step++) {
      if (!(await swapAfter(step, unanchored)).isIntact) changed++;
    }
    expect(changed).toBe(1);
  }, 120_000);
});

describe('on the real disk', () => {
  function contentOf(folder: string): string[] {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => {
        const path = join(folder, name);
        return `${name} ${statSync(path).isFile() ? readFileSync(path).toString('base64') : ''}`;
      });
  }

  /** Moves the store away and puts a copy there right after the nth look: nothing is later than that. */
  async function swapAfterLook(nth: number): Promise<{ looks: number; outcome: string; isIntact: boolean }> {
    const path = newPath();
    let looks = 0;
    let copy: string[] | undefined;
    let isOpen = false;
    const look = <T>(found: T): T => {
      if (isOpen && ++looks === nth) {
        renameSync(path, `${path}-away`);
        cpSync(`${path}-away`, path, { recursive: true });
        copy = contentOf(path);
      }
      return found;
    };
    const { identities } = nodeVfs;
    if (identities === undefined) throw new Error('the real disk tells files apart');
    const vfs: Vfs = {
      ...nodeVfs,
      identities: { of: (one) => identities.of(one), ofBlocking: (one) => look(identities.ofBlocking(one)) },
    };
    const evaq = await Evaq.open(path, { ...OPTIONS, ports: { vfs, host: nodeHost } });
    isOpen = true;
    const outcome = await workAndClose(evaq);
    const isIntact = copy === undefined || JSON.stringify(contentOf(path)) === JSON.stringify(copy);
    return { looks, outcome, isIntact };
  }

  test('P17: after any look, the copy stays as it is, and the store stops', async () => {
    const { looks } = await swapAfterLook(Infinity);
    expect(looks).toBeGreaterThan(100);
    const changed: number[] = [];
    const step = Math.max(1, Math.floor(looks / 60));
    for (let nth = 1; nth < looks - 10; nth += step) {
      const { outcome, isIntact, looks: taken } = await swapAfterLook(nth);
      if (!isIntact) changed.push(nth);
      // How many there are is the machine's choice; of the last ones nobody has to take notice.
      if (nth >= taken - 10) continue;
      expect(outcome, `look ${nth}`).toContain('EVAQ_FAILED');
    }
    expect(changed).toEqual([]);
  }, 120_000);
});
