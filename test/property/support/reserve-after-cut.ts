/**
 * Space that is kept for removals and for opening is there when it is needed: after a power cut, on a disk that others have filled meanwhile. What a
 * file is to keep has to be durable, its blocks and its name, or the cut takes it; so a store is cut behind each of some calls, losing all that it may,
 * and the rest of the disk is taken, with all that is given back from then on. Then it opens, and can be emptied.
 */
import { type Durability, Evaq, EvaqError } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/s';
const SEGMENT_BYTES = 64 * 1024;
/** So many that what alternates with live ones does not fit into the least that is kept. */
const RECORDS = 6000;
/** Removals one by one: enough for a log to be full, and written anew. */
const SINGLES = 150;

/** From now on somebody takes what is given back before anybody else does. */
function strike(disk: SimDisk): () => void {
  const { limits } = disk;
  limits.capacityBytes = disk.usedBytes;
  return disk.observe(() => {
    limits.capacityBytes = Math.min(limits.capacityBytes, disk.usedBytes);
  });
}

async function idsOf({ wal }: Evaq): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of wal.records()) ids.push(id);
  return ids;
}

class Cutting {
  readonly #seed: number;
  readonly #durability: Durability;
  disk: SimDisk;
  states = 0;

  constructor(seed: number) {
    this.#seed = seed;
    // In the weaker mode a cut leaves holes in what was written.
    this.#durability = seed % 2 === 0 ? 'sync' : 'os';
    this.disk = new SimDisk({ seed, sectorBytes: 512, fill: 'zeros' });
  }

  open({ vfs, host }: SimDisk = this.disk): Promise<Evaq> {
    return Evaq.open(STORE, {
      ports: { vfs, host },
      segmentBytes: SEGMENT_BYTES,
      gc: false,
      durability: this.#durability,
    });
  }

  /** Cuts a copy of the disk, fills it, and does `then` with the store that is found, which must not be in want of anything. */
  async look(behind: string, then: (evaq: Evaq) => Promise<void>): Promise<void> {
    for (const state of ['nothing', 'nothing, opened twice', 'drawn']) {
      this.states++;
      const { disk } = this;
      const after = disk.crash(state === 'drawn' ? disk.drawCrash(this.#seed) : disk.nothingSurvives());
      strike(after);
      try {
        // It goes on with what the first open has left: log and spare file have changed their places.
        if (state !== 'nothing') await (await this.open(after)).close();
        const evaq = await this.open(after);
        await then(evaq);
        await evaq.close();
      } catch (error) {
        if (!(error instanceof EvaqError)) throw error;
        const { code, message } = error;
        throw new BrokenPromise('full disk', `seed ${this.#seed}, ${state} after ${behind}: ${code} ${message}`);
      }
      after.kill();
    }
  }

  cut(): void {
    this.disk.kill();
    this.disk = this.disk.crash(this.disk.drawCrash(this.#seed));
  }
}

/** Every second one, so that there are as many ranges as there can be; and then as many rounds; and the rest. */
async function empty(evaq: Evaq): Promise<void> {
  const ids = await idsOf(evaq);
  await evaq.wal.removeMany(ids.filter((_, i) => i % 2 === 0));
  for (const id of ids.filter((_, i) => i % 2 === 1).slice(0, SINGLES)) await evaq.wal.remove(id);
  await evaq.wal.removeMany(ids);
}

/** @throws BrokenPromise where the store cannot be opened and emptied behind some call. Resolves with the number of states. */
export async function cutAndEmpty(seed: number): Promise<number> {
  const cutting = new Cutting(seed);
  const look = (behind: string): Promise<void> => cutting.look(behind, empty);
  let evaq = await cutting.open();
  await look('the first open');
  await evaq.wal.pushMany(Array.from({ length: RECORDS }, () => 'small'));
  await look('small pushes');
  await evaq.wal.removeMany((await idsOf(evaq)).filter((_, i) => i % 3 === 0));
  await look('removals');
  await evaq.close();
  // On a full disk it takes what is kept for that; what is kept for the next time is made as soon as there is space.
  const used = strike(cutting.disk);
  evaq = await cutting.open();
  await look('an open on a full disk');
  used();
  cutting.disk.limits.capacityBytes = Infinity;
  await evaq.wal.push('one more');
  await evaq.wal.flush();
  await look('a push when there is space again');
  cutting.disk.kill();
  evaq = await cutting.open();
  await look('a kill and an open');
  await evaq.wal.remove(3);
  cutting.cut();
  await cutting.open();
  await look('a power cut and an open');
  cutting.disk.kill();
  return cutting.states;
}
