/**
 * Places that random scripts hardly reach, explored on purpose: every cut of a short workload in the states that are left then. Each throws what
 * it finds.
 */
import { type Durability, Evaq } from '../../../src/evaq.js';
import { type ExploreOptions, type ExploreReport, explore, type RecoveryMachine } from '../../../src/sim/explore.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/s';

type OnState = ExploreOptions['onState'];

function open({ vfs, host }: RecoveryMachine, durability: Durability = 'sync'): Promise<Evaq> {
  return Evaq.open(STORE, {
    ports: { vfs, host },
    durability,
    segmentBytes: 65_536,
    recycleSegments: 0,
    gc: false,
  });
}

async function prepared(seed: number, prepare: (evaq: Evaq) => Promise<unknown>): Promise<SimDisk> {
  const disk = new SimDisk({ seed, sectorBytes: 4096 });
  const evaq = await open(disk);
  await prepare(evaq);
  await closeWhole(evaq, disk);
  disk.kill();
  return disk.crash(disk.nothingSurvives());
}

function statesOf({ failure, states }: ExploreReport): number {
  if (failure === undefined) return states;
  if (failure.error instanceof Error) failure.error.message += `\n${failure.script}`;
  throw failure.error;
}

/** P2, P6: segments die while the tombstone log is being rewritten beside them. Resolves with the number of states. */
export async function exploreRewriteBesideGc(seed: number, statesMax: number, onState?: OnState): Promise<number> {
  const start = await prepared(seed, async (evaq) => {
    for (const name of ['p', 'q', 'r'])
      await evaq.wal.pushMany(Array.from({ length: 4 }, () => Buffer.alloc(15_000, name)));
    await evaq.wal.pushMany(Array.from({ length: 20 }, (_, i) => `small ${i}`));
  });
  const report = await explore<string, number>(
    {
      ops: ['go'],
      run: async (machine, ops) => {
        const evaq = await open(machine);
        if (ops.length === 0) return;
        const remove = async (...ids: number[]): Promise<void> => {
          await evaq.wal.removeMany(ids);
          for (const id of ids) machine.acknowledge(id);
        };
        let next = 13;
        for (const first of [1, 5, 9]) {
          await remove(first, first + 1, first + 2, first + 3);
          const compacting = evaq.wal.compact();
          for (let i = 0; i < 6; i++) await remove(next++);
          await compacting;
        }
      },
    },
    async (machine, removed) => {
      const evaq = await open(machine);
      if (evaq.recovery.damage.length > 0)
        throw new BrokenPromise('P9', `taken for damage: ${evaq.recovery.damage[0]?.what ?? ''}`);
      for await (const { id } of evaq.wal.records())
        if (removed.includes(id)) throw new BrokenPromise('P2', `wal/${id} was removed and is back`);
      const left = 32 - new Set(removed).size;
      if (evaq.wal.size > left || evaq.wal.size < left - 4)
        throw new BrokenPromise('P6', `${evaq.wal.size} records are live of ${left}`);
    },
    { seed, start, exhaustiveMax: 16, draws: 2, depth: 0, statesMax, ...(onState === undefined ? {} : { onState }) },
  );
  return statesOf(report);
}

/**
 * The weaker modes, with power cuts: what was flushed holds, commits are whole, IDs are not given out again though their records are lost,
 * and no record is born dead because a removal outlived what it removed.
 */
