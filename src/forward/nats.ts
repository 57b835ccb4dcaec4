/**
 * evaq/forward/nats: a sink that publishes records to a stream of NATS JetStream. This is a public entry: named re-exports, nothing else.
 */
export type { NatsConnectionLike, NatsHeadersLike, NatsMessageLike } from './nats/nats-client.js';
export { type NatsSinkOptions, natsSink } from './nats/nats-sink.js';
