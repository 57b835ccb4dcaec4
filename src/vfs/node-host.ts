/** The real machine behind the `Host` port. */
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Host } from './host.js';

export const nodeHost: Host = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  // The nextTick queue runs when the microtask queue has drained: every continuation of a settled commit that pushes again
  // gets into the next one, at no cost of a turn of the event loop.
  soon: (action) => process.nextTick(action),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
  random(target) {
    randomFillSync(target);
  },
};
