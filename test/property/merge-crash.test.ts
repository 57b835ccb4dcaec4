/** A merge of small segments, which opening waits for, cut at every call. */
import { expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { type ExploreMachine, type ExploreReport, explore, type RecoveryMachine } from '../../src/sim/explore.js';
import { SimDisk } from '../../src/sim/sim-disk.js';
import type { Vfs, VfsFile } from '../../src/vfs/vfs.js';

const STORE = '/store';
/** Enough for a merge, one start later. */
const STARTS = 9;

const open = ({ vfs, host }: RecoveryMachine, more: object = {}): Promise<Evaq> =>
  Evaq.open(STORE, { ports: { vfs, host }, recycleSegments: 0, ...more });

/** Starts of two records each, of which every third is removed. */
async function manyStarts(): Promise<SimDisk> {
  const disk = new SimDisk({ seed: 5, timing: 'steady', fill: 'zeros' });
  for (let i = 0; i < STARTS; i++) {
    const evaq = await open(disk, { gc: false });
    await evaq.wal.pushMany([`a${i}`, `b${i}`]);
    if (i % 3 === 0) await evaq.wal.remove(2 * i + 1);
    await evaq.close();
  }
  return disk;
}

async function contentOf(evaq: Evaq): Promise<string[]> {
  const content: string[] = [];
  for await (const { id, payload } of evaq.wal.records()) content.push(`${id} ${payload.toString()}`);
  return content;
}

type Fact = { readonly kind: 'removed' | 'pushed'; readonly id: number };

async function exploreMerge(change: (vfs: Vfs) => Vfs): Promise<{ report: ExploreReport; files: number }> {
  const start = await manyStarts();
  const before = await contentOf(await open(start.fork(), { gc: false }));
  let files = 0;
  const run = async (machine: ExploreMachine<Fact>): Promise<void> => {
    const evaq = await open({ ...machine, vfs: change(machine.vfs) });
    files = (await machine.vfs.list(`${STORE}/queues/wal`)).filter(({ name }) => name.endsWith('.seg')).length;
    if (await evaq.wal.remove(4)) machine.acknowledge({ kind: 'removed', id: 4 });
    machine.acknowledge({ kind: 'pushed', id: await evaq.wal.push('last') });
    await evaq.close();
  };
  const check = async (machine: RecoveryMachine, facts: readonly Fact[]): Promise<unknown> => {
    const evaq = await open(machine);
    const content = await contentOf(evaq);
    await evaq.close();
    if (evaq.recovery.damage.length > 0) throw new Error(`damage: ${JSON.stringify(evaq.recovery.damage)}`);
    const ids = content.map((text) => Number.parseInt(text, 10));
    for (const { kind, id } of facts)
      if (ids.includes(id) !== (kind === 'pushed')) throw new Error(`record ${id} was ${kind}`);
    const rest = content.filter((text) => !/^4 |last$/.test(text));
    const expected = before.filter((text) => !text.startsWith('4 '));
    if (JSON.stringify(rest) !== JSON.stringify(expected)) throw new Error(`lost or brought back: ${rest.join(', ')}`);
    return content;
  };
  const options = { seed: 5, exhaustiveMax: 16, draws: 2, depth: 1, statesMax: 1500, start };
  const report = await explore({ ops: ['merge'], run }, check, options);
  return { report, files };
}

test('P2, P6: nothing live is lost by it, and nothing comes back', { timeout: 300_000 }, async () => {
  const { report, files } = await exploreMerge((vfs) => vfs);
  expect(report.failure?.script).toBeUndefined();
  expect(files, 'there was a merge').toBe(2);
  expect(report.states).toBeGreaterThan(100);
});

test('the same finds a planted bug: the copy is not synced before it gets its name', { timeout: 300_000 }, async () => {
  const unsynced = async (opening: Promise<VfsFile>): Promise<VfsFile> => {
    const file = await opening;
    return new Proxy(file, {
      get: (target, key) => {
        if (key === 'sync') return () => Promise.resolve();
        const found: unknown = Reflect.get(target, key);
        return typeof found === 'function' ? found.bind(target) : found;
      },
    });
  };
  const { report } = await exploreMerge((vfs) => ({
    list: (dir) => vfs.list(dir),
    stat: (path) => vfs.stat(path),
    makeDir: (dir) => vfs.makeDir(dir),
    create: (path) => (path.endsWith('.seg.tmp') ? unsynced(vfs.create(path)) : vfs.create(path)),
    open: (path, access) => vfs.open(path, access),
    rename: (from, to) => vfs.rename(from, to),
    remove: (path) => vfs.remove(path),
    syncDir: (dir) => vfs.syncDir(dir),
    freeBytes: (path) => vfs.freeBytes(path),
    lock: (path, note) => vfs.lock(path, note),
  }));
  expect(report.failure).toBeDefined();
});
