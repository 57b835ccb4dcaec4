/** Stores by chance, for readers: made on the simulated disk, ended in every way, and copied to a real folder. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { closeWhole } from './closed-store.js';

export type Ending = 'closed' | 'killed' | 'power cut';
export const ENDINGS: readonly Ending[] = ['closed', 'killed', 'power cut'];

/** A number below `below`, always the same for a seed and a call. */
export type Dice = (below: number) => number;

/** xorshift, which is enough for tests. */
export function diceOf(seed: number): Dice {
  let state = (seed * 0x9e3779b1 + 0x1234567) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** Some lives of a store, then its end. What it holds is on the disk that is returned, below `/s`. */
export async function makeRandomStore(seed: number, ending: Ending): Promise<SimDisk> {
  const dice = diceOf(seed);
  let disk = new SimDisk({ seed, timing: 'steady' });
  const lives = 1 + dice(3);
  for (let life = 1; life <= lives; life++) {
    const evaq = await Evaq.open('/s', {
      ports: { vfs: disk.vfs, host: disk.host },
      segmentBytes: 65_536,
      indexIntervalBytes: 64 + dice(4000),
      gc: false,
    });
    for (let steps = 5 + dice(30); steps > 0; steps--) await oneStep(evaq, dice);
    const last = life === lives;
    if (!last || ending === 'closed') await closeWhole(evaq, disk);
    else {
      const late = [evaq.wal.push('late'), evaq.wal.pushMany(['later', 'x'.repeat(dice(3000))])];
      if (dice(2) === 0) await Promise.all(late);
      for (const one of late) one.catch(() => undefined);
    }
    if (last && ending === 'power cut') disk = disk.crash(disk.drawCrash(seed));
    disk.kill();
  }
  return disk;
}

async function oneStep(evaq: Evaq, dice: Dice): Promise<void> {
  const queue = dice(6) === 0 ? await evaq.queue('named') : dice(4) === 0 ? evaq.deadLetters : evaq.wal;
  const text = (): string => String.fromCharCode(97 + dice(26)).repeat(dice(dice(8) === 0 ? 9000 : 60));
  const next = queue.stats().nextId;
  const some = (): number => 1 + dice(Math.max(1, next - 1));
  switch (dice(9)) {
    case 0:
      await queue.push(text(), { headers: { k: text().slice(0, 5), ü: 'ä' } });
      return;
    case 1:
    case 2:
      await queue.pushMany(Array.from({ length: 1 + dice(dice(5) === 0 ? 60 : 6) }, text));
      return;
    case 3:
      await queue.removeMany([some(), some(), some()]);
      return;
    case 4:
      if (dice(3) === 0) await queue.removeMany(Array.from({ length: dice(40) }, (_, i) => some() + i));
      else await queue.removeMany([some()]);
      return;
    case 5: {
      const id = 1 + dice(Math.max(1, evaq.wal.stats().nextId - 1));
      if ((await evaq.wal.get(id)) !== undefined) await evaq.deadLetter(id, { reason: text() });
      return;
    }
    case 6: {
      const [dead] = await evaq.deadLetters.read({ maxRecords: 1 });
      if (dead !== undefined) await evaq.redrive([dead.id]);
      return;
    }
    case 7:
      if (dice(3) === 0) await queue.compact();
      else await queue.push(text());
      return;
    default:
      await queue.push(text());
  }
}

/** All files of the store, in `dir`. */
export async function copyOut(disk: SimDisk, dir: string, at = '/s'): Promise<void> {
  for (const entry of await disk.vfs.list(at)) {
    const path = `${at}/${entry.name}`;
    const to = join(dir, entry.name);
    const bytes = disk.read(path);
    if (bytes === undefined) {
      mkdirSync(to, { recursive: true });
      await copyOut(disk, to, path);
      continue;
    }
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, bytes);
  }
}
