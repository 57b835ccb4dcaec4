/**
 * Enumerated rather than drawn: recovery, garbage collection, the rewrite of the tombstone log and moves, each cut at every step in every way that is
 * few enough to enumerate, and the recovery from that cut again.
 */
import { Evaq } from '../../../src/evaq.js';
import {
  type ExploreMachine,
  type ExploreOptions,
  type ExploreReport,
  explore,
  type RecoveryMachine,
} from '../../../src/sim/explore.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { closeWhole } from './closed-store.js';

const STORE = '/s';

function open({ vfs, host }: RecoveryMachine, recycleSegments: number = 0): Promise<Evaq> {
  return Evaq.open(STORE, { ports: { vfs, host }, segmentBytes: 65_536, recycleSegments });
}

/** A store after `prepare`, and after a power cut that leaves what is durable. */
async function prepared(seed: number, prepare: (evaq: Evaq) => Promise<void>, closes: boolean): Promise<SimDisk> {
  const disk = new SimDisk({ seed, timing: 'steady', sectorBytes: 4096, fill: 'stale' });
  const evaq = await open(disk);
  await prepare(evaq);
  if (closes) await closeWhole(evaq, disk);
  disk.kill();
  return disk;
}

type View = Record<'wal' | 'dead-letters', [number, string][]>;

async function view(evaq: Evaq): Promise<View> {
  const all: View = { wal: [], 'dead-letters': [] };
  for await (const { id, payload } of evaq.wal.records()) all.wal.push([id, payload.toString('latin1', 0, 40)]);
  for await (const { id, payload } of evaq.deadLetters.records())
    all['dead-letters'].push([id, payload.toString('latin1', 0, 40)]);
  return all;
}

async function recovered(machine: RecoveryMachine): Promise<View> {
  const evaq = await open(machine);
  if (evaq.recovery.damage.length > 0)
    throw new Error(`P9: a crash was taken for damage: ${evaq.recovery.damage[0]?.what ?? ''}`);
  return view(evaq);
}

