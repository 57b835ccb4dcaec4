/**
 * evaq/forward/redis: a sink that appends records to a Redis stream. This is a public entry: named re-exports, nothing else.
 */
export type { IoredisLike, NodeRedisLike } from './redis/redis-client.js';
export { type RedisSinkOptions, redisSink } from './redis/redis-sink.js';
