/** nats://HOST:PORT/SUBJECT?stream=NAME: by `@nats-io/transport-node`. */
import type { NatsConnection } from '@nats-io/transport-node';
import type { NatsConnectionLike, NatsHeadersLike } from '../../forward/nats.js';
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';
import { credentialsOf, hostsOf, placeOf } from './url-parts.js';

const DEFAULT_PORT = 4222;
const CONNECT_MS = 5000;

type Client = typeof import('@nats-io/transport-node');
type Headers = ReturnType<Client['headers']>;

export const NATS: Destination = {
  schemes: ['nats:'],
  form: 'nats://HOST:PORT/SUBJECT',
  options: ['stream', 'mode', 'hosts', 'tls'],
  async open(url, options) {
    const subject = placeOf(url, 'subject');
    const stream = options.text('stream');
    const mode = options.choice('mode', ['single', 'atomic']);
    const servers = hostsOf(url, DEFAULT_PORT, options.text('hosts'));
    const own = credentialsOf(url);
    const tls = options.flag('tls') ? { tls: {} } : {};
    const { connect, headers } = await requiredPackage<Client>('@nats-io/transport-node', `--to ${url.protocol}//`);
    const connection = new LateConnection(() =>
      connect({
        servers,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 500,
        timeout: CONNECT_MS,
        ...(own === undefined ? {} : { user: own.user, pass: own.password }),
        ...tls,
      }),
    );
    const { natsSink } = await import('../../forward/nats.js');
    const sink = natsSink<Headers>({ connection, headers, subject, mode, ...(stream === undefined ? {} : { stream }) });
    return { sink, close: () => connection.close() };
  },
};

/** Made when it is needed first, and made anew where it has been closed for good: who has once been refused may be let in later. */
class LateConnection implements NatsConnectionLike<Headers & NatsHeadersLike> {
  readonly #connect: () => Promise<NatsConnection>;
  #attempt: Promise<NatsConnection> | undefined;
  #connection: NatsConnection | undefined;

  constructor(connect: () => Promise<NatsConnection>) {
    this.#connect = connect;
  }

  async request(...args: Parameters<NatsConnection['request']>): ReturnType<NatsConnection['request']> {
    return (await this.#connected()).request(...args);
  }

  /** Between requests: there is a connection, or there was one. */
  publish(...args: Parameters<NatsConnection['publish']>): void {
    if (this.#connection === undefined) throw new Error('no connection');
    this.#connection.publish(...args);
  }

  async flush(): Promise<void> {
    await (await this.#connected()).flush();
  }

  async close(): Promise<void> {
    const connection = await this.#attempt?.catch(() => undefined);
    await connection?.close();
  }

  #connected(): Promise<NatsConnection> {
    if (this.#attempt !== undefined && this.#connection?.isClosed() !== true) return this.#attempt;
    this.#connection = undefined;
    const attempt = this.#connect().then((connection) => {
      this.#connection = connection;
      return connection;
    });
    this.#attempt = attempt;
    attempt.catch(() => {
      if (this.#attempt === attempt) this.#attempt = undefined;
    });
    return attempt;
  }
}
