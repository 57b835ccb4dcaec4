/**
 * A sink that posts records over HTTP: each by itself, or a batch as lines of JSON. `deliveryId` is the `Idempotency-Key`.
 *
 * The answer says whose fault a failure is: 401 and 403 stop forwarding; a status that speaks of the record (400, 413, 422 …) makes it a dead letter;
 * anything else that is no success is the destination's, and `Retry-After` is honoured.
 */
import { createHash } from 'node:crypto';
import { optionNames, requireOptions } from '../../arguments.js';
import { describe, requireCount } from '../../ids.js';
import { lineOf } from '../record-line.js';
import type { Sink, SinkContext, SinkFailure, SinkRecord, SinkResult } from '../sink.js';
import { ackTimeoutOf, causesOf, isHeaderName, textOf, untilAnswered } from '../sink-client.js';
import { isSinkError, SinkError, type SinkErrorKind } from '../sink-error.js';
import { retryAfterOf, urlOf } from '../sink-url.js';
import { type HttpClient, type HttpResponse, requestBy, type UndiciLike } from './http-client.js';

export interface HttpSinkOptions {
  readonly url: string | URL;
  /** Default 'POST'. */
  readonly method?: 'POST' | 'PUT' | 'PATCH';
  /** Sent with each request, before those of the record. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * - 'raw' (default): a request for each record, the payload as it is; the record's headers as headers.
   * - 'ndjson': a request for each batch; a line of JSON for each record: `id`, `deliveryId`, `timestamp`, `key`, `headers`, and `payload`, or
   *   `payloadBase64` where that is not UTF-8. An answer of JSON with `failed: [{ deliveryId, status?, message? }]` names what was not taken; after any other
   *   success all has arrived.
   */
  readonly format?: 'raw' | 'ndjson';
  /** Requests at a time for one batch of 'raw'. Default 16. */
  readonly connections?: number;
  /** An `undici` Pool, Client or Agent. Default: the global `fetch`, which costs several times as much a request. */
  readonly client?: UndiciLike;
  /** What a status means, where that is not what it means by itself. */
  readonly status?: Readonly<Record<number, 'ok' | SinkErrorKind>>;
  /** For the breaker: it is asked with HEAD whether the destination is there. Default: a record is tried. */
  readonly probeUrl?: string | URL;
  /** A request that is not answered after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames(
  'url',
  'method',
  'headers',
  'format',
  'connections',
  'client',
  'status',
  'probeUrl',
  'ackTimeoutMs',
);
const METHODS: ReadonlySet<unknown> = new Set(['POST', 'PUT', 'PATCH']);
const MEANINGS: ReadonlySet<unknown> = new Set(['ok', 'unavailable', 'retry', 'rejected', 'unauthorized']);
const CONNECTIONS = 16;
/** Of an answer, for the dead letter. */
const TEXT_MAX = 500;

/** Headers of the connection, or of the request itself: a record's header of that name is left out. */
const NOT_OF_RECORDS: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'host',
  'idempotency-key',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** What a header's value may hold: visible characters, blanks, and no line ends. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** They speak of what was sent: it will be refused whenever it comes. */
const REJECTED: ReadonlySet<number> = new Set([400, 406, 411, 413, 414, 415, 422, 431]);

/** @throws TypeError, RangeError for wrong options */
export function httpSink(options: HttpSinkOptions): Sink {
  return new HttpSink(options);
}

class HttpSink implements Sink {
  readonly name: string = 'http';
  readonly #url: URL;
  readonly #method: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #format: 'raw' | 'ndjson';
  readonly #connections: number;
  readonly #client: HttpClient;
  readonly #ackTimeoutMs: number;
  readonly #status: Readonly<Record<number, 'ok' | SinkErrorKind>>;
  readonly probe?: (context: Pick<SinkContext, 'signal'>) => Promise<void>;

