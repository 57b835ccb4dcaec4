/**
 * A sink that publishes records to an MQTT broker, with QoS 1 unless it is told otherwise. With MQTT 5 the user property `evaq-id` is the deliveryId, and
 * the headers are user properties, too; MQTT 3.1.1 has no place for either.
 *
 * A record has arrived when the broker has acknowledged it. Nothing is given to a client that has no connection: it would keep it in memory and say
 * nothing. What was on its way when the connection went is sent again by the client itself when it has one again.
 */
import { optionNames, requireOptions } from '../../arguments.js';
import { describe, requireCount } from '../../ids.js';
import type { Sink, SinkContext, SinkFailure, SinkLimits, SinkRecord, SinkResult } from '../sink.js';
import { ackTimeoutOf, requireBoolean, requireClient, textPerRecord, untilAnswered } from '../sink-client.js';
import { SinkError } from '../sink-error.js';
import {
  isTopic,
  keepsSession,
  type MqttClientLike,
  type MqttPublishOptions,
  mqttErrorOf,
  requireTopic,
} from './mqtt-client.js';

export interface MqttSinkOptions {
  readonly client: MqttClientLike;
  readonly topic: string | ((record: SinkRecord) => string);
  /** Default 1: at least once. 2: once, within a session; only with a client that has one. */
  readonly qos?: 1 | 2;
  /** The broker keeps the last one of a topic for who comes later. Default false. */
  readonly retain?: boolean;
  /** A batch that is not acknowledged after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
  /** What the broker takes. It closes the connection for what is larger, and the client sends that again for ever. Default: what MQTT can say, 256 MiB. */
  readonly recordBytesMax?: number;
}

const NAMES = optionNames('client', 'topic', 'qos', 'retain', 'ackTimeoutMs', 'recordBytesMax');
/** The longest packet, less room for topic and properties. */
const RECORD_BYTES_MAX: number = 255 * 1024 * 1024;

/** @throws TypeError, RangeError for wrong options */
export function mqttSink(options: MqttSinkOptions): Sink {
  return new MqttSink(options);
}

class MqttSink implements Sink {
  readonly name: string = 'mqtt';
  readonly limits: SinkLimits;
  readonly #client: MqttClientLike;
  readonly #topicOf: (record: SinkRecord) => string;
  readonly #qos: 1 | 2;
  readonly #retain: boolean;
  readonly #ackTimeoutMs: number;

  constructor(options: MqttSinkOptions) {
    requireOptions(options, 'mqttSink', NAMES);
    const { client, topic, qos = 1, retain = false, recordBytesMax = RECORD_BYTES_MAX } = options;
    requireClient(client, 'client', 'a client of mqtt', ['publish']);
    if (typeof topic !== 'function' && !isTopic(topic)) {
      throw new TypeError(`topic must be one to publish to, got ${describe(topic)}`);
    }
    if (qos !== 1 && qos !== 2) throw new RangeError(`qos must be 1 or 2, got ${describe(qos)}`);
    if (qos === 2 && !keepsSession(client)) {
      throw new TypeError('qos 2 needs a client with a session: clean: false, and with MQTT 5 a sessionExpiryInterval');
    }
    requireBoolean(retain, 'retain');
    requireCount(recordBytesMax, 'recordBytesMax', 1);
    this.limits = { recordBytesMax };
    this.#client = client;
    this.#topicOf = textPerRecord(topic, 'topic');
    this.#qos = qos;
    this.#retain = retain;
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
  }

  deliver(records: readonly SinkRecord[], { signal, arrived }: SinkContext): Promise<SinkResult> {
    return untilAnswered('mqtt', this.#ackTimeoutMs, signal, async () => {
      this.#requireConnection();
      const failed: SinkFailure[] = [];
      await Promise.all(
        records.map(async (record) => {
          try {
            await this.#publish(record);
            arrived?.(record.id);
          } catch (error) {
            failed.push({ id: record.id, error });
          }
        }),
      );
      return { failed };
    });
  }

  async probe(): Promise<void> {
    this.#requireConnection();
  }

  #requireConnection(): void {
    if (!this.#client.connected) throw new SinkError('unavailable', 'mqtt: the client has no connection');
  }

  #publish(record: SinkRecord): Promise<void> {
    const topic = this.#topicOf(record);
    requireTopic(topic);
    const { deliveryId, headers } = record;
    const isFive = this.#client.options.protocolVersion === 5;
    const options: MqttPublishOptions = {
      qos: this.#qos,
      retain: this.#retain,
      ...(isFive ? { properties: { userProperties: { ...headers, 'evaq-id': deliveryId } } } : {}),
    };
    return new Promise((resolve, reject) => {
      try {
        this.#client.publish(topic, record.payload, options, (error) => {
          if (error === undefined || error === null) resolve();
          else reject(mqttErrorOf(error));
        });
      } catch (error) {
        reject(mqttErrorOf(error));
      }
    });
  }
}
