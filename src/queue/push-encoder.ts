/**
 * What is pushed, as a queue stores it: payloads as bytes, what belongs to them as encoded metadata, each checked against what the queue was opened with.
 */
import { requireOptions } from '../arguments.js';
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import { encodeMeta } from '../frame/metadata.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { MessageIds } from './intake.js';
import type { Metas } from './push-batch.js';
import {
  bytesOf,
  ENTRY_NAMES,
  isEntry,
  ownOf,
  type PushOptions,
  pushMetaOf,
  type SharedOptions,
} from './push-entry.js';
import type { QueueCore } from './queue-core.js';
import { tooLarge } from './record-size.js';

/** Of a `pushMany`: columns of the same length. */
export interface EncodedPushes {
  readonly all: Uint8Array[];
  readonly metas: Metas;
  readonly messageIds: MessageIds | undefined;
}

export class PushEncoder {
  readonly #core: QueueCore;
  readonly #timeMs: () => number;

  /** `timeMs`: what the clock says, as a time that files can hold. */
  constructor(core: QueueCore, timeMs: () => number) {
    this.#core = core;
    this.#timeMs = timeMs;
  }

  /** Throws EVAQ_RECORD_TOO_LARGE where a payload with its metadata is larger than the option allows. */
  requireFit(bytes: number): void {
    const limit = this.#core.options.recordBytesMax;
    if (bytes > limit) throw tooLarge(bytes, limit, 'the record');
  }

  /** Metadata of a record; undefined where it has none. `place`: in front of the names in messages. @throws TypeError, RangeError */
  metaOf(options: Omit<PushOptions, 'signal'> | undefined, place: string): Uint8Array | undefined {
    const meta = options === undefined ? undefined : pushMetaOf(options, place, this.#timeMs);
    if (meta === undefined) return undefined;
    if (meta.messageId !== undefined && !this.#core.intake.dedupes)
      throw new TypeError(`${place}messageId: queue '${this.#core.name}' was opened without the option dedupe`);
    return encodeMeta(meta);
  }

  /** Payloads and their metadata, each checked. @throws as `requireFit` and `metaOf`, and for the whole of them */
  entriesOf(payloads: Iterable<unknown>, options: SharedOptions | undefined): EncodedPushes {
    const shared = this.metaOf(options, '');
    const all: Uint8Array[] = [];
    const metas: (Uint8Array | undefined)[] = [];
    const messageIds: (string | undefined)[] = [];
    let hasMessages = false;
    let hasMeta = shared !== undefined;
    let total = 0;
    // What makes them one by one may use the same buffer for each.
    const isList = Array.isArray(payloads);
    for (const one of payloads) {
      const name = `payloads[${all.length}]`;
      let payload: unknown = one;
      let meta = shared;
      let messageId: string | undefined;
      if (isEntry(one)) {
        requireOptions(one, name, ENTRY_NAMES);
        payload = one.payload;
        meta = this.metaOf(ownOf(one, options), `${name}.`);
        hasMeta ||= meta !== undefined;
        messageId = one.messageId;
        hasMessages ||= messageId !== undefined;
      }
      const bytes = bytesOf(payload, name);
      this.requireFit(bytes.length + (meta === undefined ? 0 : meta.length));
      total += bytes.length + DENSE_FRAME_BYTES;
      if (total > COMMIT_BODY_BYTES_MAX) throw tooLarge(total, COMMIT_BODY_BYTES_MAX, 'the batch');
      all.push(isList ? bytes : Uint8Array.prototype.slice.call(bytes));
      metas.push(meta);
      messageIds.push(messageId);
    }
    return { all, metas: hasMeta ? metas : undefined, messageIds: hasMessages ? messageIds : undefined };
  }
}
