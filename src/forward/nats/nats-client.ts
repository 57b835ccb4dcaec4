/**
 * What is needed of `@nats-io/transport-node` (or of `nats` 2), which is never imported here: a connection, and the function that makes headers.
 */

/** Headers as `headers()` of the client makes them. */
export interface NatsHeadersLike {
  set(name: string, value: string): void;
}

export interface NatsMessageLike {
  readonly data: Uint8Array;
}

/** A connection. `Headers` is what `headers()` of the same package gives. */
export interface NatsConnectionLike<Headers extends NatsHeadersLike> {
  request(
    subject: string,
    payload: Uint8Array,
    options: { timeout: number; headers?: Headers },
  ): Promise<NatsMessageLike>;
  publish(subject: string, payload: Uint8Array, options: { headers: Headers }): void;
  flush(): Promise<void>;
}

/** What JetStream answers to a message. */
export interface PubAck {
  readonly error: { readonly code: number; readonly errCode: number; readonly description: string } | undefined;
  readonly sequence: number | undefined;
  /** The batch that it commits. */
  readonly batch: string | undefined;
}

/** `undefined`: an empty answer, to a message of a batch that goes on; or one that is none of JetStream's. */
export function pubAckOf({ data }: NatsMessageLike): PubAck | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(Buffer.from(data).toString());
  } catch {
    return undefined;
  }
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { error, seq, batch }: Partial<Record<string, unknown>> = { ...answer };
  return {
    error: errorIn(error),
    sequence: typeof seq === 'number' ? seq : undefined,
    batch: typeof batch === 'string' ? batch : undefined,
  };
}

function errorIn(error: unknown): PubAck['error'] {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, err_code: errCode, description }: Partial<Record<string, unknown>> = { ...error };
  return {
    code: typeof code === 'number' ? code : 500,
    errCode: typeof errCode === 'number' ? errCode : 0,
    description: typeof description === 'string' ? description : 'unknown error',
  };
}
