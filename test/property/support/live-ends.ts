/** What ends: waits that are given up, and all that a store holds of its machine. */
import type { Durability } from '../../../src/queue/queue-options.js';
import { openStage, stepsOf } from './liveness.js';

/** Ends before, in, and after the sync of an interval of ten milliseconds. */
const INTERVAL_RESTS: readonly number[] = Array.from({ length: 50 }, (_, i) => 8 + i / 10);

/** A tail that waits is left, and no record comes. What is wrong, or nothing. */
export async function leaveWaitingTail(): Promise<string | undefined> {
  const { disk, evaq } = await openStage({ seed: 1 });
  const tail = evaq.wal.tail();
  const waiting = tail.next();
  await new Promise<void>((resolve) => disk.host.after(10, resolve));
  const returned = await stepsOf(disk, tail.return());
  const ended = await stepsOf(disk, waiting);
  const closed = await stepsOf(disk, evaq.close());
  const left = disk.openHandles();
  disk.kill();
  if (typeof returned === 'string') return `return() of a tail had ${returned}`;
  if (typeof ended === 'string') return `next() of a tail that was left had ${ended}`;
  if (typeof closed === 'string') return `close had ${closed}`;
  return left.length === 0 ? undefined : `left open: ${left.join(', ')}`;
}

/** Some of everything, and then a close: what is left of it, or nothing. Closes in the middle of an interval, and of a sync of one. */
export async function leftAfterClose(durability: Durability, restMs: number): Promise<string | undefined> {
  const { disk, evaq } = await openStage({ seed: 1, timing: 'wild', options: { durability } });
  const extra = await evaq.queue('extra');
  for (let i = 0; i < 60; i++) await extra.push(Buffer.alloc(4_000));
  await extra.removeThrough(40);
  for await (const _ of extra.records()) break;
  await extra.compact();
  // Something to sync, or an interval passes without one.
  await extra.push('the last');
  await new Promise<void>((resolve) => disk.host.after(restMs, resolve));
  await evaq.close();
  const left = disk.openHandles();
  disk.kill();
  return left.length === 0 ? undefined : `after close there is ${left.join(', ')}`;
}

/** All of these, one after the other. */
export async function leftInAnyMode(): Promise<string | undefined> {
  for (const durability of ['sync', 'os', { intervalMs: 10 }] as const) {
    for (const restMs of typeof durability === 'object' ? INTERVAL_RESTS : [0]) {
      const left = await leftAfterClose(durability, restMs);
      if (left !== undefined) return left;
    }
  }
  return undefined;
}
