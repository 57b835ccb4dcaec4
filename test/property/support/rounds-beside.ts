/**
 * P9: what a round of removals says of the segments beside it, weighed where those are just changing: it is on its way while a segment is left,
 * sealed, dropped or rewritten, or while one that could not be named is given up. Each round tells which segments are sealed and up to where the data
 * is synced (FORMAT.md), and an open takes that at its word; said too early by a moment, a power cut makes damage of what was merely torn.
 *
 * A script of calls that hardly ever wait for each other is cut right behind what makes a round or a name durable, losing all that it may, and here and
 * there besides; what is left must open without damage, with what was acknowledged.
 */
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { Prng } from '../../../src/sim/sim-prng.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/s';
const SEGMENT_BYTES = 64 * 1024;
/** Four of them fill a segment. */
const LARGE_BYTES = 15_000;
const SMALL_BYTES = 40;
const OPS = 14;
/** Looked at in each script; which of the moments that are of interest, is drawn. */
const CUTS = 10;

type Kind = 'fill' | 'push' | 'remove' | 'clear' | 'compact' | 'settle';
/** By how often they are drawn. */
const KINDS: readonly Kind[] = ['fill', 'fill', 'push', 'remove', 'remove', 'remove', 'clear', 'compact', 'settle'];
/** Behind these a round, or what it speaks of, may be durable. */
const DURABLE: ReadonlySet<string> = new Set(['sync', 'syncDir']);

/** What befalls the store beside the cut. 'unnamed': a segment has its name, and neither can the folder be synced for now, nor the file be removed. */
export type Beside = 'nothing' | 'recycling' | 'unnamed';
export const BESIDES: readonly Beside[] = ['nothing', 'recycling', 'unnamed'];

interface Op {
  readonly kind: Kind;
  readonly pick: number;
  readonly waits: boolean;
}

/** What the outside world knows, and has asked for. */
class Facts {
  readonly pushed: number[] = [];
  readonly removing: number[] = [];
  readonly removed: number[] = [];

  copy(): Facts {
    const copy = new Facts();
    copy.pushed.push(...this.pushed);
    copy.removing.push(...this.removing);
    copy.removed.push(...this.removed);
    return copy;
  }
}

interface Cut {
  readonly disk: SimDisk;
  readonly facts: Facts;
  readonly after: string;
}

function open({ vfs, host }: SimDisk, beside: Beside): Promise<Evaq> {
  return Evaq.open(STORE, {
    ports: { vfs, host },
    segmentBytes: SEGMENT_BYTES,
    recycleSegments: beside === 'recycling' ? 2 : 0,
  });
}

function opsOf(prng: Prng): Op[] {
  return Array.from({ length: OPS }, () => ({
    kind: KINDS[prng.below(KINDS.length)] ?? 'push',
    pick: prng.below(100),
    waits: prng.below(4) === 0,
  }));
}

