/** Records, sizes and times as they are printed. */
import { isUtf8 } from 'node:buffer';
import { EvaqError } from '../errors.js';
import { JSON_LINE_BYTES_MAX } from './records/record-from-json.js';
import type { ShownRecord } from './records/shown-record.js';

export const NEWLINE: Buffer = Buffer.from('\n');
export const NUL: Buffer = Buffer.from('\0');

/** Version of the layout of a record as JSON. */
const JSON_VERSION = 1;

/**
 * One line of JSON with all that a record has. A payload that is no UTF-8 is `{"base64": …}`, so that nothing is lost. `offset` is that in a segment
 * file.
 * @throws EVAQ_RECORD_TOO_LARGE for one that no text can hold, or no line that is read again
 */
export function recordToJson(shown: ShownRecord): string {
  let line: string | undefined;
  try {
    line = jsonOf(shown);
  } catch (error) {
    // A text that is too long is an error of the language.
    throw tooLarge(shown, error);
  }
  if (line.length > JSON_LINE_BYTES_MAX / 3 && Buffer.byteLength(line) > JSON_LINE_BYTES_MAX) throw tooLarge(shown);
  return line;
}

function tooLarge({ record: { id, payload }, queue }: ShownRecord, cause?: unknown): EvaqError {
  const where = queue === undefined ? '' : ` of queue '${queue}'`;
  return new EvaqError(
    'EVAQ_RECORD_TOO_LARGE',
    `record ${id}${where} is too large for a line of JSON: it has ${payload.length} bytes`,
    {
      details: { id, ...(queue === undefined ? {} : { queue }), bytes: payload.length, limit: JSON_LINE_BYTES_MAX },
      hint: 'evaq backup copies records of any size; evaq cat -o raw prints one.',
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

function jsonOf({ record, queue, offset }: ShownRecord): string {
  const { id, payload, timestamp, headers, messageId, attempts, failedMs, origin, identity, reason, error, dueMs } =
    record;
  return JSON.stringify({
    v: JSON_VERSION,
    id,
    queue,
    time: isoTime(timestamp),
    offset,
    payload: isUtf8(payload) ? payload.toString('utf8') : { base64: payload.toString('base64') },
    headers,
    messageId,
    attempts,
    failed: failedMs?.map(isoTime),
    reason,
    error,
    due: dueMs === undefined ? undefined : isoTime(dueMs),
    redrives: record.redrives,
    origin: origin === undefined ? undefined : { queue: origin.queue, id: origin.id, time: isoTime(origin.timestamp) },
    identity,
  });
}

/** The farthest from the epoch that a date can be. */
const DATE_MS_MAX = 8.64e15;

/** What is no date is the nearest one: the metadata of a record may hold any number. */
export function isoTime(ms: number): string {
  return new Date(Math.min(Math.max(ms, -DATE_MS_MAX), DATE_MS_MAX)).toISOString();
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
