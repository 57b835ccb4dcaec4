/** What becomes of a store whose folder is removed, moved or replaced while it is open. */
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { FailStop } from '../../../src/fail-stop.js';
import type { SimCall } from '../../../src/sim/sim-call.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { GroundedVfs } from '../../../src/store/grounded-vfs.js';
import { Ground } from '../../../src/store/store-ground.js';
import { contentOf, newDisk, newPath, openReal, openSim, passTime, rejection, SIM_PATH } from './store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;

/** The name of the segment that the queue in `dir` appends to. */
function activeSegment(names: readonly string[]): string {
  const name = names.filter((one) => one.endsWith('.seg')).at(-1);
  if (name === undefined) throw new Error('there is no segment');
  return name;
}

async function namesIn(disk: SimDisk, dir: string): Promise<string[]> {
  return (await disk.spawn().vfs.list(dir)).map(({ name }) => name).sort();
}

interface Change {
  readonly what: string;
  readonly path: RegExp;
  readonly make: (disk: SimDisk) => void | Promise<void>;
}

const changes: readonly Change[] = [
  { what: 'the folder is removed', path: /^\/store$/, make: (disk) => disk.remove(SIM_PATH) },
  {
    what: 'the folder is moved',
    path: /^\/store$/,
    make: (disk) => disk.spawn().vfs.rename(SIM_PATH, '/elsewhere'),
  },
  {
    what: 'the folder is replaced by another store',
    path: /^\/store$/,
    make: async (disk) => {
      const { vfs, host } = disk.spawn();
      await vfs.rename(SIM_PATH, '/elsewhere');
      await (await Evaq.open(SIM_PATH, { ports: { vfs, host } })).close();
    },
  },
  { what: 'queues/ is removed', path: /^\/store\/queues$/, make: (disk) => disk.remove(`${SIM_PATH}/queues`) },
  { what: 'the folder of a queue is removed', path: /\/queues\/wal$/, make: (disk) => disk.remove(WAL) },
  {
    what: 'the folder of a queue is replaced',
    path: /\/queues\/wal$/,
    make: async (disk) => {
      const { vfs } = disk.spawn();
      await vfs.rename(WAL, '/elsewhere');
      await vfs.makeDir(WAL);
    },
  },
  { what: 'LOCK is removed', path: /\/LOCK$/, make: (disk) => disk.remove(`${SIM_PATH}/LOCK`) },
  {
    what: 'LOCK is replaced',
    path: /\/LOCK$/,
    make: async (disk) => {
      disk.remove(`${SIM_PATH}/LOCK`);
      await (await disk.spawn().vfs.create(`${SIM_PATH}/LOCK`)).close();
    },
  },
  { what: 'STORE is removed', path: /\/STORE$/, make: (disk) => disk.remove(`${SIM_PATH}/STORE`) },
  {
    what: 'the segment that is appended to is removed',
    path: /\.seg$/,
    make: async (disk) => disk.remove(`${WAL}/${activeSegment(await namesIn(disk, WAL))}`),
  },
  {
    what: 'the segment that is appended to is moved',
    path: /\.seg$/,
    make: async (disk) =>
      disk.spawn().vfs.rename(`${WAL}/${activeSegment(await namesIn(disk, WAL))}`, '/elsewhere.seg'),
  },
  {
    what: 'the log of removals is removed',
    path: /\.tomb$/,
    make: async (disk) => {
      const name = (await namesIn(disk, WAL)).find((one) => one.endsWith('.tomb'));
      disk.remove(`${WAL}/${name}`);
    },
  },
];

describe.each(changes)('$what while the store is open', ({ path, make }) => {
  async function changed(durability: 'sync' | 'os' = 'sync'): Promise<{ disk: SimDisk; evaq: Evaq }> {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability });
    await evaq.wal.push('before');
    await make(disk);
    return { disk, evaq };
  }

  test('P17: flush and close reject, and the store says that it has stopped, and where', async () => {
    const { evaq } = await changed();
    const error = await rejection(evaq.wal.flush(), 'EVAQ_FAILED');
    expect(error.details.path).toMatch(path);
    expect(evaq.wal.stats().health).toBe('failed');
    await rejection(evaq.wal.push('after'), 'EVAQ_FAILED');
    expect(await rejection(evaq.close(), 'EVAQ_FAILED')).toBe(error);
  });

  test('P17: close alone rejects, and gives up the lock and every descriptor', async () => {
    const { disk, evaq } = await changed();
    await rejection(evaq.close(), 'EVAQ_FAILED');
    const count = (...names: readonly SimCall['name'][]): number =>
      disk.calls.filter(({ process, name, outcome }) => process === 1 && outcome === 'ok' && names.includes(name))
        .length;
    expect(count('release')).toBe(1);
    expect(count('close')).toBe(count('create', 'open'));
    expect(disk.violations).toEqual([]);
  });

  test('P17: a queue that is pushed to and never flushed stops within a second', async () => {
    for (const durability of ['sync', 'os'] as const) {
      const { disk, evaq } = await changed(durability);
      const until = disk.host.elapsed() + 1000;
      let failure: unknown;
      while (failure === undefined && disk.host.elapsed() < until) {
        const call = evaq.wal.push('after').then((id) => evaq.wal.remove(id));
        await call.catch((error: unknown) => {
          failure = error;
        });
        await passTime(disk, 10);
      }
      expect(failure).toMatchObject({ code: 'EVAQ_FAILED' });
      await rejection(evaq.close(), 'EVAQ_FAILED');
    }
  });
});

