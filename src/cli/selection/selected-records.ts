/**
 * The records of a queue that are selected, in the order of their IDs: places are looked up, times are sought by what the segments say of theirs, and only
 * what is left is read. Nothing is written; it works beside a writer.
 */
import type { QueueRecord } from '../../log/queue-record.js';
import type { IdRange, ReadOnlyQueue } from '../../raw.js';
import { requiredBytes } from './required-bytes.js';
import { hasTimes, isSelected, isSelective, type Place, type Selection } from './selection.js';

/** Of a reader's queue, what this needs. */
export type SelectedFrom = Pick<ReadOnlyQueue, 'batches' | 'idFromEnd' | 'rangesWithin'> &
  Partial<Pick<ReadOnlyQueue, 'payloads'>>;

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
  for await (const batch of selectedBatches(queue, selection, signal)) yield* batch;
}

/** The same, as many at a time as were read at a time; none is empty. */
export async function* selectedBatches(
  queue: SelectedFrom,
  selection: Selection,
  signal?: AbortSignal,
): AsyncGenerator<readonly QueueRecord[], void, undefined> {
  let left = selection.count;
  if (left <= 0) return;
  for (const range of await rangesOf(queue, selection)) {
    for await (const batch of selectedWithin(queue, selection, range, signal)) {
      yield batch.length > left ? batch.slice(0, left) : batch;
      left -= batch.length;
      if (left <= 0) return;
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

/** All of a range that are selected but for their place and number: where their payloads must hold something the others are not even made. */
export async function* selectedWithin(
  queue: SelectedFrom,
  selection: Selection,
  { first, last }: IdRange,
  signal?: AbortSignal,
): AsyncGenerator<readonly QueueRecord[], void, undefined> {
  const { grep } = selection;
  const holding = grep === undefined ? undefined : requiredBytes(grep);
  const isWhole = !isSelective(selection);
  const needs = { ...(signal === undefined ? {} : { signal }), ...(holding === undefined ? {} : { holding }) };
  for await (const batch of queue.batches(Object.assign(needs, { from: first, to: last }))) {
    const found = isWhole ? batch : batch.filter((record) => isSelected(record, selection));
    if (found.length > 0) yield found;
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
