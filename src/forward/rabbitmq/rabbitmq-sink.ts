/**
 * A sink that publishes records to RabbitMQ: persistent, mandatory, and confirmed; `messageId` is the deliveryId.
 *
 * A record has arrived when the broker has confirmed it and has not returned it: what no queue takes is confirmed as well. An error of the broker about
 * one message closes the channel with all that is on it, and names none. So a batch has a channel to itself, and what it had not confirmed is published
 * again one by one: whose turn it is when the channel closes is the one. After a throw of `publish` the rest of the batch has another channel.
 */
import { throwIfAborted } from '../../abortable.js';
import { optionNames, requireFunction, requireOptions } from '../../arguments.js';
import { describe } from '../../ids.js';
import type { Sink, SinkContext, SinkFailure, SinkRecord, SinkResult } from '../sink.js';
import { ackTimeoutOf, propertyOf, requireBoolean, textOf, unavailable, untilAnswered } from '../sink-client.js';
import { SinkError } from '../sink-error.js';
import { type AmqpChannel, type AmqpConnectionLike, AmqpLink, connectErrorOf } from './rabbitmq-client.js';

export interface RabbitmqSinkOptions {
  /** Gives a new connection, `() => amqplib.connect(url)`: asked at the first batch, and again when the last one is gone. The sink closes it. */
  readonly connect: () => Promise<AmqpConnectionLike>;
  /** Default '', the one that takes a routing key for the name of a queue. It must be there. */
  readonly exchange?: string;
  /** Default: the record's `key`, or ''. */
  readonly routingKey?: string | ((record: SinkRecord) => string);
  /** A queue that is durable keeps it over a restart. Default true. */
  readonly persistent?: boolean;
  /** What no queue takes is returned, and becomes a dead letter. Default true; false: it is gone. */
  readonly mandatory?: boolean;
  /** A batch that is not confirmed after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('connect', 'exchange', 'routingKey', 'persistent', 'mandatory', 'ackTimeoutMs');

/** @throws TypeError, RangeError for wrong options */
export function rabbitmqSink(options: RabbitmqSinkOptions): Sink {
  return new RabbitmqSink(options);
}

class RabbitmqSink implements Sink {
  readonly name: string = 'rabbitmq';
  readonly #link: AmqpLink;
  readonly #exchange: string;
  readonly #routingKeyOf: (record: SinkRecord) => string;
  readonly #persistent: boolean;
  readonly #mandatory: boolean;
  readonly #ackTimeoutMs: number;

  constructor(options: RabbitmqSinkOptions) {
    requireOptions(options, 'rabbitmqSink', NAMES);
    const { connect, exchange = '', routingKey, persistent = true, mandatory = true } = options;
    if (connect === undefined) throw new TypeError('connect must be a function, got undefined');
    requireFunction(connect, 'connect');
    if (typeof exchange !== 'string') throw new TypeError(`exchange must be a text, got ${describe(exchange)}`);
    if (routingKey !== undefined && typeof routingKey !== 'function' && typeof routingKey !== 'string') {
      throw new TypeError(`routingKey must be a text or a function, got ${describe(routingKey)}`);
    }
    requireShort(exchange, 'exchange');
    if (typeof routingKey === 'string') requireShort(routingKey, 'routingKey');
    requireBoolean(persistent, 'persistent');
    requireBoolean(mandatory, 'mandatory');
    this.#exchange = exchange;
    this.#routingKeyOf = typeof routingKey === 'function' ? routingKey : ({ key = '' }) => routingKey ?? key;
    this.#persistent = persistent;
    this.#mandatory = mandatory;
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
    this.#link = new AmqpLink(connect, this.#ackTimeoutMs);
  }

  async deliver(records: readonly SinkRecord[], context: SinkContext): Promise<SinkResult> {
    const failed: SinkFailure[] = [];
    for (let left = records; left.length > 0; ) {
      throwIfAborted(context.signal);
      left = await this.#deliverPart(left, context, failed);
    }
    return { failed };
  }

  /** Gives those that are behind a throw. */
  async #deliverPart(
    records: readonly SinkRecord[],
    { signal, arrived }: SinkContext,
    failed: SinkFailure[],
  ): Promise<readonly SinkRecord[]> {
    const first = await this.#publishInTime(records, signal, arrived);
    const { open, closedFor, behind } = first;
    failed.push(...first.failed);
    if (open.length < 2 || closedErrorOf(closedFor).kind !== 'rejected') {
      failed.push(...open.map(({ id }) => ({ id, error: closedErrorOf(closedFor) })));
      return behind;
    }
    for (const record of open) {
      throwIfAborted(signal);
      const alone = await this.#publishInTime([record], signal, arrived);
      failed.push(...alone.failed);
      if (alone.open.length > 0) failed.push({ id: record.id, error: closedErrorOf(alone.closedFor) });
    }
    return behind;
  }

