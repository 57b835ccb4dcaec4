/**
 * Looks at the records that a caller means, one after the other.
 */
import { throwIfAborted } from '../abortable.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { ReadLimits } from '../log/segment-walk.js';
import type { QueueCore } from '../queue/queue-core.js';
import type { RangeSelection } from '../queue/record-selection.js';
import type { Host } from '../vfs/host.js';

/** What is read at a time: dead letters have metadata, and to decode those of some thousands would hold the loop. */
export const LETTER_BATCH: ReadLimits = { maxBytes: 1024 * 1024, maxRecords: 512 };

/**
 * Calls `each` with the records that are selected, of those that there are at the call, until it returns false. A close ends it, unless it is part of a
 * call that was let in.
 */
export async function eachSelected(
  from: QueueCore,
  host: Host,
  { from: first, to, accepts }: RangeSelection<QueueRecord>,
  signal: AbortSignal | undefined,
  each: (record: QueueRecord) => boolean,
  how: 'records' | 'within a call' = 'records',
): Promise<void> {
  if (how === 'records') from.requireOpen();
  // What comes from now on is not meant: under a steady load there would be no end (P14).
  const source = from.records(first, Math.min(to, from.log.lastVisibleId), how, LETTER_BATCH);
  let looks = 0;
  try {
    for (let record = await source.next(); record !== undefined; record = source.inHand() ?? (await source.next())) {
      // Several batches may come from one chunk, without a turn of the event loop in between.
      if (++looks % LETTER_BATCH.maxRecords === 0) await host.yield();
      throwIfAborted(signal);
      // A promise is no yes. Not every answer is awaited: most are there already.
      const answer: unknown = accepts === undefined ? true : accepts(record);
      if ((typeof answer === 'boolean' ? answer : await answer) && !each(record)) return;
    }
  } finally {
    source.stop();
    await source.settled();
  }
}

/** The same for IDs; resolves with how many are not there. */
export async function eachNamed(
  from: QueueCore,
  ids: readonly number[],
  signal: AbortSignal | undefined,
  each: (record: QueueRecord) => boolean,
): Promise<number> {
  let gone = 0;
  for (const id of ids) {
    throwIfAborted(signal);
    const record = await from.call(() => from.reads.get(id));
    if (record === undefined) gone++;
    else if (!each(record)) break;
  }
  return gone;
}
