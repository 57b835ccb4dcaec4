/**
 * What `evaq sim` explores unless it is given something else: a few seeded calls on a store, and what must hold of it after any crash.
 *
 * Facts are told as text, so that a story reads as one: `pushed 3`, `removing 3`, `removed 3`, `moving 3`, `moved 3`. What is under way when the
 * power goes may have happened or not; what was told has.
 */
import { Evaq } from '../../evaq.js';
import { type CrashCheck, type ExploreMachine, type RecoveryMachine, SimDisk, type Workload } from '../../sim.js';

const PATH = '/store';
/** Small, so that segments roll. */
const OPTIONS = { segmentBytes: 64 * 1024, recycleSegments: 1 } as const;
/** Two of them fill a segment. */
const LARGE_BYTES = 40 * 1024;

type Call = 'push' | 'pushLarge' | 'pushMany' | 'pushSync' | 'remove' | 'deadLetter' | 'compact' | 'reopen';

const CALLS: readonly Call[] = [
  'push',
  'push',
  'pushMany',
  'pushLarge',
  'pushSync',
  'remove',
  'remove',
  'deadLetter',
  'compact',
  'reopen',
];

/** `count` calls, drawn by the random source of a simulated machine with this seed. */
export function storeWorkload(seed: number, count: number): Workload<string, string> {
  const draws = Buffer.alloc(count);
  new SimDisk({ seed }).host.random(draws);
  const ops = Array.from(draws, (draw) => CALLS[draw % CALLS.length] ?? 'push');
  return { ops, run };
}

async function run({ vfs, host, acknowledge }: ExploreMachine<string>, ops: readonly string[]): Promise<void> {
  let evaq = await Evaq.open(PATH, { ...OPTIONS, ports: { vfs, host } });
  const live: number[] = [];
  const pushed = (id: number): void => {
    live.push(id);
    acknowledge(`pushed ${id}`);
  };
  for (const op of ops) {
    const oldest = live[0];
    switch (op) {
      case 'pushLarge':
        pushed(await evaq.wal.push(payloadOf(LARGE_BYTES)));
        break;
      case 'pushMany': {
        const { firstId, lastId } = await evaq.wal.pushMany([payloadOf(1), payloadOf(2), payloadOf(3)]);
        for (let id = firstId; id <= lastId; id++) live.push(id);
        acknowledge(`pushed ${firstId} to ${lastId}`);
        break;
      }
      case 'pushSync':
        pushed(evaq.wal.pushSync(payloadOf(5)));
        break;
      case 'remove':
        if (oldest === undefined) break;
        live.shift();
        acknowledge(`removing ${oldest}`);
        await evaq.wal.remove(oldest);
        acknowledge(`removed ${oldest}`);
        break;
      case 'deadLetter':
        if (oldest === undefined) break;
        live.shift();
        acknowledge(`moving ${oldest}`);
        await evaq.deadLetter(oldest, { reason: 'sim' });
        acknowledge(`moved ${oldest}`);
        break;
      case 'compact':
        await evaq.wal.compact();
        break;
      case 'reopen':
        await evaq.close();
        evaq = await Evaq.open(PATH, { ...OPTIONS, ports: { vfs, host } });
        break;
      default:
        pushed(await evaq.wal.push(payloadOf(7)));
    }
  }
  await evaq.close();
}

/** Opens what a crash left and holds it against what was told. Returns what a user sees, which no later crash may change. */
export const checkStore: CrashCheck<string> = async ({ vfs, host }: RecoveryMachine, facts) => {
  const evaq = await Evaq.open(PATH, { ...OPTIONS, ports: { vfs, host } });
  const wal = new Set<number>();
  for await (const { id, payload } of evaq.wal.records()) {
    if (!isIntact(payload)) throw new Error(`P3: record ${id} holds bytes that were never pushed`);
    wal.add(id);
  }
  const moved = new Set<number>();
  for await (const { origin } of evaq.deadLetters.records()) {
    if (origin === undefined || moved.has(origin.id)) throw new Error('P10: a record was moved twice, or from nowhere');
    moved.add(origin.id);
  }
  const told = tellApart(facts);
  for (const id of wal) if (moved.has(id)) throw new Error(`P10: record ${id} is live in both queues`);
  for (const id of told.removed) if (wal.has(id)) throw new Error(`P2: record ${id} was removed and is back`);
  for (const id of told.moved) if (!moved.has(id)) throw new Error(`P10: record ${id} was moved and is in no queue`);
  for (const id of told.pushed) {
    if (told.leaving.has(id) || wal.has(id)) continue;
    throw new Error(`P1: record ${id} was pushed and is gone`);
  }
  for (const id of told.moving) {
    if (wal.has(id) || moved.has(id)) continue;
    throw new Error(`P10: record ${id} is in neither queue`);
  }
  const view = [...wal, ...[...moved].map((id) => -id)];
  const next = await evaq.wal.push(payloadOf(1));
  if (told.pushed.has(next)) throw new Error(`P8: ID ${next} was given out twice`);
  await evaq.wal.remove(next);
  await evaq.close();
  return view;
};

interface Told {
  readonly pushed: Set<number>;
  /** Removal or move begun. */
  readonly leaving: Set<number>;
  readonly removed: Set<number>;
  readonly moving: Set<number>;
  readonly moved: Set<number>;
}

function tellApart(facts: readonly string[]): Told {
  const told: Told = { pushed: new Set(), leaving: new Set(), removed: new Set(), moving: new Set(), moved: new Set() };
  for (const fact of facts) {
    const [what, first, , last] = fact.split(' ');
    for (let id = Number(first); id <= Number(last ?? first); id++) {
      if (what === 'pushed') told.pushed.add(id);
      else told.leaving.add(id);
      if (what === 'removed') told.removed.add(id);
      if (what === 'moving') told.moving.add(id);
      if (what === 'moved') told.moved.add(id);
    }
  }
  return told;
}

/** Bytes that tell by themselves whether they are whole: their number, and then that number's low byte throughout. */
function payloadOf(bytes: number): Buffer {
  const payload = Buffer.alloc(4 + bytes, bytes & 0xff);
  payload.writeUInt32LE(bytes);
  return payload;
}

function isIntact(payload: Buffer): boolean {
  return payload.length >= 4 && payload.equals(payloadOf(payload.length - 4));
}
