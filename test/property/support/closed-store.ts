/** P14: what was closed holds nothing: no file, no lock, no timer, no process. */
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { BrokenPromise } from './store-model.js';

/** @throws a `BrokenPromise` if a living process on `disk` holds anything. */
export function requireNothingOpen(disk: SimDisk): void {
  const open = disk.openHandles();
  if (open.length > 0) throw new BrokenPromise('P14', `open after close: ${open.join(', ')}`);
}

/** Closes the only store that the processes on `disk` have open. */
export async function closeWhole(store: { close(): Promise<void> }, disk: SimDisk): Promise<void> {
  await store.close();
  requireNothingOpen(disk);
}
