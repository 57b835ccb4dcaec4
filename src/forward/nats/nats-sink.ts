/**
 * A sink that publishes records to a stream of NATS JetStream. `Nats-Msg-Id` is the deliveryId, so the stream drops a repeat within its window of
 * duplicates. A record has arrived when the stream has acknowledged it with a sequence: a core message that nobody listens for is gone in silence.
 *
 * `mode: 'single'`: a message for each, all of a batch on their way at once. `mode: 'atomic'`: a batch is one for the stream, too, wholly there or wholly
 * not, by the headers of ADR-50. One that holds a duplicate is refused as a whole: it is then published singly, where each is dropped or taken.
 */
import { randomUUID } from 'node:crypto';
import { optionNames, requireFunction, requireOptions } from '../../arguments.js';
import { describe } from '../../ids.js';
import { isNatsRefusal } from '../nats-refusal.js';
import type { Sink, SinkContext, SinkFailure, SinkLimits, SinkRecord, SinkResult } from '../sink.js';
import {
  ackTimeoutOf,
  causesOf,
  isHeaderName,
  propertyOf,
  requireClient,
  requireText,
  textOf,
  textPerRecord,
  unavailable,
  untilAnswered,
} from '../sink-client.js';
import { SinkError } from '../sink-error.js';
import {
  type NatsConnectionLike,
  type NatsHeadersLike,
  type NatsMessageLike,
  type PubAck,
  pubAckOf,
} from './nats-client.js';

export interface NatsSinkOptions<Headers extends NatsHeadersLike> {
  /** What `connect` of `@nats-io/transport-node` gives. */
  readonly connection: NatsConnectionLike<Headers>;
  /** `headers` of the same package. */
  readonly headers: () => Headers;
  /** A subject that a stream listens to. */
  readonly subject: string | ((record: SinkRecord) => string);
  /** The stream that must take it. Default: whichever does. */
  readonly stream?: string;
  /** Default 'single'. 'atomic' needs NATS 2.12.1 and a stream with `allow_atomic`. */
  readonly mode?: 'single' | 'atomic';
  /** What is not acknowledged after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('connection', 'headers', 'subject', 'stream', 'mode', 'ackTimeoutMs');
/** Of the server: error 10199. */
const BATCH_RECORDS_MAX = 1000;
/** No line ends: they would begin another header. */
const VALUE = /^[^\r\n\0]*$/;
/** JetStream reads them. */
const OF_NATS = /^nats-/i;

/** @throws TypeError, RangeError for wrong options */
export function natsSink<Headers extends NatsHeadersLike>(options: NatsSinkOptions<Headers>): Sink {
  return new NatsSink(options);
}

class NatsSink<Headers extends NatsHeadersLike> implements Sink {
  readonly name: string = 'nats';
  readonly limits: SinkLimits;
  readonly #connection: NatsConnectionLike<Headers>;
  readonly #newHeaders: () => Headers;
  readonly #subjectOf: (record: SinkRecord) => string;
  readonly #stream: string | undefined;
  readonly #mode: 'single' | 'atomic';
  readonly #ackTimeoutMs: number;

  constructor(options: NatsSinkOptions<Headers>) {
    requireOptions(options, 'natsSink', NAMES);
    const { connection, headers, subject, stream, mode = 'single' } = options;
    requireClient(connection, 'connection', 'a connection of NATS', ['request', 'publish', 'flush']);
    if (headers === undefined) throw new TypeError('headers must be a function, got undefined');
    requireFunction(headers, 'headers');
    this.#subjectOf = textPerRecord(subject, 'subject');
    if (stream !== undefined) requireText(stream, 'stream');
    if (mode !== 'single' && mode !== 'atomic') {
      throw new TypeError(`mode must be 'single' or 'atomic', got ${describe(mode)}`);
    }
    this.#connection = connection;
    this.#newHeaders = headers;
    this.#stream = stream;
    this.#mode = mode;
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
    this.limits = mode === 'atomic' ? { maxRecords: BATCH_RECORDS_MAX } : {};
  }

  deliver(records: readonly SinkRecord[], { signal, arrived }: SinkContext): Promise<SinkResult> {
    return untilAnswered('nats', this.#ackTimeoutMs, signal, () =>
      this.#mode === 'atomic' && records.length > 1 ? this.#together(records, arrived) : this.#singly(records, arrived),
    );
  }

