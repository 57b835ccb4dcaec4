/**
 * The child process of a `Worker`.
 */
import { UnavailableError } from './contenders/contender.js';
import { Contestant } from './harness/contestant.js';
import type { Order, Reply } from './harness/worker-protocol.js';

const contestant = new Contestant();

process.on('message', (order: Order) => {
  void contestant
    .carryOut(order)
    .then((value): Reply<unknown> => ({ reply: 'done', value }), replyTo)
    .then((reply) => process.send?.(reply));
});

function replyTo(error: unknown): Reply<unknown> {
  if (error instanceof UnavailableError) return { reply: 'unavailable', reason: error.message };
  return { reply: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