  probe({ signal }: Pick<SinkContext, 'signal'>): Promise<void> {
    return untilAnswered('rabbitmq', this.#ackTimeoutMs, signal, async () => {
      this.#link.giveBack(await this.#take());
    });
  }

  close(): Promise<void> {
    return this.#link.end();
  }

  async #take(): Promise<AmqpChannel> {
    try {
      return await this.#link.take();
    } catch (error) {
      throw connectErrorOf(error);
    }
  }

  /** What is not confirmed in time is not published any more where it has not been. */
  async #publishInTime(
    records: readonly SinkRecord[],
    signal: AbortSignal,
    arrived: SinkContext['arrived'],
  ): Promise<Published> {
    const over = new AbortController();
    try {
      return await untilAnswered('rabbitmq', this.#ackTimeoutMs, signal, () =>
        this.#publish(records, over.signal, arrived),
      );
    } finally {
      over.abort();
    }
  }

  /** On a channel of its own: `open` is what it closed over, for `closedFor` where the broker said why. */
  async #publish(
    records: readonly SinkRecord[],
    over: AbortSignal,
    arrived: SinkContext['arrived'],
  ): Promise<Published> {
    const channel = await this.#take();
    if (over.aborted) {
      // It came too late: somebody else may have it.
      this.#link.giveBack(channel);
      throwIfAborted(over);
    }
    const failed: SinkFailure[] = [];
    const open: SinkRecord[] = [];
    const behind: SinkRecord[] = [];
    await Promise.all(
      records.map(async (record) => {
        if (channel.isSpoilt) {
          behind.push(record);
          return;
        }
        const confirm = await this.#confirmOf(channel, record);
        if (confirm.outcome === 'arrived') arrived?.(record.id);
        if (confirm.outcome === 'open') open.push(record);
        if (confirm.outcome === 'failed') failed.push({ id: record.id, error: confirm.error });
      }),
    );
    this.#link.giveBack(channel);
    return { failed, open, closedFor: channel.error, behind };
  }

  #confirmOf(channel: AmqpChannel, record: SinkRecord): Promise<Confirm> {
    const { deliveryId, payload, timestamp, headers } = record;
    const contentType = headers['content-type'];
    return new Promise((resolve) => {
      const confirmed = (error: unknown): void => {
        const returned = channel.returned.get(deliveryId);
        if (returned !== undefined) resolve({ outcome: 'failed', error: returnedErrorOf(returned) });
        else if (error === null || error === undefined) resolve({ outcome: 'arrived' });
        else if (channel.isOpen) resolve({ outcome: 'failed', error: unavailable('rabbitmq', error) });
        else resolve({ outcome: 'open' });
      };
      let routingKey: string;
      try {
        routingKey = this.#routingKeyOf(record);
        if (typeof routingKey !== 'string') throw new TypeError('routingKey must give a text');
        rejectLong(routingKey, 'routing key');
        rejectLong(deliveryId, 'messageId');
        if (contentType !== undefined) rejectLong(contentType, 'content-type');
        for (const name of Object.keys(headers)) rejectLong(name, 'name of a header');
      } catch (error) {
        resolve({ outcome: 'failed', error });
        return;
      }
      try {
        const options = {
          messageId: deliveryId,
          timestamp: Math.floor(timestamp / 1000),
          persistent: this.#persistent,
          mandatory: this.#mandatory,
          headers: { ...headers },
          ...(contentType === undefined ? {} : { contentType }),
        };
        channel.channel.publish(this.#exchange, routingKey, payload, options, confirmed);
      } catch (error) {
        // The client refuses it, or the channel has gone under it.
        if (channel.isOpen && !isClosed(error)) {
          channel.isSpoilt = true;
          resolve({ outcome: 'failed', error: new SinkError('rejected', textOf(error), { cause: error }) });
        } else {
          channel.isOpen = false;
          resolve({ outcome: 'open' });
        }
      }
    });
  }
}

type Confirm = { readonly outcome: 'arrived' | 'open' } | { readonly outcome: 'failed'; readonly error: unknown };

interface Published {
  readonly failed: SinkFailure[];
  readonly open: readonly SinkRecord[];
  readonly closedFor: Error | undefined;
  /** Not published: they are behind a throw. */
  readonly behind: readonly SinkRecord[];
}

/** Of AMQP, a short string: its length is one byte. */
const SHORT_BYTES_MAX = 255;

function requireShort(text: string, name: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > SHORT_BYTES_MAX) throw new RangeError(`${name} must have at most ${SHORT_BYTES_MAX} bytes, has ${bytes}`);
}

/** Before it is published: no client is to find out in the middle of a message. */
function rejectLong(text: string, what: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= SHORT_BYTES_MAX) return;
  throw new SinkError('rejected', `a ${what} of ${bytes} bytes: AMQP takes ${SHORT_BYTES_MAX}`);
}

/** `amqplib` says so of what it is asked after the end. */
function isClosed(error: unknown): boolean {
  return typeof error === 'object' && error !== null && propertyOf(error, 'name') === 'IllegalOperationError';
}

/** `fields` of `basic.return`. */
function returnedErrorOf(fields: unknown): SinkError {
  const text: unknown = typeof fields === 'object' && fields !== null ? propertyOf(fields, 'replyText') : undefined;
  const reason = typeof text === 'string' && text !== '' ? text : 'returned';
  return new SinkError('rejected', `returned by the broker: ${reason}`, { reason });
}

/** What a channel is closed for: by the code of AMQP; without one the connection has gone. */
function closedErrorOf(error: Error | undefined): SinkError {
  if (error === undefined) return unavailable('rabbitmq', new Error('the connection has gone'));
  const text = textOf(error);
  switch (propertyOf(error, 'code')) {
    case 403:
      return new SinkError('unauthorized', text, { cause: error });
    case 406: {
      const reason = /message size/.test(text) ? 'too-large' : 'PRECONDITION_FAILED';
      return new SinkError('rejected', text, { reason, cause: error });
    }
    default:
      // 404: no such exchange, which somebody will declare, and nothing is lost until then.
      return unavailable('rabbitmq', error);
  }
}
