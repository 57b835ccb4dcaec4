/**
 * Chance, for back-off and for how long a breaker stays open.
 */
import type { Host } from '../vfs/host.js';

const scratch = Buffer.alloc(4);

/** In [0, 1). */
export function randomOf(host: Host): number {
  host.random(scratch);
  return scratch.readUInt32LE(0) / 2 ** 32;
}
