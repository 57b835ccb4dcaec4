/**
 * Memory that is really held: after garbage collections, which need `--expose-gc`.
 */
import type { MemoryUse } from './sample.js';

export function collectGarbage(): MemoryUse {
  // The second run collects what the first made reachable for finalisation.
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heapUsed, external };
}
