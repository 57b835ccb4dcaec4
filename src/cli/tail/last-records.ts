/**
 * The last records of a queue that are selected: sought from the end, in windows that grow, so that it costs what they are and not what the queue is.
 */
import type { QueueRecord } from '../../log/queue-record.js';
import { rangesOf, type SelectedFrom, selectedWithin } from '../selection/selected-records.js';
import { isSelective, type Selection } from '../selection/selection.js';

/** Live records of a window are that many times those of the one behind it. */
const GROWTH = 4;
/** Where not each one is selected. */
const WINDOW_MIN = 1024;

/** At most `count`, in the order of their IDs, up to the record `end`. */
export async function lastRecords(
  queue: SelectedFrom,
  selection: Selection,
  count: number,
  end: number,
): Promise<QueueRecord[]> {
  const ranges = await rangesOf(queue, selection);
  const lowest = ranges[0]?.first ?? Infinity;
  let found: QueueRecord[] = [];
  let window = isSelective(selection) ? Math.max(count, WINDOW_MIN) : count;
  for (let last = end; found.length < count && last >= lowest; ) {
    const place = await queue.idFromEnd(window);
    // Nothing is live any more: others remove while this looks.
    if (place === undefined) break;
    const first = Math.max(lowest, place);
    if (first <= last) {
      const records = await recordsOf(queue, selection, ranges, first, last, count - found.length);
      found = [...records, ...found];
      last = first - 1;
    }
    // It reached to the first record that there is, or that one has gone and those in front of it with it.
    const lowestLive = await queue.idFromEnd(Number.MAX_SAFE_INTEGER);
    if (lowestLive === undefined || lowestLive >= first) break;
    window *= GROWTH;
  }
  return found;
}

/** The last `count` of them between `first` and `last`. */
async function recordsOf(
  queue: SelectedFrom,
  selection: Selection,
  ranges: readonly { readonly first: number; readonly last: number }[],
  first: number,
  last: number,
  count: number,
): Promise<QueueRecord[]> {
  let kept: QueueRecord[] = [];
  for (const range of ranges) {
    const from = Math.max(first, range.first);
    const to = Math.min(last, range.last);
    if (from > to) continue;
    for await (const batch of selectedWithin(queue, selection, { first: from, last: to })) {
      kept = [...kept, ...batch].slice(-count);
    }
  }
  return kept.slice(-count);
}
