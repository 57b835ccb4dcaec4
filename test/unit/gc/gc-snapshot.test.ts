/** Snapshots of the tombstone log that are taken while GC is about to remove files. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import type { Vfs } from '../../../src/vfs/vfs.js';

const options = { segmentBytes: 64 * 1024, gc: false } as const;

/** The disk, with segments that do not go before they may. */
class Holder {
  readonly vfs: Vfs;
  /** Resolves when GC is about to remove a segment. */
  readonly reached: Promise<void>;
  release: () => void = () => undefined;

  constructor(inner: Vfs) {
    let reach: () => void = () => undefined;
    this.reached = new Promise((resolve) => {
      reach = resolve;
    });
    const released = new Promise<void>((resolve) => {
      this.release = resolve;
    });
    const pass = async (path: string): Promise<void> => {
      if (!path.endsWith('.seg')) return;
      reach();
      await released;
    };
    this.vfs = {
      list: (dir) => inner.list(dir),
      stat: (path) => inner.stat(path),
      identities: inner.identities,
      makeDir: (dir) => inner.makeDir(dir),
      create: (path) => inner.create(path),
      open: (path, access) => inner.open(path, access),
      rename: (from, to) => pass(from).then(() => inner.rename(from, to)),
      remove: (path) => pass(path).then(() => inner.remove(path)),
      syncDir: (dir) => inner.syncDir(dir),
      freeBytes: (path) => inner.freeBytes(path),
      lock: (path, note) => inner.lock(path, note),
    };
  }
}

async function idsOf(evaq: Evaq): Promise<number[]> {
  return (await evaq.wal.read({ maxRecords: 10_000 })).map(({ id }) => id);
}

test.each<[string, (id: number) => boolean]>([
  ['dead segments', (id) => id > 200 && id <= 1000],
  ['rewritten segments', (id) => id <= 1000 && id % 3 !== 0],
  ['dead and rewritten segments', (id) => (id > 200 && id <= 600) || (id <= 1200 && id % 4 !== 0)],
])(
  'P1, P2: a snapshot taken while %s are still there removes what was removed, and nothing else',
  async (_, isGone) => {
    const disk = new SimDisk({ seed: 1 });
    const holder = new Holder(disk.vfs);
    const evaq = await Evaq.open('/store', { ...options, ports: { vfs: holder.vfs, host: disk.host } });
    for (let i = 0; i < 50; i++) await evaq.wal.pushMany(Array.from({ length: 40 }, () => Buffer.alloc(300, i)));
    const live = new Set(Array.from({ length: 2000 }, (_, i) => i + 1));
    const remove = async (ids: readonly number[]): Promise<void> => {
      for (const id of ids) live.delete(id);
      await evaq.wal.removeMany(ids);
    };
    await remove([...live].filter(isGone));

    const compacted = evaq.wal.compact();
    await holder.reached;
    // One round after the other, until the log is replaced.
    let snapshot: SimDisk | undefined;
    const stop = disk.observe(({ phase, call }) => {
      // The log that was replaced is kept for the next one.
      if (phase === 'ack' && call.name === 'rename' && call.path.endsWith('.tomb')) snapshot = disk.fork();
    });
    while (snapshot === undefined) await remove([...live].slice(-1));
    stop();

    // As a kill leaves it at this moment.
    const { vfs, host } = snapshot;
    const killed = await Evaq.open('/store', { ...options, ports: { vfs, host } });
    expect(killed.recovery.damage).toEqual([]);
    expect(await idsOf(killed)).toEqual([...live]);
    await killed.close();

    holder.release();
    await compacted;
    expect(await idsOf(evaq)).toEqual([...live]);
    await evaq.close();
    const again = await Evaq.open('/store', { ...options, ports: { vfs: disk.vfs, host: disk.host } });
    expect(again.recovery.damage).toEqual([]);
    expect(await idsOf(again)).toEqual([...live]);
    await again.close();
  },
);
