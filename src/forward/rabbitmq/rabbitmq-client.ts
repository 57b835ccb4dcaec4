/**
 * What is needed of `amqplib`, which is never imported here, and a connection that is made anew when it is gone: `amqplib` does not do that.
 */
import { untilAborted } from '../../abortable.js';
import { requireClient, textOf, untilAnswered } from '../sink-client.js';
import { isSinkError, SinkError } from '../sink-error.js';

/** What `connect` of `amqplib` resolves with. */
export interface AmqpConnectionLike {
  createConfirmChannel(): Promise<AmqpChannelLike>;
  close(): Promise<unknown>;
  on(event: 'close' | 'error', listener: (error?: Error) => void): unknown;
}

export interface AmqpPublishOptions {
  readonly messageId: string;
  readonly timestamp: number;
  readonly persistent: boolean;
  readonly mandatory: boolean;
  readonly contentType?: string;
  readonly headers: Record<string, string>;
}

/** A channel in confirm mode. */
export interface AmqpChannelLike {
  publish(
    exchange: string,
    routingKey: string,
    content: Buffer,
    options: AmqpPublishOptions,
    confirmed: (error: unknown) => void,
  ): boolean;
  close(): Promise<unknown>;
  on(event: 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'return', listener: (message: AmqpReturned) => void): unknown;
}

/** A message that the broker gives back; its fields say why. */
export interface AmqpReturned {
  readonly fields: unknown;
  readonly properties: { readonly messageId?: unknown };
}

const FREE_MAX = 8;

/** A channel of one batch at a time, so that what closes it, or is returned on it, is of that batch. */
export class AmqpChannel {
  readonly channel: AmqpChannelLike;
  isOpen = true;
  /** `publish` has thrown: whether the client counts that message is not known, so that no later confirm can be told whose it is. */
  isSpoilt = false;
  /** What the broker closed it for. */
  error: Error | undefined;
  /** By messageId, why it was returned. It comes before the confirm. */
  readonly returned: Map<string, unknown> = new Map();

  constructor(channel: AmqpChannelLike) {
    this.channel = channel;
    channel.on('error', (error) => {
      this.error = error;
      this.isOpen = false;
    });
    channel.on('close', () => {
      this.isOpen = false;
    });
    channel.on('return', ({ fields, properties }) => {
      if (typeof properties.messageId === 'string') this.returned.set(properties.messageId, fields);
    });
  }

  /** Whoever confirms it does not matter any more. */
  discard(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    letGo(() => this.channel.close());
  }
}

/** One connection for all channels; may be used by several batches at a time. */
export class AmqpLink {
  readonly #connect: () => Promise<AmqpConnectionLike>;
  readonly #timeoutMs: number;
  readonly #free: AmqpChannel[] = [];
  readonly #end: AbortController = new AbortController();
  #connection: Promise<AmqpConnectionLike> | undefined;

  /** An attempt to connect, or the end of a connection, is waited for `timeoutMs`: a broker that hangs says nothing. */
  constructor(connect: () => Promise<AmqpConnectionLike>, timeoutMs: number) {
    this.#connect = connect;
    this.#timeoutMs = timeoutMs;
  }

  /** One that nobody else has. Rejects where there is no connection, and none can be made. */
  async take(): Promise<AmqpChannel> {
    for (let free = this.#free.pop(); free !== undefined; free = this.#free.pop()) if (free.isOpen) return free;
    const made = this.#connected();
    const connection = await made;
    let attempt: Promise<AmqpChannelLike> | undefined;
    try {
      const channel = await untilAnswered('rabbitmq', this.#timeoutMs, this.#end.signal, () => {
        attempt = connection.createConfirmChannel();
        return attempt;
      });
      return new AmqpChannel(channel);
    } catch (error) {
      // A broker that hangs: nothing will come of this connection. An error of the broker's has ended the attempt.
      if (isSinkError(error) && this.#connection === made) {
        this.#forget(made);
        letGo(() => connection.close());
      }
      attempt?.catch(() => undefined);
      throw error;
    }
  }

  /** Everything on it has been confirmed. */
  giveBack(channel: AmqpChannel): void {
    channel.returned.clear();
    // More than are ever busy are left over from batches that were not waited for.
    if (this.#end.signal.aborted || channel.isSpoilt || this.#free.length >= FREE_MAX) channel.discard();
    else if (channel.isOpen) this.#free.push(channel);
  }

  async end(): Promise<void> {
    this.#end.abort(new Error('the sink is closed'));
    const connection = await this.#connection?.catch(() => undefined);
    if (connection === undefined) return;
    // One that is closed already says so.
    await untilAborted(AbortSignal.timeout(this.#timeoutMs), async () => connection.close()).catch(() => undefined);
  }

  #connected(): Promise<AmqpConnectionLike> {
    if (this.#connection !== undefined) return this.#connection;
    let attempt: Promise<AmqpConnectionLike> | undefined;
    const made = untilAnswered('rabbitmq', this.#timeoutMs, this.#end.signal, () => {
      attempt = this.#make(() => this.#forget(made));
      return attempt;
    });
    this.#connection = made;
    made.catch(() => {
      this.#forget(made);
      // Nobody waits for it any more.
      attempt?.then(
        (connection) => letGo(() => connection.close()),
        () => undefined,
      );
    });
    return made;
  }

  async #make(gone: () => void): Promise<AmqpConnectionLike> {
    const connection = await this.#connect();
    requireClient(connection, 'connect', 'a function that gives a connection of amqplib', [
      'createConfirmChannel',
      'on',
    ]);
    connection.on('close', gone);
    // Without a listener it would end the process; 'close' follows.
    connection.on('error', gone);
    return connection;
  }

  #forget(made: Promise<AmqpConnectionLike>): void {
    if (this.#connection === made) this.#connection = undefined;
  }
}

function letGo(close: () => Promise<unknown>): void {
  try {
    close().catch(() => undefined);
  } catch {
    // It is closed.
  }
}

const REFUSED = /ACCESS[-_]REFUSED|NOT_ALLOWED/;

/** Of a connection or a channel that cannot be had. */
export function connectErrorOf(error: unknown): SinkError {
  if (isSinkError(error)) return error;
  const text = textOf(error);
  return new SinkError(REFUSED.test(text) ? 'unauthorized' : 'unavailable', text, { cause: error });
}
