/**
 * A sink that puts each batch into a bucket of S3, or of what speaks as S3 does, as one object of lines of JSON.
 *
 * The object's name is made of the records that are in it: `<store>/<queue>/<first ID>-<last ID>-<hash>.ndjson`. The same batch again overwrites itself. One of
 * other records never does, not even one that a slow request brings late. Batches may be cut otherwise after a restart: then a record is in two objects,
 * with the same `deliveryId`.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip as gzipOf } from 'node:zlib';
import { optionNames, requireOptions } from '../../arguments.js';
import { lineOf } from '../record-line.js';
import type { Sink, SinkContext, SinkRecord } from '../sink.js';
import { ackTimeoutOf, causesOf, requireBoolean, requireClient, textOf, untilAnswered } from '../sink-client.js';
import { SinkError, type SinkErrorKind } from '../sink-error.js';
import { retryAfterOf, urlOf } from '../sink-url.js';

/** What signs a request and sends it: an `AwsClient` of `aws4fetch`. */
export interface S3ClientLike {
  fetch(
    url: string,
    init: {
      method: 'PUT';
      headers: Record<string, string>;
      body: ArrayBuffer;
      signal: AbortSignal;
      redirect: 'manual';
    },
  ): Promise<S3Response>;
}

export interface S3Response {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}

export interface S3SinkOptions {
  readonly client: S3ClientLike;
  /** Of the bucket, and of a folder in it: 'https://bucket.s3.eu-central-1.amazonaws.com/orders'. */
  readonly url: string | URL;
  /** Default false. */
  readonly gzip?: boolean;
  /** An object that has not been taken after so long is sent again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('client', 'url', 'gzip', 'ackTimeoutMs');
/** Of an ID: as many digits as the largest has, so that names are in the order of their batches. */
const ID_DIGITS = 16;
const HASH_CHARACTERS = 12;
const gzipped: (bytes: Buffer) => Promise<Buffer> = promisify<Buffer, Buffer>(gzipOf);

/** @throws TypeError, RangeError for wrong options */
export function s3Sink(options: S3SinkOptions): Sink {
  return new S3Sink(options);
}

class S3Sink implements Sink {
  readonly name: string = 's3';
  readonly #client: S3ClientLike;
  readonly #folder: string;
  readonly #gzip: boolean;
  readonly #ackTimeoutMs: number;

  constructor(options: S3SinkOptions) {
    requireOptions(options, 's3Sink', NAMES);
    const { client, url, gzip = false } = options;
    requireClient(client, 'client', 'an AwsClient of aws4fetch', ['fetch']);
    const { origin, pathname } = urlOf(url, 'url');
    requireBoolean(gzip, 'gzip');
    this.#client = client;
    this.#folder = `${origin}${pathname.replace(/\/$/, '')}`;
    this.#gzip = gzip;
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
  }

  async deliver(records: readonly SinkRecord[], { signal, queue }: SinkContext): Promise<void> {
    const lines = Buffer.from(records.map(lineOf).join(''));
    const body = Uint8Array.from(this.#gzip ? await gzipped(lines) : lines).buffer;
    const url = `${this.#folder}/${nameOf(records, queue)}.ndjson${this.#gzip ? '.gz' : ''}`;
    const headers = { 'content-type': this.#gzip ? 'application/gzip' : 'application/x-ndjson' };
    await untilAnswered('s3', this.#ackTimeoutMs, signal, async () => {
      let response: S3Response;
      let text: string;
      try {
        response = await this.#client.fetch(url, { method: 'PUT', headers, body, signal, redirect: 'manual' });
        text = await response.text();
      } catch (cause) {
        throw new SinkError('unavailable', `PUT ${url}: ${textOf(causesOf(cause).at(-1) ?? cause)}`, { cause });
      }
      if (response.status !== 200) throw errorOf(response, text);
    });
  }
}

/** The same for the same records, and for no others. */
function nameOf(records: readonly SinkRecord[], queue: string): string {
  const hash = createHash('sha256');
  for (const { deliveryId } of records) hash.update(`${deliveryId}\n`);
  const ids = records.map(({ id }) => id);
  const [first, last] = [Math.min(...ids), Math.max(...ids)].map((id) => String(id).padStart(ID_DIGITS, '0'));
  const store = records[0]?.deliveryId.split(':')[0] ?? '';
  const folder = [store, queue].map(encodeURIComponent).join('/');
  return `${folder}/${first}-${last}-${hash.digest('hex').slice(0, HASH_CHARACTERS)}`;
}

/** What is wrong with our name or key, by the code in the answer; all of 401 and 403 is, too. */
const REFUSALS: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'InvalidToken',
  'AuthorizationHeaderMalformed',
  'PermanentRedirect',
  'InvalidBucketName',
]);

/** An object is bytes: there is nothing in it that S3 could refuse, but how many they are. */
function errorOf({ status, headers }: S3Response, text: string): SinkError {
  const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? '';
  const said = /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? '';
  const message = [`HTTP ${status}`, code, said].filter((part) => part !== '').join(': ');
  const kind = kindOf(status, code);
  const retryAfterMs = kind === 'unavailable' ? retryAfterOf(headers.get('retry-after')) : undefined;
  const reason = kind === 'rejected' ? { reason: 'too-large' } : {};
  return new SinkError(kind, message, { ...reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

function kindOf(status: number, code: string): SinkErrorKind {
  if (status === 413 || code === 'EntityTooLarge') return 'rejected';
  if (status === 401 || status === 403 || REFUSALS.has(code)) return 'unauthorized';
  return 'unavailable';
}
