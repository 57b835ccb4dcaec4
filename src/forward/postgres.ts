/**
 * evaq/forward/postgres: a sink that inserts records into a table of PostgreSQL. This is a public entry: named re-exports, nothing else.
 */
export type { PostgresClientLike } from './postgres/postgres-client.js';
export { type PostgresColumns, type PostgresSinkOptions, postgresSink } from './postgres/postgres-sink.js';
