/**
 * `evaq:gc`: what is told of the steps of garbage collection.
 */
import { type Traced, Tracing } from '../tracing.js';
import type { Host } from '../vfs/host.js';
import type { GcCounters } from './gc-runner.js';

/** Of the tracing channel `evaq:gc`: one step, over some segments. */
export interface GcTrace extends Traced {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  /** 'drop': all in them is dead. 'rewrite', 'merge': what is live in them is copied. */
  readonly kind: 'drop' | 'rewrite' | 'merge';
  /** How many segments it is about. */
  readonly segments: number;
  /** When it is over: records and bytes that were copied, and bytes that went back to the file system, or to the recycle pool. */
  copiedRecords?: number;
  copiedBytes?: number;
  reclaimedBytes?: number;
  recycledBytes?: number;
  /** There when it is over. */
  durationMs?: number;
}

const STEPS: Tracing<GcTrace> = new Tracing('evaq:gc');

export interface GcTracing {
  readonly storeId: string;
  readonly queue: string;
  readonly host: Host;
  /** Steps follow one another: what is counted meanwhile is theirs. */
  readonly counters: GcCounters;
}

/** Runs a step, and tells of it if anybody listens. */
export function traceGc<T>(
  { storeId, queue, host, counters }: GcTracing,
  kind: GcTrace['kind'],
  segments: number,
  body: () => Promise<T>,
): Promise<T> {
  if (!STEPS.isObserved) return body();
  const before = { ...counters };
  const startedMs = host.elapsed();
  const trace: GcTrace = { storeId, queue, kind, segments };
  const finish = (): void => {
    trace.copiedRecords = counters.copiedRecords - before.copiedRecords;
    trace.copiedBytes = counters.copiedBytes - before.copiedBytes;
    trace.reclaimedBytes = counters.reclaimedBytes - before.reclaimedBytes;
    trace.recycledBytes = counters.recycledBytes - before.recycledBytes;
    trace.durationMs = host.elapsed() - startedMs;
  };
  return STEPS.around(trace, () => body().finally(finish));
}
