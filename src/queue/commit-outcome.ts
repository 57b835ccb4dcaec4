/**
 * What becomes of a batch: it is settled, once. It is committed, and its records are to be seen and its waiters told (P1); or it is not, and they are told
 * why. All of it is synchronous.
 */
import { assert } from '../assert.js';
import { payloadSizes } from '../frame/payload-sizes.js';
import type { SegmentLog } from '../log/segment-log.js';
import { indexBatch } from './batch-place.js';
import type { CommitTraces } from './commit-trace.js';
import type { LogEnd } from './log-end.js';
import type { PushBatch } from './push-batch.js';
import type { PushCover } from './push-cover.js';
import type { PushRoom } from './push-room.js';

export interface CommitOutcomesOptions {
  readonly log: SegmentLog;
  /** Records became visible. */
  readonly onVisible: () => void;
}

export interface CommitOutcomesParts {
  readonly end: LogEnd;
  readonly cover: PushCover;
  readonly room: PushRoom;
  readonly traces: CommitTraces;
}

export class CommitOutcomes {
  readonly #options: CommitOutcomesOptions;
  readonly #parts: CommitOutcomesParts;
  #lastFailure: { readonly error: unknown } | undefined;

  constructor(options: CommitOutcomesOptions, parts: CommitOutcomesParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** The commit that failed last: another object for each. */
  get lastFailure(): { readonly error: unknown } | undefined {
    return this.#lastFailure;
  }

  /** The batch is committed, in the mode in force. */
  settle(batch: PushBatch): void {
    const { log, onVisible } = this.#options;
    const { end: logEnd, cover, room } = this.#parts;
    const { active } = logEnd;
    const { segment } = active;
    const end = batch.offset + batch.length;
    assert(!segment.isEmpty || batch.markIds.length > 0, 'the first commit of a segment is indexed');
    active.link = undefined;
    const sizes = (): Iterable<number> => payloadSizes(batch.builder.chunks);
    log.grow(segment, batch.firstId, batch.count, batch.payloadBytes, batch.timestamp, end, sizes);
    indexBatch(log.index, batch, segment);
    room.give(batch.pendingBytes);
    batch.resolve();
    onVisible();
    room.grant();
    logEnd.lookAhead(end);
    cover.lookAhead();
  }

  /** The batch is not to be acknowledged. */
  fail(batch: PushBatch, error: unknown): void {
    if (batch.count > 0) this.#lastFailure = { error };
    this.#parts.room.give(batch.pendingBytes);
    this.#parts.traces.noteFailure(batch, error);
    batch.reject(error);
  }
}
