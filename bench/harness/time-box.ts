/**
 * Repeats a step until the round's time or bytes are used up.
 */
import type { Sample } from './sample.js';
import type { Scale } from './scale.js';

/** `step` resolves with the number of records it has handled, each of `size` bytes. */
export async function timeBoxed(scale: Scale, size: number, step: () => Promise<number>): Promise<Sample> {
  const { roundMs, roundBytesMax } = scale;
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  let ops = 0;
  let elapsed: number;
  do {
    ops += await step();
    elapsed = performance.now() - started;
  } while (elapsed < roundMs && ops * size < roundBytesMax);
  const { user, system } = process.cpuUsage(cpuBefore);
  return { ops, seconds: elapsed / 1000, bytes: ops * size, cpuUs: user + system };
}
