/**
 * What is pushed, as callers give it, made into what goes out: checked, and copied.
 */
import { requireOptions } from '../arguments.js';
import type { RecordMeta } from '../frame/metadata.js';
import {
  bytesOf,
  ENTRY_NAMES,
  isEntry,
  ownOf,
  type PushOptions,
  pushMetaOf,
  type SharedOptions,
} from '../queue/push-entry.js';
import { tooLarge } from '../queue/record-size.js';
import { clampTime } from '../times.js';
import type { Outgoing } from './publisher.js';

interface Given {
  /** Of the payload, for messages; and what stands in front of names of options. */
  readonly name: string;
  readonly place: string;
  readonly options: Omit<PushOptions, 'signal'> | undefined;
  readonly recordBytesMax: number;
}

/** @throws TypeError, RangeError, EVAQ_RECORD_TOO_LARGE */
export function outgoingOf(payload: unknown, { name, place, options, recordBytesMax }: Given): Outgoing {
  const bytes = bytesOf(payload, name);
  const meta = options === undefined ? undefined : pushMetaOf(options, place, () => clampTime(Date.now()));
  const length = bytes.length + headerBytes(meta);
  if (length > recordBytesMax) throw tooLarge(length, recordBytesMax, 'the record');
  // A string is bytes of its own already.
  return { payload: typeof payload === 'string' ? bytes : Buffer.from(bytes), meta, messageId: meta?.messageId };
}

/** A payload, or one with what belongs to it. `shared`: what the call gives all that have none. */
export function entryOf(
  one: unknown,
  name: string,
  shared: SharedOptions | undefined,
  recordBytesMax: number,
): Outgoing {
  if (!isEntry(one)) return outgoingOf(one, { name, place: '', options: shared, recordBytesMax });
  requireOptions(one, name, ENTRY_NAMES);
  return outgoingOf(one.payload, { name, place: `${name}.`, options: ownOf(one, shared), recordBytesMax });
}

/** About what the headers of a record take. */
function headerBytes(meta: RecordMeta | undefined): number {
  return meta === undefined ? 0 : Buffer.byteLength(JSON.stringify(meta));
}
