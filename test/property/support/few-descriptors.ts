/**
 * A store of more queues than it may have descriptors: what it holds is closed and opened again all the time, also while it recovers. After
 * each power cut everything that was acknowledged is there, and at no moment were there more descriptors than it may have.
 */
import { Evaq, type Queue } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { Prng } from '../../../src/sim/sim-prng.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/store';
const QUEUES = 14;
/** The least that the option takes. */
const BOUND = 16;
const LIVES = 3;
const STEPS = 12;
/** Queues that are used at the same time. */
const CALLS = 6;

type Content = Map<number, string>;

export async function useFewDescriptors(seed: number, durability: 'sync' | 'os'): Promise<void> {
  const prng = new Prng(seed);
  let disk = new SimDisk({ seed, timing: 'wild' });
  disk.limits.descriptorsMax = BOUND;
  const model = Array.from({ length: QUEUES }, (): Content => new Map());
  for (let life = 0; life <= LIVES; life++) {
    const options = { durability, segmentBytes: 64 * 1024, descriptorsMax: BOUND };
    const evaq = await Evaq.open(STORE, { ...options, ports: { vfs: disk.vfs, host: disk.host } });
    const queues = await Promise.all(model.map((_, i) => evaq.queue(`q${i}`)));
    for (const [i, content] of model.entries()) await requireContent(queues[i], content);
    if (life === LIVES) {
      await evaq.close();
      requireBound(disk);
      if (disk.openHandles().length > 0) throw new BrokenPromise('P14', `left open: ${disk.openHandles().join(', ')}`);
    } else {
      for (let step = 0; step < STEPS; step++) {
        const calls = Array.from({ length: CALLS }, () => prng.below(QUEUES));
        await Promise.all([...new Set(calls)].map((i) => useOne(queues[i], model[i] ?? new Map(), prng)));
      }
      await Promise.all(queues.map((queue) => queue.flush()));
      requireBound(disk);
      // The power, or the process alone.
      const next = prng.chance(0.7) ? disk.crash(disk.nothingSurvives(), seed + life) : undefined;
      disk.kill();
      disk = next ?? disk;
    }
  }
}

async function useOne(queue: Queue | undefined, content: Content, prng: Prng): Promise<void> {
  if (queue === undefined) return;
  const text = `${queue.name} ${'x'.repeat(prng.chance(0.2) ? 30_000 : prng.below(100))}`;
  const [oldest] = content.keys();
  switch (prng.below(4)) {
    case 0:
      content.set(queue.pushSync(text), text);
      break;
    case 1:
      if (oldest === undefined) return;
      content.delete(oldest);
      if (!(await queue.remove(oldest)))
        throw new BrokenPromise('P1', `record ${oldest} of ${queue.name} is not there`);
      break;
    default: {
      const id = await queue.push(text);
      content.set(id, text);
      if (prng.chance(0.5)) await requireContent(queue, content);
    }
  }
}

async function requireContent(queue: Queue | undefined, content: Content): Promise<void> {
  const found = new Map<number, string>();
  for await (const { id, payload } of queue?.records() ?? []) found.set(id, payload.toString());
  for (const [id, text] of content)
    if (found.get(id) !== text) throw new BrokenPromise('P1', `record ${id} of ${queue?.name} is gone`);
  if (found.size !== content.size) throw new BrokenPromise('P2', `${queue?.name} holds what was removed`);
}

function requireBound(disk: SimDisk): void {
  if (disk.descriptorsPeak > BOUND) throw new BrokenPromise('P17', `${disk.descriptorsPeak} descriptors were open`);
  const [violation] = disk.violations;
  if (violation !== undefined) throw new BrokenPromise('P14', violation);
}
