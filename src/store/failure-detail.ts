/**
 * What was thrown, as a dead letter keeps it. Anything may be thrown, and nothing of it may keep a record from its dead letter queue: every look at
 * it is guarded, and texts are cut.
 */
import type { FailureDetail } from '../frame/metadata.js';

export const TEXT_MAX = 4096;
/** So many causes behind each other, and errors beside each other, are kept. */
const DEPTH_MAX = 4;
const ERRORS_MAX = 8;

export function failureDetailOf(thrown: unknown): FailureDetail {
  return detailOf(thrown, 0);
}

function detailOf(thrown: unknown, depth: number): FailureDetail {
  if ((typeof thrown !== 'object' && typeof thrown !== 'function') || thrown === null)
    return { message: textOf(thrown) };
  const name = wordOf(read(thrown, 'name'));
  const code = wordOf(read(thrown, 'code'));
  const message: unknown = read(thrown, 'message');
  const cause: unknown = depth < DEPTH_MAX ? read(thrown, 'cause') : undefined;
  const errors = depth < DEPTH_MAX ? listOf(read(thrown, 'errors')) : [];
  return {
    ...(name === undefined ? {} : { name }),
    message: typeof message === 'string' ? message.slice(0, TEXT_MAX) : textOf(message ?? thrown),
    ...(code === undefined ? {} : { code }),
    ...(cause === undefined || cause === null || cause === thrown ? {} : { cause: detailOf(cause, depth + 1) }),
    ...(errors.length === 0 ? {} : { errors: errors.map((one) => detailOf(one, depth + 1)) }),
  };
}

function read(from: object, key: string): unknown {
  try {
    return Reflect.get(from, key);
  } catch {
    return undefined;
  }
}

function listOf(value: unknown): unknown[] {
  try {
    if (!Array.isArray(value)) return [];
    // Not its own `slice`: what a class of somebody's makes of that may be anything.
    const list: unknown[] = [];
    for (let i = 0; i < value.length && i < ERRORS_MAX; i++) list.push(value[i]);
    return list;
  } catch {
    return [];
  }
}

/** A name or code: a word or a number. */
function wordOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value.slice(0, TEXT_MAX);
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined;
}

/** Of anything that has no message of its own. */
function textOf(value: unknown): string {
  try {
    const text = typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
    if (typeof text === 'string') return text.slice(0, TEXT_MAX);
  } catch {
    // It will not be shown: then its kind has to do.
  }
  return `something that cannot be shown (${typeof value})`;
}
