/**
 * Records as they cross a link: their payloads in one buffer of their own, which is transferred. A payload by itself is a view of a chunk, and a message would
 * carry the whole chunk.
 */
import { markAsUntransferable } from 'node:worker_threads';
import type { QueueRecord } from '../log/queue-record.js';

type More = Omit<QueueRecord, 'id' | 'payload' | 'timestamp'>;

export interface PackedRecords {
  /** Of each record its ID, its timestamp, and how long its payload is. */
  readonly numbers: Float64Array;
  /** Payloads, one behind the other. */
  readonly bytes: Uint8Array;
  /** What else there is, by place: of most records nothing. */
  readonly more: readonly (readonly [place: number, more: More])[];
}

const NUMBERS = 3;

export function packRecords(records: readonly QueueRecord[]): PackedRecords {
  let total = 0;
  for (const { payload } of records) total += payload.length;
  const bytes = Buffer.allocUnsafeSlow(total);
  const numbers = new Float64Array(records.length * NUMBERS);
  const more: (readonly [number, More])[] = [];
  let end = 0;
  for (const [place, record] of records.entries()) {
    const { id, payload, timestamp, ...rest } = record;
    numbers[place * NUMBERS] = id;
    numbers[place * NUMBERS + 1] = timestamp;
    numbers[place * NUMBERS + 2] = payload.length;
    bytes.set(payload, end);
    end += payload.length;
    for (const _ in rest) {
      more.push([place, rest]);
      break;
    }
  }
  return { numbers, bytes, more };
}

/** Each payload is a view of one buffer, which others share: as everywhere, it can be transferred to nobody. */
export function unpackRecords({ numbers, bytes, more }: PackedRecords): QueueRecord[] {
  const { buffer, byteOffset } = bytes;
  markAsUntransferable(buffer);
  const records: QueueRecord[] = [];
  let at = byteOffset;
  let next = 0;
  for (let place = 0; place * NUMBERS < numbers.length; place++) {
    const id = numbers[place * NUMBERS] ?? 0;
    const timestamp = numbers[place * NUMBERS + 1] ?? 0;
    const length = numbers[place * NUMBERS + 2] ?? 0;
    const payload = Buffer.from(buffer, at, length);
    at += length;
    const extra = more[next];
    if (extra?.[0] === place) {
      next++;
      records.push({ id, payload, timestamp, ...extra[1] });
    } else records.push({ id, payload, timestamp });
  }
  return records;
}
