/**
 * A record as a message of a stream, and back. Its own headers travel as headers where NATS takes them as they are, so that others can read them; what NATS
 * would not give back the same, and what evaq remembers of a record that has moved, is JSON in `Evaq-Meta`.
 *
 * `Nats-Msg-Id` is the caller's `messageId`. Each other message has an ID made here, by which a repeat is known after an answer that was lost.
 */
import type { RecordMeta } from '../frame/metadata.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { NatsHeaders } from './nats-client.js';

const META = 'Evaq-Meta';
export const MESSAGE_ID = 'Nats-Msg-Id';
const NAME = /^[!-9;-~]+$/;
const VALUE = /^[^\r\n\0]*$/;
const RESERVED = /^(?:nats|evaq)-/i;
/** IDs that no caller gave. */
const OWN_ID = 'evaq~';
/** IDs of callers that are no value of a header. */
const PACKED_ID = 'evaq-id~';

export function ownIdOf(what: string): string {
  return `${OWN_ID}${what}`;
}

/** No caller can have given it. */
export function isOwnId(id: string): boolean {
  return id.startsWith(OWN_ID);
}

/** An ID as it travels. */
export function packedId(messageId: string): string {
  const isSafe = isValue(messageId) && !messageId.startsWith(OWN_ID) && !messageId.startsWith(PACKED_ID);
  return isSafe ? messageId : `${PACKED_ID}${Buffer.from(messageId).toString('base64url')}`;
}

function unpackedId(id: string): string | undefined {
  if (id === '' || id.startsWith(OWN_ID)) return undefined;
  return id.startsWith(PACKED_ID) ? Buffer.from(id.slice(PACKED_ID.length), 'base64url').toString() : id;
}

export function writeMeta(target: NatsHeaders, meta: RecordMeta | undefined): void {
  if (meta === undefined) return;
  const { headers = {}, messageId: _ofTheMessage, ...rest } = meta;
  const entries = Object.entries(headers);
  const isNative = entries.every(([name, value]) => NAME.test(name) && !RESERVED.test(name) && isValue(value));
  if (isNative) for (const [name, value] of entries) target.set(name, value);
  const kept = isNative ? rest : { ...rest, headers: entries };
  if (Object.keys(kept).length > 0) target.set(META, JSON.stringify(kept));
}

/** What a header gives back as it was. */
function isValue(value: string): boolean {
  return VALUE.test(value) && value === value.trim();
}

export interface StoredMessage {
  readonly sequence: number;
  readonly timeMs: number;
  readonly data: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
}

export function recordOf({ sequence, timeMs, data, headers }: StoredMessage): QueueRecord {
  const native = [...headers].filter(([name]) => !RESERVED.test(name));
  const { headers: packed, ...rest } = metaOf(headers.get(META));
  const entries = packed ?? native;
  const messageId = unpackedId(headers.get(MESSAGE_ID) ?? '');
  return {
    id: sequence,
    payload: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    timestamp: timeMs,
    ...(entries.length === 0 ? {} : { headers: Object.fromEntries(entries) }),
    ...(messageId === undefined ? {} : { messageId }),
    ...rest,
  };
}

type KeptMeta = Omit<RecordMeta, 'headers' | 'messageId' | 'checkpoint'> & {
  readonly headers?: readonly (readonly [string, string])[];
};

/** What is no JSON of ours counts as nothing: it never keeps a payload from its reader. */
function metaOf(text: string | undefined): KeptMeta {
  if (text === undefined) return {};
  try {
    const parsed: unknown = JSON.parse(text);
    return isMeta(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function isMeta(value: unknown): value is KeptMeta {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const headers: unknown = Reflect.get(value, 'headers');
  return headers === undefined || (Array.isArray(headers) && headers.every(isPair));
}

function isPair(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === 'string');
}

/** Headers as the server's API gives them: the lines of the protocol. */
export function headersIn(lines: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}