/** Resolves with the number of states. */
export async function runRoundsBeside(seed: number, beside: Beside): Promise<number> {
  const prng = new Prng(seed);
  const ops = opsOf(prng);
  const timing = prng.below(2) === 0 ? 'wild' : 'steady';
  const disk = new SimDisk({ seed, sectorBytes: 4096, timing });
  const facts = new Facts();
  const evaq = await open(disk, beside);
  const { wal } = evaq;
  const live = new Set<number>();
  /** What was pushed together, which is a segment or a part of one. */
  const groups: (readonly number[])[] = [];
  const push = async (count: number, bytes: number): Promise<void> => {
    const { firstId, lastId } = await wal.pushMany(Array.from({ length: count }, () => Buffer.alloc(bytes, 7)));
    const ids = Array.from({ length: lastId - firstId + 1 }, (_, i) => firstId + i);
    groups.push(ids);
    for (const id of ids) live.add(id);
    facts.pushed.push(...ids);
  };
  const remove = async (ids: readonly number[]): Promise<void> => {
    for (const id of ids) live.delete(id);
    facts.removing.push(...ids);
    await wal.removeMany(ids);
    facts.removed.push(...ids);
  };
  for (let i = 0; i < 2; i++) await push(4, LARGE_BYTES);
  await push(4, SMALL_BYTES);
  if (beside === 'unnamed') {
    disk.fault({ on: 'syncDir', path: '/wal', nth: 1 + prng.below(3), times: 1, error: 'EMFILE', alsoDone: false });
    disk.fault({ on: 'remove', path: '.seg', nth: 1, times: 2, error: 'EMFILE', alsoDone: false });
  }

  const cuts: Cut[] = [];
  let moments = 0;
  const stop = disk.observe(({ phase, call }) => {
    if (phase === 'call' || !call.path.includes('/wal')) return;
    const ofInterest = DURABLE.has(call.name) && (phase === 'effect' || call.path.endsWith('.tomb'));
    if (!ofInterest && prng.below(40) > 0) return;
    // Each of them with the same chance, however many there are.
    const at = cuts.length < CUTS ? cuts.length : prng.below(++moments + CUTS);
    if (at >= CUTS) return;
    const choice = prng.below(3) > 0 ? disk.nothingSurvives() : disk.drawCrash(prng.below(100_000));
    cuts[at] = { disk: disk.crash(choice), facts: facts.copy(), after: `${phase} of ${call.name} ${call.path}` };
  });
  const calls: Promise<unknown>[] = [];
  const begin = ({ kind, pick }: Op): Promise<unknown> => {
    const ids = [...live].sort((a, b) => a - b);
    if (kind === 'fill') return push(4, LARGE_BYTES);
    if (kind === 'push') return push(1 + (pick % 2), SMALL_BYTES);
    if (kind === 'remove') return remove(ids.slice(pick % Math.max(1, ids.length)).slice(0, 1));
    // All of a segment dies, or most of it: one that was just left as well.
    if (kind === 'clear' && groups.length > 0)
      return remove((groups.splice(pick % groups.length, 1)[0] ?? []).filter((id) => live.has(id)));
    if (kind === 'compact') return wal.compact();
    return Promise.all(calls);
  };
  for (const op of ops) {
    // A passing fault is told to those that it meets.
    const call = begin(op).catch((error: unknown) => {
      if (beside !== 'unnamed') throw error;
    });
    calls.push(call);
    if (op.waits || op.kind === 'settle') await call;
  }
  await Promise.all(calls);
  stop();
  disk.kill();
  for (const cut of cuts) await look(cut, seed, beside, ops);
  return cuts.length;
}

async function look({ disk, facts, after }: Cut, seed: number, beside: Beside, ops: readonly Op[]): Promise<void> {
  const script = ops.map(({ kind, pick, waits }) => `${kind} ${pick}${waits ? '' : ' &'}`).join('; ');
  const broken = (promise: string, what: string): BrokenPromise =>
    new BrokenPromise(promise, `${what}\nseed ${seed}, beside ${beside}, power cut after ${after}: ${script}`);
  const evaq = await open(disk, beside).catch((error: unknown) => {
    throw broken('P9', `open after a power cut rejected: ${error instanceof Error ? error.message : String(error)}`);
  });
  const [damage] = evaq.recovery.damage;
  if (damage !== undefined) throw broken('P9', `taken for damage: ${damage.file}: ${damage.what}`);
  const there = new Set<number>();
  for await (const { id } of evaq.wal.records()) there.add(id);
  if (there.size !== evaq.wal.size) throw broken('P3', `${evaq.wal.size} are counted of ${there.size}`);
  const asked = new Set(facts.removing);
  for (const id of facts.removed) if (there.has(id)) throw broken('P2', `wal/${id} was removed and is back`);
  for (const id of facts.pushed) if (!asked.has(id) && !there.has(id)) throw broken('P1', `wal/${id} is lost`);
  disk.kill();
}
