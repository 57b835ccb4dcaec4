/**
 * The records of a queue that are selected, in the order of their IDs: places are looked up, times are sought by what the segments say of theirs, and only
 * what is left is read. Nothing is written; it works beside a writer.
 */
import type { QueueRecord } from '../../log/queue-record.js';
import type { IdRange, ReadOnlyQueue } from '../../raw.js';
import { hasTimes, isSelected, type Place, type Selection } from './selection.js';

/** Of a reader's queue, what this needs. */
export type SelectedFrom = Pick<ReadOnlyQueue, 'records' | 'idFromEnd' | 'rangesWithin'>;

/** The IDs between its places, as of the call. `last` may be the highest that there is. */
export async function rangeOf(queue: SelectedFrom, { from, to }: Selection): Promise<IdRange> {
  const first = (await idOf(queue, from)) ?? 0;
  // Without a bound whatever comes while it is read belongs to it, too.
  const last = to === undefined ? Number.MAX_SAFE_INTEGER : await lastOf(queue, to);
  return { first, last };
}

/** Where to look: the ranges of IDs in which they may be. */
export async function rangesOf(queue: SelectedFrom, selection: Selection): Promise<IdRange[]> {
  const { first, last } = await rangeOf(queue, selection);
  const { sinceMs, untilMs } = selection;
  const within = hasTimes(selection) ? await queue.rangesWithin({ sinceMs, untilMs }) : [{ first, last }];
  return within
    .map((range) => ({ first: Math.max(first, range.first), last: Math.min(last, range.last) }))
    .filter((range) => range.first <= range.last);
}

/** Of a selection with a bound on their number no more than those. */
export async function* selectedRecords(
  queue: SelectedFrom,
  selection: Selection,
  signal?: AbortSignal,
): AsyncGenerator<QueueRecord, void, undefined> {
  let left = selection.count;
  if (left <= 0) return;
  for (const { first, last } of await rangesOf(queue, selection)) {
    const bounds = signal === undefined ? {} : { signal };
    for await (const record of queue.records({ from: first, to: last, ...bounds })) {
      if (!isSelected(record, selection)) continue;
      yield record;
      if (--left <= 0) return;
    }
  }
}

/** Their IDs alone, of those that there were when it began. */
export async function* idsOf(
  queue: ReadOnlyQueue,
  selection: Selection,
  signal: AbortSignal,
): AsyncGenerator<number, void, undefined> {
  const { nextId } = await queue.stats();
  for await (const { id } of selectedRecords(queue, selection, signal)) {
    if (id >= nextId) return;
    yield id;
  }
}

async function idOf(queue: SelectedFrom, place: Place): Promise<number | undefined> {
  if (place.kind === 'id') return place.id;
  return place.kind === 'first' ? 0 : queue.idFromEnd(place.count);
}

async function lastOf(queue: SelectedFrom, place: Place): Promise<number> {
  if (place.kind === 'id') return place.id;
  // The first that is live is the last of all from the end.
  if (place.kind === 'first') return (await queue.idFromEnd(Number.MAX_SAFE_INTEGER)) ?? 0;
  const { count } = place;
  const id = await queue.idFromEnd(count);
  if (id === undefined) return 0;
  // Where there are fewer it is told the first of them, and nothing stands in front of the place that is meant. If that one is removed between the two
  // looks, nothing is live up to it.
  const isFewer = count > 1 && (await queue.idFromEnd(count - 1)) === id;
  return isFewer ? 0 : id;
}
