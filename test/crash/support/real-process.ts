/**
 * A process at work on a store whose system calls are made to fail: opens the store, then pushes, removes and compacts, in
 * an order that never varies. Says on descriptor 3 what it is about to do, what was acknowledged and what was rejected.
 * Goes on after a rejection, as a program would, and says 'end' when every call has come back.
 *
 * Starts when a line comes on its standard input, and ends when that closes.
 */
import { stat, writeSync } from 'node:fs';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { keyOf, payloadOf } from '../crash-record.js';
import { viewsOf } from '../crash-view.js';
import type { RealEvent } from './real-event.js';

function say(event: RealEvent): void {
  const line = Buffer.from(`${JSON.stringify(event)}\n`);
  for (let done = 0; done < line.length; ) done += writeSync(3, line, done);
}

function codeOf(error: unknown): string {
  if (error instanceof EvaqError) return error.code;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function work(evaq: Evaq, rounds: number, firstKey: number, live: number[]): Promise<void> {
  let nextKey = firstKey;
  const newKeys = (count: number): number[] => Array.from({ length: count }, () => nextKey++);
  const failed = (): boolean => evaq.wal.stats().health === 'failed';
  const push = async (key: number): Promise<void> => {
    try {
      const id = await evaq.pushWal(payloadOf(key));
      say({ event: 'pushed', keys: [key], firstId: id, failed: failed() });
      live.push(id);
    } catch (error) {
      say({ event: 'rejected', call: 'push', keys: [key], code: codeOf(error) });
    }
  };
  const pushTogether = async (keys: number[]): Promise<void> => {
    try {
      const { firstId } = await evaq.wal.pushMany(keys.map(payloadOf));
      say({ event: 'pushed', keys, firstId, failed: failed() });
      live.push(...keys.map((_, i) => firstId + i));
    } catch (error) {
      say({ event: 'rejected', call: 'push', keys, code: codeOf(error) });
    }
  };
  const remove = async (ids: number[]): Promise<void> => {
    say({ event: 'remove', queue: 'wal', ids });
    try {
      await evaq.wal.removeMany(ids);
      say({ event: 'removed', queue: 'wal', ids, failed: failed() });
    } catch (error) {
      say({ event: 'rejected', call: 'remove', keys: ids, code: codeOf(error) });
    }
  };
  for (let round = 0; round < rounds; round++) {
    const single = newKeys(4);
    const together = newKeys(8);
    say({ event: 'push', keys: single, atomic: false });
    say({ event: 'push', keys: together, atomic: true });
    const old = live.splice(0, 10);
    const holes = live.filter((id) => id % 7 === 0).slice(0, 4);
    for (const id of holes) live.splice(live.indexOf(id), 1);
    const calls = [...single.map(push), pushTogether(together)];
    if (old.length > 0) calls.push(remove(old));
    if (holes.length > 0) calls.push(remove(holes));
    await Promise.all(calls);
    if (round % 6 === 5) {
      await evaq.wal
        .compact()
        .catch((error: unknown) => say({ event: 'rejected', call: 'compact', keys: [], code: codeOf(error) }));
    }
  }
}

async function run(path: string, rounds: number, firstKey: number): Promise<void> {
  say({ event: 'opening' });
  let evaq: Evaq;
  try {
    evaq = await Evaq.open(path, { segmentBytes: 64 * 1024, recycleSegments: 1, gc: false });
  } catch (error) {
    return say({ event: 'rejected', call: 'open', keys: [], code: codeOf(error) });
  }
  let views: Awaited<ReturnType<typeof viewsOf>>;
  try {
    views = await viewsOf(evaq, keyOf);
  } catch (error) {
    // A read that failed costs nothing: the same one works afterwards.
    say({ event: 'rejected', call: 'read', keys: [], code: codeOf(error) });
    views = await viewsOf(evaq, keyOf);
  }
  say({ event: 'shown', views });
  await work(
    evaq,
    rounds,
    firstKey,
    views.wal.live.map(([id]) => id),
  );
  await evaq
    .close()
    .catch((error: unknown) => say({ event: 'rejected', call: 'close', keys: [], code: codeOf(error) }));
}

const [path = '', rounds = '', firstKey = ''] = process.argv.slice(2);
process.stdin.on('end', () => process.exit(2));
process.stdin.once('data', () => {
  run(path, Number(rounds), Number(firstKey)).then(
    () => {
      say({ event: 'end' });
      process.exit(0);
    },
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
// The one thread of the pool is there before anybody looks for it.
stat('.', () => say({ event: 'ready' }));
