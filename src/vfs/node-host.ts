/** The real machine behind the `Host` port. */
import { randomFillSync } from 'node:crypto';
import type { Host } from './host.js';
import { after, elapsedMs, hold, inTurn, soon } from './own-timers.js';

export const nodeHost: Host = {
  now: () => Date.now(),
  elapsed: elapsedMs,
  after,
  hold,
  // The nextTick queue runs when the microtask queue has drained: every continuation of a settled commit that pushes again
  // gets into the next one, at no cost of a turn of the event loop.
  soon,
  yield: () => new Promise(inTurn),
  random(target) {
    randomFillSync(target);
  },
};
