/**
 * What is needed of `@nats-io/transport-node`: a connection, and the function that makes headers. It is imported where `connect` is given servers, and
 * nowhere else.
 */

/** Headers as `headers()` of the client makes them. */
export interface NatsHeaders {
  readonly code: number;
  readonly description: string;
  set(name: string, value: string): void;
  get(name: string): string;
  keys(): string[];
}

export interface NatsMessage {
  readonly data: Uint8Array;
  readonly headers?: NatsHeaders | undefined;
  readonly subject: string;
  readonly reply?: string | undefined;
}

export interface NatsSubscription {
  unsubscribe(): void;
}

/** What `connect` of the client resolves with. */
export interface NatsConnection {
  /** Of the server; undefined before the first connection. */
  readonly info?: { readonly version: string; readonly max_payload: number } | undefined;
  request(
    subject: string,
    payload?: Uint8Array | string,
    options?: { timeout: number; headers?: NatsHeaders },
  ): Promise<NatsMessage>;
  publish(subject: string, payload?: Uint8Array | string, options?: { reply?: string; headers?: NatsHeaders }): void;
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: NatsMessage) => void },
  ): NatsSubscription;
  flush(): Promise<void>;
  isClosed(): boolean;
  close(): Promise<void>;
}

/** A connection, and how headers are made for it. */
export interface NatsClient {
  readonly connection: NatsConnection;
  readonly headers: () => NatsHeaders;
}

/** Name and value of each header. */
export function entriesOf(headers: NatsHeaders | undefined): Map<string, string> {
  return new Map((headers?.keys() ?? []).map((name) => [name, headers?.get(name) ?? '']));
}
