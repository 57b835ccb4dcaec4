/**
 * evaq/forward: the records of a queue go to a sink. The sinks that are there stand under `evaq/forward/<name>`. This is a public entry: named re-exports,
 * nothing else.
 */
export {
  type ForwardDelivery,
  Forwarding,
  type ForwardOptions,
  type ForwardSource,
  forward,
} from './forward/forwarding.js';
export { type QueueSinkOptions, queueSink, type SinkQueue } from './forward/queue-sink.js';
export type { Sink, SinkContext, SinkFailure, SinkLimits, SinkRecord, SinkResult } from './forward/sink.js';
export { SinkError, type SinkErrorKind, type SinkErrorOptions } from './forward/sink-error.js';
