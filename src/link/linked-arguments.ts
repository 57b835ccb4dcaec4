/**
 * Arguments of a call as they are sent over a link: as they are at the call, without what stays on this side.
 */
import { isIterable, isPlain, requireSignal } from '../arguments.js';
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { describe } from '../ids.js';
import { bytesOf } from '../queue/push-entry.js';
import { headersOf } from '../queue/record-headers.js';
import { tooLarge } from '../queue/record-size.js';

export interface SentArguments {
  readonly args: readonly unknown[];
  readonly signal: AbortSignal | undefined;
  readonly signalAt: number | undefined;
}

/** Payloads of a `pushMany`, one behind the other, and what some have beside them. */
export interface SentPayloads {
  readonly lengths: Uint32Array;
  readonly bytes: Uint8Array;
  readonly entries: readonly (readonly [place: number, options: unknown])[];
}

/** @throws TypeError for what no message can carry, and for a signal that is none */
export function sentArguments(method: string, args: readonly unknown[]): SentArguments {
  let signal: AbortSignal | undefined;
  let signalAt: number | undefined;
  const sent = args.map((arg, at) => {
    if (!hasSignal(arg)) return cloned(arg, method);
    const { signal: given, ...rest } = arg;
    requireSignal(given, method);
    if (given === undefined) return cloned(rest, method);
    signal = given;
    signalAt = at;
    return cloned(rest, method);
  });
  return { args: sent, signal, signalAt };
}

/** A copy that nobody else has. */
export function ownCopy(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** @throws TypeError for what is no list of payloads, EVAQ_RECORD_TOO_LARGE for more than a commit holds */
export function sentPayloads(payloads: unknown): SentPayloads {
  if (!isIterable(payloads) || ArrayBuffer.isView(payloads)) {
    throw new TypeError(`payloads must be an iterable of payloads, got ${describe(payloads)}`);
  }
  const lengths: number[] = [];
  const entries: (readonly [number, unknown])[] = [];
  let bytes = Buffer.allocUnsafeSlow(4096);
  let end = 0;
  for (const one of payloads) {
    const place = lengths.length;
    const name = `payloads[${place}]`;
    let payload: unknown = one;
    if (typeof one === 'object' && one !== null && 'payload' in one && isPlain(one)) {
      const { payload: inner, ...options } = one;
      payload = inner;
      entries.push([place, cloned(withHeaders(options, `${name}.headers`), name)]);
    }
    const more = bytesOf(payload, name);
    if (end + more.length + (place + 1) * DENSE_FRAME_BYTES > COMMIT_BODY_BYTES_MAX)
      throw tooLarge(end + more.length, COMMIT_BODY_BYTES_MAX, 'the batch');
    if (end + more.length > bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end + more.length, 2 * bytes.length));
      larger.set(bytes.subarray(0, end));
      bytes = larger;
    }
    bytes.set(more, end);
    end += more.length;
    lengths.push(more.length);
  }
  return { lengths: Uint32Array.from(lengths), bytes: bytes.subarray(0, end), entries };
}

/** On the other side: what `pushMany` takes. */
export function receivedPayloads(sent: unknown): unknown {
  if (!isSentPayloads(sent)) return sent;
  const { lengths, bytes, entries } = sent;
  const options = new Map(entries);
  const payloads: unknown[] = [];
  let at = bytes.byteOffset;
  for (const [place, length] of lengths.entries()) {
    const payload = Buffer.from(bytes.buffer, at, length);
    at += length;
    const beside = options.get(place);
    payloads.push(typeof beside === 'object' && beside !== null ? { ...beside, payload } : payload);
  }
  return payloads;
}

/** Options whose headers are names and texts, whatever they were. */
export function withHeaders(options: unknown, name: string): unknown {
  if (typeof options !== 'object' || options === null || !('headers' in options) || options.headers === undefined)
    return options;
  return { ...options, headers: headersOf(options.headers, name) };
}

function isSentPayloads(value: unknown): value is SentPayloads {
  return typeof value === 'object' && value !== null && 'lengths' in value && 'entries' in value && 'bytes' in value;
}

function hasSignal(arg: unknown): arg is { readonly signal: unknown } {
  return typeof arg === 'object' && arg !== null && isPlain(arg) && 'signal' in arg;
}

/** As a message would carry it. @throws TypeError for what none can */
export function cloned(value: unknown, method: string): unknown {
  try {
    return structuredClone(value);
  } catch (cause) {
    throw new TypeError(
      `${method}: an argument cannot be sent to the thread that has the store: got ${describe(value)}`,
      { cause },
    );
  }
}