  constructor(options: HttpSinkOptions) {
    requireOptions(options, 'httpSink', NAMES);
    const {
      url,
      method = 'POST',
      headers = {},
      format = 'raw',
      connections = CONNECTIONS,
      client,
      status = {},
      ackTimeoutMs,
    } = options;
    if (!METHODS.has(method)) throw new TypeError(`method must be POST, PUT or PATCH, got ${describe(method)}`);
    if (format !== 'raw' && format !== 'ndjson') {
      throw new TypeError(`format must be 'raw' or 'ndjson', got ${describe(format)}`);
    }
    requireCount(connections, 'connections', 1);
    for (const [code, meaning] of Object.entries(status)) {
      if (!/^[1-5]\d\d$/.test(code)) throw new RangeError(`status: ${describe(code)} is no status of HTTP`);
      if (!MEANINGS.has(meaning)) {
        throw new TypeError(`status.${code} must be one of ${[...MEANINGS].join(', ')}, got ${describe(meaning)}`);
      }
    }
    this.#url = urlOf(url, 'url');
    this.#method = method;
    this.#headers = ownHeaders(headers);
    this.#ackTimeoutMs = ackTimeoutOf(ackTimeoutMs);
    this.#format = format;
    this.#connections = connections;
    this.#status = { ...status };
    this.#client = requestBy(client);
    if (options.probeUrl !== undefined) {
      const probeUrl = urlOf(options.probeUrl, 'probeUrl');
      this.probe = ({ signal }) => this.#ask(probeUrl, signal);
    }
  }

  deliver(records: readonly SinkRecord[], context: SinkContext): Promise<SinkResult | undefined> {
    return this.#format === 'raw' ? this.#eachByItself(records, context) : this.#asLines(records, context);
  }

  async #ask(url: URL, signal: AbortSignal): Promise<void> {
    const response = await this.#request(url, { method: 'HEAD', headers: {}, body: undefined, signal });
    if (response.status >= 500) throw this.#errorOf(response, 'unavailable');
  }

