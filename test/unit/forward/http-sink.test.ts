/** The sink over HTTP, against a server of Node's: with the global fetch, and with something of undici's shape. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type HttpSinkOptions, httpSink, type UndiciLike } from '../../../src/forward/http.js';
import { isSinkError } from '../../../src/forward/sink-error.js';
import type { SinkRecord } from '../../../src/forward.js';

interface Received {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

type Answer = (received: Received, response: ServerResponse) => void;

async function serve(answer: Answer): Promise<{ readonly url: string; readonly received: Received[] }> {
  const received: Received[] = [];
  const take = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of message) parts.push(Buffer.from(part));
    const { method, url: path, headers } = message;
    const one = { method, path, headers, body: Buffer.concat(parts) };
    received.push(one);
    answer(one, response);
  };
  const server = createServer((message, response) => void take(message, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${addressOf(server.address()).port}/in?x=1`, received };
}

function addressOf(address: string | AddressInfo | null): AddressInfo {
  if (address === null || typeof address === 'string') throw new TypeError('no address');
  return address;
}

/** As undici does it, by node:http. */
const undiciLike: UndiciLike = {
  request: ({ origin, path, method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const sent = request(origin + path, { method, headers, signal }, (message) => {
        resolve({
          statusCode: message.statusCode ?? 0,
          headers: message.headers,
          body: {
            text: async () => {
              const parts: Buffer[] = [];
              for await (const part of message) parts.push(Buffer.from(part));
              return Buffer.concat(parts).toString();
            },
          },
        });
      });
      sent.on('error', reject);
      sent.end(body ?? undefined);
    }),
};

function recordOf(id: number, payload: string | Buffer, headers: Record<string, string> = {}): SinkRecord {
  return {
    id,
    payload: Buffer.from(payload),
    headers,
    timestamp: 5,
    deliveryId: `s:wal:${id}`,
    attempt: 1,
    key: undefined,
  };
}

const CONTEXT = { signal: new AbortController().signal, queue: 'wal' };

/** Of each record that failed what is said of it. */
async function deliver(options: HttpSinkOptions, records: readonly SinkRecord[]): Promise<unknown[]> {
  const result = await httpSink(options).deliver(records, CONTEXT);
  return (result?.failed ?? []).map(({ id, error }) => {
    if (!isSinkError(error)) throw new TypeError('no SinkError', { cause: error });
    const { kind, reason, message, retryAfterMs } = error;
    return { id, kind, reason, message, retryAfterMs };
  });
}

