/**
 * A queue as a place to write to: what is written to the stream becomes records, in order, some at a time.
 *
 * Back-pressure is that of the stream: while a batch is being committed what comes meanwhile is gathered up to its high water mark. It has finished when
 * all is durable. An error of a push is the stream's, and ends it; what was committed by then stays.
 */
import { Writable } from 'node:stream';
import { optionNames, requireOptions, requireWellFormed } from '../arguments.js';
import { EvaqError } from '../errors.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import { describe, requireCount } from '../ids.js';
import { RecordSplitter } from './record-splitter.js';

export interface WritableOptions {
  /** Records and bytes that are committed together. Default 1000, and 1 MiB. No more than a quarter of what the queue may hold (`limits`). */
  readonly batch?: { readonly maxRecords?: number; readonly maxBytes?: number };
  /**
   * 'none' (default): each chunk that is written is a record. 'lines': a record ends at a newline, which is no part of it, wherever chunks end; the last
   * one needs none. A carriage return is a part of its line.
   */
  readonly split?: 'lines' | 'none';
}

/** Where records go. */
export interface WritableTarget {
  readonly queue: string;
  readonly recordBytesMax: number;
  /** What the queue may hold, if that is bounded; bytes with the frame of each record. */
  readonly limits: { readonly records?: number | undefined; readonly bytes?: number | undefined } | undefined;
  readonly push: (payloads: readonly Uint8Array[]) => Promise<unknown>;
  /** Resolves when all that was pushed is durable. */
  readonly flush: () => Promise<unknown>;
}

interface Written {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
}

const RECORDS_MAX = 1000;
const BYTES_MAX = 1024 * 1024;
/** No batch waits for more room than that share of what the queue may hold: one that is larger than all of it would never find any. */
const LIMIT_SHARE = 1 / 4;
const NEWLINE = 0x0a;
const NAMES = optionNames('batch', 'split');
const BATCH_NAMES = optionNames('maxRecords', 'maxBytes');

export class QueueWritable extends Writable {
  readonly #target: WritableTarget;
  readonly #recordsMax: number;
  readonly #bytesMax: number;
  readonly #roomBytes: number;
  readonly #splitter: RecordSplitter | undefined;
  #pushed = 0;

  /** @throws TypeError, RangeError for wrong options */
  constructor(target: WritableTarget, options: WritableOptions | undefined) {
    requireOptions(options, 'writable', NAMES);
    const { batch, split = 'none' } = options ?? {};
    requireOptions(batch, 'batch', BATCH_NAMES);
    const { maxRecords = RECORDS_MAX, maxBytes = BYTES_MAX } = batch ?? {};
    requireCount(maxRecords, 'batch.maxRecords', 1);
    requireCount(maxBytes, 'batch.maxBytes', 1);
    if (split !== 'none' && split !== 'lines') {
      throw new TypeError(`split must be 'lines' or 'none', got ${describe(split)}`);
    }
    // Texts are looked at first: what UTF-8 cannot say is refused, as by `push`.
    super({ highWaterMark: maxBytes, decodeStrings: false });
    this.#target = target;
    const { queue, recordBytesMax, limits } = target;
    this.#recordsMax = Math.min(maxRecords, (limits?.records ?? Infinity) * LIMIT_SHARE);
    this.#bytesMax = maxBytes;
    this.#roomBytes = (limits?.bytes ?? Infinity) * LIMIT_SHARE;
    const tooLong = (limit: number): Error =>
      new EvaqError('EVAQ_RECORD_TOO_LARGE', `a line of more than ${limit} bytes was written to queue '${queue}'`, {
        details: { queue, limit },
        hint: "Records end at a newline; raise 'recordBytesMax' if lines are that long.",
      });
    if (split === 'lines') this.#splitter = new RecordSplitter(NEWLINE, recordBytesMax, tooLong);
  }

  /** Records that are committed. */
  get pushed(): number {
    return this.#pushed;
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#push([{ chunk, encoding }]).then(() => callback(), callback);
  }

  override _writev(chunks: readonly Written[], callback: (error?: Error | null) => void): void {
    this.#push(chunks).then(() => callback(), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finish().then(() => callback(), callback);
  }

  async #push(written: readonly Written[]): Promise<void> {
    let batch: Uint8Array[] = [];
    let bytes = 0;
    for (const one of written) {
      const chunk = bytesOf(one);
      for (const record of this.#splitter?.split(chunk) ?? [chunk]) {
        if (batch.length > 0 && !this.#fits(batch.length + 1, bytes + record.length)) {
          await this.#commit(batch);
          batch = [];
          bytes = 0;
        }
        batch.push(record);
        bytes += record.length;
      }
    }
    if (batch.length > 0) await this.#commit(batch);
  }

  #fits(records: number, bytes: number): boolean {
    if (records > this.#recordsMax || bytes > this.#bytesMax) return false;
    return bytes + records * DENSE_FRAME_BYTES <= this.#roomBytes;
  }

  async #commit(batch: readonly Uint8Array[]): Promise<void> {
    await this.#target.push(batch);
    this.#pushed += batch.length;
  }

  async #finish(): Promise<void> {
    const rest = this.#splitter?.rest();
    if (rest !== undefined) await this.#commit([rest]);
    await this.#target.flush();
  }
}

function bytesOf({ chunk, encoding }: Written): Buffer {
  if (typeof chunk !== 'string') return chunk;
  // As it was given, in whatever letters.
  if (/^utf-?8$/i.test(encoding)) requireWellFormed(chunk, 'a text that is written');
  return Buffer.from(chunk, encoding);
}
