/**
 * The API of JetStream: requests in JSON, asked again while the server cannot be reached or has no leader, up to a time.
 *
 * What was asked and not answered may have been done. `again` says so of an answer, and the error where none comes says so, too.
 */
import { EvaqError, messageOf } from '../errors.js';
import { elapsedMs } from '../vfs/own-timers.js';
import type { NatsClient, NatsConnection, NatsHeaders, NatsMessage } from './nats-client.js';
import { isNobody, isUnauthorized, isUnfit, unauthorizedError, unfitError } from './nats-errors.js';
import { pause } from './pause.js';

export interface Refusal {
  readonly code: number;
  readonly errCode: number;
  readonly description: string;
}

export interface Answer {
  /** `undefined` where it was refused. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly refusal: Refusal | undefined;
  /** It was asked before and not answered: that may have been done. */
  readonly again: boolean;
}

/** Of one try; the whole has `timeoutMs`. */
const TRY_MS = 2500;
const PAUSE_MS = 100;

export class JsApi {
  readonly client: NatsClient;
  readonly timeoutMs: number;

  constructor(client: NatsClient, timeoutMs: number) {
    this.client = client;
    this.timeoutMs = timeoutMs;
  }

  get connection(): NatsConnection {
    return this.client.connection;
  }

  /** @throws EVAQ_IO where no answer comes in time; EVAQ_UNAUTHORIZED where the server does not let us; EVAQ_CLOSED where the connection is closed */
  ask(method: string, body?: unknown): Promise<Answer> {
    return this.request(`$JS.API.${method}`, body === undefined ? '' : JSON.stringify(body), undefined);
  }

  /** As `ask`, and what is refused is an error. */
  async demand(method: string, body?: unknown): Promise<Readonly<Record<string, unknown>>> {
    const { body: answer, refusal } = await this.ask(method, body);
    if (answer === undefined) throw refusedError(method, refusal);
    return answer;
  }

  /** One message that is answered in JSON: of the API, or a record that is published. */
  async request(
    subject: string,
    payload: Uint8Array | string,
    newHeaders: (() => NatsHeaders) | undefined,
  ): Promise<Answer> {
    const deadline = elapsedMs() + this.timeoutMs;
    for (let again = false; ; ) {
      const left = deadline - elapsedMs();
      let outcome: { readonly message: NatsMessage } | { readonly error: unknown };
      try {
        const timeout = Math.max(1, Math.min(TRY_MS, left));
        const headers = newHeaders === undefined ? {} : { headers: newHeaders() };
        outcome = { message: await this.connection.request(subject, payload, { timeout, ...headers }) };
      } catch (error) {
        outcome = { error };
      }
      if ('message' in outcome) {
        const answer = answerOf(outcome.message, again);
        if (answer.refusal === undefined || !isPassing(answer.refusal) || left < 0) return answer;
      } else {
        this.#requireOpen(outcome.error);
        if (isUnauthorized(outcome.error)) throw unauthorizedError(outcome.error);
        if (isUnfit(outcome.error)) throw unfitError(outcome.error);
        if (left < 0) throw unreachableError(outcome.error);
        again ||= !isNobody(outcome.error);
      }
      await pause(PAUSE_MS);
    }
  }

  #requireOpen(cause: unknown): void {
    if (!this.connection.isClosed()) return;
    throw new EvaqError('EVAQ_CLOSED', 'the connection to NATS is closed', { cause });
  }
}

/** What a server takes that says nothing. */
const MAX_PAYLOAD = 1024 * 1024;

/** Of a message with its headers. */
export function messageBytesMax({ connection }: JsApi): number {
  return connection.info?.max_payload ?? MAX_PAYLOAD;
}

/** What a stream does not store: it is full, mostly. */
export const NOT_STORED = 10_077;

/** No leader yet, not caught up, busy: the server says by 503 that it would be otherwise later. A full stream says so, too. */
function isPassing({ code, errCode }: Refusal): boolean {
  return code === 503 && errCode !== NOT_STORED;
}

function answerOf({ data }: NatsMessage, again: boolean): Answer {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(data).toString());
  } catch {
    body = undefined;
  }
  if (typeof body !== 'object' || body === null) {
    return {
      body: undefined,
      refusal: { code: 500, errCode: 0, description: 'the answer is none of JetStream' },
      again,
    };
  }
  const fields: Readonly<Record<string, unknown>> = { ...body };
  const error = fields['error'];
  if (typeof error !== 'object' || error === null) return { body: fields, refusal: undefined, again };
  const refusal = {
    code: numberIn(error, 'code') ?? 500,
    errCode: numberIn(error, 'err_code') ?? 0,
    description: textIn(error, 'description') ?? 'unknown error',
  };
  return { body: undefined, refusal, again };
}

export function numberIn(from: unknown, name: string): number | undefined {
  const value: unknown = typeof from === 'object' && from !== null ? Reflect.get(from, name) : undefined;
  return typeof value === 'number' ? value : undefined;
}

export function textIn(from: unknown, name: string): string | undefined {
  const value: unknown = typeof from === 'object' && from !== null ? Reflect.get(from, name) : undefined;
  return typeof value === 'string' ? value : undefined;
}

export function objectIn(from: unknown, name: string): object | undefined {
  const value: unknown = typeof from === 'object' && from !== null ? Reflect.get(from, name) : undefined;
  return typeof value === 'object' && value !== null ? value : undefined;
}

export function refusedError(doing: string, refusal: Refusal | undefined): EvaqError {
  const { description, errCode } = refusal ?? { description: 'no answer', errCode: 0 };
  return new EvaqError('EVAQ_IO', `NATS refuses ${doing}: ${description} (${errCode})`);
}

function unreachableError(cause: unknown): EvaqError {
  return new EvaqError('EVAQ_IO', `no answer from NATS: ${messageOf(cause)}`, {
    cause,
    hint: 'Whether it was done is not known. Is the server there, and has the stream a leader?',
  });
}
