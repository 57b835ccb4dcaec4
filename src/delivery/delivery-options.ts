/**
 * What can be said of a delivery, resolved once at the door.
 */
import { optionNames, requireOptions, requireSignal } from '../arguments.js';
import { describe, requireCount } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import { type BackoffOptions, DEFAULT_BACKOFF, type ResolvedBackoff } from './backoff.js';
import type { BreakerOptions } from './breaker.js';
import { classifyFailure, type FailureClass } from './classify.js';
import type { Order } from './key-order.js';
import type { RateOptions } from './token-bucket.js';

export interface RetryOptions {
  /** Tries of a record before it goes to the dead letters. Default 5. */
  readonly maxAttempts?: number;
  /** Times that the process may die with it in a handler before it goes there. Default 3. These count as attempts, too. */
  readonly maxCrashes?: number;
  readonly backoff?: BackoffOptions;
  /** Whose fault a failure is. Default: by `code` and `status` of what was thrown (`docs/delivery.md`). `attempt` as the handler had it. */
  readonly classify?: (error: unknown, record: QueueRecord, attempt: number) => FailureClass;
}

export interface DeliveryOptions {
  /** Handlers at a time; a batch is one. Default 16. */
  readonly concurrency?: number;
  /**
   * 'none' (default); 'fifo': one at a time, in ID order, a failing one blocks all; or a function that gives a record's key: of each key one at a
   * time, in ID order, a failing one blocks its own key alone. Where it gives `undefined` the record has no order.
   */
  readonly order?: Order;
  /** After so many ms a handler's signal is aborted, and the try has failed. Default 30 000; 0: never. A handler that goes on keeps its place. */
  readonly timeoutMs?: number;
  readonly retry?: RetryOptions;
  /** Dead letters are tried again by the same handler, with these options (by default slowly). Default: they are not. */
  readonly deadLetters?: { readonly retry: false | RetryOptions };
  readonly rate?: RateOptions;
  /** Stops delivery while the destination is down. `false`: never. */
  readonly breaker?: false | BreakerOptions;
  /** Aborted: the delivery stops, as by `stop()`. */
  readonly signal?: AbortSignal;
  /** Whether a delivery that waits keeps the process alive. Default true. */
  readonly hold?: boolean;
}

export interface BatchLimits {
  /** Records of a batch. Default 100. */
  readonly maxRecords?: number;
  /** Bytes of payload of a batch; one record may be larger. Default 1 MiB. */
  readonly maxBytes?: number;
  /** How long a batch that is not full waits for more, in ms. Default 0: it takes what is there. */
  readonly maxWaitMs?: number;
}

export interface BatchOptions extends DeliveryOptions {
  readonly batch?: BatchLimits;
}

export interface ResolvedRetry {
  readonly maxAttempts: number;
  readonly maxCrashes: number;
  readonly backoff: ResolvedBackoff;
  readonly classify: (error: unknown, record: QueueRecord, attempt: number) => FailureClass;
}

export interface ResolvedDelivery {
  readonly concurrency: number;
  readonly order: Order;
  readonly timeoutMs: number;
  readonly retry: ResolvedRetry;
  readonly deadLettersRetry: ResolvedRetry | undefined;
  readonly rate: RateOptions | undefined;
  readonly breaker: (Required<Omit<BreakerOptions, 'probe'>> & Pick<BreakerOptions, 'probe'>) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly hold: boolean;
  readonly batch: Required<BatchLimits>;
}

const DEFAULT_RETRY: ResolvedRetry = {
  maxAttempts: 5,
  maxCrashes: 3,
  backoff: DEFAULT_BACKOFF,
  classify: (error) => classifyFailure(error),
};

/** Dead letters wait minutes, not seconds. */
const DEFAULT_DEAD_RETRY: ResolvedRetry = {
  ...DEFAULT_RETRY,
  backoff: { baseMs: 60_000, factor: 2, maxMs: 3_600_000, jitter: 'full' },
};

const NAME_LIST = [
  'concurrency',
  'order',
  'timeoutMs',
  'retry',
  'deadLetters',
  'rate',
  'breaker',
  'signal',
  'hold',
] as const;
const NAMES = optionNames(...NAME_LIST);
const BATCH_NAMES = optionNames(...NAME_LIST, 'batch');
const RETRY_NAMES = optionNames('maxAttempts', 'maxCrashes', 'backoff', 'classify');
const BACKOFF_NAMES = optionNames('baseMs', 'factor', 'maxMs', 'jitter');
const RATE_NAMES = optionNames('limit', 'perMs', 'burst');
const BREAKER_NAMES = optionNames('failures', 'openMs', 'maxOpenMs', 'probe');
const LIMIT_NAMES = optionNames('maxRecords', 'maxBytes', 'maxWaitMs');
const DEAD_NAMES = optionNames('retry');

/** Of a record by itself. */
const SINGLE: Required<BatchLimits> = { maxRecords: 1, maxBytes: Infinity, maxWaitMs: 0 };

