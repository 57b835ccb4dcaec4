/**
 * A record as a line of JSON, where many of them go as one body.
 */
import type { SinkRecord } from './sink.js';

/** With its line end: `id`, `deliveryId`, `timestamp`, `key`, `headers`, and `payload`, or `payloadBase64` where that is not UTF-8. */
export function lineOf({ id, deliveryId, timestamp, key, headers, payload }: SinkRecord): string {
  const text = payload.toString();
  // A replacement character that was not there: it is no UTF-8.
  const isText = Buffer.byteLength(text) === payload.length && Buffer.from(text).equals(payload);
  const body = isText ? { payload: text } : { payloadBase64: payload.toString('base64') };
  return `${JSON.stringify({ id, deliveryId, timestamp, key, headers, ...body })}\n`;
}
