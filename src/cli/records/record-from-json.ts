/**
 * A line of JSON back into a record: what `-o json` and `export` write, and what somebody writes by hand, of which `payload` is all that there must be.
 * What is not understood is refused, so that nothing is lost in silence; the fields that say where a record stood are allowed and mean nothing to a push.
 */
import { isUtf8 } from 'node:buffer';
import type { FailureDetail, RecordIdentity, RecordOrigin } from '../../frame/metadata.js';
import { parseIsoTime } from '../selection/point-in-time.js';

export const EXPORT_VERSION = 1;
/** What the longest text of the language takes, which is a little more. */
export const JSON_LINE_BYTES_MAX: number = 500 * 1024 * 1024;
/** Of the first line of an export. */
export const EXPORT_KIND = 'evaq-export';

export interface ParsedRecord {
  readonly payload: Buffer;
  readonly id: number | undefined;
  readonly queue: string | undefined;
  readonly timestamp: number | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly messageId: string | undefined;
  readonly attempts: number | undefined;
  readonly failedMs: readonly [first: number, last: number] | undefined;
  readonly reason: string | undefined;
  readonly error: FailureDetail | undefined;
  readonly dueMs: number | undefined;
  readonly redrives: number | undefined;
  readonly origin: RecordOrigin | undefined;
  readonly identity: RecordIdentity | undefined;
}

export type ParsedLine =
  | { readonly kind: 'record'; readonly record: ParsedRecord }
  | { readonly kind: 'head'; readonly store: string; readonly queues: readonly HeadQueue[] }
  | { readonly kind: 'end'; readonly records: number }
  | { readonly kind: 'wrong'; readonly why: string };

export interface HeadQueue {
  readonly name: string;
  readonly nextId?: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Half of a surrogate pair, which no UTF-8 has: what is pushed must not have it, either. */
const HALF = /\p{Surrogate}/u;

/** Thrown within this file only. */
class Wrong extends Error {}

export function parseRecordLine(bytes: Buffer): ParsedLine {
  // What is none would be read as other characters.
  if (!isUtf8(bytes)) return { kind: 'wrong', why: 'it is no UTF-8' };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return { kind: 'wrong', why: 'it is no JSON' };
  }
  if (!isObject(value)) return { kind: 'wrong', why: 'it is no object' };
  const { v = EXPORT_VERSION } = value;
  if (v !== EXPORT_VERSION) return { kind: 'wrong', why: `its version is ${JSON.stringify(v)}, and this evaq knows 1` };
  try {
    if (value['kind'] === EXPORT_KIND) return headOf(value);
    if (value['kind'] === 'end') return { kind: 'end', records: count(value, 'records') ?? 0 };
    return { kind: 'record', record: recordOf(value) };
  } catch (error) {
    if (error instanceof Wrong) return { kind: 'wrong', why: error.message };
    throw error;
  }
}

function headOf(value: Fields): ParsedLine {
  const names: unknown[] = Array.isArray(value['queues']) ? value['queues'] : [];
  const nextIds = isObject(value['nextIds']) ? value['nextIds'] : {};
  const queues = names
    .filter((name) => typeof name === 'string')
    .map((name): HeadQueue => {
      const nextId = Object.hasOwn(nextIds, name) ? count(nextIds, name) : undefined;
      return nextId === undefined ? { name } : { name, nextId };
    });
  return { kind: 'head', store: text(value, 'store') ?? '', queues };
}

const KNOWN: ReadonlySet<string> = new Set([
  'v',
  'id',
  'queue',
  'time',
  'offset',
  'payload',
  'headers',
  'messageId',
  'attempts',
  'failed',
  'reason',
  'error',
  'due',
  'redrives',
  'origin',
  'identity',
]);