for (const [name, client] of [
  ['fetch', {}],
  ['undici', { client: undiciLike }],
] as const) {
  describe(`httpSink by ${name}`, () => {
    it('sends each record by itself: payload as it is, its headers, the deliveryId as Idempotency-Key', async () => {
      const { url, received } = await serve((_, response) => response.writeHead(204).end());
      const binary = Buffer.from([0, 255, 10, 13]);
      const headers = { kind: 'x', 'Content-Type': 'image/png', Host: 'evil', 'bad name': 'y', bad: 'line\nend' };
      const failed = await deliver({ url, headers: { authorization: 'Bearer t' }, ...client }, [
        recordOf(1, binary, headers),
        recordOf(2, 'b'),
      ]);
      expect(failed).toEqual([]);
      const one = received.find(({ body }) => body.equals(binary));
      expect(one).toMatchObject({
        method: 'POST',
        path: '/in?x=1',
        headers: { kind: 'x', 'content-type': 'image/png', 'idempotency-key': 's:wal:1', authorization: 'Bearer t' },
      });
      expect(one?.headers.host).toMatch(/^127\.0\.0\.1:/);
      expect(one?.headers['bad']).toBeUndefined();
      expect(received).toHaveLength(2);
    });

    it('tells whose fault a status is, and takes the word of Retry-After', async () => {
      const { url } = await serve(({ body }, response) => {
        const status = Number(body.toString());
        if (status === 503) response.setHeader('retry-after', '7');
        response.writeHead(status).end('because');
      });
      const statuses = [200, 201, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503];
      const failed = await deliver(
        { url, ...client },
        statuses.map((status) => recordOf(status, `${status}`)),
      );
      const said = new Map(failed.map((one) => [JSON.parse(JSON.stringify(one)).id, one]));
      const kinds = statuses.map((status) => [
        status,
        JSON.parse(JSON.stringify(said.get(status) ?? { kind: 'ok' })).kind,
      ]);
      expect(Object.fromEntries(kinds)).toEqual({
        200: 'ok',
        201: 'ok',
        302: 'unavailable',
        400: 'rejected',
        401: 'unauthorized',
        403: 'unauthorized',
        404: 'unavailable',
        409: 'retry',
        413: 'rejected',
        422: 'rejected',
        429: 'unavailable',
        500: 'unavailable',
        503: 'unavailable',
      });
      expect(said.get(422)).toMatchObject({ reason: 'HTTP 422', message: 'HTTP 422: because' });
      expect(said.get(413)).toMatchObject({ reason: 'too-large' });
      expect(said.get(503)).toMatchObject({ retryAfterMs: 7000 });
      const own = await deliver({ url, status: { 404: 'rejected', 409: 'ok' }, ...client }, [
        recordOf(1, '404'),
        recordOf(2, '409'),
      ]);
      expect(own).toMatchObject([{ id: 1, kind: 'rejected' }]);
    });

    it('a batch as lines: text or base64, one key for the same records, and the answer names who failed', async () => {
      const { url, received } = await serve((_, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(
          JSON.stringify({
            failed: [{ deliveryId: 's:wal:2', status: 422, message: 'no' }, { deliveryId: 's:wal:3' }],
          }),
        );
      });
      const records = [recordOf(1, 'ä', { a: 'b' }), recordOf(2, Buffer.from([255])), recordOf(3, '')];
      expect(await deliver({ url, format: 'ndjson', ...client }, records)).toMatchObject([
        { id: 2, kind: 'rejected', reason: 'HTTP 422', message: 'no' },
        { id: 3, kind: 'retry' },
      ]);
      const lines = received[0]?.body.toString().trimEnd().split('\n') ?? [];
      expect(lines.map((line) => JSON.parse(line))).toEqual([
        { id: 1, deliveryId: 's:wal:1', timestamp: 5, headers: { a: 'b' }, payload: 'ä' },
        { id: 2, deliveryId: 's:wal:2', timestamp: 5, headers: {}, payloadBase64: '/w==' },
        { id: 3, deliveryId: 's:wal:3', timestamp: 5, headers: {}, payload: '' },
      ]);
      await deliver({ url, format: 'ndjson', ...client }, records);
      await deliver(
        { url, format: 'ndjson', ...client },
        [...records.slice(0, 1), ...records.slice(1)].reverse(),
      ).catch(() => undefined);
      const keys = received.map(({ headers }) => headers['idempotency-key']);
      expect(keys[1]).toBe(keys[0]);
      expect(keys[2]).not.toBe(keys[0]);
    });

    it.each(['', 'ok', 'null', '{}'])(
      'a batch has arrived whose answer says that it is JSON, and is %j',
      async (answer) => {
        const { url } = await serve((_, response) => {
          response.setHeader('content-type', 'application/json').end(answer);
        });
        expect(await deliver({ url, format: 'ndjson', ...client }, [recordOf(1, 'a'), recordOf(2, 'b')])).toEqual([]);
      },
    );

    it('a batch that is too large as a whole is tried in halves, one record is a dead letter', async () => {
      const { url } = await serve((_, response) => response.writeHead(413).end());
      const sink = httpSink({ url, format: 'ndjson', ...client });
      await expect(sink.deliver([recordOf(1, 'a'), recordOf(2, 'b')], CONTEXT)).rejects.toMatchObject({
        kind: 'retry',
      });
      await expect(sink.deliver([recordOf(1, 'a')], CONTEXT)).rejects.toMatchObject({
        kind: 'rejected',
        reason: 'too-large',
      });
    });

    it('nobody there is the destination’s fault; an aborted batch is nobody’s', async () => {
      const { url } = await serve(() => undefined);
      const nowhere = 'http://127.0.0.1:9/';
      expect(await deliver({ url: nowhere, ...client }, [recordOf(1, 'a')])).toMatchObject([
        { id: 1, kind: 'unavailable' },
      ]);
      const controller = new AbortController();
      const reason = new Error('over');
      const result = httpSink({ url, ...client }).deliver([recordOf(1, 'a')], {
        signal: controller.signal,
        queue: 'wal',
      });
      setTimeout(() => controller.abort(reason), 20);
      expect(await result).toEqual({ failed: [{ id: 1, error: reason }] });
    });

    it('no answer is the destination’s fault, in time', async () => {
      const { url } = await serve(() => undefined);
      expect(await deliver({ url, ackTimeoutMs: 50, ...client }, [recordOf(1, 'a')])).toMatchObject([
        { id: 1, kind: 'unavailable', message: expect.stringContaining('no answer within 50 ms') },
      ]);
    });

    it('says at once of each record that it has arrived', async () => {
      const arrived: number[] = [];
      const over = new AbortController();
      let turns = 0;
      const { url } = await serve((_received, response) => {
        // The third is never answered.
        if (++turns !== 3) response.writeHead(200).end();
      });
      const context = { signal: over.signal, queue: 'wal', arrived: (id: number) => void arrived.push(id) };
      const batch = httpSink({ url, connections: 1, ...client }).deliver(
        [1, 2, 3, 4].map((id) => recordOf(id, 'x')),
        context,
      );
      await expect.poll(() => arrived).toEqual([1, 2]);
      over.abort(new Error('too long'));
      await batch.catch(() => undefined);
      expect(arrived).toEqual([1, 2]);
    });

    it('headers of the sink stand above those of a record, whatever their case, but for the type of its content', async () => {
      const { url, received } = await serve((_, response) => response.writeHead(204).end());
      const headers = { Authorization: 'Bearer mine', 'X-Tenant': 'us', 'Content-Type': 'text/plain' };
      const own = { authorization: 'Bearer theirs', cookie: 'a=b', 'x-tenant': 'them', 'x-kind': 'k' };
      await deliver({ url, headers, ...client }, [recordOf(1, 'a', own)]);
      await deliver({ url, headers, ...client }, [recordOf(2, 'b', { 'content-type': 'image/png' })]);
      expect(received[0]?.headers).toMatchObject({
        authorization: 'Bearer mine',
        'x-tenant': 'us',
        'x-kind': 'k',
        'content-type': 'text/plain',
      });
      expect(received[0]?.headers.cookie).toBeUndefined();
      expect(received[1]?.headers['content-type']).toBe('image/png');
      for (const bad of [{ 'a b': 'x' }, { a: 'line\nend' }])
        expect(() => httpSink({ url, headers: bad, ...client })).toThrow(TypeError);
    });

    it('a probe asks with HEAD', async () => {
      let status = 503;
      const { url, received } = await serve((_, response) => response.writeHead(status).end());
      const sink = httpSink({ url, probeUrl: url, ...client });
      const { signal } = CONTEXT;
      await expect(sink.probe?.({ signal })).rejects.toMatchObject({ kind: 'unavailable' });
      status = 404;
      await sink.probe?.({ signal });
      expect(received.map(({ method }) => method)).toEqual(['HEAD', 'HEAD']);
      expect(Reflect.get(httpSink({ url, ...client }), 'probe')).toBeUndefined();
    });
  });
}

describe('httpSink', () => {
  it('says what is wrong with its options', () => {
    for (const options of [
      undefined,
      {},
      { url: 'ftp://x' },
      { url: 'nowhere' },
      { url: 'http://x', method: 'GET' },
      { url: 'http://x', format: 'xml' },
      { url: 'http://x', client: {} },
      { url: 'http://x', status: { 200: 'fine' } },
      { url: 'http://x', probeUrl: 7 },
      { url: 'http://x', uri: 'y' },
    ]) {
      expect(() => Reflect.apply(httpSink, undefined, [options])).toThrow(TypeError);
    }
    expect(() => httpSink({ url: 'http://x', connections: 0 })).toThrow(RangeError);
    expect(() => httpSink({ url: 'http://x', status: { 99: 'ok' } })).toThrow(RangeError);
  });
});
