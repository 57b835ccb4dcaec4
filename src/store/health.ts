/**
 * `evaq.health()`: what is wrong with a store, by reasons. Asked for, never worked out by itself; told on `evaq:health` where it has changed.
 */
import { optionNames, requireOptions, requireSignal } from '../arguments.js';
import type { EvaqError } from '../errors.js';
import { describe } from '../ids.js';
import type { Damage } from '../log/damage.js';
import type { QueueStats } from '../queue/queue-stats.js';
import { Telling } from '../tracing.js';
import type { DeliveryTotals } from './deliveries.js';

/**
 * - 'failed': a sync failed, or the folder was taken away; nothing is acknowledged until the store is opened again.
 * - 'damaged': something that was durable could not be read, now or by the opening; what nothing was lost to does not count.
 * - 'gc-stalled': the last cycle of garbage collection failed; it is tried again by itself.
 * - 'removals-owed': removals could not be written for want of space; they are tried again by themselves.
 * - 'disk-nearly-full': there are fewer free bytes than `minFreeBytes`.
 * - 'disk-unknown': how many bytes are free could not be found out.
 * - 'record-too-old': the oldest record of a queue is older than `maxOldestAgeMs`.
 * - 'destination-down': the breaker of a delivery is not closed.
 * - 'delivery-stopped': a handler stopped its delivery (`StopDelivery`), and no other has begun since.
 * - 'attempts-lost': counts of attempts could not be read or written, and may be too low.
 */
export type HealthReasonCode =
  | 'failed'
  | 'damaged'
  | 'gc-stalled'
  | 'removals-owed'
  | 'disk-nearly-full'
  | 'disk-unknown'
  | 'record-too-old'
  | 'destination-down'
  | 'delivery-stopped'
  | 'attempts-lost';

/** All codes of reasons. */
export const HEALTH_REASONS: readonly HealthReasonCode[] = [
  'failed',
  'damaged',
  'gc-stalled',
  'removals-owed',
  'disk-nearly-full',
  'disk-unknown',
  'record-too-old',
  'destination-down',
  'delivery-stopped',
  'attempts-lost',
];

export interface HealthReason {
  readonly code: HealthReasonCode;
  /** Absent where it is the store's. */
  readonly queue?: string;
  /** For people. */
  readonly message: string;
  /** Of 'failed' and 'gc-stalled'. */
  readonly error?: EvaqError;
  /** What was found, and the bound that it is beyond: bytes, ms, or a count. */
  readonly value?: number;
  readonly bound?: number;
}

export interface Health {
  /** 'failed': open the store again. 'degraded': it goes on, and somebody should look. */
  readonly status: 'ok' | 'degraded' | 'failed';
  readonly reasons: readonly HealthReason[];
  /** Undefined where that could not be found out. */
  readonly freeBytes: number | undefined;
}

export interface HealthOptions {
  /** Fewer free bytes than this are a reason. Default 256 MiB, which is four segments, or the store's own `minFreeBytes` if that is more. 0: never. */
  readonly minFreeBytes?: number;
  /** A queue whose oldest record is older than this is a reason, but for dead letters. Default: none is. */
  readonly maxOldestAgeMs?: number;
  /** As in `WaitOptions`. */
  readonly signal?: AbortSignal;
}

/** A message of the channel `evaq:health`: it is not as it was when it was told last. */
export interface HealthEvent {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly health: Health;
}

const HEALTH: Telling<HealthEvent> = new Telling('evaq:health');
const NAMES = optionNames('minFreeBytes', 'maxOldestAgeMs', 'signal');
const MIN_FREE_BYTES = 256 * 1024 * 1024;

export interface HealthBounds {
  readonly minFreeBytes: number;
  readonly maxOldestAgeMs: number;
}

/** `leastFreeBytes`: below it the store takes no pushes. */
export function healthBounds(options: HealthOptions | undefined, leastFreeBytes = 0): HealthBounds {
  requireOptions(options, 'health', NAMES);
  requireSignal(options?.signal, 'health');
  return {
    minFreeBytes: boundOf(options?.minFreeBytes ?? Math.max(MIN_FREE_BYTES, leastFreeBytes), 'minFreeBytes'),
    maxOldestAgeMs: boundOf(options?.maxOldestAgeMs ?? Infinity, 'maxOldestAgeMs'),
  };
}