function recordOf(value: Fields): ParsedRecord {
  for (const name of Object.keys(value)) if (!KNOWN.has(name)) throw new Wrong(`there is no field '${name}'`);
  return {
    payload: payloadOf(value['payload']),
    id: count(value, 'id'),
    queue: text(value, 'queue'),
    timestamp: time(value, 'time'),
    headers: headersOf(value['headers']),
    messageId: text(value, 'messageId'),
    attempts: count(value, 'attempts'),
    failedMs: failedOf(value['failed']),
    reason: text(value, 'reason'),
    error: value['error'] === undefined ? undefined : errorOf(value['error']),
    dueMs: time(value, 'due'),
    redrives: count(value, 'redrives'),
    origin: originOf(value['origin']),
    identity: identityOf(value['identity']),
  };
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: Fields, name: string): string | undefined {
  const one = value[name];
  if (one !== undefined && typeof one !== 'string') throw new Wrong(`'${name}' is no text`);
  if (one !== undefined && HALF.test(one)) throw new Wrong(`'${name}' has half of a surrogate pair in it`);
  return one;
}

function count(value: Fields, name: string): number | undefined {
  const one = value[name];
  if (one === undefined) return undefined;
  if (typeof one === 'number' && Number.isSafeInteger(one) && one >= 0) return one;
  throw new Wrong(`'${name}' is no whole number`);
}

function time(value: Fields, name: string): number | undefined {
  const one = text(value, name);
  return one === undefined ? undefined : timeOf(one, name);
}

function timeOf(one: unknown, name: string): number {
  const ms = typeof one === 'string' ? parseIsoTime(one) : undefined;
  if (ms === undefined) throw new Wrong(`'${name}' is no time`);
  return ms;
}

function payloadOf(value: unknown): Buffer {
  if (typeof value === 'string') {
    if (HALF.test(value)) throw new Wrong("'payload' has half of a surrogate pair in it");
    return Buffer.from(value);
  }
  const base64 = isObject(value) ? value['base64'] : undefined;
  if (typeof base64 !== 'string') throw new Wrong("'payload' is a text, or { base64 }");
  const bytes = Buffer.from(base64, 'base64');
  // The decoder passes over what is none.
  if (bytes.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, ''))
    throw new Wrong("'payload' is no base64");
  return bytes;
}

function headersOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined;
  if (!isObject(value)) throw new Wrong("'headers' is no object");
  for (const [name, one] of Object.entries(value)) {
    if (typeof one !== 'string') throw new Wrong(`the header '${name}' is no text`);
    if (HALF.test(name) || HALF.test(one)) throw new Wrong('a header has half of a surrogate pair in it');
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, String(one)]));
}

function failedOf(value: unknown): readonly [number, number] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length !== 2) throw new Wrong("'failed' is not two times");
  return [timeOf(value[0], 'failed'), timeOf(value[1], 'failed')];
}

function errorOf(value: unknown): FailureDetail {
  if (!isObject(value)) throw new Wrong("'error' is no object");
  const message = text(value, 'message');
  if (message === undefined) throw new Wrong("'error' has no message");
  const name = text(value, 'name');
  const code = text(value, 'code');
  const { cause, errors } = value;
  return {
    message,
    ...(name === undefined ? {} : { name }),
    ...(code === undefined ? {} : { code }),
    ...(cause === undefined ? {} : { cause: errorOf(cause) }),
    ...(Array.isArray(errors) ? { errors: errors.map(errorOf) } : {}),
  };
}

function originOf(value: unknown): RecordOrigin | undefined {
  if (value === undefined) return undefined;
  const { queue, id } = pairOf(value, 'origin');
  return { queue, id, timestamp: timeOf(isObject(value) ? value['time'] : undefined, 'origin') };
}

function identityOf(value: unknown): RecordIdentity | undefined {
  return value === undefined ? undefined : pairOf(value, 'identity');
}

function pairOf(value: unknown, name: string): { readonly queue: string; readonly id: number } {
  const queue = isObject(value) ? text(value, 'queue') : undefined;
  const id = isObject(value) ? count(value, 'id') : undefined;
  if (queue === undefined || id === undefined) throw new Wrong(`'${name}' has no queue and ID`);
  return { queue, id };
}
