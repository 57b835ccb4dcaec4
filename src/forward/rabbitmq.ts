/**
 * evaq/forward/rabbitmq: a sink that publishes records to RabbitMQ. This is a public entry: named re-exports, nothing else.
 */
export type { AmqpChannelLike, AmqpConnectionLike, AmqpPublishOptions } from './rabbitmq/rabbitmq-client.js';
export { type RabbitmqSinkOptions, rabbitmqSink } from './rabbitmq/rabbitmq-sink.js';
