/** The option `limits` of a queue, resolved into a complete value. */
import { optionNames, requireOptions } from '../arguments.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { describe, requireCount } from '../ids.js';

/** What becomes of a push that finds no room. */
export type WhenFull = 'reject' | 'wait' | 'drop-oldest';

/** How much a queue may hold, and for how long. A bound that is left out is none. */
export interface LimitOptions {
  /** Bytes of its live records: payloads, and 8 for each. Headers are not counted. */
  readonly bytes?: number;
  /** Live records. */
  readonly records?: number;
  /** Age in ms at which a record is removed by itself: not before, and later by a 64th of it, or a minute, at most. */
  readonly ageMs?: number;
  /**
   * Default `'reject'`: EVAQ_QUEUE_FULL. `'wait'`: the push waits for room, in the order of the calls. `'drop-oldest'`: the oldest records are removed
   * for it, but for those that are being handled; where there are no others, EVAQ_QUEUE_FULL.
   */
  readonly whenFull?: WhenFull;
}

export interface ResolvedLimits {
  readonly bytes: number | undefined;
  readonly records: number | undefined;
  readonly ageMs: number | undefined;
  readonly whenFull: WhenFull;
}

const NAMES = optionNames('bytes', 'records', 'ageMs', 'whenFull');

/** `false` is no limits; left out, they are as before. Throws a TypeError or RangeError that names what is wrong. */
export function resolveLimits(value: unknown, before: ResolvedLimits | undefined): ResolvedLimits | undefined {
  if (value === undefined) return before;
  if (value === false) return undefined;
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`limits must be false or an object, got ${describe(value)}`);
  requireOptions(value, 'limits', NAMES);
  const bytes = bound(value, 'bytes', DENSE_FRAME_BYTES);
  const records = bound(value, 'records', 1);
  const ageMs = bound(value, 'ageMs', 1);
  const whenFull: unknown = Reflect.get(value, 'whenFull') ?? 'reject';
  if (whenFull !== 'reject' && whenFull !== 'wait' && whenFull !== 'drop-oldest')
    throw new TypeError(`limits.whenFull must be 'reject', 'wait' or 'drop-oldest', got ${describe(whenFull)}`);
  return { bytes, records, ageMs, whenFull };
}

function bound(limits: object, name: string, min: number): number | undefined {
  const value: unknown = Reflect.get(limits, name);
  if (value === undefined) return undefined;
  requireCount(value, `limits.${name}`, min);
  return value;
}
