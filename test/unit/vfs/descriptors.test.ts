import { describe, expect, it } from 'vitest';
import { Evaq, type Queue } from '../../../src/evaq.js';
import { ReadOnlyEvaq } from '../../../src/raw/read-only-evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { BudgetedVfs } from '../../../src/vfs/budgeted-vfs.js';
import type { VfsFile } from '../../../src/vfs/vfs.js';
import { callUntyped, contentOf, newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';

const FEW = 16;
/** Without those that are kept for what blocks the thread, and for folders. */
const FILES = FEW - 6;

async function filesOn(vfs: BudgetedVfs, count: number): Promise<VfsFile[]> {
  const files: VfsFile[] = [];
  for (let i = 0; i < count; i++) files.push(await vfs.create(`/f${i}`));
  return files;
}

/** A file that was written to, and rests. */
async function restingOn(vfs: BudgetedVfs): Promise<VfsFile> {
  const file = await vfs.create('/f0');
  await write(file, 'old');
  await file.sync();
  for (let i = 0; i < FEW; i++) await vfs.create(`/other${i}`);
  expect(file.isAtHand).toBe(false);
  return file;
}

function write(file: VfsFile, text: string, at = 0): Promise<void> {
  const bytes = Buffer.from(text);
  return file.writeAt(bytes, 0, bytes.length, at);
}

async function textOf(file: VfsFile): Promise<string> {
  const bytes = Buffer.alloc(100);
  return bytes.toString('utf8', 0, await file.readAt(bytes, 0, bytes.length, 0));
}

const callsOn = (disk: SimDisk, path: string): string[] =>
  disk.calls.filter((call) => call.path === path).map(({ name }) => name);

describe('a bound on descriptors', () => {
  it('is kept, whatever is open; the least recently used is closed first, and what was written is synced before', async () => {
    const disk = newDisk();
    const vfs = new BudgetedVfs(disk.vfs, FEW);
    const files = await filesOn(vfs, FILES);
    for (const [i, file] of files.entries()) await write(file, `<${i}>`);
    for (const file of files.slice(1)) await file.sync();
    // One that costs no sync goes first.
    const next = await vfs.create('/next');
    expect(callsOn(disk, '/f1')).toContain('close');
    expect(callsOn(disk, '/f0')).not.toContain('close');
    for (const [i, file] of files.slice(2).entries()) await write(file, 'x', `<${i + 2}>`.length);
    await write(next, 'x');
    const last = await vfs.create('/last');
    expect(callsOn(disk, '/f0')).toEqual(['create', 'write', 'sync', 'size', 'close']);
    for (const [i, file] of files.entries()) expect(await textOf(file)).toBe(i < 2 ? `<${i}>` : `<${i}>x`);
    expect(disk.descriptorsPeak).toBeLessThanOrEqual(FEW);
    for (const file of [...files, next, last]) await file.close();
    expect(disk.violations).toEqual([]);
  });

  it('many calls at once wait for each other, and none for ever', async () => {
    const disk = newDisk({ timing: 'wild' });
    const vfs = new BudgetedVfs(disk.vfs, FEW);
    const files = await filesOn(vfs, 60);
    await Promise.all(files.map((file, i) => write(file, `<${i}>`).then(() => file.sync())));
    expect(await Promise.all(files.map(textOf))).toEqual(files.map((_, i) => `<${i}>`));
    expect(disk.descriptorsPeak).toBeLessThanOrEqual(FEW);
    expect(disk.violations).toEqual([]);
  });

  it('what rests is found under its new name', async () => {
    const disk = newDisk();
    const vfs = new BudgetedVfs(disk.vfs, FEW);
    const file = await restingOn(vfs);
    await vfs.rename('/f0', '/g0');
    await write(file, 'new');
    expect(Buffer.from(disk.read('/g0') ?? []).toString()).toBe('new');
    await file.sync();
    for (let i = 0; i < FEW; i++) await vfs.create(`/more${i}`);
    expect(file.isAtHand).toBe(false);
    file.writeAndSyncBlocking([{ source: Buffer.from('now'), length: 3, position: 0 }]);
    expect(Buffer.from(disk.read('/g0') ?? []).toString()).toBe('now');
  });

  it('P14: what is written blocking while a file is opened again does not make it another file', async () => {
    for (let turns = 0; turns < 40; turns++) {
      const disk = newDisk();
      const vfs = new BudgetedVfs(disk.vfs, FEW);
      const file = await restingOn(vfs);
      const writing = write(file, 'new', 3);
      for (let turn = 0; turn < turns; turn++) await disk.host.yield();
      file.writeAndSyncBlocking([{ source: Buffer.from('now'), length: 3, position: 6 }]);
      await writing;
      expect(await textOf(file)).toBe('oldnewnow');
    }
  });

  it('all who use one file system share it', async () => {
    const disk = newDisk();
    const stores = [0, 1, 2, 3].map((more) => new BudgetedVfs(disk.vfs, FEW + more));
    for (const [i, vfs] of stores.entries()) for (let n = 0; n < 10; n++) await vfs.create(`/s${i}-${n}`);
    expect(disk.descriptorsPeak).toBeLessThanOrEqual(FEW + 3);
    for (const vfs of stores.slice(1)) vfs.leave();
    await passTime(disk, 10);
    expect(disk.openHandles().length).toBeLessThanOrEqual(FEW);
  });

  it('P14: where the system has no more, what rests is given back, and it is tried again; where nothing helps that is told', async () => {
    const disk = newDisk();
    disk.limits.descriptorsMax = 10;
    const vfs = new BudgetedVfs(disk.vfs, 256);
    const files = await filesOn(vfs, 40);
    for (const [i, file] of files.entries()) await write(file, `<${i}>`);
    expect(await Promise.all(files.map(textOf))).toEqual(files.map((_, i) => `<${i}>`));
    disk.fault({ on: 'open', error: 'EMFILE', times: Infinity });
    await expect(vfs.open('/f0', 'read')).rejects.toMatchObject({ code: 'EMFILE' });
  });

  it('P14: zeros that are to be added wait for none: those who need one wait for the files in use, and these among them', async () => {
    const disk = newDisk();
    const vfs = new BudgetedVfs(disk.vfs, 256);
    const [file] = await filesOn(vfs, 1);
    if (file === undefined) return;
    disk.limits.descriptorsMax = 1;
    const over: string[] = [];
    const tell =
      (what: string) =>
      (error: { readonly code: string }): void =>
        void over.push(`${what} ${error.code}`);
    file.extend(4096).catch(tell('zeros'));
    await passTime(disk, 100);
    expect(over.splice(0)).toEqual(['zeros EMFILE']);
    // More than there may be at a time.
    for (let n = 0; n < 4; n++) vfs.list('/').catch(tell('look'));
    void file.sync().then(() => over.push('sync'));
    file.extend(4096).catch(tell('zeros'));
    await passTime(disk, 100);
    expect(over.sort()).toEqual([...Array.from({ length: 4 }, () => 'look EMFILE'), 'sync', 'zeros EMFILE']);
    disk.limits.descriptorsMax = 2;
    await file.extend(4096);
    await file.close();
    expect(disk.violations).toEqual([]);
  });

  it('is a whole number of at least 16', async () => {
    const disk = newDisk();
    const ports = { vfs: disk.vfs, host: disk.host };
    for (const descriptorsMax of [15, 20.5, -1]) {
      await expect(Evaq.open(SIM_PATH, { descriptorsMax, ports })).rejects.toThrow(RangeError);
      await expect(ReadOnlyEvaq.open(SIM_PATH, { descriptorsMax, ports })).rejects.toThrow(RangeError);
    }
    await expect(callUntyped(Evaq, 'open', SIM_PATH, { descriptorsMax: '20', ports })).rejects.toThrow(TypeError);
  });
});

async function manyQueues(disk: SimDisk): Promise<{ readonly evaq: Evaq; readonly queues: readonly Queue[] }> {
  const evaq = await openSim(disk, { durability: 'os', descriptorsMax: FEW });
  const queues: Queue[] = [];
  for (let i = 0; i < 12; i++) queues.push(await evaq.queue(`q${i}`));
  return { evaq, queues };
}

describe('a store with more queues than descriptors', () => {
  it('P7: stops where what is closed to make room cannot be synced', async () => {
    const disk = newDisk();
    const { evaq, queues } = await manyQueues(disk);
    await queues[0]?.push('a');
    disk.fault({ on: 'sync', path: '/q0/' });
    for (const queue of queues.slice(1)) await queue.push('b').catch(() => undefined);
    for (const queue of queues) await queue.remove(1).catch(() => undefined);
    for (const queue of queues) await queue.push('c').catch(() => undefined);
    await rejection(evaq.pushWal('d'), 'EVAQ_FAILED');
    await evaq.close().catch(() => undefined);
  });

  it.each(['replaced', 'removed'] as const)(
    'P17: writes to no other file: one that was %s while it rested',
    async (how) => {
      const disk = newDisk();
      const { evaq, queues } = await manyQueues(disk);
      await queues[0]?.push('a');
      for (const queue of queues.slice(1)) await queue.push('b');
      for (const queue of queues.slice(1)) await queue.push('b');
      const [segment = ''] = disk
        .tree()
        .split('\n')
        .flatMap((line) => /\/store\/queues\/q0\/0+1-\S+\.seg/.exec(line) ?? []);
      expect(disk.openHandles().join()).not.toContain(segment);
      const bytes = disk.read(segment) ?? new Uint8Array();
      disk.remove(segment);
      if (how === 'replaced') disk.place(segment, bytes);
      await expect(queues[0]?.push('c')).rejects.toMatchObject({ code: 'EVAQ_FAILED', details: { path: segment } });
      if (how === 'replaced') expect(disk.read(segment)).toEqual(bytes);
      await rejection(evaq.pushWal('d'), 'EVAQ_FAILED');
      await evaq.close().catch(() => undefined);
    },
  );

  it('P1: blocking pushes to all of them, in one stretch', async () => {
    const disk = newDisk();
    const { evaq, queues } = await manyQueues(disk);
    for (const queue of queues) expect(queue.pushSync(queue.name)).toBe(1);
    expect(disk.descriptorsPeak).toBeLessThanOrEqual(FEW);
    const after = disk.crash(disk.nothingSurvives());
    const again = await openSim(after, { descriptorsMax: FEW });
    for (const { name } of queues) expect(await contentOf(await again.queue(name))).toEqual({ 1: name });
    await again.close();
    await evaq.close();
    expect(disk.violations).toEqual([]);
  });
});

describe('a reader at rest', () => {
  it('gives the space of deleted segments back, though it never looks again', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024, recycleSegments: 0 });
    for (let i = 0; i < 4; i++) await evaq.pushWal(Buffer.alloc(66_000));
    const process = disk.spawn();
    const reader = await ReadOnlyEvaq.open(SIM_PATH, { ports: { vfs: process.vfs, host: process.host } });
    expect(await reader.wal.read()).toHaveLength(4);
    await evaq.wal.removeThrough(4);
    await evaq.wal.compact();
    expect(disk.openHandles().filter((handle) => handle.includes('removed file')).length).toBeGreaterThan(0);
    await passTime(disk, 2500);
    expect(disk.openHandles().filter((handle) => handle.startsWith(`p${process.id} `))).toEqual([]);
    expect(await reader.wal.read()).toEqual([]);
    await reader.close();
    await evaq.close();
    expect(disk.openHandles()).toEqual([]);
  });
});
