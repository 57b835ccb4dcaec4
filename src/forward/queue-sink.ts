/**
 * A sink that pushes records into another queue of evaq, on whatever engine it stands: what is forwarded there is a record with the same payload and headers,
 * and the `deliveryId` as its `messageId`. A batch comes in as a whole; one of which the queue knows a record already is pushed singly, where each is taken or
 * known.
 */
import { optionNames, requireOptions } from '../arguments.js';
import { codeOf } from '../errors.js';
import { requireCount } from '../ids.js';
import type { QueueLike } from '../queue/queue-like.js';
import { isNatsRefusal } from './nats-refusal.js';
import type { Sink, SinkContext, SinkFailure, SinkLimits, SinkRecord, SinkResult } from './sink.js';
import { ackTimeoutOf, causesOf, isClient, propertyOf, requireClient, textOf, untilAnswered } from './sink-client.js';
import { isSinkError, SinkError } from './sink-error.js';

/** What is needed of a queue. It must know messages: of an `Evaq`, the option `dedupe`. */
export type SinkQueue = Pick<QueueLike, 'name' | 'push' | 'pushMany'>;

export interface QueueSinkOptions {
  /** Records of a batch, at most. Default 1000, which a replicated queue takes. */
  readonly maxRecords?: number;
  /** Bytes of a record's payload that the queue takes; what is larger is a dead letter. Default: what the queue says when it is pushed. */
  readonly recordBytesMax?: number;
  /** What is not acknowledged after so long is tried again; the queue counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('maxRecords', 'recordBytesMax', 'ackTimeoutMs');
const RECORDS_MAX = 1000;

/**
 * `queue`: one, or a function that opens it when it is needed first, and again where that failed.
 * @throws TypeError, RangeError for wrong arguments
 */
export function queueSink(queue: SinkQueue | (() => Promise<SinkQueue>), options: QueueSinkOptions = {}): Sink {
  return new QueueSink(queue, options);
}

class QueueSink implements Sink {
  readonly name: string = 'evaq';
  readonly limits: SinkLimits;
  readonly #open: () => Promise<SinkQueue>;
  readonly #ackTimeoutMs: number;
  #opening: Promise<SinkQueue> | undefined;

  constructor(queue: SinkQueue | (() => Promise<SinkQueue>), options: QueueSinkOptions) {
    requireOptions(options, 'queueSink', NAMES);
    const { maxRecords = RECORDS_MAX, recordBytesMax } = options;
    requireCount(maxRecords, 'maxRecords', 1);
    if (recordBytesMax !== undefined) requireCount(recordBytesMax, 'recordBytesMax', 1);
    if (typeof queue !== 'function') requireClient(queue, 'queue', 'a queue, or a function', ['push', 'pushMany']);
    this.#open = typeof queue === 'function' ? queue : () => Promise.resolve(queue);
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
    this.limits = { maxRecords, ...(recordBytesMax === undefined ? {} : { recordBytesMax }) };
  }

  deliver(records: readonly SinkRecord[], { signal }: SinkContext): Promise<SinkResult> {
    return untilAnswered('evaq', this.#ackTimeoutMs, signal, async () => {
      const queue = await this.#opened();
      try {
        await queue.pushMany(records.map(entryOf));
        return { failed: [] };
      } catch (error) {
        if (codeOf(error) !== 'EVAQ_DUPLICATE') throw sinkErrorOf(error);
        return this.#singly(queue, records);
      }
    });
  }

  async probe({ signal }: Pick<SinkContext, 'signal'>): Promise<void> {
    await untilAnswered('evaq', this.#ackTimeoutMs, signal, () => this.#opened());
  }

  /** In their order. */
  async #singly(queue: SinkQueue, records: readonly SinkRecord[]): Promise<SinkResult> {
    const failed: SinkFailure[] = [];
    const pushed = records.map(async (record) => {
      const { payload, ...options } = entryOf(record);
      try {
        await queue.push(payload, options);
      } catch (error) {
        failed.push({ id: record.id, error: sinkErrorOf(error) });
      }
    });
    await Promise.all(pushed);
    return { failed };
  }

  async #opened(): Promise<SinkQueue> {
    const opening = this.#opening ?? this.#open();
    this.#opening = opening;
    try {
      const queue = await opening;
      if (!isClient(queue, ['push', 'pushMany'])) throw new TypeError('queueSink: the function gave no queue');
      return queue;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw sinkErrorOf(error);
    }
  }
}

function entryOf({ payload, headers, deliveryId }: SinkRecord): {
  payload: Buffer;
  headers: Readonly<Record<string, string>>;
  messageId: string;
} {
  return { payload, headers, messageId: deliveryId };
}

/** In the words of sinks. What is neither of these is the queue's fault: it is down. */
function sinkErrorOf(error: unknown): unknown {
  if (isSinkError(error)) return error;
  const options = { cause: error };
  const text = textOf(error);
  if (causesOf(error).some(isNatsRefusal)) return new SinkError('unauthorized', text, options);
  switch (codeOf(error)) {
    case 'EVAQ_RECORD_TOO_LARGE':
      return new SinkError('rejected', text, { reason: 'too-large', ...options });
    case 'EVAQ_UNSUPPORTED':
    case 'EVAQ_QUEUE_NAME':
    case 'EVAQ_NOT_A_STORE':
    case 'EVAQ_UNAUTHORIZED':
      return new SinkError('unauthorized', text, options);
    default:
      // Wrong options, a queue that knows no messages: no wait helps.
      return new SinkError(isTypeError(error) ? 'unauthorized' : 'unavailable', text, options);
  }
}

function isTypeError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && propertyOf(error, 'name') === 'TypeError';
}
