/** Two writers are never both in, whatever becomes of the file LOCK meanwhile; and the check of that finds one who forgets half of the lock. */
import { describe, expect, test } from 'vitest';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import type { SimProcess } from '../../../src/sim/sim-process.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { chance } from '../../property/support/chance.js';
import { SIM_PATH } from './store-fixture.js';

const LOCK = `${SIM_PATH}/LOCK`;
const SEEDS = 150;

type Ports = (process: SimProcess) => Pick<SimProcess, 'vfs' | 'host'>;

const honest: Ports = ({ vfs, host }) => ({ vfs, host });

/** A planted bug: only the named file is locked, and what is locked with it is forgotten. */
const forgetful: Ports = (process) => {
  const { vfs, host } = process;
  const planted: Vfs = {
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
    async lock(path, note) {
      const result = await vfs.lock(path, note);
      if (result.kind === 'held') return result;
      const { lock } = result;
      const { identity } = lock;
      return {
        kind: 'locked',
        lock: {
          ...(identity === undefined ? {} : { identity }),
          addBlocking: () => true,
          release: () => lock.release(),
        },
      };
    },
  };
  return { vfs: planted, host };
};

interface Witness {
  /** Who is in: has opened, and has neither closed, nor stopped, nor died. */
  readonly inside: Map<string, Evaq>;
  readonly acknowledged: string[];
  readonly wrong: string[];
}

/** Opens, pushes, and leaves: by closing, by dying, or because the store has stopped. */
async function write(name: string, process: SimProcess, ports: Ports, witness: Witness, below: Below): Promise<void> {
  const lockTimeoutMs = below(2) * 50;
  let evaq: Evaq;
  try {
    evaq = await Evaq.open(SIM_PATH, { ports: ports(process), lockTimeoutMs, segmentBytes: 65_536 });
  } catch (error) {
    if (error instanceof EvaqError && ['EVAQ_LOCKED', 'EVAQ_FAILED'].includes(error.code)) return;
    witness.wrong.push(`${name} cannot open: ${String(error)}`);
    return;
  }
  for (const [other, { wal }] of witness.inside)
    if (wal.stats().health === 'ok') witness.wrong.push(`${name} got in beside ${other}`);
  witness.inside.set(name, evaq);
  try {
    for (let i = 0; i < 4; i++) {
      const text = `${name} ${i}`;
      await evaq.wal.push(text);
      witness.acknowledged.push(text);
      await new Promise<void>((resolve) => process.host.after(below(40), resolve));
    }
    await evaq.close();
  } catch (error) {
    if (!(error instanceof EvaqError && error.code === 'EVAQ_FAILED')) witness.wrong.push(`${name}: ${String(error)}`);
    await evaq.close().catch(() => undefined);
  } finally {
    witness.inside.delete(name);
  }
}

type Below = (n: number) => number;

/** What went wrong, as sentences. */
async function history(seed: number, ports: Ports): Promise<string[]> {
  const disk = new SimDisk({ seed, fill: 'zeros' });
  const below = chance(seed);
  const witness: Witness = { inside: new Map(), acknowledged: [], wrong: [] };
  const somebody = disk.spawn();
  const wait = (ms: number): Promise<void> => new Promise((resolve) => somebody.host.after(ms, resolve));
  const writers: Promise<void>[] = [];
  for (let i = 0; i < 4; i++) {
    const process = disk.spawn();
    const done = write(`writer ${i}`, process, ports, witness, below);
    // The dead come to no end.
    const dies = below(4) === 0;
    writers.push(
      dies
        ? Promise.race([done, wait(20).then(() => process.kill())]).then(
            () => void witness.inside.delete(`writer ${i}`),
          )
        : done,
    );
    await wait(below(30));
    if (disk.read(LOCK) === undefined) continue;
    if (below(2) === 0) disk.remove(LOCK);
    if (below(2) === 0)
      await (await somebody.vfs.create(`${SIM_PATH}/.L`))
        .close()
        .then(() => somebody.vfs.rename(`${SIM_PATH}/.L`, LOCK));
    await wait(below(20));
  }
  await Promise.all(writers);
  const evaq = await Evaq.open(SIM_PATH, { ports: disk.spawn() });
  const found: string[] = [];
  for await (const { payload } of evaq.wal.records()) found.push(payload.toString());
  await evaq.close();
  for (const text of witness.acknowledged) if (!found.includes(text)) witness.wrong.push(`${text} is lost`);
  return witness.wrong;
}

describe('P17: a LOCK that is deleted or replaced at any time, by writers who come, wait, close, stop and die', () => {
  test('never lets a second writer in, and costs nothing that was acknowledged', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) expect(await history(seed, honest), `seed ${seed}`).toEqual([]);
  });

  test('and where only LOCK was locked, that is found', async () => {
    let found: string[] = [];
    for (let seed = 1; seed <= SEEDS && found.length === 0; seed++) {
      found = await history(seed, forgetful).catch((error: unknown) => [String(error)]);
    }
    expect(found).not.toEqual([]);
  });
});
