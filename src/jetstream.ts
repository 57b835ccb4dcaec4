/**
 * evaq/jetstream: the same queue on NATS JetStream, on one server or on several that replicate. This is a public entry: named re-exports, nothing else.
 */
export type { JetStreamDelivery } from './jetstream/jetstream-delivery.js';
export { JetStreamEvaq, type JetStreamOptions } from './jetstream/jetstream-evaq.js';
export type { JetStreamHealth, JetStreamHealthReason } from './jetstream/jetstream-health.js';
export type { JetStreamQueue, JetStreamQueueStats } from './jetstream/jetstream-queue.js';
export type { NatsConnection, NatsHeaders, NatsMessage, NatsSubscription } from './jetstream/nats-client.js';
