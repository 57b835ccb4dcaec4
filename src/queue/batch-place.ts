/**
 * The place of a batch: its IDs, its offset in the segment, the checksums that are tied to both, and its entries in the index.
 */
import { assert } from '../assert.js';
import type { PositionIndex } from '../index/position-index.js';
import type { LogSegment } from '../log/log-segment.js';
import type { ActiveSegment } from './active-segment.js';
import type { PushBatch } from './push-batch.js';

export interface BatchPlace {
  readonly firstId: number;
  /** The number of the last durable round of removals. */
  readonly removalSeq: number;
  readonly indexIntervalBytes: number;
  /** How many records the batch will hold, which may be added later, in the same synchronous stretch. */
  readonly count: number;
  /** Where it is said ahead of the records. */
  readonly summedByHeads?: boolean | undefined;
}

/** Behind what is written. */
export function beginPlace(batch: PushBatch, active: ActiveSegment, where: BatchPlace): void {
  const { firstId, removalSeq, indexIntervalBytes } = where;
  assert(firstId + where.count <= Number.MAX_SAFE_INTEGER, 'record IDs stay safe integers');
  batch.offset = active.writtenEnd;
  batch.firstId = firstId;
  const place = {
    seed: active.segment.seed,
    fileOffset: batch.offset,
    firstId,
    timestamp: batch.timestamp,
    durableOffset: active.durableEnd,
    removalSeq,
  };
  const mark = (id: number, offset: number): void => {
    batch.markIds.push(id);
    batch.markOffsets.push(offset);
  };
  let marked = active.markedOffset;
  if (batch.offset - marked >= indexIntervalBytes) {
    mark(firstId, batch.offset);
    marked = batch.offset;
  }
  batch.builder.begin(place, indexIntervalBytes, marked, mark, where.summedByHeads);
  batch.state = 'placed';
}

/** All its records are there: the next batch goes behind it. */
export function endPlace(batch: PushBatch, active: ActiveSegment): void {
  batch.builder.finish();
  active.markedOffset = batch.markOffsets.at(-1) ?? active.markedOffset;
  active.writtenEnd = batch.offset + batch.length;
}

/** Enters a batch that is committed into the index of the queue, and into that which the footer of its segment will have. */
export function indexBatch(index: PositionIndex, batch: PushBatch, segment: LogSegment): void {
  const { building } = segment;
  const { markIds, markOffsets } = batch;
  let wide = false;
  for (let i = 0; i < markIds.length; i++) {
    const id = markIds[i] ?? 0;
    const offset = markOffsets[i] ?? 0;
    const mid = offset === batch.offset ? 0 : 1;
    if (mid === 1) wide = true;
    index.set(id, segment.slot, offset, mid);
    building?.ids.push(id);
    building?.offsets.push(offset);
    building?.mids.push(mid);
  }
  if (!wide) return;
  building?.wide.push({
    offset: batch.offset,
    end: batch.offset + batch.length,
    firstId: batch.firstId,
    timestamp: batch.timestamp,
  });
}
