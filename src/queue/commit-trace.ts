/**
 * `evaq:commit`: what is told of commits. One is under way at a time; one that blocks is told when it is over.
 */
import { type Traced, Tracing } from '../tracing.js';
import type { Host } from '../vfs/host.js';
import type { PushBatch } from './push-batch.js';

/** Of the tracing channel `evaq:commit`: a group commit, from its write to its acknowledgement. */
export interface CommitTrace extends Traced {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  /** Where it failed these IDs were given to nobody, and are given again. */
  readonly firstId: number;
  readonly lastId: number;
  readonly records: number;
  /** What it takes in the file, framing included. */
  readonly bytes: number;
  readonly payloadBytes: number;
  /** Made by `pushSync`: told as a whole when it is over. */
  readonly blocking: boolean;
  /** From the write to the acknowledgement; there when it is over. */
  durationMs?: number;
}

export const COMMITS: Tracing<CommitTrace> = new Tracing('evaq:commit');

interface UnderWay {
  readonly batch: PushBatch;
  readonly trace: CommitTrace;
  readonly startedMs: number;
  failure: { readonly error: unknown } | undefined;
}

export interface CommitTracesOptions {
  readonly storeId: string;
  readonly queue: string;
  readonly host: Host;
}

export class CommitTraces {
  readonly #options: CommitTracesOptions;
  #underWay: UnderWay | undefined;

  constructor(options: CommitTracesOptions) {
    this.#options = options;
  }

  /** It is placed, and being written. */
  begin(batch: PushBatch): void {
    if (!COMMITS.isObserved) return;
    const startedMs = this.#options.host.elapsed();
    const trace = this.#traceOf(batch, false);
    this.#underWay = { batch, trace, startedMs, failure: undefined };
    COMMITS.begin(trace);
  }

  /** It is not to be acknowledged. Told with its end. */
  noteFailure(batch: PushBatch, error: unknown): void {
    if (this.#underWay?.batch === batch) this.#underWay.failure ??= { error };
  }

  /** It is settled. The second time nothing is told. */
  over(batch: PushBatch): void {
    const underWay = this.#underWay;
    if (underWay?.batch !== batch) return;
    this.#underWay = undefined;
    const { trace, failure, startedMs } = underWay;
    trace.durationMs = this.#options.host.elapsed() - startedMs;
    if (failure === undefined) COMMITS.over(trace);
    else COMMITS.failed(trace, failure.error);
  }

  /** These were committed while the thread was blocked, or have all failed. */
  blocking(batches: readonly PushBatch[], startedMs: number, failure?: { readonly error: unknown }): void {
    if (batches.length === 0 || !COMMITS.isObserved) return;
    const durationMs = this.#options.host.elapsed() - startedMs;
    const traces = batches.map((batch) => this.#traceOf(batch, true));
    for (const trace of traces) {
      COMMITS.begin(trace);
      trace.durationMs = durationMs;
      if (failure === undefined) COMMITS.over(trace);
      else COMMITS.failed(trace, failure.error);
    }
  }

  #traceOf(batch: PushBatch, blocking: boolean): CommitTrace {
    const { storeId, queue } = this.#options;
    const { firstId, count: records, length: bytes, payloadBytes } = batch;
    return { storeId, queue, firstId, lastId: firstId + records - 1, records, bytes, payloadBytes, blocking };
  }
}
