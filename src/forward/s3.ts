/**
 * evaq/forward/s3: a sink that puts batches into a bucket, as objects. This is a public entry: named re-exports, nothing else.
 */
export { type S3ClientLike, type S3SinkOptions, s3Sink } from './s3/s3-sink.js';
