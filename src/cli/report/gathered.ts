/** What a report is about: everything that can be known of a store without opening it for writing. */
import { queueDir } from '../../layout/store-file.js';
import type { DeadLetterSummary } from '../../queue/dead-letter.js';
import { walkQueue } from '../../raw/record-walk.js';
import { ReadOnlyEvaq, type StoreUsage, storeUsage, type VerifyReport, verifyStore } from '../../raw.js';
import { LetterSummary } from '../../store/letter-summary.js';
import { nodeVfs } from '../../vfs/node-vfs.js';
import { boxesOf, lettersIn, lettersLeft } from '../dead-letters/letters.js';
import { measureSyncs, type SyncTimes } from '../doctor/sync-probe.js';
import { gatherStore, type StoreInfo } from '../info/store-info.js';
import { FiguresCounter, type QueueFigures } from '../stats/queue-figures.js';
import { findSetAside, type SetAside } from './set-aside.js';

export interface Gathered {
  readonly atMs: number;
  readonly info: StoreInfo;
  readonly usage: StoreUsage;
  readonly verified: VerifyReport;
  readonly figures: readonly QueueFigures[];
  readonly letters: readonly (DeadLetterSummary & { readonly queue: string })[];
  readonly setAside: readonly SetAside[];
  /** Undefined where that was not to be measured, or could not be. */
  readonly syncs: SyncTimes | undefined;
}

/** `probe`: where how long a sync takes is to be measured, if at all. Queues that cannot be read have no figures; why not is in `verified`. */
export async function gather(dir: string, probe: string | undefined, signal: AbortSignal): Promise<Gathered> {
  const atMs = Date.now();
  const info = await gatherStore(dir);
  const usage = await storeUsage(dir, { signal });
  const verified = await verifyStore(dir, { signal });
  const figures: QueueFigures[] = [];
  const letters: (DeadLetterSummary & { readonly queue: string })[] = [];
  if (info.state.kind !== 'broken') {
    await using store = await ReadOnlyEvaq.open(dir, { onCorruption: 'quarantine' });
    const storeUuid = Buffer.from(store.uuid.replaceAll('-', ''), 'hex');
    for (const { queue, unreadable } of usage.queues) {
      if (unreadable !== undefined) continue;
      const counter = new FiguresCounter(queue, atMs, () => true);
      await walkQueue({ vfs: nodeVfs, dir: queueDir(store.path, queue), queue, storeUuid }, counter, signal);
      figures.push(counter.result());
    }
    for (const box of await boxesOf(store, undefined)) {
      const summary = new LetterSummary();
      for await (const record of lettersIn(store, box, [], {}, lettersLeft({}), signal)) summary.add(record, box.home);
      letters.push({ queue: box.home, ...summary.result() });
    }
  }
  const setAside = findSetAside(info.path);
  return {
    atMs,
    info,
    usage,
    verified,
    figures,
    letters,
    setAside,
    syncs: probe === undefined ? undefined : timesOf(probe),
  };
}

function timesOf(dir: string): SyncTimes | undefined {
  try {
    return measureSyncs(dir);
  } catch {
    // Not ours to write to, say.
    return undefined;
  }
}
