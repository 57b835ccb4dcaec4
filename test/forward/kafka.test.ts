/**
 * The sink for Kafka, by kafkajs: against a broker, where `EVAQ_KAFKA=host:port` names one, and otherwise against the mock of librdkafka that kcat brings.
 * The mock keeps all in its memory, so it is not killed in the middle but held up; and it knows no idempotent producer of kafkajs.
 */
import type { Kafka, Producer } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kafkaSink } from '../../src/forward/kafka.js';
import type { SinkRecord } from '../../src/forward.js';
import { because, startKafkaMock, WHY_NOT } from './brokers.js';
import { type Arrived, forwardThroughKill, lettersOf } from './forward-through-kill.js';
import type { Server } from './servers.js';

const real = process.env['EVAQ_KAFKA'];
const missing = real === undefined ? WHY_NOT.kafka : undefined;
const run = Date.now().toString(36);

describe.skipIf(missing !== undefined)(`a Kafka protocol server${because(missing)}`, () => {
  let server: Server | undefined;
  let kafka: Kafka;
  let producer: Producer;

  beforeAll(async () => {
    let broker = real;
    if (broker === undefined) {
      const mock = await startKafkaMock();
      server = mock.server;
      broker = mock.broker;
    }
    const { default: kafkajs } = await import('kafkajs');
    kafka = new kafkajs.Kafka({
      brokers: [broker],
      logLevel: kafkajs.logLevel.NOTHING,
      requestTimeout: 1000,
      retry: { retries: 1, initialRetryTime: 50 },
    });
    producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
  });
  afterAll(async () => {
    await producer.disconnect();
    await server?.end();
  });

  interface Consumed extends Arrived {
    readonly key: string | undefined;
    readonly partition: number;
  }

  /** All that is there, to the end of each partition. */
  async function consume(topic: string): Promise<Consumed[]> {
    const admin = kafka.admin();
    await admin.connect();
    const ends = await admin.fetchTopicOffsets(topic);
    await admin.disconnect();
    const open = new Set(ends.filter(({ high, low }) => high !== low).map(({ partition }) => partition));
    const consumed: Consumed[] = [];
    if (open.size === 0) return consumed;
    const consumer = kafka.consumer({ groupId: `${topic}-reader`, retry: { retries: 10 } });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachMessage: async ({ partition, message }) => {
            const deliveryId = String(message.headers?.['evaq-id']);
            const payload = message.value ?? Buffer.alloc(0);
            consumed.push({ payload, deliveryId, key: message.key?.toString(), partition });
            const end = ends.find((one) => one.partition === partition)?.high ?? '0';
            if (BigInt(message.offset) + 1n >= BigInt(end)) open.delete(partition);
            if (open.size === 0) resolve();
          },
        })
        .catch(reject);
    });
    await consumer.disconnect();
    return consumed;
  }

  test.skipIf(real !== undefined)(
    'held up in the middle: nothing is lost, what comes twice has the same evaq-id',
    async () => {
      const topic = `held-${run}`;
      const mock = server;
      if (mock === undefined) throw new TypeError('no server');
      const held = {
        kill: async () => mock.hold(),
        start: async () => {
          await new Promise((resolve) => setTimeout(resolve, 1500));
          mock.resume();
        },
      };
      const { arrived } = await forwardThroughKill({
        sink: kafkaSink({ producer, topic, ackTimeoutMs: 2000 }),
        server: held,
        arrived: () => consume(topic),
      });
      expect(arrived.length).toBeGreaterThanOrEqual(2000);
    },
  );

  test('of a key all are in one partition', async () => {
    const topic = `keys-${run}`;
    const payloads = Array.from({ length: 60 }, (_, i) => `${i % 5}/${i}`);
    const key = ({ payload }: { payload: Buffer }): string => payload.toString().slice(0, 1);
    expect(await lettersOf(kafkaSink({ producer, topic }), payloads, { key })).toEqual([]);
    const partitions = new Map<string | undefined, Set<number>>();
    for (const { key: one, partition } of await consume(topic)) {
      partitions.set(one, (partitions.get(one) ?? new Set()).add(partition));
    }
    expect(new Set(partitions.keys())).toEqual(new Set(['0', '1', '2', '3', '4']));
    for (const own of partitions.values()) expect(own.size).toBe(1);
  });

  test('a record whose topic is none is a dead letter; the others arrive', async () => {
    const topic = `others-${run}`;
    const sink = kafkaSink({ producer, topic: ({ id }: SinkRecord) => (id === 2 ? '' : topic) });
    const letters = await lettersOf(sink, ['a', 'bad', 'b'], { retry: { maxAttempts: 1 } });
    expect(letters).toMatchObject([{ payload: 'bad' }]);
    expect(new Set((await consume(topic)).map(({ payload }) => payload.toString()))).toEqual(new Set(['a', 'b']));
  });
});
