/** The sink for MQTT, with a client that is made up; `test/forward/mqtt.test.ts` has a real one. */
import { describe, expect, it } from 'vitest';
import { type MqttClientLike, type MqttPublishOptions, mqttSink } from '../../../src/forward/mqtt.js';
import { CONTEXT, failuresOf, recordOf } from './sink-fixture.js';

interface Published {
  readonly topic: string;
  readonly text: string;
  readonly options: MqttPublishOptions;
}

/** Answers by the text of a message: a number is the reason code, 'throw' throws, 'never' does nothing; anything else is acknowledged. */
function newClient(options: MqttClientLike['options'] = { protocolVersion: 5 }, connected = true) {
  const published: Published[] = [];
  const client: MqttClientLike = {
    connected,
    options,
    publish: (topic, payload, how, done) => {
      const text = payload.toString();
      published.push({ topic, text, options: how });
      if (text === 'throw') throw new Error('it is ending');
      const error = /^\d+$/.test(text) ? Object.assign(new Error('because'), { code: Number(text) }) : null;
      if (text !== 'never') done(error);
    },
  };
  return { client, published };
}

describe('mqttSink', () => {
  it('publishes with QoS 1; in MQTT 5 the deliveryId and the headers are user properties', async () => {
    const { client, published } = newClient();
    const sink = mqttSink({ client, topic: ({ key }) => `o/${key}` });
    const headers = { a: 'b', 'evaq-id': 'mine' };
    expect(await failuresOf(sink, [recordOf(1, 'x', { key: 'k', headers })])).toEqual([]);
    const userProperties = { a: 'b', 'evaq-id': 's:wal:1' };
    expect(published).toEqual([
      { topic: 'o/k', text: 'x', options: { qos: 1, retain: false, properties: { userProperties } } },
    ]);
    const older = newClient({ protocolVersion: 4, clean: false });
    await failuresOf(mqttSink({ client: older.client, topic: 't', qos: 2, retain: true }), [recordOf(1, 'x')]);
    expect(older.published).toEqual([{ topic: 't', text: 'x', options: { qos: 2, retain: true } }]);
  });

  it('tells whose fault it is by the reason code', async () => {
    const kinds: Record<string, [string, string?]> = {
      x: ['ok'],
      128: ['unavailable'],
      131: ['retry'],
      135: ['unauthorized'],
      144: ['rejected', 'MQTT 144'],
      149: ['rejected', 'too-large'],
      151: ['unavailable'],
      153: ['rejected', 'MQTT 153'],
      155: ['unauthorized'],
      throw: ['unavailable'],
    };
    const { client } = newClient();
    for (const [text, [kind, reason]] of Object.entries(kinds)) {
      const [said] = await failuresOf(mqttSink({ client, topic: 't' }), [recordOf(1, text)]);
      expect(said?.kind ?? 'ok', text).toBe(kind);
      if (reason !== undefined) expect(said?.reason, text).toBe(reason);
    }
  });

  it('a topic that nothing can be published to never meets the wire', async () => {
    for (const topic of ['a/#', 'a/+/b', 'a\0', 'x'.repeat(65_536)]) {
      const { client, published } = newClient();
      const said = await failuresOf(mqttSink({ client, topic: () => topic }), [recordOf(1, 'x')]);
      expect(said).toMatchObject([{ kind: 'rejected', reason: 'MQTT 144' }]);
      expect(published).toEqual([]);
    }
    const { client } = newClient();
    const none = mqttSink({ client, topic: () => '' });
    expect(await failuresOf(none, [recordOf(1, 'x')])).toMatchObject([{ kind: 'other' }]);
    expect(mqttSink({ client, topic: 't', recordBytesMax: 7 }).limits).toEqual({ recordBytesMax: 7 });
  });

  it('a client without a connection is given nothing; what is not acknowledged in time is the destination’s fault', async () => {
    const { client, published } = newClient({ protocolVersion: 5 }, false);
    const sink = mqttSink({ client, topic: 't' });
    await expect(failuresOf(sink, [recordOf(1, 'x')])).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(sink.probe?.(CONTEXT)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(published).toEqual([]);
    const late = mqttSink({ client: newClient().client, topic: 't', ackTimeoutMs: 5 });
    await expect(failuresOf(late, [recordOf(1, 'never')])).rejects.toMatchObject({ kind: 'unavailable' });
    await late.probe?.(CONTEXT);
  });

  it('says what is wrong with its options: QoS 2 without a session, too', () => {
    const { client } = newClient();
    for (const options of [
      undefined,
      {},
      { client: {}, topic: 't' },
      { client, topic: '' },
      { client, topic: 't', retain: 1 },
      { client, topic: 't', topics: [] },
      { client, topic: 't', qos: 2 },
      { client: newClient({ protocolVersion: 4 }).client, topic: 't', qos: 2 },
      { client: newClient({ protocolVersion: 5, clean: false }).client, topic: 't', qos: 2 },
    ]) {
      expect(() => Reflect.apply(mqttSink, undefined, [options])).toThrow(TypeError);
    }
    const wrongs: object[] = [{ qos: 0 }, { recordBytesMax: 0 }, { ackTimeoutMs: 0 }, { topic: 'a/#' }];
    for (const wrong of wrongs) {
      expect(() => Reflect.apply(mqttSink, undefined, [{ client, topic: 't', ...wrong }])).toThrow();
    }
  });
});
