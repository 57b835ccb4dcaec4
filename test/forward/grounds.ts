/** Each destination as `evaq forward` meets it: its URL, what can be killed of it, and what has arrived. */
import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import {
  newPool,
  startKafkaMock,
  startMosquitto,
  startNats,
  startPostgres,
  startRabbitmq,
  startRedis,
  WHY_NOT,
} from './brokers.js';
import { BUCKET_KEYS, Bucket } from './bucket.js';
import { freePort } from './servers.js';
import { WayThere } from './way-there.js';

export interface Taken {
  readonly payload: Buffer;
  readonly deliveryId: string;
}

export interface Ground {
  /** For `--to`. */
  readonly url: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Drops what comes twice. */
  readonly isOnce: boolean;
  readonly server: { kill(): Promise<void>; start(): Promise<void> };
  arrived(): Promise<readonly Taken[]>;
  end(): Promise<void>;
}

export type GroundName = 'http' | 'redis' | 'rabbitmq' | 'nats' | 'postgres' | 'mqtt' | 'kafka' | 's3';

export interface GroundOptions {
  /** Without what records are forwarded to: whoever comes makes it. Default false. */
  readonly isEmpty?: boolean;
}

export const GROUNDS: Readonly<Record<GroundName, (options?: GroundOptions) => Promise<Ground>>> = {
  http,
  redis,
  rabbitmq,
  nats,
  postgres,
  mqtt,
  kafka,
  s3,
};

export function whyNoGround(name: GroundName): string | undefined {
  return name === 'http' || name === 's3' ? undefined : WHY_NOT[name];
}

async function http(): Promise<Ground> {
  const port = await freePort();
  const taken: Taken[] = [];
  let server: HttpServer | undefined;
  const start = async (): Promise<void> => {
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        taken.push({ payload: Buffer.concat(parts), deliveryId: String(request.headers['idempotency-key']) });
        response.writeHead(200).end();
      });
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const kill = async (): Promise<void> => {
    const closed = server === undefined ? undefined : once(server, 'close');
    server?.close();
    server?.closeAllConnections();
    await closed;
  };
  await start();
  const url = `http://127.0.0.1:${port}/in`;
  return { url, isOnce: false, server: { start, kill }, arrived: async () => taken, end: kill };
}

async function redis(): Promise<Ground> {
  const server = await startRedis();
  const { Redis } = await import('ioredis');
  return {
    url: `redis://127.0.0.1:${server.port}/orders?ids=record`,
    isOnce: true,
    server,
    async arrived() {
      const client = new Redis(server.port, '127.0.0.1');
      const entries = await client.xrangeBuffer('orders', '-', '+');
      client.disconnect();
      return entries.map(([, [, deliveryId, , payload]]) => ({
        payload: payload ?? Buffer.alloc(0),
        deliveryId: String(deliveryId),
      }));
    },
    end: () => server.end(),
  };
}

async function rabbitmq({ isEmpty = false }: GroundOptions = {}): Promise<Ground> {
  const started = await startRabbitmq();
  const { server, url } = started;
  const { connect } = await import('amqplib');
  const connection = await connect(url);
  if (!isEmpty) await (await connection.createChannel()).assertQueue('orders', { durable: true });
  await connection.close();
  return {
    url: `${url}?key=orders`,
    isOnce: false,
    server,
    async arrived() {
      const reading = await connect(url);
      const channel = await reading.createChannel();
      const { messageCount } = await channel.checkQueue('orders');
      const taken: Taken[] = [];
      await new Promise<void>((resolve, reject) => {
        if (messageCount === 0) resolve();
        channel
          .consume(
            'orders',
            (message) => {
              if (message === null) return;
              taken.push({ payload: message.content, deliveryId: String(message.properties.messageId) });
              if (taken.length === messageCount) resolve();
            },
            { noAck: true },
          )
          .catch(reject);
      });
      await reading.close();
      return taken;
    },
    end: () => started.end(),
  };
}

