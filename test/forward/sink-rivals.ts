/** Each sink, and its bare client with the same to do: the same fields, the same acknowledgement. */
import { headers as natsHeaders } from '@nats-io/transport-node';
import { AwsClient } from 'aws4fetch';
import { httpSink } from '../../src/forward/http.js';
import { kafkaSink } from '../../src/forward/kafka.js';
import { mqttSink } from '../../src/forward/mqtt.js';
import { natsSink } from '../../src/forward/nats.js';
import { postgresSink } from '../../src/forward/postgres.js';
import { rabbitmqSink } from '../../src/forward/rabbitmq.js';
import { redisSink } from '../../src/forward/redis.js';
import { s3Sink } from '../../src/forward/s3.js';
import type { SinkRecord } from '../../src/forward.js';
import { newPool } from './brokers.js';
import { BUCKET_KEYS } from './bucket.js';
import { GROUNDS, type GroundName } from './grounds.js';
import type { Rival } from './sink-rates.js';

export const RIVALS: Readonly<Record<GroundName, () => Promise<Rival>>> = {
  http,
  redis,
  rabbitmq,
  nats,
  postgres,
  mqtt,
  kafka,
  s3,
};

const HTTP_CONNECTIONS = 16;

async function http(): Promise<Rival> {
  const ground = await GROUNDS.http();
  const { url } = ground;
  const post = async ({ payload, headers, deliveryId }: SinkRecord): Promise<void> => {
    const response = await fetch(url, {
      method: 'POST',
      body: payload,
      headers: { ...headers, 'content-type': 'application/octet-stream', 'idempotency-key': deliveryId },
    });
    await response.text();
    if (!response.ok) throw new Error(response.statusText);
  };
  return {
    sink: httpSink({ url, connections: HTTP_CONNECTIONS }),
    async send(records) {
      let next = 0;
      const worker = async (): Promise<void> => {
        for (let record = records[next++]; record !== undefined; record = records[next++]) await post(record);
      };
      await Promise.all(Array.from({ length: HTTP_CONNECTIONS }, worker));
    },
    end: () => ground.end(),
  };
}

async function redis(): Promise<Rival> {
  const ground = await GROUNDS.redis();
  const { url } = ground;
  const { Redis } = await import('ioredis');
  const client = new Redis({ port: Number(new URL(url).port) });
  return {
    sink: redisSink({ client, stream: 'sink' }),
    send: (records) =>
      Promise.all(
        records.map(({ deliveryId, payload, timestamp, key = '', headers }) =>
          client.xadd(
            'client',
            '*',
            'evaq-id',
            deliveryId,
            'payload',
            payload,
            'timestamp',
            timestamp,
            'key',
            key,
            ...Object.entries(headers).flatMap(([name, value]) => [`header:${name}`, value]),
          ),
        ),
      ),
    async end() {
      client.disconnect();
      await ground.end();
    },
  };
}

async function rabbitmq(): Promise<Rival> {
  const ground = await GROUNDS.rabbitmq();
  const { url } = ground;
  const { connect } = await import('amqplib');
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  const sink = rabbitmqSink({ connect: () => connect(url), routingKey: 'orders' });
  return {
    sink,
    async send(records) {
      for (const { payload, deliveryId, timestamp, headers } of records) {
        channel.publish('', 'orders', payload, {
          messageId: deliveryId,
          timestamp,
          headers,
          persistent: true,
          mandatory: true,
        });
      }
      await channel.waitForConfirms();
    },
    async end() {
      await sink.close?.();
      await connection.close();
      await ground.end();
    },
  };
}

async function nats(): Promise<Rival> {
  const ground = await GROUNDS.nats();
  const { url } = ground;
  const { connect } = await import('@nats-io/transport-node');
  const { jetstream } = await import('@nats-io/jetstream');
  const connection = await connect({ port: Number(new URL(url).port) });
  const stream = jetstream(connection);
  // What one has published the other may not be told is there already.
  let round = 0;
  return {
    sink: natsSink({ connection, headers: natsHeaders, subject: 'orders', stream: 'orders' }),
    send(records) {
      round++;
      return Promise.all(
        records.map(({ payload, deliveryId, headers, key = '' }) => {
          const made = natsHeaders();
          for (const [name, value] of Object.entries(headers)) made.set(name, value);
          made.set('evaq-key', key);
          const expect = { streamName: 'orders' };
          return stream.publish('orders', payload, { msgID: `${round}${deliveryId}`, headers: made, expect });
        }),
      );
    },
    async end() {
      await connection.close();
      await ground.end();
    },
  };
}

async function postgres(): Promise<Rival> {
  const ground = await GROUNDS.postgres();
  const { url } = ground;
  const pool = await newPool(Number(new URL(url).port));
  return {
    sink: postgresSink({ client: pool, table: 'orders' }),
    send: (records) =>
      pool.query(
        'INSERT INTO orders SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT (delivery_id) DO NOTHING',
        [records.map(({ deliveryId }) => deliveryId), records.map(({ payload }) => payload)],
      ),
    async end() {
      await pool.end();
      await ground.end();
    },
  };
}

async function mqtt(): Promise<Rival> {
  const ground = await GROUNDS.mqtt();
  const { url } = ground;
  const { connectAsync } = await import('mqtt');
  const client = await connectAsync({ port: Number(new URL(url).port), protocolVersion: 5 });
  return {
    sink: mqttSink({ client, topic: 'open/sink' }),
    send: (records) =>
      Promise.all(
        records.map(({ payload, headers, deliveryId }) => {
          const properties = { userProperties: { ...headers, 'evaq-id': deliveryId } };
          return client.publishAsync('open/client', payload, { qos: 1, properties });
        }),
      ),
    async end() {
      await client.endAsync(true);
      await ground.end();
    },
  };
}

async function kafka(): Promise<Rival> {
  const ground = await GROUNDS.kafka();
  const { url } = ground;
  const { default: kafkajs } = await import('kafkajs');
  const client = new kafkajs.Kafka({ brokers: [new URL(url).host], logLevel: kafkajs.logLevel.NOTHING });
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  return {
    sink: kafkaSink({ producer, topic: 'orders' }),
    send: (records) =>
      producer.send({
        topic: 'orders',
        acks: -1,
        messages: records.map(({ key = null, payload, headers, deliveryId, timestamp }) => ({
          key,
          value: payload,
          headers: { ...headers, 'evaq-id': deliveryId },
          timestamp: String(timestamp),
        })),
      }),
    async end() {
      await producer.disconnect();
      await ground.end();
    },
  };
}

async function s3(): Promise<Rival> {
  const ground = await GROUNDS.s3();
  const { env } = ground;
  const url = `${env?.['AWS_ENDPOINT_URL']}/bucket`;
  const client = new AwsClient({ ...BUCKET_KEYS, retries: 0 });
  let objects = 0;
  return {
    sink: s3Sink({ client, url }),
    async send(records) {
      const lines = records.map(
        ({ payload, ...about }) => `${JSON.stringify({ ...about, payload: payload.toString() })}\n`,
      );
      const headers = { 'content-type': 'application/x-ndjson' };
      const response = await client.fetch(`${url}/${++objects}.ndjson`, {
        method: 'PUT',
        headers,
        body: lines.join(''),
      });
      await response.text();
      if (!response.ok) throw new Error(response.statusText);
    },
    end: () => ground.end(),
  };
}
