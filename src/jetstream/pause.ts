/** Waiting, on timers of our own. */
import { after } from '../vfs/own-timers.js';

/** Resolves after so many ms. What waits here has a connection, which keeps the process. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => after(ms, resolve));
}