export function resolveDelivery(options: BatchOptions | undefined, isBatch: boolean): ResolvedDelivery {
  const where = isBatch ? 'processBatch' : 'process';
  requireOptions(options, where, isBatch ? BATCH_NAMES : NAMES);
  requireSignal(options?.signal, where);
  return resolved(options ?? {}, isBatch);
}

function resolved(options: BatchOptions, isBatch: boolean): ResolvedDelivery {
  const {
    concurrency = 16,
    order = 'none',
    timeoutMs = 30_000,
    retry = {},
    deadLetters,
    rate,
    breaker,
    signal,
  } = options;
  requireCount(concurrency, 'concurrency', 1);
  if (order !== 'none' && order !== 'fifo' && typeof order !== 'function') {
    throw new TypeError(`order must be 'none', 'fifo' or a function that gives a key, got ${describe(order)}`);
  }
  requireMs(timeoutMs, 'timeoutMs');
  const hold = options.hold ?? true;
  if (typeof hold !== 'boolean') throw new TypeError(`hold must be a boolean, got ${describe(hold)}`);
  requireOptions(deadLetters, 'deadLetters', DEAD_NAMES);
  const deadRetry = deadLetters?.retry ?? false;
  return {
    concurrency: order === 'fifo' ? 1 : concurrency,
    order,
    timeoutMs,
    retry: resolveRetry(retry, 'retry', DEFAULT_RETRY),
    deadLettersRetry:
      deadRetry === false ? undefined : resolveRetry(deadRetry, 'deadLetters.retry', DEFAULT_DEAD_RETRY),
    rate: rate === undefined ? undefined : resolveRate(rate),
    breaker: breaker === false ? undefined : resolveBreaker(breaker ?? {}),
    signal,
    hold,
    batch: isBatch ? resolveBatch(options.batch ?? {}) : SINGLE,
  };
}

function resolveRetry(options: RetryOptions, name: string, defaults: ResolvedRetry): ResolvedRetry {
  requireOptions(options, name, RETRY_NAMES);
  requireOptions(options.backoff, `${name}.backoff`, BACKOFF_NAMES);
  const {
    maxAttempts = defaults.maxAttempts,
    maxCrashes = defaults.maxCrashes,
    classify = defaults.classify,
  } = options;
  const backoff = { ...defaults.backoff, ...options.backoff };
  if (maxAttempts !== Infinity) requireCount(maxAttempts, `${name}.maxAttempts`, 1);
  if (maxCrashes !== Infinity) requireCount(maxCrashes, `${name}.maxCrashes`, 1);
  if (typeof classify !== 'function') {
    throw new TypeError(`${name}.classify must be a function, got ${describe(classify)}`);
  }
  requireMs(backoff.baseMs, `${name}.backoff.baseMs`);
  requireMs(backoff.maxMs, `${name}.backoff.maxMs`);
  if (typeof backoff.factor !== 'number' || !(backoff.factor >= 1)) {
    throw new RangeError(`${name}.backoff.factor must be a number of at least 1, got ${describe(backoff.factor)}`);
  }
  if (backoff.jitter !== 'full' && backoff.jitter !== 'none') {
    throw new TypeError(`${name}.backoff.jitter must be 'full' or 'none', got ${describe(backoff.jitter)}`);
  }
  return { maxAttempts, maxCrashes, backoff, classify };
}

function resolveRate(rate: RateOptions): RateOptions {
  requireOptions(rate, 'rate', RATE_NAMES);
  const { limit, perMs, burst = limit } = rate;
  requireCount(limit, 'rate.limit', 1);
  requireCount(perMs, 'rate.perMs', 1);
  requireCount(burst, 'rate.burst', 1);
  return { limit, perMs, burst };
}

function resolveBreaker(breaker: BreakerOptions): NonNullable<ResolvedDelivery['breaker']> {
  requireOptions(breaker, 'breaker', BREAKER_NAMES);
  const { failures = 5, openMs = 1000, maxOpenMs = 60_000, probe } = breaker;
  requireCount(failures, 'breaker.failures', 1);
  requireCount(openMs, 'breaker.openMs', 1);
  requireCount(maxOpenMs, 'breaker.maxOpenMs', 1);
  if (probe !== undefined && typeof probe !== 'function') {
    throw new TypeError(`breaker.probe must be a function, got ${describe(probe)}`);
  }
  return { failures, openMs, maxOpenMs, ...(probe === undefined ? {} : { probe }) };
}

function resolveBatch(batch: BatchLimits): Required<BatchLimits> {
  requireOptions(batch, 'batch', LIMIT_NAMES);
  const { maxRecords = 100, maxBytes = 1024 * 1024, maxWaitMs = 0 } = batch;
  requireCount(maxRecords, 'batch.maxRecords', 1);
  requireCount(maxBytes, 'batch.maxBytes', 1);
  requireMs(maxWaitMs, 'batch.maxWaitMs');
  return { maxRecords, maxBytes, maxWaitMs };
}

function requireMs(value: unknown, name: string): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number of ms, got ${describe(value)}`);
  if (!(value >= 0) || value === Infinity)
    throw new RangeError(`${name} must be a number of ms from 0 up, got ${value}`);
}
