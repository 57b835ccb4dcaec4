/**
 * What a handler throws to say what is to become of its record, before any classification. Told by a mark, their names and what they carry, and not by their class,
 * so that a second copy of the package in the process, or another realm, does not make them strangers.
 */
import { type OptionNames, requireOptions } from '../arguments.js';
import { describe } from '../ids.js';

const DEAD_LETTER: symbol = Symbol.for('evaq.DeadLetterError');
const RETRY_LATER: symbol = Symbol.for('evaq.RetryLater');
const STOP_DELIVERY: symbol = Symbol.for('evaq.StopDelivery');

/** Thrown by a handler: this record will never be delivered. It goes to the dead letters at once, with this reason. */
export class DeadLetterError extends Error {
  override readonly name: string = 'DeadLetterError';
  readonly reason: string;

  constructor(reason: string, options?: { readonly cause?: unknown }) {
    super(requireReason(reason), options);
    this.reason = reason;
    Object.defineProperty(this, DEAD_LETTER, { value: true });
  }
}

function requireReason(reason: unknown): string {
  if (typeof reason !== 'string') throw new TypeError(`reason must be a string, got ${describe(reason)}`);
  if (reason === '') throw new RangeError('reason must not be empty');
  return reason;
}

export interface RetryLaterOptions {
  /** Not to be tried again before so many ms have passed. */
  readonly delayMs: number;
  /** Whether this try counts as an attempt. Default false. */
  readonly countAttempt?: boolean;
  /** What waits: this record alone (default), all of its key, or the whole delivery (a destination that says "not now" to everybody). */
  readonly scope?: 'record' | 'key' | 'all';
  readonly cause?: unknown;
}

const NAMES: OptionNames = new Set(['delayMs', 'countAttempt', 'scope', 'cause']);

/** Thrown by a handler: not now. The record is tried again after `delayMs`; unless `countAttempt` is set, as if it had not been tried. */
export class RetryLater extends Error {
  override readonly name: string = 'RetryLater';
  readonly delayMs: number;
  readonly countAttempt: boolean;
  readonly scope: 'record' | 'key' | 'all';

  constructor(options: RetryLaterOptions) {
    requireOptions(options, 'RetryLater', NAMES);
    const { delayMs, countAttempt = false, scope = 'record', cause }: Partial<RetryLaterOptions> = options ?? {};
    if (typeof delayMs !== 'number') {
      throw new TypeError(`delayMs must be a number of milliseconds, got ${describe(delayMs)}`);
    }
    if (!(delayMs >= 0 && delayMs < Infinity)) {
      throw new RangeError(`delayMs must be a finite number of milliseconds, got ${describe(delayMs)}`);
    }
    if (typeof countAttempt !== 'boolean') {
      throw new TypeError(`countAttempt must be true or false, got ${describe(countAttempt)}`);
    }
    if (scope !== 'record' && scope !== 'key' && scope !== 'all') {
      throw new TypeError(`scope must be 'record', 'key' or 'all', got ${describe(scope)}`);
    }
    super(`to be tried again in ${delayMs} ms`, cause === undefined ? undefined : { cause });
    this.delayMs = delayMs;
    this.countAttempt = countAttempt;
    this.scope = scope;
    Object.defineProperty(this, RETRY_LATER, { value: true });
  }
}

/**
 * Thrown by a handler: nothing can be delivered until somebody has stepped in (a password that is refused, a topic that is not there). The delivery stops,
 * its `done` rejects with this, and `health()` says so; the records are as if they had not been tried.
 */
export class StopDelivery extends Error {
  override readonly name: string = 'StopDelivery';
  readonly reason: string;

  constructor(reason: string, options?: { readonly cause?: unknown }) {
    super(requireReason(reason), options);
    this.reason = reason;
    Object.defineProperty(this, STOP_DELIVERY, { value: true });
  }
}

export function isDeadLetterError(error: unknown): error is DeadLetterError {
  return says(
    () => isMarked(error, DEAD_LETTER, 'DeadLetterError') && 'reason' in error && typeof error.reason === 'string',
  );
}

export function isRetryLater(error: unknown): error is RetryLater {
  return says(
    () =>
      isMarked(error, RETRY_LATER, 'RetryLater') &&
      'delayMs' in error &&
      typeof error.delayMs === 'number' &&
      'scope' in error,
  );
}

export function isStopDelivery(error: unknown): error is StopDelivery {
  return says(
    () => isMarked(error, STOP_DELIVERY, 'StopDelivery') && 'reason' in error && typeof error.reason === 'string',
  );
}

/** What is thrown may be anything, a proxy that throws in its turn too: then it says nothing. */
function says(what: () => boolean): boolean {
  try {
    return what();
  } catch {
    return false;
  }
}

/** By the mark that every copy of the package gives, whatever a class that was derived calls itself; or by its name. */
function isMarked(error: unknown, mark: symbol, name: string): error is object {
  if (typeof error !== 'object' || error === null) return false;
  return mark in error || ('name' in error && error.name === name);
}

/** What a handler's signal is aborted with, and what its record failed of, when it took too long. */
export class HandlerTimeout extends Error {
  override readonly name: string = 'HandlerTimeout';
  readonly code: string = 'EVAQ_HANDLER_TIMEOUT';

  constructor(ms: number) {
    super(`the handler took more than ${ms} ms`);
  }
}

const HANDLER_DIED: symbol = Symbol.for('evaq.HandlerDied');

/** What a handler failed of whose thread died while the process went on. It costs its records what a death of the process would. */
export class HandlerDied extends Error {
  override readonly name: string = 'HandlerDied';
  readonly code: string = 'EVAQ_HANDLER_DIED';

  constructor() {
    super('the thread that had the record died');
    Object.defineProperty(this, HANDLER_DIED, { value: true });
  }
}

export function isHandlerDied(error: unknown): error is HandlerDied {
  return says(() => typeof error === 'object' && error !== null && HANDLER_DIED in error);
}