  async #eachByItself(records: readonly SinkRecord[], { signal, arrived }: SinkContext): Promise<SinkResult> {
    const failed: SinkFailure[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let record = records[next++]; record !== undefined; record = records[next++]) {
        const error = await this.#post(record, signal).then(
          () => undefined,
          (thrown: unknown) => ({ thrown }),
        );
        if (error === undefined) arrived?.(record.id);
        else failed.push({ id: record.id, error: error.thrown });
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#connections, records.length) }, worker));
    return { failed };
  }

  async #post(record: SinkRecord, signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { 'content-type': 'application/octet-stream', ...this.#headers };
    for (const [name, value] of Object.entries(record.headers)) {
      const lower = name.toLowerCase();
      const isOurs = lower !== 'content-type' && Object.hasOwn(this.#headers, lower);
      if (isOurs || NOT_OF_RECORDS.has(lower) || !isHeaderName(name) || !VALUE.test(value)) continue;
      headers[lower] = value;
    }
    headers['idempotency-key'] = record.deliveryId;
    const request = { method: this.#method, headers, body: record.payload, signal };
    const response = await this.#request(this.#url, request);
    const meaning = this.#meaningOf(response.status);
    if (meaning !== 'ok') throw this.#errorOf(response, meaning);
  }

  async #asLines(records: readonly SinkRecord[], { signal }: SinkContext): Promise<SinkResult | undefined> {
    const key = batchKeyOf(records);
    const headers = { 'content-type': 'application/x-ndjson', ...this.#headers, 'idempotency-key': key };
    const body = Buffer.from(records.map(lineOf).join(''));
    const response = await this.#request(this.#url, { method: this.#method, headers, body, signal });
    const meaning = this.#meaningOf(response.status);
    if (meaning !== 'ok') {
      // Too large together says nothing of each: it is tried in halves.
      throw this.#errorOf(response, response.status === 413 && records.length > 1 ? 'retry' : meaning);
    }
    return { failed: this.#namedIn(response, records) };
  }

  /** Those that the answer names: one that is empty, or no JSON, names nobody. */
  #namedIn({ text, headers }: HttpResponse, records: readonly SinkRecord[]): SinkFailure[] {
    if (!/\bjson\b/i.test(headers.get('content-type') ?? '')) return [];
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch {
      return [];
    }
    const failed: unknown =
      typeof answer === 'object' && answer !== null && 'failed' in answer ? answer.failed : undefined;
    if (failed === undefined) return [];
    if (!Array.isArray(failed)) throw new SinkError('retry', `the answer's failed is no array: ${describe(failed)}`);
    const byDeliveryId = new Map(records.map(({ deliveryId, id }) => [deliveryId, id]));
    return failed.map((one: unknown) => {
      const named: Partial<Record<string, unknown>> = typeof one === 'object' && one !== null ? { ...one } : {};
      const { deliveryId, status, message } = named;
      const id = typeof deliveryId === 'string' ? byDeliveryId.get(deliveryId) : undefined;
      if (id === undefined) throw new SinkError('retry', `the answer names what was not sent: ${describe(deliveryId)}`);
      const meaning = typeof status === 'number' ? this.#meaningOf(status) : 'retry';
      const kind = meaning === 'ok' ? 'retry' : meaning;
      const said = typeof message === 'string' ? message.slice(0, TEXT_MAX) : 'not taken';
      return { id, error: new SinkError(kind, said, typeof status === 'number' ? { reason: `HTTP ${status}` } : {}) };
    });
  }

  async #request(url: URL, request: Parameters<HttpClient>[1]): Promise<HttpResponse> {
    // One for each: a client may leave its listener on a signal until that is collected.
    const given = new AbortController();
    const { method, headers, body } = request;
    const own = { method, headers, body, signal: given.signal };
    try {
      return await untilAnswered(url.host, this.#ackTimeoutMs, request.signal, () => this.#client(url, own));
    } catch (cause) {
      given.abort(cause);
      if (request.signal.aborted) throw request.signal.reason;
      if (isSinkError(cause)) throw cause;
      throw new SinkError(
        'unavailable',
        `${this.#method} ${url.origin}${url.pathname}: ${textOf(causesOf(cause).at(-1) ?? cause)}`,
        {
          cause,
        },
      );
    }
  }

  #meaningOf(status: number): 'ok' | SinkErrorKind {
    const said = this.#status[status];
    if (said !== undefined) return said;
    if (status >= 200 && status < 300) return 'ok';
    if (status === 401 || status === 403 || status === 407) return 'unauthorized';
    // A conflict with itself, say: the same key is being worked on.
    if (status === 409) return 'retry';
    return REJECTED.has(status) ? 'rejected' : 'unavailable';
  }

  #errorOf({ status, headers, text }: HttpResponse, kind: SinkErrorKind): SinkError {
    const said = text.trim().slice(0, TEXT_MAX);
    const retryAfterMs = kind === 'unavailable' ? retryAfterOf(headers.get('retry-after')) : undefined;
    return new SinkError(kind, `HTTP ${status}${said === '' ? '' : `: ${said}`}`, {
      reason: status === 413 ? 'too-large' : `HTTP ${status}`,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
}

/** The same for the same records, and for no others. */
function batchKeyOf(records: readonly SinkRecord[]): string {
  const [first] = records;
  if (first !== undefined && records.length === 1) return first.deliveryId;
  const hash = createHash('sha256');
  for (const { deliveryId } of records) hash.update(`${deliveryId}\n`);
  return hash.digest('base64url');
}

/** By their names in small letters, as the record's. @throws TypeError for what no header can be */
function ownHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!isHeaderName(name)) throw new TypeError(`headers: ${describe(name)} cannot be the name of a header`);
    if (typeof value !== 'string' || !VALUE.test(value)) {
      throw new TypeError(`headers: ${describe(value)} cannot be the value of '${name}'`);
    }
    own[name.toLowerCase()] = value;
  }
  return own;
}