async function nats({ isEmpty = false }: GroundOptions = {}): Promise<Ground> {
  const server = await startNats();
  const { connect } = await import('@nats-io/transport-node');
  const { jetstream, jetstreamManager } = await import('@nats-io/jetstream');
  const connection = await connect({ port: server.port });
  if (!isEmpty) await (await jetstreamManager(connection)).streams.add({ name: 'orders', subjects: ['orders'] });
  await connection.close();
  return {
    url: `nats://127.0.0.1:${server.port}/orders?stream=orders`,
    isOnce: true,
    server,
    async arrived() {
      const reading = await connect({ port: server.port });
      const { state } = await (await jetstreamManager(reading)).streams.info('orders');
      const taken: Taken[] = [];
      if (state.messages > 0) {
        const consumer = await jetstream(reading).consumers.get('orders');
        const messages = await consumer.consume();
        for await (const { data, headers, seq } of messages) {
          taken.push({ payload: Buffer.from(data), deliveryId: headers?.get('Nats-Msg-Id') ?? '' });
          if (seq === state.last_seq) break;
        }
      }
      await reading.close();
      return taken;
    },
    end: () => server.end(),
  };
}

async function postgres({ isEmpty = false }: GroundOptions = {}): Promise<Ground> {
  const server = await startPostgres();
  const pool = await newPool(server.port);
  pool.on('error', () => undefined);
  if (!isEmpty) await pool.query('CREATE TABLE orders (delivery_id text PRIMARY KEY, payload bytea NOT NULL)');
  return {
    url: `postgres://evaq@127.0.0.1:${server.port}/postgres/orders`,
    isOnce: true,
    server,
    async arrived() {
      const { rows } = await pool.query<{ delivery_id: string; payload: Buffer }>('SELECT * FROM orders');
      return rows.map(({ delivery_id: deliveryId, payload }) => ({ deliveryId, payload }));
    },
    async end() {
      await pool.end();
      await server.end();
    },
  };
}

/** The way there is cut off, and not the broker: what that has acknowledged and not handed on yet it keeps in memory. */
async function mqtt(): Promise<Ground> {
  const server = await startMosquitto();
  const way = await WayThere.to(server.port);
  const { connectAsync } = await import('mqtt');
  const receiver = await connectAsync({ port: server.port, protocolVersion: 5 });
  const taken: Taken[] = [];
  receiver.on('message', (_topic, payload, { properties }) => {
    taken.push({ payload, deliveryId: String(properties?.userProperties?.['evaq-id']) });
  });
  await receiver.subscribeAsync('#', { qos: 2 });
  return {
    url: `mqtt://127.0.0.1:${way.port}/open/orders`,
    isOnce: false,
    server: way,
    async arrived() {
      for (let before = -1; before !== taken.length; ) {
        before = taken.length;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      return taken;
    },
    async end() {
      await receiver.endAsync(true);
      await way.kill();
      await server.end();
    },
  };
}

/** The mock keeps all in its memory: it is held up, and not killed. */
async function kafka(): Promise<Ground> {
  const { server, broker } = await startKafkaMock();
  const { default: kafkajs } = await import('kafkajs');
  return {
    url: `kafka://${broker}/orders`,
    isOnce: false,
    server: { kill: async () => server.hold(), start: async () => server.resume() },
    async arrived() {
      const client = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
      const admin = client.admin();
      await admin.connect();
      const ends = await admin.fetchTopicOffsets('orders');
      await admin.disconnect();
      const open = new Map(
        ends.filter(({ high }) => high !== '0').map(({ partition, high }) => [partition, BigInt(high)]),
      );
      const consumer = client.consumer({ groupId: 'reader' });
      await consumer.connect();
      await consumer.subscribe({ topic: 'orders', fromBeginning: true });
      const taken: Taken[] = [];
      await new Promise<void>((resolve, reject) => {
        consumer
          .run({
            eachMessage: async ({ partition, message: { value, headers, offset } }) => {
              taken.push({ payload: value ?? Buffer.alloc(0), deliveryId: String(headers?.['evaq-id']) });
              if (BigInt(offset) + 1n >= (open.get(partition) ?? 0n)) open.delete(partition);
              if (open.size === 0) resolve();
            },
          })
          .catch(reject);
      });
      await consumer.disconnect();
      return taken;
    },
    end: () => server.end(),
  };
}

async function s3(): Promise<Ground> {
  const bucket = new Bucket();
  await bucket.start();
  return {
    url: 's3://bucket/orders',
    env: {
      AWS_ACCESS_KEY_ID: BUCKET_KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: BUCKET_KEYS.secretAccessKey,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${bucket.port}`,
      AWS_REGION: BUCKET_KEYS.region,
    },
    isOnce: false,
    server: bucket,
    arrived: async () => bucket.arrived(),
    end: () => bucket.kill(),
  };
}