test('P17: a blocking push does not return where the folder is gone, or the file is another', async () => {
  for (const { make, what } of changes) {
    if (what.includes('log of removals')) continue;
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('before');
    await make(disk);
    expect(() => evaq.wal.pushSync(Buffer.from('after')), what).toThrow(
      expect.objectContaining({ code: 'EVAQ_FAILED' }),
    );
    await rejection(evaq.close(), 'EVAQ_FAILED');
  }
});

test('P17: nothing is made, named, changed or removed in a folder that took the place of the store', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024 });
  const ids: number[] = [];
  for (let i = 0; i < 30; i++) ids.push(await evaq.wal.push(Buffer.alloc(10_000, i)));
  const other = disk.spawn();
  await other.vfs.rename(SIM_PATH, '/elsewhere');
  const second = await Evaq.open(SIM_PATH, { ports: other, segmentBytes: 64 * 1024 });
  for (let i = 0; i < 30; i++) await second.wal.push(Buffer.alloc(10_000, 100 + i));
  const before = await namesIn(disk, WAL);
  // Segments die, are left and are collected: all of it by path.
  await evaq.wal.removeMany(ids.slice(0, 25)).catch(() => 0);
  for (let i = 0; i < 30; i++) await evaq.wal.push(Buffer.alloc(10_000)).catch(() => 0);
  await evaq.wal.compact().catch(() => undefined);
  await passTime(disk, 20_000);
  await rejection(evaq.close(), 'EVAQ_FAILED');
  expect(await namesIn(disk, WAL)).toEqual(before);
  await second.close();
  const again = await Evaq.open(SIM_PATH, { ports: disk.spawn() });
  expect(again.recovery).toMatchObject({ clean: true, damage: [] });
  expect(again.wal.size).toBe(30);
});

test('P17: of two queues only what the queue stands on stops it', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const jobs = await evaq.queue('jobs');
  await jobs.push('a');
  disk.remove(`${SIM_PATH}/queues/jobs`);
  await evaq.wal.push('b');
  await evaq.wal.flush();
  await rejection(jobs.flush(), 'EVAQ_FAILED');
  await rejection(evaq.close(), 'EVAQ_FAILED');
});

test('P17: a queue that nobody asked for yet is not begun in a folder that took the place of its own', async () => {
  const disk = newDisk();
  const first = await openSim(disk);
  await (await first.queue('jobs')).push('a');
  await first.close();
  const evaq = await openSim(disk);
  const { vfs } = disk.spawn();
  await vfs.rename(`${SIM_PATH}/queues/jobs`, '/elsewhere');
  await vfs.makeDir(`${SIM_PATH}/queues/jobs`);
  await rejection(evaq.queue('jobs'), 'EVAQ_FAILED');
  expect(await namesIn(disk, `${SIM_PATH}/queues/jobs`)).toEqual([]);
});

test('P14: where the ground cannot be looked at, flush says so, and nothing stops', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024 });
  await evaq.wal.push('a');
  for (const error of ['EIO', 'EMFILE'] as const) {
    disk.fault({ on: 'identity', error });
    await rejection(evaq.wal.flush(), 'EVAQ_IO');
    await evaq.wal.flush();
  }
  // In a blocking push, in front of new files, and while others are written to, it says nothing.
  const cancel = disk.fault({ on: 'identity', times: Infinity });
  evaq.wal.pushSync(Buffer.from('b'));
  for (let i = 0; i < 30; i++) {
    await evaq.wal.push(Buffer.alloc(10_000));
    await passTime(disk, 50);
  }
  cancel();
  await evaq.wal.flush();
  expect(evaq.wal.stats().health).toBe('ok');
  await evaq.close();
});

