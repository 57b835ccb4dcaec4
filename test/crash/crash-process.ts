/**
 * The process that is killed: opens the store, then pushes, removes and moves records from several callers at once until
 * the end. Says on descriptor 3, by a write that returns when the kernel has the bytes, what it is about to do and what
 * was acknowledged.
 *
 * Starts work when a line comes on its standard input, and ends when that closes: it never outlives its parent.
 */
import { writeSync } from 'node:fs';
import { type Durability, Evaq } from '../../src/evaq.js';
import { Prng } from '../../src/sim/sim-prng.js';
import type { CrashEvent, QueueName } from './crash-model.js';
import { keyOf, payloadOf } from './crash-record.js';
import { viewsOf } from './crash-view.js';

const CALLERS = 6;
const MODES: readonly Durability[] = ['sync', 'sync', { intervalMs: 10 }, 'os'];
/** Live records between which the store is held: enough for some segments that are sparse. */
const LIVE_MIN = 400;
const LIVE_MAX = 1200;

function say(event: CrashEvent): void {
  const line = Buffer.from(`${JSON.stringify(event)}\n`);
  for (let done = 0; done < line.length; ) done += writeSync(3, line, done);
}

interface Work {
  readonly evaq: Evaq;
  readonly random: Prng;
  /** Live records that no call under way is about to remove. */
  readonly free: Readonly<Record<QueueName, number[]>>;
  nextKey: number;
}

async function run(path: string, seed: number, firstKey: number): Promise<void> {
  say({ event: 'opening' });
  const random = new Prng(seed);
  // A kill takes nothing from the page cache, so every mode must hold what it acknowledged.
  const durability = MODES[random.below(MODES.length)] ?? 'sync';
  const evaq = await Evaq.open(path, { segmentBytes: 64 * 1024, recycleSegments: 2, durability });
  const views = await viewsOf(evaq, keyOf);
  say({ event: 'shown', views });
  const free = {
    wal: views.wal.live.map(([id]) => id),
    'dead-letters': views['dead-letters'].live.map(([id]) => id),
  };
  const work: Work = { evaq, random, free, nextKey: firstKey };
  await Promise.all(Array.from({ length: CALLERS }, () => callForever(work)));
}

async function callForever(work: Work): Promise<void> {
  for (;;) {
    const draw = work.random.below(100);
    const full = work.free.wal.length > LIVE_MAX;
    if (work.free.wal.length < LIVE_MIN && draw < 50) await pushTogether(work);
    else if (draw < 35 && !full) await pushSome(work);
    else if (draw < 50 && !full) await pushTogether(work);
    else if (draw < 65) await removeSome(work);
    else if (draw < 85 || full) await removeTogether(work, 'wal');
    else if (draw < 95) await moveOne(work);
    else if (draw < 99) await removeTogether(work, 'dead-letters');
    else await work.evaq.wal.compact();
  }
}

function newKeys(work: Work, count: number): number[] {
  const first = work.nextKey;
  work.nextKey += count;
  return Array.from({ length: count }, (_, i) => first + i);
}

async function pushSome(work: Work): Promise<void> {
  const keys = newKeys(work, 1 + work.random.below(20));
  say({ event: 'push', keys, atomic: false });
  await Promise.all(
    keys.map(async (key) => {
      const id = await work.evaq.pushWal(payloadOf(key));
      say({ event: 'pushed', keys: [key], firstId: id });
      work.free.wal.push(id);
    }),
  );
}

async function pushTogether(work: Work): Promise<void> {
  const keys = newKeys(work, 1 + work.random.below(60));
  say({ event: 'push', keys, atomic: true });
  const { firstId } = await work.evaq.wal.pushMany(keys.map(payloadOf));
  say({ event: 'pushed', keys, firstId });
  work.free.wal.push(...keys.map((_, i) => firstId + i));
}

/** Takes up to `count` IDs: the oldest, or some from anywhere, which leaves holes. */
function takeFree(work: Work, queue: QueueName, count: number): number[] {
  const free = work.free[queue];
  if (work.random.chance(0.5)) return free.splice(0, count);
  const taken: number[] = [];
  while (taken.length < count && free.length > 0) taken.push(...free.splice(work.random.below(free.length), 1));
  return taken;
}

async function removeSome(work: Work): Promise<void> {
  await Promise.all(
    takeFree(work, 'wal', 1 + work.random.below(12)).map(async (id) => {
      say({ event: 'remove', queue: 'wal', ids: [id] });
      const removed = await work.evaq.wal.remove(id);
      if (!removed) throw new Error(`P1: ID ${id} was not there to be removed`);
      say({ event: 'removed', queue: 'wal', ids: [id] });
    }),
  );
}

async function removeTogether(work: Work, name: QueueName): Promise<void> {
  const ids = takeFree(work, name, 1 + work.random.below(100));
  if (ids.length === 0) return;
  say({ event: 'remove', queue: name, ids });
  const queue = name === 'wal' ? work.evaq.wal : work.evaq.deadLetters;
  const removed = await queue.removeMany(ids);
  if (removed !== ids.length) throw new Error(`P1: of ${ids.length} IDs ${removed} were there to be removed`);
  say({ event: 'removed', queue: name, ids });
}

async function moveOne(work: Work): Promise<void> {
  const [id] = takeFree(work, 'wal', 1);
  if (id === undefined) return;
  say({ event: 'move', id });
  const newId = await work.evaq.deadLetter(id, { reason: 'refused by the destination' });
  say({ event: 'moved', id, newId });
  work.free['dead-letters'].push(newId);
}

const [path = '', seed = '', firstKey = ''] = process.argv.slice(2);
process.stdin.on('end', () => process.exit(0));
process.stdin.once('data', () => {
  run(path, Number(seed), Number(firstKey)).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
