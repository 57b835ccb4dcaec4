/**
 * A sink that produces records to Kafka. A record has arrived when all replicas that are in sync have it. The header `evaq-id` is the deliveryId; a
 * record's `key` is the message's, so that a partition keeps its order.
 *
 * A producer sends a batch for each partition, and tells of the whole: what is refused is found by halving, and what of it had been taken is there twice.
 */
import { optionNames, requireFunction, requireOptions } from '../../arguments.js';
import { describe, requireCount } from '../../ids.js';
import type { Sink, SinkContext, SinkFailure, SinkLimits, SinkRecord, SinkResult } from '../sink.js';
import { ackTimeoutOf, requireClient, textPerRecord, untilAnswered } from '../sink-client.js';
import { type KafkaMessage, type KafkaProducerLike, kafkaErrorOf } from './kafka-client.js';

export interface KafkaSinkOptions {
  /** One that is connected. */
  readonly producer: KafkaProducerLike;
  readonly topic: string | ((record: SinkRecord) => string);
  /** Default: the producer's partitioner chooses, by the key. */
  readonly partition?: (record: SinkRecord) => number | undefined;
  /** Default -1: all replicas in sync. 'producer': it has been told already, and takes no word of it here (`@confluentinc/kafka-javascript`). */
  readonly acks?: -1 | 'producer';
  /** `CompressionTypes` of the client. Default: what the producer does by itself. */
  readonly compression?: number;
  /** Bytes of payload of a batch. Default 900 000: with its headers it is below `max.message.bytes` of a broker that nobody has changed. */
  readonly maxBytes?: number;
  /** A batch that is not acknowledged after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('producer', 'topic', 'partition', 'acks', 'compression', 'maxBytes', 'ackTimeoutMs');
const MAX_BYTES = 900_000;

/** @throws TypeError, RangeError for wrong options */
export function kafkaSink(options: KafkaSinkOptions): Sink {
  return new KafkaSink(options);
}

interface Group {
  readonly ids: number[];
  readonly messages: KafkaMessage[];
}

class KafkaSink implements Sink {
  readonly name: string = 'kafka';
  readonly limits: SinkLimits;
  readonly #producer: KafkaProducerLike;
  readonly #topicOf: (record: SinkRecord) => string;
  readonly #partitionOf: KafkaSinkOptions['partition'];
  readonly #settings: { readonly acks?: -1; readonly compression?: number };
  readonly #ackTimeoutMs: number;

  constructor(options: KafkaSinkOptions) {
    requireOptions(options, 'kafkaSink', NAMES);
    const { producer, topic, partition, acks = -1, compression, maxBytes = MAX_BYTES } = options;
    requireClient(producer, 'producer', 'a producer of the shape of kafkajs', ['send']);
    this.#topicOf = textPerRecord(topic, 'topic');
    requireFunction(partition, 'partition');
    if (acks !== -1 && acks !== 'producer') throw new TypeError(`acks must be -1 or 'producer', got ${describe(acks)}`);
    if (compression !== undefined) requireCount(compression, 'compression', 0);
    requireCount(maxBytes, 'maxBytes', 1);
    this.limits = { maxBytes };
    this.#producer = producer;
    this.#partitionOf = partition;
    this.#settings = { ...(acks === -1 ? { acks } : {}), ...(compression === undefined ? {} : { compression }) };
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
  }

  deliver(records: readonly SinkRecord[], { signal }: SinkContext): Promise<SinkResult> {
    return untilAnswered('kafka', this.#ackTimeoutMs, signal, async () => {
      const failed: SinkFailure[] = [];
      const groups = this.#byTopic(records, failed);
      await Promise.all([...groups].map(([topic, group]) => this.#send(topic, group, failed)));
      return { failed };
    });
  }

  #byTopic(records: readonly SinkRecord[], failed: SinkFailure[]): Map<string, Group> {
    const groups = new Map<string, Group>();
    for (const record of records) {
      try {
        const topic = this.#topicOf(record);
        const message = this.#messageOf(record);
        const group = groups.get(topic) ?? { ids: [], messages: [] };
        groups.set(topic, group);
        group.ids.push(record.id);
        group.messages.push(message);
      } catch (error) {
        failed.push({ id: record.id, error });
      }
    }
    return groups;
  }

  async #send(topic: string, { ids, messages }: Group, failed: SinkFailure[]): Promise<void> {
    try {
      await this.#producer.send({ topic, messages, ...this.#settings });
    } catch (thrown) {
      const error = kafkaErrorOf(thrown);
      // Of several it is not known which: the batch is tried in halves.
      if (error.kind === 'rejected' && ids.length > 1) throw error;
      failed.push(...ids.map((id) => ({ id, error })));
    }
  }

  #messageOf(record: SinkRecord): KafkaMessage {
    const { key = null, payload, headers, deliveryId, timestamp } = record;
    const partition = this.#partitionOf?.(record);
    return {
      key,
      value: payload,
      headers: { ...headers, 'evaq-id': deliveryId },
      timestamp: String(timestamp),
      ...(partition === undefined ? {} : { partition }),
    };
  }
}
