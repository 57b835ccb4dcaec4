/**
 * evaq/forward/http: a sink that posts records over HTTP. This is a public entry: named re-exports, nothing else.
 */
export type { UndiciLike } from './http/http-client.js';
export { type HttpSinkOptions, httpSink } from './http/http-sink.js';