function same(promise: string, got: unknown, wanted: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${promise}: ${JSON.stringify(got).slice(0, 300)} and not ${JSON.stringify(wanted).slice(0, 300)}`);
  }
}

/** How far it goes, and the seed of the disk. */
export type StepBounds = Pick<ExploreOptions, 'exhaustiveMax' | 'draws' | 'depth' | 'statesMax' | 'onState'> & {
  readonly seed: number;
};

const text = (name: string, bytes: number): Buffer => Buffer.alloc(bytes, `${name} `);

/** P5: recovery cut at every step, and cut again, shows what recovery shows. */
export async function exploreRecovery(bounds: StepBounds): Promise<ExploreReport> {
  // Left by a killed process: two segments without a footer, removals, a move, and a commit that was never synced.
  const start = await prepared(
    bounds.seed,
    async (evaq) => {
      await evaq.wal.pushMany([text('a', 3000), text('b', 30_000), text('c', 30_000)]);
      await evaq.wal.push(text('d', 5000));
      await evaq.wal.push('e');
      await evaq.wal.remove(2);
      await evaq.deadLetter(4, { reason: 'no' });
      void evaq.wal.pushMany([text('f', 700), text('g', 700)]);
      await evaq.wal.remove(1);
    },
    false,
  );
  const committed = [3, 5];
  const report = await explore<string, string>(
    {
      ops: ['open', 'push', 'close'],
      run: async (machine, ops) => {
        const evaq = await open(machine);
        if (ops.includes('push')) machine.acknowledge(`wal/${await evaq.wal.push('later')}`);
        if (ops.includes('close')) await evaq.close();
      },
    },
    async (machine, facts) => {
      const { wal, 'dead-letters': dead } = await recovered(machine);
      same(
        'P10',
        dead.map(([, payload]) => payload.slice(0, 1)),
        ['d'],
      );
      const ids = wal.map(([id]) => id);
      same(
        'P1 P2',
        ids.filter((id) => id <= 5),
        committed,
      );
      const pair = wal.filter(([, payload]) => /^[fg]/.test(payload));
      if (pair.length === 1) throw new Error('P4: one of two records of a commit');
      if (facts.length > 0 && !wal.some(([id, payload]) => payload === 'later' && facts.includes(`wal/${id}`))) {
        throw new Error('P1: the later push is gone');
      }
      return { wal, dead };
    },
    { ...bounds, start },
  );
  return report;
}

/** P6: garbage collection cut at every step loses nothing live and brings nothing back. */
export async function exploreCollection(recycle: number, bounds: StepBounds): Promise<ExploreReport> {
  // Sealed: one segment all dead, two that are sparse neighbours, one left alone.
  const start = await prepared(
    bounds.seed,
    async (evaq) => {
      for (const name of ['p', 'q', 'r', 's']) {
        await evaq.wal.pushMany(['1', '2', '3', '4'].map((n) => text(name + n, 15_000)));
      }
      await evaq.wal.push('last');
      await evaq.wal.removeMany([1, 2, 3, 4, 5, 6, 8, 9, 11, 12]);
    },
    true,
  );
  const wanted = [7, 10, 13, 14, 15, 16, 17];
  const report = await explore<string, string>(
    {
      ops: ['compact', 'remove', 'compact'],
      run: async (machine, ops) => {
        const evaq = await open(machine, recycle);
        for (const op of ops) {
          if (op === 'compact') {
            await evaq.wal.compact();
          } else {
            await evaq.wal.remove(10);
            machine.acknowledge('removed 10');
          }
        }
      },
    },
    async (machine, facts) => {
      const { wal } = await recovered(machine);
      const ids = wal.map(([id]) => id);
      const without = wanted.filter((id) => id !== 10);
      same('P6', ids, facts.length > 0 || !ids.includes(10) ? without : wanted);
      return ids;
    },
    { ...bounds, start },
  );
  return report;
}

/** The tombstone logs that there are. */
async function generations({ vfs }: RecoveryMachine): Promise<string[]> {
  const names = (await vfs.list(`${STORE}/queues/wal`)).map(({ name }) => name);
  return names.filter((name) => name.endsWith('.tomb')).sort();
}

/** P2: a tombstone log rewritten and cut at every step undoes no removal. */
export async function exploreTombstoneRewrite(
  bounds: StepBounds,
): Promise<{ readonly report: ExploreReport; readonly rewrites: number }> {
  const count = 34_000;
  const half = count / 2;
  const start = await prepared(
    bounds.seed,
    async (evaq) => {
      await evaq.wal.pushMany(Array.from({ length: count }, (_, i) => String(i + 1)));
    },
    true,
  );
  // Every other ID of a half is a round of some 30 KiB: the second makes the log long enough to be rewritten.
  const odd = (from: number): number[] => Array.from({ length: half / 2 }, (_, i) => from + 2 * i);
  const rounds = new Map([
    ['first', odd(1)],
    ['second', odd(half + 1)],
    ['third', odd(2).slice(0, 1000)],
    ['fourth', [count]],
  ]);
  let rewrites = 0;
  const report = await explore<string, string>(
    {
      ops: [...rounds.keys()],
      run: async (machine, ops) => {
        const evaq = await open(machine);
        const before = await generations(machine);
        for (const op of ops) {
          await evaq.wal.removeMany(rounds.get(op) ?? []);
          machine.acknowledge(op);
        }
        if (JSON.stringify(await generations(machine)) !== JSON.stringify(before)) rewrites++;
      },
    },
    async (machine, facts) => {
      const evaq = await open(machine);
      // By both ends of a round and by the count: reading all of it in each state would take a minute.
      const there: string[] = [];
      let live = count;
      for (const [name, ids] of rounds) {
        const ends = [await evaq.wal.get(ids[0] ?? 0), await evaq.wal.get(ids.at(-1) ?? 0)];
        if (ends[0] === undefined) live -= ids.length;
        else there.push(name);
        if ((ends[0] === undefined) !== (ends[1] === undefined)) throw new Error(`P4: a part of ${name} is there`);
        if (ends[0] !== undefined && facts.includes(name)) throw new Error(`P2: ${name} is back`);
      }
      same('P1', evaq.wal.size, live);
      return there;
    },
    { ...bounds, start },
  );
  return { report, rewrites };
}

/** P10: a move cut at every step leaves the record live in exactly one queue. */
export async function exploreMoves(bounds: StepBounds): Promise<ExploreReport> {
  const start = await prepared(
    bounds.seed,
    async (evaq) => {
      await evaq.wal.pushMany(['one', 'two']);
      await evaq.deadLetters.push('old');
    },
    true,
  );
  const report = await explore<string, string>(
    {
      ops: ['dead-letter one', 'dead-letter two', 'redrive one', 'remove one'],
      run: async (machine: ExploreMachine<string>, ops: readonly string[]) => {
        const evaq = await open(machine);
        let back = 0;
        for (const op of ops) {
          if (op === 'dead-letter one') await evaq.deadLetter(1, { reason: 'no' });
          if (op === 'dead-letter two') await evaq.deadLetter(2, { reason: 'no' });
          if (op === 'redrive one') [back = 0] = await evaq.redrive(({ payload }) => payload.toString() === 'one');
          if (op === 'remove one') await evaq.removeWal(back);
          machine.acknowledge(op);
        }
      },
    },
    async (machine, facts) => {
      const { wal, 'dead-letters': dead } = await recovered(machine);
      const places = (name: string): string[] => [
        ...wal.filter(([, payload]) => payload === name).map(() => 'wal'),
        ...dead.filter(([, payload]) => payload === name).map(() => 'dead-letters'),
      ];
      same('P3', places('old'), ['dead-letters']);
      const one = places('one');
      const two = places('two');
      if (two.length !== 1) throw new Error(`P10: two is live in [${two.join(' ')}]`);
      if (facts.includes('dead-letter two')) same('P10', two, ['dead-letters']);
      if (facts.includes('remove one')) same('P2', one, []);
      else if (facts.includes('redrive one')) {
        if (one.length > 0) same('P10', one, ['wal']);
      } else {
        if (one.length !== 1) throw new Error(`P10: one is live in [${one.join(' ')}]`);
        if (facts.includes('dead-letter one') && !facts.includes('dead-letter two')) same('P10', one, ['dead-letters']);
      }
      return { wal, dead };
    },
    { ...bounds, start },
  );
  return report;
}
