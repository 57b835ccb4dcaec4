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

/** Where a record was pushed first, wherever it has moved since. */
export interface RecordIdentity {
  readonly queue: string;
  readonly id: number;
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

/** How far a source of records had come with a commit. */
export interface RecordCheckpoint {
  readonly source: string;
  readonly position: string | number;
  /** Counts the checkpoints of the queue: of two for one source the higher one is the later. */
  readonly sequence: number;
}

/** Failures within failures are read to this depth. */
const FAILURE_DEPTH_MAX = 8;

/** Values within values are read to this depth: what is nested deeper would be read or not by how much of the stack is left. */
const NESTED_MAX = 64;

export interface RecordMeta {
  readonly headers?: Readonly<Record<string, string>>;
  readonly origin?: RecordOrigin;
  readonly identity?: RecordIdentity;
  /** Why it was dead-lettered. */
  readonly reason?: string;
  readonly error?: FailureDetail;
  /** How often its delivery was tried and failed, in all queues it was in. */
  readonly attempts?: number;
  /** When it failed first and last, in ms since the epoch. */
  readonly failedMs?: readonly [first: number, last: number];
  /** Not to be retried before this time, in ms since the epoch. */
  readonly dueMs?: number;
  /** How often it went back from the dead letter queue. */
  readonly redrives?: number;
  /** By which whoever pushed it recognises it. */
  readonly messageId?: string;
  /** Stands with the last record of its commit, and is committed with it. */
  readonly checkpoint?: RecordCheckpoint;
}

const utf8 = new TextDecoder();

export function encodeMeta(meta: RecordMeta): Uint8Array {
  const map: Record<string, unknown> = {};
  if (meta.headers !== undefined) map['h'] = meta.headers;
  if (meta.origin !== undefined) map['o'] = [meta.origin.queue, meta.origin.id, meta.origin.timestamp];
  if (meta.identity !== undefined) map['i'] = [meta.identity.queue, meta.identity.id];
  if (meta.failedMs !== undefined) map['f'] = meta.failedMs;
  if (meta.reason !== undefined) map['r'] = meta.reason;
  if (meta.error !== undefined) map['e'] = meta.error;
  if (meta.attempts !== undefined) map['a'] = meta.attempts;
  if (meta.dueMs !== undefined) map['d'] = meta.dueMs;
  if (meta.redrives !== undefined) map['v'] = meta.redrives;
  if (meta.messageId !== undefined) map['m'] = meta.messageId;
  if (meta.checkpoint !== undefined) map['c'] = checkpointValue(meta.checkpoint);
  return encode(map);
}

/**
 * Reads a block whose checksum held. Unknown keys are ignored (a later minor version may add some), and a value of an unexpected type
 * counts as absent: metadata never keeps a payload from its reader.
 */
export function decodeMeta(bytes: Uint8Array): RecordMeta {
  let map: unknown;
  try {
    map = plain(decode(bytes, { keyDecoder: KEYS }), 0);
  } catch {
    return {};
  }
  if (!isMap(map)) return {};
  const origin = originOf(map['o']);
  const identity = identityOf(map['i']);
  const failedMs = failedMsOf(map['f']);
  const error = failureOf(map['e']);
  const headers = headersOf(map['h']);
  const checkpoint = checkpointOf(map['c']);
  return {
    ...(headers === undefined ? {} : { headers }),
    ...(origin === undefined ? {} : { origin }),
    ...(identity === undefined ? {} : { identity }),
    ...(failedMs === undefined ? {} : { failedMs }),
    ...(typeof map['r'] === 'string' ? { reason: map['r'] } : {}),
    ...(error === undefined ? {} : { error }),
    ...(isCount(map['a']) ? { attempts: map['a'] } : {}),
    ...(isTime(map['d']) ? { dueMs: map['d'] } : {}),
    ...(isCount(map['v']) ? { redrives: map['v'] } : {}),
    ...(typeof map['m'] === 'string' ? { messageId: map['m'] } : {}),
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

/** What of it is the record's own, and handed out: how far a source has come is the queue's. */
export function handedOut(meta: RecordMeta): Omit<RecordMeta, 'checkpoint'> {
  if (meta.checkpoint === undefined) return meta;
  const { checkpoint, ...own } = meta;
  void checkpoint;
  return own;
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

/** The same value with its keys as they were. Throws where it is nested too deep, which the caller takes for a block that cannot be decoded. */
function plain(value: unknown, depth: number): unknown {
  if (depth > NESTED_MAX) throw new RangeError('metadata is nested too deep');
  if (Array.isArray(value)) return value.map((one) => plain(one, depth + 1));
  if (!isMap(value) || ArrayBuffer.isView(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(value))
    setOwn(result, key.startsWith('.') ? key.slice(1) : key, plain(one, depth + 1));
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

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function originOf(value: unknown): RecordOrigin | undefined {
  if (!Array.isArray(value)) return undefined;
  const [queue, id, timestamp]: unknown[] = value;
  if (typeof queue !== 'string' || !isCount(id) || !isTime(timestamp)) return undefined;
  return { queue, id, timestamp };
}

function identityOf(value: unknown): RecordIdentity | undefined {
  if (!Array.isArray(value)) return undefined;
  const [queue, id]: unknown[] = value;
  return typeof queue === 'string' && typeof id === 'number' ? { queue, id } : undefined;
}

/** As it stands in files. */
export function checkpointValue({ source, position, sequence }: RecordCheckpoint): unknown {
  return [source, position, sequence];
}

export function checkpointOf(value: unknown): RecordCheckpoint | undefined {
  if (!Array.isArray(value)) return undefined;
  const [source, position, sequence]: unknown[] = value;
  if (typeof source !== 'string' || !isCount(sequence)) return undefined;
  return typeof position === 'string' || typeof position === 'number' ? { source, position, sequence } : undefined;
}

function failedMsOf(value: unknown): readonly [number, number] | undefined {
  if (!Array.isArray(value)) return undefined;
  const [first, last]: unknown[] = value;
  return typeof first === 'number' && typeof last === 'number' ? [first, last] : undefined;
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
