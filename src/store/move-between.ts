/**
 * Moves that a caller asks for from any queue to any other: the record as it is, with its history.
 */
import type { RecordMeta } from '../frame/metadata.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { MoveResult, ResolvedMove } from '../queue/move-options.js';
import type { QueueCore } from '../queue/queue-core.js';
import type { ResolvedSelection } from '../queue/record-selection.js';
import type { Host } from '../vfs/host.js';
import { carriedMeta } from './dead-letters.js';
import { moveMany } from './move-many.js';

export interface MoveBetween {
  readonly host: Host;
  readonly from: QueueCore;
  readonly to: QueueCore;
  readonly selection: ResolvedSelection;
  readonly options: ResolvedMove;
}

/** @throws as `moveMany`; TypeError where both are the same queue */
export async function moveBetween({ host, from, to, selection, options }: MoveBetween): Promise<MoveResult> {
  if (from === to) throw new TypeError(`move: from and to are the same queue, '${from.name}'`);
  to.requireOpen();
  const router = (record: QueueRecord): { to: QueueCore; meta: RecordMeta } => ({ to, meta: wholeMeta(record) });
  return moveMany({ host, from, selection, router, goesTo: () => to.name, options });
}

/** What it keeps anyway, and what it is a dead letter for, and until when it waits. */
function wholeMeta(record: QueueRecord): RecordMeta {
  const { reason, error, dueMs } = record;
  return {
    ...carriedMeta(record),
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error }),
    ...(dueMs === undefined ? {} : { dueMs }),
  };
}