export async function exploreWeakMode(
  seed: number,
  durability: Durability,
  statesMax: number,
  onState?: OnState,
): Promise<number> {
  const start = await prepared(seed, (evaq) => evaq.wal.pushMany(['kept', 'moved']));
  const report = await explore<string, string>(
    {
      ops: ['push', 'flush', 'many', 'remove', 'move', 'again'],
      run: async (machine, ops) => {
        const evaq = await open(machine, durability);
        for (const op of ops) {
          if (op === 'push') machine.acknowledge(`id ${await evaq.wal.push('pushed')}`);
          if (op === 'flush') await evaq.wal.flush();
          if (op === 'many') machine.acknowledge(`id ${(await evaq.wal.pushMany(['one', 'two'])).lastId}`);
          if (op === 'remove') await evaq.wal.removeThrough(1).then(() => evaq.wal.remove(evaq.wal.stats().nextId - 1));
          if (op === 'move') machine.acknowledge(`dead ${await evaq.deadLetter(2, { reason: 'no' })}`);
          if (op === 'again') machine.acknowledge(`id ${await evaq.wal.push('again')}`);
          if (op === 'flush' && ops.includes('push')) machine.acknowledge('flushed');
        }
      },
    },
    async (machine, facts) => {
      const evaq = await open(machine, durability);
      if (evaq.recovery.damage.length > 0)
        throw new BrokenPromise('P9', `taken for damage: ${evaq.recovery.damage[0]?.what ?? ''}`);
      const view: string[] = [];
      for await (const { payload } of evaq.wal.records()) view.push(payload.toString());
      const dead: string[] = [];
      for await (const { payload } of evaq.deadLetters.records()) dead.push(payload.toString());
      if (facts.includes('flushed') && !view.includes('pushed')) throw new BrokenPromise('P1', 'flushed, and lost');
      // Its push was durable before its move was asked for.
      const places = [...view, ...dead].filter((payload) => payload === 'moved').length;
      if (places !== 1) throw new BrokenPromise('P10', `a durable record that was moved is live ${places} times`);
      if (view.includes('two') && !view.includes('one')) throw new BrokenPromise('P4', 'one of two records of a batch');
      const given = facts.filter((fact) => fact.startsWith('id ')).map((fact) => Number(fact.slice(3)));
      const before = evaq.wal.stats().nextId;
      if (given.some((id) => id >= before))
        throw new BrokenPromise('P8', `the next ID is ${before}; given out were ${given.join(' ')}`);
      const born = await evaq.wal.push('born');
      await evaq.wal.flush();
      await evaq.close();
      const again = await open(machine, durability);
      if ((await again.wal.get(born))?.payload.toString() !== 'born')
        throw new BrokenPromise('P1', `wal/${born} was pushed after the crash and is dead at the next open`);
    },
    { seed, start, exhaustiveMax: 64, draws: 4, depth: 0, statesMax, ...(onState === undefined ? {} : { onState }) },
  );
  return statesOf(report);
}

/**
 * P9: a queue that holds nothing but the empty segment it was opened with, and is opened again and again: at no cut is it without a segment. Resolves
 * with the number of states.
 */
export async function exploreEmptyQueue(seed: number, statesMax: number, onState?: OnState): Promise<number> {
  const start = new SimDisk({ seed, sectorBytes: 4096 });
  const first = await open(start);
  await first.queue('empty');
  start.kill();
  const report = await explore<string, number>(
    {
      ops: ['go'],
      run: async (machine, ops) => {
        const evaq = await open(machine);
        if (ops.length === 0) return;
        const queue = await evaq.queue('empty');
        machine.acknowledge(await queue.push('first'));
        await evaq.close();
        await open(machine);
      },
    },
    async (machine, pushed) => {
      const evaq = await open(machine);
      const queue = await evaq.queue('empty');
      if (evaq.recovery.damage.length > 0)
        throw new BrokenPromise('P9', `taken for damage: ${evaq.recovery.damage[0]?.what ?? ''}`);
      if (queue.size < pushed.length) throw new BrokenPromise('P1', 'what was pushed is lost');
    },
    {
      seed,
      start: start.crash([]),
      exhaustiveMax: 64,
      draws: 4,
      depth: 1,
      statesMax,
      ...(onState === undefined ? {} : { onState }),
    },
  );
  return statesOf(report);
}

/**
 * P9: a queue that nobody asks for after a kill: it is recovered, and closed with a last word that says all is sealed; what was removed or written for
 * that is durable before. One queue holds nothing but an empty segment, one records that only the page cache has, and one an empty segment behind others.
 * Resolves with the number of states.
 */
