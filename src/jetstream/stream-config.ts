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
  readonly limits: ResolvedLimits | undefined;
  readonly duplicateWindowMs: number;
  /** Whether any of it was said: then a stream that is there is changed to it. */
  readonly isGiven: boolean;
}

const TAKEN = ['recordBytesMax', 'dedupe', 'limits'];
const NANOS = 1_000_000;

/** @throws EVAQ_UNSUPPORTED for an option that is about files; TypeError, RangeError for a wrong value */
export function streamOptionsOf(options: QueueOptions, { duplicateWindowMs }: StreamDefaults): StreamOptions {
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
    limits: resolveLimits(limits, undefined),
    duplicateWindowMs: windowMs ?? duplicateWindowMs,
    isGiven: TAKEN.some((name) => Reflect.get(options, name) !== undefined),
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
  { replicas }: StreamDefaults,
  { limits, duplicateWindowMs }: StreamOptions,
): Record<string, unknown> {
  const windowMs = Math.min(duplicateWindowMs, limits?.ageMs ?? duplicateWindowMs);
  return {
    name: stream,
    subjects: [subject],
    retention: 'workqueue',
    storage: 'file',
    num_replicas: replicas,
    discard: limits?.whenFull === 'drop-oldest' ? 'old' : 'new',
    max_msgs: limits?.records ?? -1,
    max_bytes: limits?.bytes ?? -1,
    max_age: (limits?.ageMs ?? 0) * NANOS,
    duplicate_window: windowMs * NANOS,
    allow_direct: true,
    allow_atomic: true,
  };
}
