/** kafka://HOST:PORT/TOPIC: by `kafkajs`. */
import type { Producer } from 'kafkajs';
import type { Destination } from './destination.js';
import { KAFKA_OPTIONS, kafkaOf } from './kafka-client.js';
import { placeOf } from './url-parts.js';

export const KAFKA: Destination = {
  schemes: ['kafka:'],
  form: 'kafka://HOST:PORT/TOPIC',
  options: [...KAFKA_OPTIONS, 'maxBytes'],
  async open(url, options) {
    const topic = placeOf(url, 'topic');
    const maxBytes = options.count('maxBytes');
    const { kafka, partitioner } = await kafkaOf('--to', url, options);
    const producer = kafka.producer({ createPartitioner: partitioner });
    const { kafkaSink } = await import('../../forward/kafka.js');
    const sink = kafkaSink({ producer: connecting(producer), topic, ...(maxBytes === undefined ? {} : { maxBytes }) });
    return { sink, close: () => producer.disconnect() };
  },
};

/** Connects at the first batch, and again where that failed. */
function connecting(producer: Producer): Pick<Producer, 'send'> {
  let connected: Promise<void> | undefined;
  return {
    send: async (record) => {
      connected ??= producer.connect();
      try {
        await connected;
      } catch (error) {
        connected = undefined;
        throw error;
      }
      return producer.send(record);
    },
  };
}
