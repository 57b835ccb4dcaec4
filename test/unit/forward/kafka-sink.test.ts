/** The sink for Kafka, with a producer that is made up; `test/forward/kafka.test.ts` has kafkajs and a server. */
import { describe, expect, it } from 'vitest';
import { type KafkaSend, type KafkaSinkOptions, kafkaSink } from '../../../src/forward/kafka.js';
import { failuresOf, recordOf } from './sink-fixture.js';

function newProducer(answer: (sent: KafkaSend) => Error | undefined = () => undefined) {
  const sent: KafkaSend[] = [];
  const send = async (one: KafkaSend): Promise<unknown> => {
    sent.push(one);
    const error = answer(one);
    if (error !== undefined) throw error;
    return [];
  };
  return { sent, producer: { send } };
}

function named(name: string, more: object = {}): Error {
  return Object.assign(new Error(`said by ${name}`), { name, ...more });
}

describe('kafkaSink', () => {
  it('sends a topic at a time, to all replicas in sync, with key, headers and evaq-id', async () => {
    const { producer, sent } = newProducer();
    const options: Partial<KafkaSinkOptions> = { partition: ({ id }) => (id === 3 ? 7 : undefined), compression: 1 };
    const sink = kafkaSink({ producer, topic: ({ id }) => (id === 2 ? 'other' : 'orders'), ...options });
    const headers = { a: 'b', 'evaq-id': 'mine' };
    const records = [recordOf(1, 'x', { key: 'k', headers }), recordOf(2, 'y'), recordOf(3, 'z')];
    expect(await failuresOf(sink, records)).toEqual([]);
    const message = { key: null, headers: {}, timestamp: '5' };
    expect(sent).toEqual([
      {
        topic: 'orders',
        acks: -1,
        compression: 1,
        messages: [
          { ...message, key: 'k', value: Buffer.from('x'), headers: { a: 'b', 'evaq-id': 's:wal:1' } },
          { ...message, value: Buffer.from('z'), headers: { 'evaq-id': 's:wal:3' }, partition: 7 },
        ],
      },
      {
        topic: 'other',
        acks: -1,
        compression: 1,
        messages: [{ ...message, value: Buffer.from('y'), headers: { 'evaq-id': 's:wal:2' } }],
      },
    ]);
    expect(sink.limits).toEqual({ maxBytes: 900_000 });
    const own = newProducer();
    await failuresOf(kafkaSink({ producer: own.producer, topic: 't', acks: 'producer' }), [recordOf(1, 'x')]);
    expect(Object.keys(own.sent[0] ?? {})).toEqual(['topic', 'messages']);
  });

  it('tells whose fault it is by the word of the protocol, however deep it lies', async () => {
    const kinds: [Error, string, string?][] = [
      [named('KafkaJSProtocolError', { type: 'MESSAGE_TOO_LARGE' }), 'rejected', 'too-large'],
      [named('KafkaJSError', { type: 'ERR_MSG_SIZE_TOO_LARGE' }), 'rejected', 'too-large'],
      [named('KafkaJSProtocolError', { type: 'INVALID_RECORD' }), 'rejected', 'INVALID_RECORD'],
      [named('KafkaJSProtocolError', { type: 'INVALID_TOPIC_EXCEPTION' }), 'rejected', 'INVALID_TOPIC_EXCEPTION'],
      [named('KafkaJSProtocolError', { type: 'TOPIC_AUTHORIZATION_FAILED' }), 'unauthorized'],
      [named('KafkaJSSASLAuthenticationError'), 'unauthorized'],
      [named('KafkaJSError', { type: 'ERR_SASL_AUTHENTICATION_FAILED' }), 'unauthorized'],
      [named('KafkaJSProtocolError', { type: 'NOT_LEADER_FOR_PARTITION' }), 'unavailable'],
      [named('KafkaJSProtocolError', { type: 'NOT_ENOUGH_REPLICAS' }), 'unavailable'],
      [named('KafkaJSProtocolError', { type: 'UNKNOWN_TOPIC_OR_PARTITION' }), 'unavailable'],
      [named('KafkaJSError', { type: 'ERR__TRANSPORT' }), 'unavailable'],
      [named('KafkaJSConnectionError'), 'unavailable'],
      [
        named('KafkaJSNumberOfRetriesExceeded', {
          cause: named('KafkaJSProtocolError', { type: 'MESSAGE_TOO_LARGE' }),
        }),
        'rejected',
        'too-large',
      ],
    ];
    for (const [error, kind, reason] of kinds) {
      const { producer } = newProducer(() => error);
      const [said] = await failuresOf(kafkaSink({ producer, topic: 't' }), [recordOf(1, 'x')]);
      expect(said?.kind, error.message).toBe(kind);
      if (reason !== undefined) expect(said?.reason).toBe(reason);
    }
  });

  it('of several one is refused: the batch is tried in halves; what is down is told of all of its topic', async () => {
    const large = newProducer(() => named('KafkaJSProtocolError', { type: 'MESSAGE_TOO_LARGE' }));
    const records = [recordOf(1, 'x'), recordOf(2, 'y'), recordOf(3, 'z')];
    const refused = failuresOf(kafkaSink({ producer: large.producer, topic: 't' }), records);
    await expect(refused).rejects.toMatchObject({ kind: 'rejected', reason: 'too-large' });
    const down = newProducer(({ topic }) => (topic === 'down' ? named('KafkaJSConnectionError') : undefined));
    const sink = kafkaSink({ producer: down.producer, topic: ({ id }) => (id < 3 ? 'down' : 'up') });
    expect(await failuresOf(sink, records)).toMatchObject([
      { id: 1, kind: 'unavailable' },
      { id: 2, kind: 'unavailable' },
    ]);
  });

  it('what `topic` gives that is none is the record’s; no answer in time is the destination’s fault', async () => {
    const { producer } = newProducer();
    const sink = kafkaSink({ producer, topic: ({ id }) => (id === 1 ? '' : 't') });
    expect(await failuresOf(sink, [recordOf(1, 'a'), recordOf(2, 'b')])).toMatchObject([{ id: 1, kind: 'other' }]);
    const never = { send: () => new Promise<never>(() => undefined) };
    const late = failuresOf(kafkaSink({ producer: never, topic: 't', ackTimeoutMs: 5 }), [recordOf(1, 'a')]);
    await expect(late).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('says what is wrong with its options', () => {
    const { producer } = newProducer();
    for (const options of [
      undefined,
      {},
      { producer: {}, topic: 't' },
      { producer, topic: '' },
      { producer, topic: 't', partition: 7 },
      { producer, topic: 't', acks: 1 },
      { producer, topic: 't', compression: 'gzip' },
      { producer, topic: 't', ack: -1 },
    ]) {
      expect(() => Reflect.apply(kafkaSink, undefined, [options])).toThrow(TypeError);
    }
    for (const wrong of [{ maxBytes: 0 }, { ackTimeoutMs: 0 }, { compression: -1 }]) {
      expect(() => kafkaSink({ producer, topic: 't', ...wrong })).toThrow(RangeError);
    }
  });
});
