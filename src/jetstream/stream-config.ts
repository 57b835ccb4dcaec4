/**
 * How the stream of a queue is made, and what of the options of a queue it can be.
 */
import { EvaqError } from '../errors.js';
import { requireCount } from '../ids.js';
import { type ResolvedLimits, resolveLimits } from '../queue/limit-options.js';
import { QUEUE_OPTION_NAMES, type QueueOptions } from '../queue/queue-options.js';

/** What is said once for all queues of a store. */
export interface StreamDefaults {
  readonly replicas: number;
  readonly duplicateWindowMs: number;
  /** What is not there is made. */
  readonly creates: boolean;
}

/** What is said of one. */
export interface StreamOptions {
  readonly recordBytesMax: number | undefined;
  /** 'kept': nothing was said of them; `undefined`: there shall be none. */
  readonly limits: ResolvedLimits | 'kept' | undefined;
  /** `undefined`: nothing was said of it. */
  readonly duplicateWindowMs: number | undefined;
}

const TAKEN = ['recordBytesMax', 'dedupe', 'limits'];
const NANOS = 1_000_000;

/** @throws EVAQ_UNSUPPORTED for an option that is about files; TypeError, RangeError for a wrong value */
export function streamOptionsOf(options: QueueOptions): StreamOptions {
  for (const name of QUEUE_OPTION_NAMES) {
    const value: unknown = Reflect.get(options, name);
    if (value === undefined || TAKEN.includes(name)) continue;
    throw new EvaqError('EVAQ_UNSUPPORTED', `a replicated queue has no option '${name}'`, {
      hint: `It takes ${TAKEN.join(', ')}; files and syncs are the server's.`,
    });
  }
  const { recordBytesMax, dedupe, limits } = options;
  if (recordBytesMax !== undefined) requireCount(recordBytesMax, 'recordBytesMax', 1);
  const windowMs = dedupe === undefined || dedupe === false ? undefined : dedupe.windowMs;
  if (windowMs !== undefined) requireCount(windowMs, 'dedupe.windowMs', 100);
  return {
    recordBytesMax,
    limits: limits === undefined ? 'kept' : resolveLimits(limits, undefined),
    duplicateWindowMs: windowMs,
  };
}

export interface StreamPlace {
  readonly stream: string;
  readonly subject: string;
}

/**
 * A work queue: what is acknowledged is removed. Batches need `allow_atomic`, reads `allow_direct`. A window of duplicates must not be longer than the age of
 * the oldest record may be.
 */
export function streamConfig(
  { stream, subject }: StreamPlace,
  { replicas, duplicateWindowMs: otherwiseMs }: StreamDefaults,
  { limits, duplicateWindowMs = otherwiseMs }: StreamOptions,
): Record<string, unknown> {
  const given = limits === 'kept' ? undefined : limits;
  return {
    name: stream,
    subjects: [subject],
    retention: 'workqueue',
    storage: 'file',
    num_replicas: replicas,
    ...limitFields(given),
    duplicate_window: Math.min(duplicateWindowMs, given?.ageMs ?? duplicateWindowMs) * NANOS,
    allow_direct: true,
    allow_atomic: true,
  };
}

/**
 * What is to be changed of a stream that is there: what was said, and no more, for others rely on the rest. A window of duplicates is never made shorter, but
 * for an age that is. `undefined`: it is as it shall be.
 */
export function streamChanges(
  has: Readonly<Record<string, unknown>>,
  { limits, duplicateWindowMs }: StreamOptions,
): Record<string, unknown> | undefined {
  const changes: Record<string, unknown> = limits === 'kept' ? {} : limitFields(limits);
  const windowNanos = Math.max((duplicateWindowMs ?? 0) * NANOS, Number(has['duplicate_window'] ?? 0));
  const ageNanos = Number(changes['max_age'] ?? has['max_age'] ?? 0);
  changes['duplicate_window'] = ageNanos > 0 ? Math.min(windowNanos, ageNanos) : windowNanos;
  return Object.keys(changes).some((name) => changes[name] !== has[name]) ? changes : undefined;
}

function limitFields(limits: ResolvedLimits | undefined): Record<string, unknown> {
  return {
    discard: limits?.whenFull === 'drop-oldest' ? 'old' : 'new',
    max_msgs: limits?.records ?? -1,
    max_bytes: limits?.bytes ?? -1,
    max_age: (limits?.ageMs ?? 0) * NANOS,
  };
}
