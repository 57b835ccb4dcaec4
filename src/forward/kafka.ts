/**
 * evaq/forward/kafka: a sink that produces records to a Kafka topic. This is a public entry: named re-exports, nothing else.
 */
export type { KafkaMessage, KafkaProducerLike, KafkaSend } from './kafka/kafka-client.js';
export { type KafkaSinkOptions, kafkaSink } from './kafka/kafka-sink.js';
