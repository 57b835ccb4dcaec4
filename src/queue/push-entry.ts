/**
 * What is pushed, as callers give it: a payload and what belongs to it. Checked here, and made into bytes and metadata.
 */
import { types } from 'node:util';
import type { WaitOptions } from '../abortable.js';
import { isPlain, type OptionNames, optionNames, requireWellFormed } from '../arguments.js';
import type { RecordMeta } from '../frame/metadata.js';
import { describe, requireCount } from '../ids.js';
import { clampTime } from '../times.js';
import type { Checkpoint } from './intake.js';
import { type HeadersLike, headersOf } from './record-headers.js';

/** A payload: bytes as they are, a string as UTF-8. Copied before the call returns. */
export type Payload = Uint8Array | string;

export interface PushOptions extends WaitOptions {
  /**
   * Small named texts kept with the record, for content type, trace context and the like: an object, a `Map`, `Headers` or entries. They come back as
   * an object.
   */
  readonly headers?: HeadersLike;
  /** Not to be delivered before so many ms have passed; it is in the queue at once, and reads show it with its `dueMs`. */
  readonly delayMs?: number;
  /** The same as a date, or in ms since the epoch. */
  readonly deliverAt?: number | Date;
  /**
   * Names the record for whoever pushes it: up to 1 KiB of UTF-8. In a queue with `dedupe` the first push with an ID comes in; while the ID is known
   * others resolve with the same record ID, also when the record is gone by then, and write nothing.
   */
  readonly messageId?: string;
}

/** A payload with what belongs to it, for `pushMany`. */
export interface PushEntry extends Omit<PushOptions, 'signal'> {
  readonly payload: Payload;
}

export interface PushManyOptions extends Omit<PushOptions, 'messageId'> {
  /** How far the source of the records has come with them: committed in the same commit. See `Queue.checkpoint`. */
  readonly checkpoint?: Checkpoint;
}

export const PUSH_NAMES: OptionNames = optionNames('headers', 'delayMs', 'deliverAt', 'messageId', 'signal');
export const PUSH_MANY_NAMES: OptionNames = optionNames('headers', 'delayMs', 'deliverAt', 'checkpoint', 'signal');
export const ENTRY_NAMES: OptionNames = optionNames('payload', 'headers', 'delayMs', 'deliverAt', 'messageId');

const MESSAGE_ID_BYTES_MAX = 1024;

/** What a record is pushed with; undefined where that is nothing. `place`: in front of the names in messages. @throws TypeError, RangeError */
export function pushMetaOf(
  options: Omit<PushOptions, 'signal'>,
  place: string,
  now: () => number,
): RecordMeta | undefined {
  const { headers, messageId } = options;
  const dueMs = dueOf(options, place, now);
  if (headers === undefined && dueMs === undefined && messageId === undefined) return undefined;
  if (messageId !== undefined) requireText(messageId, `${place}messageId`, MESSAGE_ID_BYTES_MAX);
  return {
    ...(messageId === undefined ? {} : { messageId }),
    ...(headers === undefined ? {} : { headers: headersOf(headers, `${place}headers`) }),
    ...(dueMs === undefined ? {} : { dueMs }),
  };
}

/** Throws a TypeError or RangeError unless it is a text that is not empty. */
export function requireText(value: unknown, name: string, bytesMax: number): asserts value is string {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${name} must be a text, got ${describe(value)}`);
  requireWellFormed(value, name);
  const bytes = Buffer.byteLength(value, 'utf8');
  if (bytes > bytesMax) throw new RangeError(`${name} must have at most ${bytesMax} bytes in UTF-8, got ${bytes}`);
}

/** U+FFFD in UTF-8: what stands where there was half of a character. */
const REPLACEMENT = Buffer.from('\ufffd', 'utf8');

/** Bytes of a payload. Throws a TypeError that names the argument. */
export function bytesOf(payload: unknown, argument: string): Uint8Array {
  if (types.isUint8Array(payload)) {
    if (payload.length === 0 && isDetached(payload))
      throw new TypeError(`${argument} has been transferred to another thread: its bytes are gone`);
    return payload;
  }
  if (typeof payload === 'string') {
    const bytes = Buffer.from(payload, 'utf8');
    // Only where something was replaced can a text come back as another one.
    if (bytes.includes(REPLACEMENT)) requireWellFormed(payload, argument);
    return bytes;
  }
  throw new TypeError(`${argument} must be a Uint8Array or a string, got ${describe(payload)}`);
}

/** A view whose memory was transferred has a length of 0, too: no other view can be made of it. */
function isDetached({ buffer }: Uint8Array): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

/** When a record is due, if that is said. Throws a TypeError or RangeError for what is no time. */
function dueOf(
  { delayMs, deliverAt }: Omit<PushOptions, 'signal'>,
  place: string,
  now: () => number,
): number | undefined {
  if (delayMs === undefined && deliverAt === undefined) return undefined;
  if (delayMs !== undefined && deliverAt !== undefined) {
    throw new TypeError(`${place}delayMs and ${place}deliverAt say the same: give one of them`);
  }
  if (delayMs !== undefined) {
    requireCount(delayMs, `${place}delayMs`, 0);
    return clampTime(now() + delayMs);
  }
  const at: unknown = types.isDate(deliverAt) ? deliverAt.getTime() : deliverAt;
  requireCount(at, `${place}deliverAt`, 0);
  return clampTime(at);
}

/** What the call gives all entries that have none: headers, a time. */
export type SharedOptions = Omit<PushOptions, 'signal' | 'messageId'>;

/** Headers that can be gone through more than once. */
export function sharedOf(options: PushManyOptions | undefined): SharedOptions | undefined {
  if (options?.headers === undefined) return options;
  return { ...options, headers: headersOf(options.headers, 'headers') };
}

/** What belongs to an entry, and of what the call gives all that it has not itself. */
export function ownOf(entry: PushEntry, shared: SharedOptions | undefined): Omit<PushOptions, 'signal'> {
  if (shared === undefined) return entry;
  const { headers, delayMs, deliverAt } = shared;
  const isTimed = entry.delayMs !== undefined || entry.deliverAt !== undefined;
  return {
    ...entry,
    ...(entry.headers !== undefined || headers === undefined ? {} : { headers }),
    ...(isTimed || delayMs === undefined ? {} : { delayMs }),
    ...(isTimed || deliverAt === undefined ? {} : { deliverAt }),
  };
}

/** A plain object is an entry; what has a class is a payload, or nothing. */
export function isEntry(value: unknown): value is PushEntry {
  return typeof value === 'object' && value !== null && 'payload' in value && isPlain(value);
}
