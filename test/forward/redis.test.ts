/** The sink for Redis streams, against a redis-server. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { redisSink } from '../../src/forward/redis.js';
import { because, startRedis, WHY_NOT } from './brokers.js';
import { type Arrived, forwardThroughKill, lettersOf } from './forward-through-kill.js';
import type { Server } from './servers.js';

const missing = WHY_NOT.redis;

describe.skipIf(missing !== undefined)(`a real redis-server${because(missing)}`, () => {
  let server: Server;
  let client: Redis;

  beforeAll(async () => {
    server = await startRedis();
    const { Redis: Client } = await import('ioredis');
    client = new Client(server.port, '127.0.0.1', { retryStrategy: () => 20 });
    client.on('error', () => undefined);
  });
  afterAll(async () => {
    client.disconnect();
    await server.end();
  });

  async function entriesOf(stream: string): Promise<(Arrived & { readonly entryId: string })[]> {
    const entries = await client.xrangeBuffer(stream, '-', '+');
    return entries.map(([entryId, fields]) => {
      const [, deliveryId, , payload] = fields;
      if (deliveryId === undefined || payload === undefined) throw new TypeError('fields are missing');
      return { entryId: entryId.toString(), deliveryId: deliveryId.toString(), payload };
    });
  }

  test('killed in the middle: nothing is lost, what comes twice has the same evaq-id', async () => {
    const { doubles } = await forwardThroughKill({
      sink: redisSink({ client, stream: 'auto' }),
      server,
      arrived: () => entriesOf('auto'),
    });
    expect(doubles).toBeLessThan(200);
  });

  test("ids: 'record': each once, in order, under its own ID", async () => {
    const { doubles, arrived } = await forwardThroughKill({
      sink: redisSink({ client, stream: 'record', ids: 'record' }),
      server,
      arrived: () => entriesOf('record'),
    });
    expect(doubles).toBe(0);
    expect(arrived.map(({ deliveryId }) => Number(deliveryId.split(':')[2]))).toEqual(arrived.map((_, i) => i + 1));
    expect(await client.xrange('record', '2000-0', '2000-0')).toHaveLength(1);
  });

  test("ids: 'record': what another has overtaken is appended behind it, and not taken for there", async () => {
    await client.xadd('behind', '7-0', 'evaq-id', 'of another store');
    expect(await lettersOf(redisSink({ client, stream: 'behind', ids: 'record' }), ['a', 'b'])).toEqual([]);
    expect(await client.xrange('behind', '(7-0', '+')).toMatchObject([
      ['7-1', { 3: 'a' }],
      ['7-2', { 3: 'b' }],
    ]);
  });

  test('what Redis rejects is a dead letter with its word', async () => {
    await client.set('plain', 'x');
    const stream = ({ payload }: { payload: Buffer }): string => (payload.toString() === 'bad' ? 'plain' : 'fine');
    const letters = await lettersOf(redisSink({ client, stream }), ['a', 'bad', 'b']);
    expect(letters).toMatchObject([
      { reason: 'WRONGTYPE', payload: 'bad', cause: expect.stringMatching(/^WRONGTYPE /) },
    ]);
    expect((await entriesOf('fine')).map(({ payload }) => payload.toString())).toEqual(['a', 'b']);
  });

  test('WAIT for a replica that is not there: nothing has arrived', async () => {
    const sink = redisSink({ client, stream: 'waits', wait: { replicas: 1, timeoutMs: 20 } });
    const record = { id: 1, payload: Buffer.from('a'), headers: {}, timestamp: 1, attempt: 1, key: undefined };
    const context = { signal: new AbortController().signal, queue: 'wal' };
    await expect(sink.deliver([{ ...record, deliveryId: 's:wal:1' }], context)).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'WAIT: 0 of 1 have it',
    });
    await sink.probe?.(context);
  });
});
