/**
 * `evaq:push`: what is told of pushes, and headers that whoever listens adds to what is pushed, to carry a context from the push to the delivery.
 */
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import { decodeMeta, encodeMeta } from '../frame/metadata.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { IdSpan } from '../ids.js';
import { type Traced, Tracing } from '../tracing.js';
import type { Metas } from './push-batch.js';
import { headersOf } from './record-headers.js';

/** Of the tracing channel `evaq:push`: a call that pushes, from the call to its outcome. Moves between queues are none. */
export interface PushTrace extends Traced {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  readonly call: 'push' | 'pushMany' | 'pushSync';
  readonly records: number;
  /** Of all payloads. */
  readonly bytes: number;
  /**
   * For subscribers of `start` to set names and texts in. They are added to each record that has none of these names (in whatever case): what a record
   * has already is never changed, nor mixed with others. They do not count for `recordBytesMax`. What is no text is left out.
   */
  readonly headers: Record<string, string>;
  /** The IDs; there when it has succeeded. With a `messageId` that was known they are those of the record that came in first. */
  firstId?: number;
  lastId?: number;
  /** There when it is over. */
  durationMs?: number;
}

export const PUSHES: Tracing<PushTrace> = new Tracing('evaq:push');

/** All headers that are added to a record, at most. */
const ADDED_BYTES_MAX = 8192;
/** Of metadata, beside the headers. */
const META_BYTES = 64;

export function isPushObserved(): boolean {
  return PUSHES.isObserved;
}

type What = Omit<PushTrace, 'headers'>;
/** Milliseconds, by a clock that never goes back. */
type Clock = () => number;

/** Pushes, and tells of it. `push` is called in the same turn, with what is to be added. */
export function tracePush<T>(
  what: What,
  elapsed: Clock,
  push: (added: AddedHeaders) => Promise<T>,
  idsOf: (result: T) => IdSpan,
): Promise<T> {
  const trace: PushTrace = { headers: {}, ...what };
  const startedMs = elapsed();
  return PUSHES.around(trace, async () => {
    try {
      const result = await push(new AddedHeaders(trace.headers));
      noteIds(trace, idsOf(result));
      return result;
    } finally {
      trace.durationMs = elapsed() - startedMs;
    }
  });
}

/** The same for a call that blocks. */
export function tracePushSync(what: What, elapsed: Clock, push: (added: AddedHeaders) => number): number {
  const trace: PushTrace = { headers: {}, ...what };
  const startedMs = elapsed();
  PUSHES.begin(trace);
  let id: number;
  try {
    id = push(new AddedHeaders(trace.headers));
  } catch (error) {
    trace.durationMs = elapsed() - startedMs;
    PUSHES.failed(trace, error);
    throw error;
  }
  trace.durationMs = elapsed() - startedMs;
  noteIds(trace, { firstId: id, lastId: id });
  PUSHES.over(trace);
  return id;
}

function noteIds(trace: PushTrace, { firstId, lastId }: IdSpan): void {
  trace.firstId = firstId;
  trace.lastId = lastId;
}

/** Headers of a subscriber, as far as they can be kept. */
export class AddedHeaders {
  readonly #headers: Readonly<Record<string, string>>;
  readonly #names: ReadonlySet<string>;
  readonly #bytes: number;
  #last: { readonly meta: Uint8Array | undefined; readonly added: Uint8Array | undefined } | undefined;

  constructor(headers: unknown) {
    this.#headers = kept(headers);
    const entries = Object.entries(this.#headers);
    this.#names = new Set(entries.map(([name]) => name.toLowerCase()));
    this.#bytes = entries.reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text) + 8, 0);
  }

  /** The metadata of a record with them. */
  addTo(meta: Uint8Array | undefined): Uint8Array | undefined {
    if (this.#names.size === 0) return meta;
    if (this.#last !== undefined && this.#last.meta === meta) return this.#last.added;
    const facts = meta === undefined ? {} : decodeMeta(meta);
    const own = Object.entries(facts.headers ?? {});
    const isTaken = own.some(([name]) => this.#names.has(name.toLowerCase()));
    // Not by assignment: any name may be a user's.
    const headers = Object.fromEntries([...own, ...Object.entries(this.#headers)]);
    const added = isTaken ? meta : encodeMeta({ ...facts, headers });
    this.#last = { meta, added };
    return added;
  }

  /** The same for records that are pushed together, `bytes` of payload in all. */
  addToAll(metas: Metas, count: number, bytes: number): Metas {
    if (this.#names.size === 0) return metas;
    let total = bytes + count * (DENSE_FRAME_BYTES + META_BYTES + this.#bytes);
    for (const meta of metas ?? []) total += meta?.length ?? 0;
    // One commit has to hold them.
    if (total > COMMIT_BODY_BYTES_MAX) return metas;
    return Array.from({ length: count }, (_, i) => this.addTo(metas?.[i]));
  }
}

const NONE: Readonly<Record<string, string>> = {};

function kept(headers: unknown): Readonly<Record<string, string>> {
  if (typeof headers !== 'object' || headers === null) return NONE;
  const entries: [string, string][] = [];
  let bytes = 0;
  for (const [name, text] of Object.entries(headers)) {
    try {
      headersOf([[name, text]], 'headers');
    } catch {
      continue;
    }
    bytes += Buffer.byteLength(name) + Buffer.byteLength(String(text));
    entries.push([name, String(text)]);
  }
  return bytes > ADDED_BYTES_MAX ? NONE : Object.fromEntries(entries);
}
