/**
 * The sink for S3, by aws4fetch: against a bucket of a server that speaks as S3 does, where `EVAQ_S3` is the bucket's URL, and otherwise against one of
 * the test's own, which looks at the signature as S3 does, and keeps what it is given.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AwsClient, AwsV4Signer } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { s3Sink } from '../../src/forward/s3.js';
import { type Arrived, forwardThroughKill, lettersOf } from './forward-through-kill.js';
import { freePort } from './servers.js';

const KEYS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', service: 's3', region: 'us-east-1', retries: 0 };
const OBJECT_BYTES_MAX = 20_000;
const real = process.env['EVAQ_S3'];

class Bucket {
  readonly objects = new Map<string, Buffer>();
  port = 0;
  #server: Server | undefined;

  async start(): Promise<void> {
    this.port ||= await freePort();
    const server = createServer((request, response) => void this.#take(request, response));
    this.#server = server;
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
  }

  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.close();
    server?.closeAllConnections();
    if (server !== undefined) await once(server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(Buffer.from(part));
    } catch {
      return;
    }
    const body = Buffer.concat(parts);
    const { url = '', headers } = request;
    const signer = new AwsV4Signer({
      ...KEYS,
      method: 'PUT',
      url: `http://127.0.0.1:${this.port}${url}`,
      headers: { 'content-type': String(headers['content-type']) },
      datetime: String(headers['x-amz-date']),
      body,
    });
    const signed = (await signer.sign()).headers.get('authorization');
    const refuse = (status: number, code: string): void =>
      void response.writeHead(status).end(`<Error><Code>${code}</Code><Message>no</Message></Error>`);
    if (headers.authorization !== signed) return refuse(403, 'SignatureDoesNotMatch');
    if (body.length > OBJECT_BYTES_MAX) return refuse(400, 'EntityTooLarge');
    this.objects.set(url, body);
    response.writeHead(200).end();
  }
}

describe('a bucket', () => {
  const bucket = new Bucket();
  let url = '';

  beforeAll(async () => {
    await bucket.start();
    url = real ?? `http://127.0.0.1:${bucket.port}/bucket`;
  });
  afterAll(() => bucket.kill());

  function arrived(): Arrived[] {
    return [...bucket.objects.values()].flatMap((object) =>
      object
        .toString()
        .trimEnd()
        .split('\n')
        .map((line) => {
          const { deliveryId, payload, payloadBase64 } = JSON.parse(line);
          const bytes = payload === undefined ? Buffer.from(payloadBase64, 'base64') : Buffer.from(payload);
          return { deliveryId, payload: bytes };
        }),
    );
  }

  test.skipIf(real !== undefined)(
    'away in the middle: nothing is lost, what is there twice has the same deliveryId',
    async () => {
      const sink = s3Sink({ client: new AwsClient(KEYS), url });
      const { doubles } = await forwardThroughKill({ sink, server: bucket, arrived: async () => arrived() });
      // At most what was on its way, where it is cut otherwise into batches afterwards.
      expect(doubles).toBeLessThanOrEqual(80);
      // One record of a batch is more than the bucket takes.
      bucket.objects.clear();
      const letters = await lettersOf(sink, ['a', 'b', 'x'.repeat(OBJECT_BYTES_MAX), 'c']);
      expect(letters).toMatchObject([{ reason: 'too-large', cause: 'HTTP 400: EntityTooLarge: no' }]);
      expect(new Set(arrived().map(({ payload }) => payload.toString()))).toEqual(new Set(['a', 'b', 'c']));
    },
  );

  test('a batch is put, gzipped', async () => {
    expect(await lettersOf(s3Sink({ client: new AwsClient(KEYS), url, gzip: true }), ['a', 'b'])).toEqual([]);
  });

  test.skipIf(real !== undefined)('who signs with another key is not let in, and forwarding stops', async () => {
    const stranger = new AwsClient({ ...KEYS, secretAccessKey: 'another' });
    await expect(lettersOf(s3Sink({ client: stranger, url }), ['a'])).rejects.toMatchObject({ name: 'StopDelivery' });
  });
});
