/** Connections to NATS that go wrong as networks and servers do. */
import type { NatsConnection } from '@nats-io/transport-node';

/** A connection that loses an answer, as a network does: what was asked was done. */
export class LosingConnection {
  lost = 0;
  #losing = false;
  readonly connection: NatsConnection;

  /** `meanwhile`: what others do before it is asked for again. */
  constructor(connection: NatsConnection, meanwhile?: () => Promise<void>) {
    this.connection = asking(connection, async (subject, payload, options) => {
      const answer = await connection.request(subject, payload, options);
      if (!this.#losing) return answer;
      this.#losing = false;
      await meanwhile?.();
      this.lost++;
      throw new Error('timeout');
    });
  }

  loseNext(): void {
    this.#losing = true;
  }
}

/** A connection that does not bring a question there. */
export class BreakingConnection {
  #at: string | undefined;
  readonly connection: NatsConnection;

  constructor(connection: NatsConnection) {
    this.connection = asking(connection, async (subject, payload, options) => {
      if (this.#at === undefined || !subject.includes(this.#at)) return connection.request(subject, payload, options);
      throw new Error('timeout');
    });
  }

  breakAt(part: string | undefined): void {
    this.#at = part;
  }
}

/** As `connection`, but for what is answered here: bytes. */
export function answering(
  connection: NatsConnection,
  answer: (...asked: Parameters<NatsConnection['request']>) => Uint8Array | undefined | Promise<Uint8Array | undefined>,
): NatsConnection {
  return asking(connection, async (subject, payload, options) => {
    const data = await answer(subject, payload, options);
    if (data === undefined) return connection.request(subject, payload, options);
    const message = await connection.request('$JS.API.INFO');
    return new Proxy(message, { get: (had, name) => (name === 'data' ? data : Reflect.get(had, name)) });
  });
}

/** As `connection`, with another way to ask. */
export function asking(connection: NatsConnection, request: NatsConnection['request']): NatsConnection {
  return new Proxy(connection, {
    get: (target, name) => {
      if (name === 'request') return request;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
