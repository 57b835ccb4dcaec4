/**
 * Buffers of which views are handed out. Several views share one, so nobody may take it away from the others: posted to a worker with its
 * buffer in the transfer list, one payload would empty all its neighbours without an error. Node marks its own pool in the same way.
 */
import { markAsUntransferable } from 'node:worker_threads';

/** Not zeroed. Transferring the `buffer` of a view throws a DataCloneError, or in older versions of Node copies; posting a view copies it. */
export function newViewBuffer(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  markAsUntransferable(buffer.buffer);
  return buffer;
}
