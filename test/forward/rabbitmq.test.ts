/** The sink for RabbitMQ, against a rabbitmq-server: with an epmd of its own, so that none is left behind. */
import type { ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rabbitmqSink } from '../../src/forward/rabbitmq.js';
import { because, type Rabbitmq, startRabbitmq, WHY_NOT } from './brokers.js';
import { type Arrived, forwardThroughKill, lettersOf } from './forward-through-kill.js';

const missing = WHY_NOT.rabbitmq;

describe.skipIf(missing !== undefined)(`a real rabbitmq-server${because(missing)}`, () => {
  let rabbitmq: Rabbitmq;
  let connect: () => Promise<ChannelModel>;

  beforeAll(async () => {
    rabbitmq = await startRabbitmq();
    const amqp = await import('amqplib');
    connect = () => amqp.connect(rabbitmq.url);
  });
  afterAll(async () => {
    await rabbitmq?.end();
  });

  async function onChannel<T>(action: (channel: Awaited<ReturnType<ChannelModel['createChannel']>>) => Promise<T>) {
    const connection = await connect();
    try {
      return await action(await connection.createChannel());
    } finally {
      await connection.close();
    }
  }

  function takeAll(queue: string): Promise<Arrived[]> {
    return onChannel(async (channel) => {
      const arrived: Arrived[] = [];
      for (;;) {
        const message = await channel.get(queue, { noAck: true });
        if (message === false) return arrived;
        arrived.push({ payload: message.content, deliveryId: String(message.properties.messageId) });
      }
    });
  }

  test('killed in the middle: nothing is lost, what comes twice has the same messageId', async () => {
    await onChannel((channel) => channel.assertQueue('killed', { durable: true }));
    const { doubles } = await forwardThroughKill({
      sink: rabbitmqSink({ connect, routingKey: 'killed' }),
      server: rabbitmq.server,
      arrived: () => takeAll('killed'),
    });
    expect(doubles).toBeLessThanOrEqual(80);
  });

  test('what no queue takes is a dead letter: NO_ROUTE', async () => {
    await onChannel((channel) => channel.assertQueue('there', { durable: true }));
    const routingKey = ({ payload }: { payload: Buffer }): string => (payload.toString() === 'bad' ? 'gone' : 'there');
    const letters = await lettersOf(rabbitmqSink({ connect, routingKey }), ['a', 'bad', 'b']);
    expect(letters).toEqual([{ reason: 'NO_ROUTE', payload: 'bad', cause: 'returned by the broker: NO_ROUTE' }]);
    expect((await takeAll('there')).map(({ payload }) => payload.toString())).toEqual(['a', 'b']);
  });

  test('a message that closes the channel is found in its batch; all others arrive', async () => {
    await onChannel((channel) => channel.assertQueue('closes', { durable: true }));
    // An expiration that is no number closes the channel with 406; headers of records cannot do that, so the connection is made to.
    const spoiling = async (): Promise<ChannelModel> => {
      const connection = await connect();
      const createConfirmChannel = connection.createConfirmChannel.bind(connection);
      connection.createConfirmChannel = async (options) => {
        const channel = await createConfirmChannel(options);
        const publish = channel.publish.bind(channel);
        channel.publish = (exchange, routingKey, content, how, confirmed) => {
          const spoilt = content.toString() === 'bad' ? { ...how, expiration: 'soon' } : how;
          return publish(exchange, routingKey, content, spoilt, confirmed);
        };
        return channel;
      };
      return connection;
    };
    const payloads = Array.from({ length: 30 }, (_, i) => (i === 11 ? 'bad' : `${i}`));
    const letters = await lettersOf(rabbitmqSink({ connect: spoiling, routingKey: 'closes' }), payloads);
    expect(letters).toMatchObject([{ reason: 'PRECONDITION_FAILED', payload: 'bad' }]);
    const arrived = new Set((await takeAll('closes')).map(({ payload }) => payload.toString()));
    expect(arrived).toEqual(new Set(payloads.filter((payload) => payload !== 'bad')));
  });

  test('an exchange that is not there is the destination’s fault; who is not let in stops', async () => {
    const record = { id: 1, payload: Buffer.from('a'), headers: {}, timestamp: 1, attempt: 1, key: undefined };
    const records = [{ ...record, deliveryId: 's:wal:1' }];
    const context = { signal: new AbortController().signal, queue: 'wal' };
    const lost = rabbitmqSink({ connect, exchange: 'nowhere' });
    expect(await lost.deliver(records, context)).toMatchObject({
      failed: [{ id: 1, error: { kind: 'unavailable', message: expect.stringContaining('NOT_FOUND') } }],
    });
    await lost.probe?.(context);
    await lost.close?.();
    const { connect: open } = await import('amqplib');
    const stranger = rabbitmqSink({ connect: () => open(`amqp://guest:wrong@127.0.0.1:${rabbitmq.server.port}`) });
    await expect(stranger.deliver(records, context)).rejects.toMatchObject({ kind: 'unauthorized' });
    await expect(stranger.probe?.(context)).rejects.toMatchObject({ kind: 'unauthorized' });
  });
});
