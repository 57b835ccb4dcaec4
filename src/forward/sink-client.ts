/**
 * A client of the caller's, seen from outside: whether it is one, and what it throws. Sinks share this; none knows another.
 */
import { onceAborted, throwIfAborted } from '../abortable.js';
import { describe, requireCount } from '../ids.js';
import { after, TIMER_MS_MAX } from '../vfs/own-timers.js';
import type { SinkRecord } from './sink.js';
import { SinkError } from './sink-error.js';

const CAUSES_MAX = 8;
/** Of what a destination says, for the dead letter. */
const TEXT_MAX = 500;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Throws a TypeError unless `client` has all of `methods`. `what` says what is meant. */
export function requireClient(client: unknown, name: string, what: string, methods: readonly string[]): void {
  if (isClient(client, methods)) return;
  throw new TypeError(`${name} must be ${what}, got ${describe(client)}`);
}

export function isClient(client: unknown, methods: readonly string[]): boolean {
  if ((typeof client !== 'object' && typeof client !== 'function') || client === null) return false;
  return methods.every((method) => typeof Reflect.get(client, method) === 'function');
}

/** Throws a TypeError unless it is a text, and none that is empty. */
export function requireText(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${name} must be a text, got ${describe(value)}`);
}

/**
 * A text that an option gives for all records, or by a function for each. Throws a TypeError for neither; what it gives throws one where the function's
 * result is no text.
 */
export function textPerRecord(
  given: string | ((record: SinkRecord) => string),
  name: string,
): (record: SinkRecord) => string {
  if (typeof given !== 'function') {
    requireText(given, name);
    return () => given;
  }
  return (record) => {
    const text = given(record);
    requireText(text, name);
    return text;
  };
}

/** Throws a TypeError unless it is true or false. */
export function requireBoolean(value: unknown, name: string): void {
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, got ${describe(value)}`);
}

/** Of a batch: longer than a busy destination takes, shorter than a delivery waits by default (30 s), which takes its records for guilty. */
const ACK_TIMEOUT_MS = 10_000;

/** @throws TypeError, RangeError for one that is none */
export function ackTimeoutOf(ackTimeoutMs: number | undefined): number {
  if (ackTimeoutMs === undefined) return ACK_TIMEOUT_MS;
  requireCount(ackTimeoutMs, 'ackTimeoutMs', 1);
  // Of more a timer makes 1 ms.
  if (ackTimeoutMs > TIMER_MS_MAX) {
    throw new RangeError(`ackTimeoutMs must be at most ${TIMER_MS_MAX}, got ${ackTimeoutMs}`);
  }
  return ackTimeoutMs;
}

/**
 * Settles as what `begin` returns, or rejects with the reason of `signal`. What is not answered in time is the destination's fault: a client that keeps
 * what it is given until it has a connection again says nothing by itself.
 */
export async function untilAnswered<T>(
  where: string,
  timeoutMs: number,
  signal: AbortSignal,
  begin: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  let cancel: () => void = () => undefined;
  let leave: () => void = () => undefined;
  // A timer of its own: a signal for each answer would cost more than all the rest.
  const over = new Promise<never>((_resolve, reject) => {
    cancel = after(timeoutMs, () => reject(new SinkError('unavailable', `${where}: no answer within ${timeoutMs} ms`)));
    leave = onceAborted(signal, reject);
  });
  try {
    return await Promise.race([begin(), over]);
  } finally {
    cancel();
    leave();
  }
}

/** What was thrown, and its causes, from the outside in. */
export function causesOf(error: unknown): object[] {
  const causes: object[] = [];
  let at = error;
  while (typeof at === 'object' && at !== null && causes.length < CAUSES_MAX) {
    causes.push(at);
    at = propertyOf(at, 'cause');
  }
  return causes;
}

/** Of anything: a getter that throws says nothing. */
export function propertyOf(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    return undefined;
  }
}

/** What the error says; an `AggregateError` without a message what its first one says. */
export function textOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error).slice(0, TEXT_MAX);
  const message = propertyOf(error, 'message');
  if (typeof message === 'string' && message !== '') return message.slice(0, TEXT_MAX);
  const errors = propertyOf(error, 'errors');
  if (Array.isArray(errors) && errors.length > 0) return textOf(errors[0]);
  const code = propertyOf(error, 'code');
  return typeof code === 'string' ? code : describe(error);
}

/** The way there is gone. */
export function unavailable(where: string, cause: unknown): SinkError {
  return new SinkError('unavailable', `${where}: ${textOf(cause)}`, { cause });
}

/** A name that a header may have where headers are lines of text. */
export function isHeaderName(name: string): boolean {
  return TOKEN.test(name);
}
