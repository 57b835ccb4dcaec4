/**
 * What was thrown, as it crosses a link. The clone that a message makes of an error keeps its text and little more: here an `EvaqError` stays one, with code,
 * details, hint and causes, and so do `DeadLetterError`, `RetryLater` and the built-in errors. Of any other error come its name, its text and what it
 * carries (`code`, `status`), as far as that can be cloned; of what is no error, the value.
 */
import { types } from 'node:util';
import { DeadLetterError, isDeadLetterError, isRetryLater, RetryLater } from '../delivery/delivery-errors.js';
import { EvaqError, type EvaqErrorCode } from '../errors.js';

export type PackedThrown =
  | { readonly shape: 'value'; readonly value: unknown }
  | {
      readonly shape: 'error';
      readonly sort: Sort;
      readonly name: string;
      readonly message: string;
      readonly stack: string | undefined;
      readonly own: Readonly<Record<string, unknown>>;
      readonly cause?: PackedThrown;
      readonly errors?: readonly PackedThrown[];
    };

type BuiltIn = 'Error' | 'TypeError' | 'RangeError' | 'SyntaxError' | 'ReferenceError' | 'EvalError' | 'URIError';
type Sort = 'EvaqError' | 'DeadLetterError' | 'RetryLater' | 'DOMException' | BuiltIn;

const BUILT_IN: Readonly<Record<BuiltIn, ErrorConstructor>> = {
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
};
const CAUSES_MAX = 8;
const ERRORS_MAX = 64;
/** Carried by themselves, or made anew on the other side. */
const APART: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause', 'errors']);

export function packThrown(thrown: unknown, depth = 0): PackedThrown {
  if (!isError(thrown)) return { shape: 'value', value: cloneOr(thrown, textOf) };
  const cause = propertyOf(thrown, 'cause');
  const errors = propertyOf(thrown, 'errors');
  const isDeepest = depth >= CAUSES_MAX;
  return {
    shape: 'error',
    sort: sortOf(thrown),
    name: textOf(propertyOf(thrown, 'name') ?? 'Error'),
    message: textOf(propertyOf(thrown, 'message') ?? ''),
    stack: stackOf(thrown),
    own: ownOf(thrown),
    ...(cause === undefined || isDeepest ? {} : { cause: packThrown(cause, depth + 1) }),
    ...(!Array.isArray(errors) || isDeepest
      ? {}
      : { errors: errors.slice(0, ERRORS_MAX).map((one) => packThrown(one, depth + 1)) }),
  };
}

export function unpackThrown(packed: PackedThrown): unknown {
  if (packed.shape === 'value') return packed.value;
  const { name, message, stack, own } = packed;
  const cause = packed.cause === undefined ? {} : { cause: unpackThrown(packed.cause) };
  const error = made(packed, cause);
  if (packed.sort === 'DOMException') return error;
  if (packed.errors !== undefined) define(error, 'errors', packed.errors.map(unpackThrown));
  for (const [key, value] of Object.entries(own)) if (!Object.hasOwn(error, key)) define(error, key, value, true);
  if (propertyOf(error, 'name') !== name) define(error, 'name', name);
  if (propertyOf(error, 'message') !== message) define(error, 'message', message);
  if (stack !== undefined) define(error, 'stack', stack);
  return error;
}

function made(
  { sort, name, message, own }: PackedThrown & { readonly shape: 'error' },
  options: { readonly cause?: unknown },
): object {
  switch (sort) {
    case 'EvaqError': {
      const { code, hint, details } = own;
      const hinted = typeof hint === 'string' ? { hint } : {};
      const detailed = typeof details === 'object' && details !== null ? { details } : {};
      return new EvaqError(isCode(code) ? code : 'EVAQ_FAILED', message, { ...options, ...hinted, ...detailed });
    }
    case 'DeadLetterError':
      return new DeadLetterError(textOf(own['reason']), options);
    case 'RetryLater': {
      const { delayMs, countAttempt, scope } = own;
      return new RetryLater({
        delayMs: typeof delayMs === 'number' && delayMs >= 0 ? delayMs : 0,
        countAttempt: countAttempt === true,
        scope: scope === 'key' || scope === 'all' ? scope : 'record',
        ...options,
      });
    }
    case 'DOMException':
      return new DOMException(message, name);
    default:
      return new BUILT_IN[sort](message, options);
  }
}

function sortOf(error: object): Sort {
  if (error instanceof EvaqError) return 'EvaqError';
  if (isDeadLetterError(error)) return 'DeadLetterError';
  if (isRetryLater(error)) return 'RetryLater';
  // Of this realm or another: told by what it calls itself.
  if (Object.prototype.toString.call(error) === '[object DOMException]') return 'DOMException';
  const kind = kindOf(error);
  return kind !== undefined && isBuiltIn(kind) ? kind : 'Error';
}

/** The name that its class gives, whatever it was renamed to. */
function kindOf(error: object): string | undefined {
  for (let at: unknown = error, depth = 0; typeof at === 'object' && at !== null && depth < 16; depth++) {
    at = Object.getPrototypeOf(at);
    const name = typeof at === 'object' && at !== null ? propertyOf(at, 'name') : undefined;
    if (typeof name === 'string' && isBuiltIn(name)) return name;
  }
  return undefined;
}

function isBuiltIn(name: string): name is BuiltIn {
  return Object.hasOwn(BUILT_IN, name);
}

function isCode(code: unknown): code is EvaqErrorCode {
  return typeof code === 'string' && code.startsWith('EVAQ_');
}

function isError(thrown: unknown): thrown is object {
  if (typeof thrown !== 'object' || thrown === null) return false;
  return types.isNativeError(thrown) || typeof propertyOf(thrown, 'message') === 'string';
}

function ownOf(error: object): Record<string, unknown> {
  const own: Record<string, unknown> = {};
  for (const key of Object.keys(error)) {
    if (APART.has(key)) continue;
    const value = cloneOr(propertyOf(error, key), () => undefined);
    if (value !== undefined) own[key] = value;
  }
  // On the prototype, where nothing is said of it.
  for (const key of ['code', 'status', 'statusCode', 'reason', 'delayMs', 'countAttempt', 'scope']) {
    const value = propertyOf(error, key);
    if (!Object.hasOwn(own, key) && (typeof value === 'string' || typeof value === 'number' || value === true))
      own[key] = value;
  }
  return own;
}

function stackOf(error: object): string | undefined {
  const stack = propertyOf(error, 'stack');
  return typeof stack === 'string' ? stack : undefined;
}

/** As a message would carry it, or what `otherwise` makes of it. */
function cloneOr(value: unknown, otherwise: (value: unknown) => unknown): unknown {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol'))
    return value;
  try {
    return structuredClone(value);
  } catch {
    return otherwise(value);
  }
}

function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'something that cannot be told';
  }
}

function propertyOf(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    return undefined;
  }
}

function define(target: object, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(target, key, { value, enumerable, configurable: true, writable: true });
}