export async function exploreDormantQueues(seed: number, statesMax: number): Promise<number> {
  const start = new SimDisk({ seed, sectorBytes: 4096 });
  const before = await open(start);
  await (await before.queue('left')).push('one');
  await before.close();
  const first = await open(start, 'os');
  await first.queue('left');
  await first.queue('empty');
  const cached = await first.queue('cached');
  await cached.pushMany(['one', 'two', 'three']);
  await cached.remove(2);
  start.kill();
  const report = await explore<string, string>(
    {
      ops: ['go'],
      run: async (machine, ops) => {
        const evaq = await open(machine);
        if (ops.length === 0) return;
        machine.acknowledge('opened');
        await evaq.close();
        machine.acknowledge('closed');
      },
    },
    async (machine, facts) => {
      const evaq = await open(machine);
      if (evaq.recovery.damage.length > 0)
        throw new BrokenPromise('P9', `taken for damage: ${evaq.recovery.damage[0]?.what ?? ''}`);
      const { size } = await evaq.queue('cached');
      // What an open has shown is durable from then on.
      if (facts.includes('opened') && size !== 2) throw new BrokenPromise('P1', `${size} of 2 records are left`);
      if (facts.includes('closed') && !evaq.recovery.clean)
        throw new BrokenPromise('P5', 'what was recovered and closed has to be recovered once more');
      await evaq.queue('empty');
      await evaq.queue('left');
    },
    // As it was left by the kill: what was written is in the page cache.
    { seed, start, exhaustiveMax: 8, draws: 1, depth: 0, statesMax },
  );
  return statesOf(report);
}

/**
 * P2, P9: the tombstone log is written anew, again and again, each time into the file that was a log before, with nothing in between that would make
 * names durable. It is for bundles in which rewrites are frequent. Resolves with the number of states.
 */
export async function exploreRewritesInARow(seed: number, statesMax: number, onState?: OnState): Promise<number> {
  const records = 8;
  const start = await prepared(seed, (evaq) => evaq.wal.pushMany(Array.from({ length: records }, (_, i) => `${i}`)));
  const report = await explore<string, number>(
    {
      ops: ['go'],
      run: async (machine, ops) => {
        const evaq = await open(machine);
        if (ops.length === 0) return;
        for (let id = 1; id <= records; id += 2) {
          await evaq.wal.remove(id);
          machine.acknowledge(id);
        }
      },
    },
    async (machine, removed) => {
      const evaq = await open(machine);
      if (evaq.recovery.damage.length > 0)
        throw new BrokenPromise('P9', `taken for damage: ${evaq.recovery.damage[0]?.what ?? ''}`);
      for await (const { id } of evaq.wal.records())
        if (removed.includes(id)) throw new BrokenPromise('P2', `wal/${id} was removed and is back`);
    },
    { seed, start, exhaustiveMax: 64, draws: 4, depth: 0, statesMax, ...(onState === undefined ? {} : { onState }) },
  );
  return statesOf(report);
}

/** P2: the tombstone log is rewritten while a dead segment is on its way out, and the power is cut before its unlink. */
export async function rewriteBeforeTheUnlink(seed: number): Promise<void> {
  const disk = new SimDisk({ seed, sectorBytes: 4096 });
  const dir = `${STORE}/queues/wal`;
  const { vfs } = disk;
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const unlinking = new Promise<void>((resolve) => {
    const remove = vfs.remove.bind(vfs);
    vfs.remove = async (path) => {
      if (path.endsWith('.seg')) {
        resolve();
        await released;
      }
      await remove(path);
    };
  });
  const evaq = await open({ vfs, host: disk.host });
  await evaq.wal.pushMany(Array.from({ length: 4 }, () => Buffer.alloc(15_000)));
  for (let i = 0; i < 25; i++) await evaq.wal.pushMany(Array.from({ length: 3000 }, () => 'small'));
  const generations = async (): Promise<string> =>
    (await vfs.list(dir)).flatMap(({ name }) => (name.endsWith('.tomb') ? name : [])).join(' ');
  await evaq.wal.removeMany([1, 2, 3, 4]);
  const compacting = evaq.wal.compact();
  await unlinking;
  const before = await generations();
  // Every other one, so that no two of them are one range.
  let next = 6;
  while (next < 70_000 && (await generations()).includes(before)) {
    const ids = Array.from({ length: 2000 }, (_, i) => next + 2 * i);
    next += 4000;
    await evaq.wal.removeMany(ids);
  }
  if (next >= 70_000) throw new Error('the tombstone log was not rewritten');
  // The unlink of the old generation may have reached the disk, or not.
  for (const choice of [[], disk.nothingSurvives()]) {
    const reopened = await open(disk.crash(choice));
    for await (const { id } of reopened.wal.records({ to: 4 }))
      throw new BrokenPromise('P2', `wal/${id} was removed and is back`);
    await reopened.close();
  }
  release();
  await compacting;
  await evaq.close();
}
