/**
 * The sink for MQTT, against a mosquitto. In the middle of it the way there is cut off, and not the broker: what a broker has acknowledged and not handed
 * on yet it keeps in memory, so a kill loses it whatever the sink does.
 */
import { setTimeout as passTime } from 'node:timers/promises';
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mqttSink } from '../../src/forward/mqtt.js';
import { because, startMosquitto, WHY_NOT } from './brokers.js';
import { type Arrived, forwardThroughKill, lettersOf } from './forward-through-kill.js';
import type { Server } from './servers.js';
import { WayThere } from './way-there.js';

const missing = WHY_NOT.mqtt;

describe.skipIf(missing !== undefined)(`a real mosquitto${because(missing)}`, () => {
  let server: Server;
  let way: WayThere;
  let client: MqttClient;
  let receiver: MqttClient;
  const arrived = new Map<string, Arrived[]>();

  beforeAll(async () => {
    server = await startMosquitto();
    way = await WayThere.to(server.port);
    const { connectAsync } = await import('mqtt');
    receiver = await connectAsync({ port: server.port, protocolVersion: 5 });
    receiver.on('message', (topic, payload, { properties }) => {
      const deliveryId = String(properties?.userProperties?.['evaq-id']);
      arrived.set(topic, [...(arrived.get(topic) ?? []), { payload, deliveryId }]);
    });
    await receiver.subscribeAsync('#', { qos: 2 });
    client = await connectAsync({
      port: way.port,
      protocolVersion: 5,
      reconnectPeriod: 20,
      clientId: 'sink',
      clean: false,
      properties: { sessionExpiryInterval: 3600 },
    });
    client.on('error', () => undefined);
  });
  afterAll(async () => {
    client.end(true);
    receiver.end(true);
    await way.kill();
    await server.end();
  });

  /** What was published before, with the same QoS, is there when this one is. */
  async function arrivedAt(topic: string, qos: 1 | 2 = 1): Promise<readonly Arrived[]> {
    const last = `open/last of ${topic}`;
    await client.publishAsync(last, '', { qos });
    while (!arrived.has(last)) await passTime(5);
    return arrived.get(topic) ?? [];
  }

  for (const qos of [1, 2] as const) {
    test(`QoS ${qos}, the way there cut off in the middle: nothing is lost, what comes twice has the same evaq-id`, async () => {
      const topic = `open/${qos}`;
      const { doubles } = await forwardThroughKill({
        sink: mqttSink({ client, topic, qos }),
        server: way,
        records: 1000,
        arrived: () => arrivedAt(topic, qos),
      });
      expect(doubles).toBeLessThanOrEqual(80);
    });
  }

  test('a topic that is none, and what is larger than the broker takes, are dead letters before they meet it', async () => {
    const topic = ({ payload }: { payload: Buffer }): string => (payload.toString() === 'bad' ? 'a/#/b' : 'open/fine');
    const sink = mqttSink({ client, topic, recordBytesMax: 9000 });
    const letters = await lettersOf(sink, ['a', 'bad', 'x'.repeat(20_000), 'b']);
    expect(letters).toHaveLength(2);
    expect(letters).toContainEqual(expect.objectContaining({ reason: 'MQTT 144', payload: 'bad' }));
    expect(letters).toContainEqual(expect.objectContaining({ reason: 'too-large' }));
    expect((await arrivedAt('open/fine')).map(({ payload }) => payload.toString())).toEqual(['a', 'b']);
  });

  test('a topic that we may not publish to stops', async () => {
    await expect(lettersOf(mqttSink({ client, topic: 'closed/x' }), ['a'])).rejects.toMatchObject({
      name: 'StopDelivery',
      reason: 'Publish error: Not authorized',
    });
  });
});