test('P12: the ground is looked at some ten times a second, however many pushes there are', async () => {
  const looksOf = async (pushes: number): Promise<number> => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const before = disk.calls.length;
    const end = disk.host.elapsed() + 1000;
    for (let i = 0; i < pushes; i++) await evaq.wal.push('x');
    await passTime(disk, end - disk.host.elapsed());
    await evaq.wal.push('y');
    const looks = disk.calls.slice(before).filter(({ name, path }) => name === 'identity' && path === SIM_PATH);
    await evaq.close();
    return looks.length;
  };
  expect(await looksOf(2000)).toBeLessThanOrEqual(12);
  expect(await looksOf(1)).toBeGreaterThan(0);
});

test('P17: a store whose work renames, replaces and removes its own files stands firm', async () => {
  const disk = newDisk({ timing: 'wild', seed: 7 });
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024 });
  const live: number[] = [];
  for (let i = 0; i < 400; i++) {
    live.push(await evaq.wal.push(Buffer.alloc(2000, i)));
    if (i % 3 === 0) await evaq.wal.removeMany(live.splice(0, live.length - 10));
    if (i % 20 === 0) await Promise.all([evaq.wal.flush(), evaq.wal.compact()]);
    await passTime(disk, 15);
  }
  await evaq.close();
  const again = await openSim(disk);
  expect(Object.keys(await contentOf(again.wal)).map(Number)).toEqual(live);
  await again.close();
});

describe('on the real disk', () => {
  test('P17: a store whose folder is removed says so at flush, at close, and in its health', async () => {
    const path = newPath();
    const evaq = await openReal({}, path);
    await evaq.wal.push('before');
    rmSync(path, { recursive: true });
    await rejection(evaq.wal.flush(), 'EVAQ_FAILED', { path });
    expect(evaq.wal.stats().health).toBe('failed');
    await rejection(evaq.close(), 'EVAQ_FAILED');
    expect(() => readdirSync(path)).toThrow('ENOENT');
  });

  test('P17: a copy in the place of the store is told from it', async () => {
    const path = newPath();
    const evaq = await openReal({}, path);
    await evaq.wal.push('before');
    renameSync(path, `${path}.old`);
    cpSync(`${path}.old`, path, { recursive: true });
    expect(() => evaq.wal.pushSync(Buffer.from('after'))).toThrow(expect.objectContaining({ code: 'EVAQ_FAILED' }));
    await rejection(evaq.close(), 'EVAQ_FAILED');
    rmSync(`${path}.old`, { recursive: true });
  });

  test('P17: a segment that somebody deleted is missed', async () => {
    const path = newPath();
    const evaq = await openReal({}, path);
    await evaq.wal.push('before');
    unlinkSync(`${path}/queues/wal/${activeSegment(readdirSync(`${path}/queues/wal`).sort())}`);
    await rejection(evaq.wal.flush(), 'EVAQ_FAILED');
    await rejection(evaq.close(), 'EVAQ_FAILED');
  });

  test('P17: a folder that came back is the same one', async () => {
    const path = newPath();
    const evaq = await openReal({}, path);
    await evaq.wal.push('before');
    renameSync(path, `${path}.old`);
    mkdirSync(path);
    rmSync(path, { recursive: true });
    renameSync(`${path}.old`, path);
    await evaq.wal.flush();
    await evaq.close();
  });
});

test('P17: a file of the lock that the store itself writes anew is locked and looked for from then on', async () => {
  const disk = newDisk();
  await (await openSim(disk)).close();
  const { vfs, host } = disk.spawn();
  const locked = await vfs.lock(`${SIM_PATH}/LOCK`, '', [`${SIM_PATH}/STORE`]);
  if (locked.kind === 'held') throw new Error('it was closed');
  const ground = new Ground({ path: SIM_PATH, identities: vfs.identities, host, failStop: new FailStop() });
  ground.noteStore(locked.lock);
  const grounded = new GroundedVfs(vfs, host, ground);
  await (await grounded.create(`${SIM_PATH}/STORE.tmp`)).close();
  await grounded.rename(`${SIM_PATH}/STORE.tmp`, `${SIM_PATH}/STORE`);
  ground.checkBlocking(SIM_PATH);
  disk.remove(`${SIM_PATH}/LOCK`);
  expect(await disk.spawn().vfs.lock(`${SIM_PATH}/LOCK`, '', [`${SIM_PATH}/STORE`])).toMatchObject({ kind: 'held' });
});