  probe({ signal }: Pick<SinkContext, 'signal'>): Promise<void> {
    return untilAnswered('nats', this.#ackTimeoutMs, signal, async () => {
      await this.#connection.flush().catch((error: unknown) => {
        throw clientErrorOf(error);
      });
    });
  }

  async #singly(records: readonly SinkRecord[], arrived: SinkContext['arrived']): Promise<SinkResult> {
    const failed: SinkFailure[] = [];
    await Promise.all(
      records.map(async (record) => {
        try {
          const ack = await this.#request(record, this.#headersOf(record));
          if (ack?.error !== undefined) throw ackErrorOf(ack.error);
          if (ack?.sequence === undefined) throw notJetStream();
          arrived?.(record.id);
        } catch (error) {
          failed.push({ id: record.id, error });
        }
      }),
    );
    return { failed };
  }

  /** The first and the last are answered; what comes between is judged with the last. */
  async #together(records: readonly SinkRecord[], arrived: SinkContext['arrived']): Promise<SinkResult> {
    const batch = randomUUID();
    const messages = records.map((record, i) => {
      const headers = this.#headersOf(record);
      headers.set('Nats-Batch-Id', batch);
      headers.set('Nats-Batch-Sequence', String(i + 1));
      if (i === records.length - 1) headers.set('Nats-Batch-Commit', '1');
      return { record, headers, subject: this.#subjectOf(record) };
    });
    const [first] = messages;
    const last = messages.at(-1);
    if (first === undefined || last === undefined) return { failed: [] };
    const begun = await this.#request(first.record, first.headers);
    if (begun?.error !== undefined) return this.#refused(begun.error, records, arrived);
    // It has taken the first for a message by itself: a repeat of it is a duplicate.
    if (begun !== undefined) throw noBatches();
    for (const { record, headers, subject } of messages.slice(1, -1)) {
      try {
        this.#connection.publish(subject, record.payload, { headers });
      } catch (error) {
        throw clientErrorOf(error);
      }
    }
    const ack = await this.#request(last.record, last.headers);
    if (ack?.error !== undefined) return this.#refused(ack.error, records, arrived);
    if (ack?.batch !== batch) throw noBatches();
    return { failed: [] };
  }

  async #refused(
    error: NonNullable<PubAck['error']>,
    records: readonly SinkRecord[],
    arrived: SinkContext['arrived'],
  ): Promise<SinkResult> {
    if (error.errCode === HOLDS_DUPLICATE) return this.#singly(records, arrived);
    if (error.errCode === NO_ATOMIC) {
      throw new SinkError('unauthorized', `${error.description}: the stream needs allow_atomic, or mode 'single'`);
    }
    throw ackErrorOf(error);
  }

  async #request(record: SinkRecord, headers: Headers): Promise<PubAck | undefined> {
    const subject = this.#subjectOf(record);
    let answer: NatsMessageLike;
    try {
      answer = await this.#connection.request(subject, record.payload, { timeout: this.#ackTimeoutMs, headers });
    } catch (error) {
      throw clientErrorOf(error);
    }
    return pubAckOf(answer);
  }

  #headersOf({ deliveryId, headers, key }: SinkRecord): Headers {
    const made = this.#newHeaders();
    for (const [name, value] of Object.entries(headers)) {
      if (isHeaderName(name) && VALUE.test(value) && !OF_NATS.test(name)) made.set(name, value);
    }
    if (key !== undefined && VALUE.test(key)) made.set('evaq-key', key);
    made.set('Nats-Msg-Id', deliveryId);
    if (this.#stream !== undefined) made.set('Nats-Expected-Stream', this.#stream);
    return made;
  }
}

const HOLDS_DUPLICATE = 10_201;
const NO_ATOMIC = 10_174;
const MESSAGE_TOO_LARGE = 10_054;
const OTHER_STREAM = 10_060;

function notJetStream(): SinkError {
  return new SinkError('unavailable', 'the answer is none of JetStream: something else listens to the subject');
}

function noBatches(): SinkError {
  const text = "the server does not know atomic batches (NATS 2.12.1 and later does): mode 'single' needs none";
  return new SinkError('unauthorized', text);
}

/** What JetStream says: 5xx is about itself (a stream that is full, that has no leader), anything else about this message. */
function ackErrorOf({ code, errCode, description }: NonNullable<PubAck['error']>): SinkError {
  const text = `${description} (${errCode})`;
  if (errCode === MESSAGE_TOO_LARGE) return new SinkError('rejected', text, { reason: 'too-large' });
  if (errCode === OTHER_STREAM) return new SinkError('unauthorized', text);
  if (code >= 500) return new SinkError('unavailable', text);
  return new SinkError('rejected', text, { reason: String(errCode) });
}

/** What the client says, of itself or for the server. No answer in time, nobody who listens, no connection: it is down. */
function clientErrorOf(error: unknown): SinkError {
  for (const cause of causesOf(error)) {
    const name = propertyOf(cause, 'name');
    const text = textOf(cause);
    if (isNatsRefusal(cause)) {
      return new SinkError('unauthorized', text, { cause: error });
    }
    if (/max_payload/i.test(text)) return new SinkError('rejected', text, { reason: 'too-large', cause: error });
    if (name === 'InvalidSubjectError') return new SinkError('rejected', text, { reason: 'subject', cause: error });
  }
  return unavailable('nats', error);
}
