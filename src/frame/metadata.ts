/**
 * The optional metadata block of a record: the user's headers, and what evaq itself must remember of a record that was moved.
 * MessagePack with short keys, by a library: it is a standard, compact, and readable from any language.
 */
import { decode, encode } from '@msgpack/msgpack';

/** Where a moved record came from. The pair names it for good, since IDs are never reused. */
export interface RecordOrigin {
  readonly queue: string;
  readonly id: number;
  /** When the record was first pushed, in ms since the epoch. */
  readonly timestamp: number;
}

/** What was thrown, in texts. */
export interface FailureDetail {
  readonly name?: string;
  readonly message: string;
  /** A numeric code is kept as its digits. */
  readonly code?: string;
  readonly cause?: FailureDetail;
  /** Of an error that stands for several. */
  readonly errors?: readonly FailureDetail[];
}

/** Failures within failures are read to this depth. */
const FAILURE_DEPTH_MAX = 8;

export interface RecordMeta {
  readonly headers?: Readonly<Record<string, string>>;
  readonly origin?: RecordOrigin;
  /** Why it was dead-lettered. */
  readonly reason?: string;
  readonly error?: FailureDetail;
  /** How often its delivery was tried and failed. */
  readonly attempts?: number;
  /** Not to be retried before this time, in ms since the epoch. */
  readonly dueMs?: number;
  /** How often it went back from the dead letter queue. */
  readonly redrives?: number;
}

const utf8 = new TextDecoder();

export function encodeMeta(meta: RecordMeta): Uint8Array {
  const map: Record<string, unknown> = {};
  if (meta.headers !== undefined) map['h'] = meta.headers;
  if (meta.origin !== undefined) map['o'] = [meta.origin.queue, meta.origin.id, meta.origin.timestamp];
  if (meta.reason !== undefined) map['r'] = meta.reason;
  if (meta.error !== undefined) map['e'] = meta.error;
  if (meta.attempts !== undefined) map['a'] = meta.attempts;
  if (meta.dueMs !== undefined) map['d'] = meta.dueMs;
  if (meta.redrives !== undefined) map['v'] = meta.redrives;
  return encode(map);
}

/**
 * Reads a block whose checksum held. Unknown keys are ignored (a later minor version may add some), and a value of an unexpected type
 * counts as absent: metadata never keeps a payload from its reader.
 */
export function decodeMeta(bytes: Uint8Array): RecordMeta {
  let decoded: unknown;
  try {
    decoded = decode(bytes, { keyDecoder: KEYS });
  } catch {
    return {};
  }
  const map = plain(decoded);
  if (!isMap(map)) return {};
  const origin = originOf(map['o']);
  const error = failureOf(map['e']);
  const headers = headersOf(map['h']);
  return {
    ...(headers === undefined ? {} : { headers }),
    ...(origin === undefined ? {} : { origin }),
    ...(typeof map['r'] === 'string' ? { reason: map['r'] } : {}),
    ...(error === undefined ? {} : { error }),
    ...(typeof map['a'] === 'number' ? { attempts: map['a'] } : {}),
    ...(typeof map['d'] === 'number' ? { dueMs: map['d'] } : {}),
    ...(typeof map['v'] === 'number' ? { redrives: map['v'] } : {}),
  };
}

/**
 * The library refuses a key that names the prototype of an object, and with it the whole block. Here any key may be a user's: each gets a letter in
 * front while it is decoded, which is taken off again where no key means anything.
 */
const KEYS = {
  canBeCached: (): boolean => true,
  decode: (bytes: Uint8Array, offset: number, length: number): string =>
    `.${utf8.decode(bytes.subarray(offset, offset + length))}`,
};

/** The same value with its keys as they were. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!isMap(value) || value instanceof Uint8Array) return value;
  const result: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(value)) setOwn(result, key.startsWith('.') ? key.slice(1) : key, plain(one));
  return result;
}

/** As an assignment, but for the one key that an assignment takes for something else. */
function setOwn<T>(target: Record<string, T>, key: string, value: T): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function originOf(value: unknown): RecordOrigin | undefined {
  if (!Array.isArray(value)) return undefined;
  const [queue, id, timestamp]: unknown[] = value;
  if (typeof queue !== 'string' || typeof id !== 'number' || typeof timestamp !== 'number') return undefined;
  return { queue, id, timestamp };
}

function failureOf(value: unknown, depth = 0): FailureDetail | undefined {
  if (!isMap(value) || typeof value['message'] !== 'string' || depth > FAILURE_DEPTH_MAX) return undefined;
  const cause = failureOf(value['cause'], depth + 1);
  const errors: FailureDetail[] = [];
  if (Array.isArray(value['errors'])) {
    for (const one of value['errors']) {
      const error = failureOf(one, depth + 1);
      if (error !== undefined) errors.push(error);
    }
  }
  return {
    message: value['message'],
    ...(typeof value['name'] === 'string' ? { name: value['name'] } : {}),
    ...(typeof value['code'] === 'string' ? { code: value['code'] } : {}),
    ...(cause === undefined ? {} : { cause }),
    ...(errors.length === 0 ? {} : { errors }),
  };
}

function headersOf(value: unknown): Record<string, string> | undefined {
  if (!isMap(value)) return undefined;
  const headers: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) if (typeof text === 'string') setOwn(headers, name, text);
  return headers;
}