/** What is looked at. */
export interface HealthFacts {
  readonly failure: EvaqError | undefined;
  /** Found by the opening. */
  readonly damage: readonly Damage[];
  readonly queues: readonly QueueStats[];
  readonly deliveries: readonly DeliveryTotals[];
  readonly freeBytes: number | undefined;
  /** Where records wait for people, however long. */
  readonly holdsDeadLetters: (queue: string) => boolean;
}

/** Pure. */
export function judgeHealth(facts: HealthFacts, { minFreeBytes, maxOldestAgeMs }: HealthBounds): Health {
  const { failure, queues, deliveries, freeBytes } = facts;
  const reasons: HealthReason[] = [];
  if (failure !== undefined) reasons.push({ code: 'failed', message: failure.message, error: failure });
  const damaged = new Map<string, number>();
  for (const { queue, lossless } of [...facts.damage, ...queues.flatMap(({ damage }) => damage)])
    if (!lossless) damaged.set(queue, (damaged.get(queue) ?? 0) + 1);
  for (const [queue, places] of damaged) {
    const message = `'${queue}' has damage in ${places === 1 ? 'one place' : `${places} places`}`;
    reasons.push({ code: 'damaged', queue, message, value: places });
  }
  for (const { queue, gc, owedRemovals, oldestAgeMs } of queues) {
    if (gc.lastError !== undefined) {
      const message = `collecting garbage of '${queue}' failed: ${gc.lastError.message}`;
      reasons.push({ code: 'gc-stalled', queue, message, error: gc.lastError });
    }
    if (owedRemovals > 0) {
      const message = `'${queue}' owes removals that found no space`;
      reasons.push({ code: 'removals-owed', queue, message, value: owedRemovals });
    }
    if (oldestAgeMs !== undefined && oldestAgeMs > maxOldestAgeMs && !facts.holdsDeadLetters(queue)) {
      const message = `the oldest record of '${queue}' is ${oldestAgeMs} ms old`;
      reasons.push({ code: 'record-too-old', queue, message, value: oldestAgeMs, bound: maxOldestAgeMs });
    }
  }
  for (const { queue, breakersOpen, stateLost, stoppedFor } of deliveries) {
    if (breakersOpen > 0) {
      reasons.push({ code: 'destination-down', queue, message: `the destination of '${queue}' is down` });
    }
    if (stoppedFor !== undefined) {
      reasons.push({
        code: 'delivery-stopped',
        queue,
        message: `the delivery of '${queue}' has stopped: ${stoppedFor}`,
      });
    }
    if (stateLost) {
      const message = `counts of attempts of '${queue}' could not be read or written`;
      reasons.push({ code: 'attempts-lost', queue, message });
    }
  }
  if (freeBytes === undefined && minFreeBytes > 0) {
    reasons.push({ code: 'disk-unknown', message: 'how many bytes are free could not be found out' });
  } else if (freeBytes !== undefined && freeBytes < minFreeBytes) {
    const message = `the disk has ${freeBytes} bytes left`;
    reasons.push({ code: 'disk-nearly-full', message, value: freeBytes, bound: minFreeBytes });
  }
  const status = failure !== undefined ? 'failed' : reasons.length > 0 ? 'degraded' : 'ok';
  return { status, reasons, freeBytes };
}

/** Tells of a health that is not as it was. */
export class HealthTelling {
  readonly #storeId: string;
  #last = '';

  constructor(storeId: string) {
    this.#storeId = storeId;
  }

  note(health: Health): void {
    const what = health.reasons.map(({ code, queue }) => `${code} ${queue ?? ''}`).join('\n');
    if (what === this.#last) return;
    this.#last = what;
    if (HEALTH.isObserved) HEALTH.tell({ storeId: this.#storeId, health });
  }
}

/** 0 is a bound, too; and so is Infinity. */
function boundOf(value: unknown, name: string): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${describe(value)}`);
  if (!(value >= 0)) throw new RangeError(`${name} must be at least 0, got ${value}`);
  return value;
}
