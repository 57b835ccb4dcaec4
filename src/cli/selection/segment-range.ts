/** The places of a selection in a segment file by itself, all of whose records count. */
import type { IdRange, RawSegment } from '../../raw.js';
import type { Place, Selection } from './selection.js';

/** What has to be counted from the end costs a pass over the file. @throws EVAQ_IO */
export async function segmentRange(
  segment: Pick<RawSegment, 'records'>,
  { from, to }: Pick<Selection, 'from' | 'to'>,
): Promise<IdRange> {
  const isCounted = from.kind === 'from-end' || (to !== undefined && to.kind !== 'id');
  const ids = isCounted ? await idsOf(segment) : [];
  const first = from.kind === 'first' ? 0 : idOf(from, ids);
  if (to === undefined) return { first, last: Number.MAX_SAFE_INTEGER };
  // In front of all of them nothing stands.
  const isInFront = to.kind === 'from-end' && to.count > ids.length;
  return { first, last: isInFront ? 0 : idOf(to, ids) };
}

async function idsOf(segment: Pick<RawSegment, 'records'>): Promise<number[]> {
  const ids: number[] = [];
  for await (const entry of segment.records()) if (entry.valid) ids.push(entry.record.id);
  return ids;
}

function idOf(place: Place, ids: readonly number[]): number {
  if (place.kind === 'id') return place.id;
  return ids[place.kind === 'first' ? 0 : Math.max(0, ids.length - place.count)] ?? 0;
}
