/**
 * How many bytes of a segment's file are live, as exactly as it can be told without reading it: by the average record where records are
 * small next to an index interval, else interval by interval, which for large records is one by one.
 */
import type { LogSegment } from './log-segment.js';
import type { SegmentLog } from './segment-log.js';

export function estimateLiveBytes(log: SegmentLog, segment: LogSegment): number {
  const { count, live, end, fileBytes } = segment;
  if (count === 0) return 0;
  const average = (live.liveCount / count) * fileBytes;
  const small = end / count < log.indexIntervalBytes / 16;
  if (small || segment.indexPlace.kind !== 'loaded' || live.liveCount === count) return average;

  const { index } = log;
  if (!index.floor(segment.firstId) || index.slot !== segment.slot) return average;
  let bytes = 0;
  let id = index.key;
  let offset = index.offset;
  for (;;) {
    const more = index.next(id) && index.slot === segment.slot;
    const nextId = more ? index.key : segment.lastId + 1;
    const nextOffset = more ? index.offset : end;
    const ids = nextId - id;
    bytes += ((nextOffset - offset) * live.countLive(id, nextId - 1)) / ids;
    // Header and footer belong to whatever is live.
    if (!more) return (bytes / end) * fileBytes;
    id = nextId;
    offset = nextOffset;
  }
}
