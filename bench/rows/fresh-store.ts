/**
 * A store of its own for a round: made before it, removed after it, neither of which is timed.
 */
import { contenderNamed } from '../contenders/all-contenders.js';
import type { Mode, QueueDriver } from '../contenders/contender.js';
import { removeAndSettle } from '../harness/disk.js';
import { PayloadSource } from '../harness/payloads.js';
import type { Run } from '../harness/row.js';

export interface FreshStore {
  readonly driver: QueueDriver;
  readonly dir: string;
}

export async function inFreshStore<T>(
  run: Run,
  options: { readonly mode: Mode; readonly segmentBytes?: number },
  body: (store: FreshStore) => Promise<T>,
): Promise<T> {
  const dir = run.scratch();
  try {
    const driver = await contenderNamed(run.contender)({ dir, engine: run.engine, ...options });
    try {
      return await body({ driver, dir });
    } finally {
      await driver.close();
    }
  } finally {
    removeAndSettle(dir);
  }
}

const FILL_BATCH = 1000;
const FILL_BATCH_BYTES = 4 * 1024 * 1024;

/** Appends `records` payloads of `size` bytes in batches. */
export async function fill(driver: Pick<QueueDriver, 'pushMany'>, records: number, size: number): Promise<void> {
  const batch = Math.max(1, Math.min(FILL_BATCH, records, Math.floor(FILL_BATCH_BYTES / size)));
  const source = new PayloadSource(size, batch);
  for (let left = records; left > 0; ) {
    const count = Math.min(batch, left);
    await driver.pushMany(source.batch(count));
    left -= count;
  }
}
