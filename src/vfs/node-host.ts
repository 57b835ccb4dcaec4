/** The real machine behind the `Host` port. */
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Host } from './host.js';

/** The longest that a timer takes: it is there to be waited for, not to fire. */
const HOLD_MS = 2 ** 31 - 1;
let holders = 0;
let held: NodeJS.Timeout | undefined;

/** One timer for all who hold. */
function hold(): () => void {
  if (holders++ === 0) held = setInterval(() => undefined, HOLD_MS);
  let isHolding = true;
  return () => {
    if (!isHolding) return;
    isHolding = false;
    if (--holders === 0) clearInterval(held);
  };
}

export const nodeHost: Host = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  hold,
  // The nextTick queue runs when the microtask queue has drained: every continuation of a settled commit that pushes again
  // gets into the next one, at no cost of a turn of the event loop.
  soon: (action) => process.nextTick(action),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
  random(target) {
    randomFillSync(target);
  },
};
