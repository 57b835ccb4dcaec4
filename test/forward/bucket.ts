/** A bucket that speaks as S3 does: it looks at the signature, and keeps what it is given. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AwsV4Signer } from 'aws4fetch';
import type { Arrived } from './forward-through-kill.js';
import { freePort } from './servers.js';

export const BUCKET_KEYS: { accessKeyId: string; secretAccessKey: string; service: string; region: string } = {
  accessKeyId: 'S3RVER',
  secretAccessKey: 'S3RVER',
  service: 's3',
  region: 'us-east-1',
};

export class Bucket {
  /** By path. */
  readonly objects: Map<string, Buffer> = new Map();
  readonly #objectBytesMax: number;
  port = 0;
  #server: Server | undefined;

  constructor(objectBytesMax: number = Infinity) {
    this.#objectBytesMax = objectBytesMax;
  }

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

  /** The records of all objects that are not gzipped. */
  arrived(): Arrived[] {
    return [...this.objects.values()].flatMap((object) =>
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
      ...BUCKET_KEYS,
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
    if (body.length > this.#objectBytesMax) return refuse(400, 'EntityTooLarge');
    this.objects.set(url, body);
    response.writeHead(200).end();
  }
}
