/** `minFreeBytes`: pushes leave some of the file system free. */
import { expect, it } from 'vitest';
import { Evaq, type EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { callUntyped, newDisk, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';

interface Free {
  bytes: number;
  looks: number;
  fails?: boolean;
  hangs?: boolean;
}

/** A store on a file system that has as much free as it is told. */
function openWith(free: Free, disk: SimDisk, options: EvaqOptions = {}): Promise<Evaq> {
  const freeBytes = (path: string): Promise<number> => {
    if (path !== SIM_PATH) return disk.vfs.freeBytes(path);
    free.looks++;
    if (free.hangs === true) return new Promise(() => undefined);
    return free.fails === true ? Promise.reject(new Error('not now')) : Promise.resolve().then(() => free.bytes);
  };
  const vfs = new Proxy(disk.vfs, {
    get(target, name) {
      if (name === 'freeBytes') return freeBytes;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return Evaq.open(SIM_PATH, { minFreeBytes: 1000, ...options, ports: { vfs, host: disk.host } });
}

it('pushes are refused while there is too little, with numbers, and go on by themselves; removals and moves always', async () => {
  const disk = newDisk();
  const free = { bytes: 1_000_000, looks: 0 };
  const evaq = await openWith(free, disk);
  const { wal } = evaq;
  await wal.pushMany(['a', 'b']);
  expect(wal.stats().limits).toMatchObject({ freeBytes: 999_982, usedRecords: 2 });
  free.bytes = 1020;
  await passTime(disk, 2000);
  await wal.push('c');
  await passTime(disk, 10);
  await rejection(wal.push(Buffer.alloc(100)), 'EVAQ_QUEUE_FULL', {
    queue: 'wal',
    exceeded: 'minFreeBytes',
    limit: 1000,
    used: 1011,
    wanted: 108,
  });
  expect(() => wal.pushSync(Buffer.alloc(100))).toThrow(/1011 bytes of the file system are free/);
  await wal.remove(1);
  await evaq.deadLetter(2, { reason: 'no' });
  await evaq.redrive(() => true);
  await rejection(evaq.deadLetters.push(Buffer.alloc(100)), 'EVAQ_QUEUE_FULL', { exceeded: 'minFreeBytes' });
  free.bytes = 1_000_000;
  await passTime(disk, 300);
  await wal.push(Buffer.alloc(100));
  await evaq.close();
  expect(disk.openHandles()).toEqual([]);
});

it("whenFull 'wait': pushes wait until there is more, in order", async () => {
  const disk = newDisk();
  const free = { bytes: 0, looks: 0 };
  const evaq = await openWith(free, disk, { limits: { whenFull: 'wait' } });
  const ids = Promise.all(['a', 'b'].map((text) => evaq.wal.push(text)));
  await passTime(disk, 5000);
  expect(evaq.wal.stats().limits).toMatchObject({ waiting: 2, freeBytes: 0 });
  const looks = free.looks;
  free.bytes = 5000;
  expect(await ids).toEqual([1, 2]);
  expect(looks).toBeLessThan(30);
  await evaq.close();
  expect(disk.openHandles()).toEqual([]);
});

it("whenFull 'drop-oldest' drops nothing for the file system: it would free nothing at once", async () => {
  const disk = newDisk();
  const free = { bytes: 1_000_000, looks: 0 };
  const evaq = await openWith(free, disk, { limits: { whenFull: 'drop-oldest', records: 5 } });
  await evaq.wal.push('a');
  free.bytes = 0;
  await passTime(disk, 2000);
  await evaq.wal.push('b');
  await passTime(disk, 300);
  await rejection(evaq.wal.push('c'), 'EVAQ_QUEUE_FULL', { exceeded: 'minFreeBytes' });
  expect(evaq.wal.size).toBe(2);
  await evaq.close();
});

it('a burst does not go past what was free at the last look, and ten thousand pushes look a few times', async () => {
  const disk = newDisk();
  const free = { bytes: 51_000, looks: 0 };
  const evaq = await openWith(free, disk);
  const { wal } = evaq;
  const large = Array.from({ length: 10 }, () => wal.push(Buffer.alloc(9_992)));
  // The sixth would be beyond it: it waits for a look, which shows what the others have come to.
  free.bytes = 1000;
  const outcomes = await Promise.allSettled(large);
  expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([
    ...Array(5).fill(true),
    ...Array(5).fill(false),
  ]);
  free.bytes = 1e9;
  await passTime(disk, 300);
  const looks = free.looks;
  await Promise.all(Array.from({ length: 10_000 }, () => wal.push('x')));
  expect(free.looks - looks).toBeLessThan(4);
  await evaq.close();
});

it('where it cannot be looked at nothing is refused', async () => {
  const disk = newDisk();
  const free = { bytes: 0, looks: 0, fails: true };
  const evaq = await openWith(free, disk);
  await evaq.wal.push('a');
  expect(evaq.wal.stats().limits?.freeBytes).toBeUndefined();
  await evaq.close();
});

it('without it nobody looks, and wrong numbers are told', async () => {
  const disk = newDisk();
  const free = { bytes: 0, looks: 0 };
  const { vfs, host } = disk;
  const evaq = await Evaq.open(SIM_PATH, { ports: { vfs, host } });
  await evaq.wal.push('a');
  expect(free.looks).toBe(0);
  await evaq.close();
  await expect(callUntyped(Evaq, 'open', SIM_PATH, { minFreeBytes: 0, ports: { vfs, host } })).rejects.toThrow(
    'minFreeBytes must be a whole number of at least 1, got 0',
  );
});

it('P14: a file system that never answers keeps nobody waiting for more than five seconds, neither a push nor health()', async () => {
  const disk = newDisk();
  const free = { bytes: 1_000_000, looks: 0, hangs: false };
  const evaq = await openWith(free, disk);
  free.hangs = true;
  await evaq.wal.push('a');
  // It has to be looked at for the next one.
  await passTime(disk, 500);
  const pushed = evaq.wal.push(Buffer.alloc(999_900));
  const health = evaq.health();
  await passTime(disk, 6000);
  expect(await pushed).toBe(2);
  expect((await health).reasons.map(({ code }) => code)).toEqual(['disk-unknown']);
  await evaq.close();
});
